# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Standard output and standard error of the command."""

from __future__ import annotations

import io
import os
import sys

from ..base import hints as t
from ..base.errors import EXIT_DONE, EXIT_FAILED, WORST_FIRST, LogArchiveError, typed
from ..base.texts import printable

_lost: t.List[str] = []
"""The streams that something could not be written to, by name."""
Around = t.Callable[[str], t.ContextManager[None]]
_around: t.List[Around] = []
"""The context in which each text is written while somebody watches (see ``watch``)."""


def begin() -> None:
    """Prepare the standard streams of the process. A closed one becomes /dev/null: else the next file would get its descriptor."""
    _lost.clear()
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file name with characters that the terminal cannot show must not end a run.
            stream.reconfigure(errors="backslashreplace")


def end(code: int) -> int:
    """The exit code of the command: ``code``, or 1 if that is 0 and output was lost."""
    return worst((code, EXIT_FAILED)) if _lost else code


def print_text(text: str) -> bool:
    """Write the result of the command. If that fails (it returns False), the work goes on; see ``end``."""
    return write("stdout", printable(text) + "\n")


def print_error(text: str) -> None:
    """Write an error or a note, which is not part of the result."""
    write("stderr", printable(text) + "\n")


def watch(around: t.Optional[Around]) -> None:
    """Write every text in this context, which is called with the text; None ends that."""
    _around[:] = [around] if around is not None else []


def write(name: str, text: str) -> bool:
    """Write text to stdout or stderr; returns whether that worked. It raises nothing: a full disk behind
    the stream, or a reader that has gone, must not end a run.
    """
    for around in _around:
        with around(text):
            return write_at_once(name, text)
    return write_at_once(name, text)


def write_at_once(name: str, text: str) -> bool:
    """``write``, without the context of ``watch``."""
    stream = getattr(sys, name)
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        # Python keeps what it could not write, and would fail again with every later write.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
        if not isinstance(error, BrokenPipeError) and name not in _lost:
            _lost.append(name)
            if name == "stdout":
                print_error("log-archive: cannot write to standard output: %s; the work goes on" % error.strerror)
        return False
    return True


def print_json(value: t.Any, compact: bool = False) -> None:
    """Write the result of the command as JSON. compact: on one line, for a result that only programs read."""
    import json

    write("stdout", (json.dumps(value, separators=(",", ":")) if compact else json.dumps(value, indent=2)) + "\n")


def typed_error(error: Exception) -> LogArchiveError:
    """Any exception as an error to report. With LOG_ARCHIVE_TRACEBACK in the environment a defect is printed with its traceback, too."""
    known = typed(error)
    if known.kind == "unexpected" and os.environ.get("LOG_ARCHIVE_TRACEBACK"):
        import traceback

        print_error("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip())
    return known


def error_object(error: LogArchiveError) -> t.Dict[str, t.Any]:
    """An error for JSON. ``kind`` is stable (see ``base.errors``); ``text`` is the whole error as one text."""
    return {
        "kind": error.kind,
        "message": error.message,
        "subject": error.subject,
        "hint": error.hint,
        "problems": getattr(error, "problems", []),
        "text": str(error),
    }


def print_library_problems() -> None:
    """Print a warning for each library that would make the work faster and cannot be loaded."""
    from ..base.libraries import take_problems

    for text in take_problems():
        print_error("log-archive: %s" % text)


def worst(codes: t.Iterable[int]) -> int:
    """The one exit code to return for several."""
    codes = set(codes)
    return next((code for code in WORST_FIRST if code in codes), EXIT_DONE)
