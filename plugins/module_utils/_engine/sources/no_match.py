# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to print if no file matches: what was looked for, and which names come close."""

from __future__ import annotations

import os
import typing as t

from ..base.errors import SelectionError
from ..base.periods import Period, did_you_mean
from ..base.units import format_utc
from .base import Skipped
from .criteria import Criteria

_NAMES_COMPARED = 50000


def printable(path: str) -> str:
    """A path on one line, bytes that are not UTF-8 as escapes."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8").replace("\n", "\\n")


def near_path(path: str) -> str:
    """How much of a path that does not exist does exist, and which name is close to the wrong one."""
    folder = os.path.dirname(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    wrong = path[len(folder) :].strip("/").split("/")[0]
    try:
        near = did_you_mean(wrong, os.listdir(folder))
    except OSError as error:
        return "%s exists, but its content cannot be listed: %s" % (printable(folder), error.strerror)
    return printable("%s%s exists, but contains no %r" % (near, folder, wrong))


def nothing_found(wanted: Criteria, missing: t.Sequence[Period], skipped: t.Sequence[Skipped]) -> SelectionError:
    """The error of a selection that must match: the missing periods, what was looked for, the closest names and what was skipped."""
    if missing:
        start, end = missing[0]
        message = "no file for the %s %s/%s" % (wanted.period, format_utc(start), format_utc(end))
        if len(missing) > 1:
            message += " and %d more" % (len(missing) - 1)
        looked_for = [pattern.example(start, wanted.timezone) for pattern in wanted.patterns]
    else:
        message = "no file matches"
        looked_for = [pattern.pattern for pattern in wanted.patterns]
    patterns = ", ".join(
        repr(name) if name == pattern.pattern else "%r (pattern %r, time zone %s)" % (name, pattern.pattern, wanted.timezone)
        for name, pattern in zip(looked_for, wanted.patterns)
    )
    near = _near_names(wanted, looked_for)
    hint = "Looked for %s. " % patterns
    hint += "The closest names are %s" % ", ".join(map(repr, near)) if near else "No name is close"
    if skipped:
        reasons = ["%s (%s)" % entry for entry in skipped[:3]]
        hint += ". Skipped: %s" % ", ".join(reasons + (["and %d more" % (len(skipped) - 3)] if skipped[3:] else []))
    return SelectionError(message, printable(", ".join(wanted.paths)), printable(hint))


def _near_names(wanted: Criteria, looked_for: t.Sequence[str]) -> t.List[str]:
    import difflib
    import functools
    import itertools

    def names() -> t.Iterator[str]:
        for path in wanted.paths:
            for folder, below, files in os.walk(path):  # A folder that cannot be listed is among the skipped.
                yield from (os.path.relpath(os.path.join(folder, name), path) for name in files)
                if not wanted.recurse:
                    below.clear()

    known = list(itertools.islice(names(), _NAMES_COMPARED))
    near: t.List[str] = []
    for target in looked_for:
        # difflib is slow, so it compares only the names that begin and end most like the target.
        likely = sorted(known, key=functools.partial(_likeness, target))[-200:]
        near += [name for name in difflib.get_close_matches(target, likely, 3, 0.6) if name not in near]
    return near


def _likeness(one: str, other: str) -> int:
    """The number of characters that both have in common at their beginning and at their end."""
    return len(os.path.commonprefix([one, other])) + len(os.path.commonprefix([one[::-1], other[::-1]]))
