# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals that end the command: it stops as after Ctrl-C, removes unfinished files, records the run and reports it."""

from __future__ import annotations

# The C module beneath ``signal``, which makes enumerations of its constants and so takes a millisecond of an idle run.
import _signal as signal  # type: ignore[import-not-found]
import time
import typing as t

from ..base.errors import EXIT_SIGNAL, LogArchiveError

if t.TYPE_CHECKING:
    from types import FrameType

ONE_REQUEST = 1.0
"""Seconds. A terminal, a wrapper and a service manager may all pass on the same request."""

LATER = 0.005
"""Seconds until a signal that came at a moment at which nothing may be raised is looked at again."""

_CALLBACKS = ("/weakref.py", "/_weakrefset.py")
"""The modules of Python in which callbacks of weak references run."""

NAMES: t.Dict[int, str] = {signal.SIGHUP: "SIGHUP", signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM"}


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end. No step of a run catches it."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted by %s" % NAMES[number])
        self.number = number


class InterruptedRunError(LogArchiveError):
    """The same, as the error that ends the command."""

    kind = "interrupted"

    def __init__(self, error: KeyboardInterrupt) -> None:
        number = error.number if isinstance(error, Interrupted) else signal.SIGINT
        super().__init__("interrupted by %s" % NAMES[number], hint="The next run completes what is left")
        self.exit_code = EXIT_SIGNAL + number


def install() -> None:
    """Let SIGHUP, SIGINT and SIGTERM raise Interrupted in the main thread. A signal that is ignored (nohup) stays ignored."""
    first: t.List[float] = []

    def handle(number: int, frame: t.Optional[FrameType]) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            _interrupt(number, frame)
        elif now - first[0] > ONE_REQUEST:
            # Asked again: end now. The next run finds what is left, as after a kill.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in NAMES:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)


def _interrupt(number: int, frame: t.Optional[FrameType]) -> None:
    """Raise Interrupted in this frame, or as soon as an exception does no harm there."""
    if may_raise(frame):
        raise Interrupted(number)
    signal.signal(signal.SIGALRM, lambda _alarm, later: _interrupt(number, later))
    signal.setitimer(signal.ITIMER_REAL, LATER)


def may_raise(frame: t.Optional[FrameType]) -> bool:
    """Whether an exception from outside can be raised in the frame.

    Not while a context manager is entered or left, or a module is imported: a lock would stay held (the notification of this very run, in
    its thread, would wait for it in vain), and a library that is loaded once per process could not be loaded again. Not in a destructor
    or a callback of a weak reference: Python prints what they raise and goes on.
    """
    if frame is not None and frame.f_code.co_name in ("__enter__", "__exit__"):
        return False
    while frame is not None:
        code = frame.f_code
        if code.co_name == "__del__" or code.co_filename.startswith("<frozen importlib") or code.co_filename.endswith(_CALLBACKS):
            return False
        frame = frame.f_back
    return True
