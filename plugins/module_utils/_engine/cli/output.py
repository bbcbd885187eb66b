# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Standard output and standard error of the command."""

from __future__ import annotations

import os
import sys
import typing as t

from ..base.errors import EXIT_DONE, WORST_FIRST, LogArchiveError


def print_text(text: str) -> None:
    """Write the result of the command. Raises LogArchiveError if it cannot be written, BrokenPipeError if its reader has gone."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # Python keeps what it could not write, and would fail again with every later write.
        close_stdout()
        raise LogArchiveError("cannot write to standard output: %s" % error.strerror) from error


def print_error(text: str) -> None:
    """Write an error or a note, which is not part of the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def print_json(value: t.Any) -> None:
    """Write the result of the command as JSON."""
    import json

    print_text(json.dumps(value, indent=2))


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


def close_stdout() -> None:
    """Discard all further output: its reader (head, less) has gone, and Python would report each write, and the end, as an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def worst(codes: t.Iterable[int]) -> int:
    """The one exit code to return for several."""
    codes = set(codes)
    return next((code for code in WORST_FIRST if code in codes), EXIT_DONE)
