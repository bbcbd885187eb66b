# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the journal that journalctl cannot read. It leaves them out, some of them without a word unless it logs for debugging.

The active file can look damaged for a moment, while journald makes it or writes to it. It has no '@' in its name.
"""

from __future__ import annotations

import os
import re
import typing as t

from .header import header_of

LOGGING = {"SYSTEMD_LOG_LEVEL": "debug", "SYSTEMD_LOG_TARGET": "console-prefixed", "SYSTEMD_LOG_LOCATION": "0", "SYSTEMD_LOG_TIME": "0"}
"""Variables that have journalctl print each line behind its priority, as in <31>."""
MOST = 1 << 20
"""Bytes of what it printed that are read."""
NAMED = 5
"""Files that ``text_of`` names."""
_LINE = re.compile(r"(?:<(\d+)>)?(.*)")
_DEBUG = 7
# Of a file: sd-journal.c; the warning (journal-util.c) is about one file for each kind of error.
_LEFT_OUT = re.compile(
    r"Can't iterate through (.+), ignoring: .*|Journal file (.+) (?:is truncated|corrupted), ignoring file\."
    r"|Failed to open journal file (.+): (?:No data available|Bad message|Input/output error)"
)
# Of an entry, in whatever file: journal-file.c and logs-show.c.
_SKIPPED = re.compile(r"Entry item \d+ is bad, skipping over it\.|Skipping message we can't read: .*")


def files_in(printed: str) -> t.Set[str]:
    """The archived files that journalctl left out, the rest of each or all of it; "" stands for a file that it did not name."""
    found = set()
    for _priority, text in _lines(printed):
        match = _LEFT_OUT.fullmatch(text)
        if match:
            found |= {path for path in match.groups() if path and "@" in os.path.basename(path)}
        elif _SKIPPED.fullmatch(text):
            found.add("")
    return found


def warning_in(printed: str) -> str:
    """The first line for people that is not about an archived file; "" without one."""
    for priority, text in _lines(printed):
        if priority < _DEBUG and text and not files_in(text):
            return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return ""


def last_entry(path: str) -> float:
    """The time of the last entry of a file, in microseconds since 1970. Nobody knows which entries a file without it has."""
    header = header_of(path)
    return float("inf") if header is None else header.last_at


def text_of(paths: t.Sequence[str]) -> str:
    """What to say of those that ``files_in`` found."""
    names = [os.path.basename(path) for path in paths if path]
    rest = " and %d more" % (len(names) - NAMED) if len(names) > NAMED else ""
    return "entries cannot be read" + (" in " + ", ".join(names[:NAMED]) + rest if names else "")


def _lines(printed: str) -> t.Iterator[t.Tuple[int, str]]:
    """The priority and the text of each line."""
    for line in printed.split("\n"):
        match = _LINE.fullmatch(line)
        if match:
            yield int(match[1] or 0) % 8, match[2]
