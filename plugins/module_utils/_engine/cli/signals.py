# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals that end the command: it stops as after Ctrl-C, removes unfinished files, records the run and reports it."""

from __future__ import annotations

# The C module beneath ``signal``, which makes enumerations of its constants and so takes a millisecond of an idle run.
import _signal as signal  # type: ignore[import-not-found]
import time

from ..base import hints as t
from ..base.errors import EXIT_SIGNAL, LogArchiveError

ONE_REQUEST = 1.0
"""Seconds. A terminal, a wrapper and a service manager may all pass on the same request."""

NAMES: t.Dict[int, str] = {signal.SIGHUP: "SIGHUP", signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM"}


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end. No step of a run catches it."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted by %s" % NAMES[number])
        self.number = number


class InterruptedRunError(LogArchiveError):
    """The same, as the error that ends the command. hint: what becomes of the rest of its work."""

    kind = "interrupted"

    def __init__(self, error: KeyboardInterrupt, hint: t.Optional[str] = None) -> None:
        number = error.number if isinstance(error, Interrupted) else signal.SIGINT
        super().__init__("interrupted by %s" % NAMES[number], hint=hint)
        self.exit_code = EXIT_SIGNAL + number


def install() -> None:
    """Let SIGHUP, SIGINT and SIGTERM raise Interrupted in the main thread. A signal that is ignored (nohup) stays ignored."""
    first: t.List[float] = []

    def handle(number: int, _frame: object) -> None:
        now = time.monotonic()
        if not first:
            first.append(now)
            raise Interrupted(number)
        if now - first[0] > ONE_REQUEST:
            # Asked again: end now. The next run finds what is left, as after a kill.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in NAMES:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handle)
