# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that is safe to show. Names, messages of servers and manifests come from others, who may want to control a terminal or to write
lines of their own into a report. What is printed, mailed or shown in a play goes through one of these functions: ``line`` where the text
is put together, ``printable`` where a whole report leaves the process.
"""

from __future__ import annotations

from . import hints as t


def printable(text: str) -> str:
    """The text with control characters and invalid characters escaped: it is valid UTF-8 and cannot control a terminal."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(character if character.isprintable() or character == "\n" else _escape(character) for character in text)


def _escape(character: str) -> str:
    # A byte of a file name that is not UTF-8 (PEP 383) is shown as that byte.
    return "\\x%02x" % (ord(character) & 0xFF) if "\udc80" <= character <= "\udcff" else ascii(character)[1:-1]


def line(text: str) -> str:
    """The same on one line: an end of line is escaped too."""
    return printable(text).replace("\n", "\\n")


def lines(texts: t.Iterable[str]) -> str:
    """A report of these lines, which stays one of as many lines."""
    given = list(texts)
    together = "\n".join(given)
    # A plan has a line for each archive: as a rule, all of them are printable.
    if together.count("\n") < len(given) and printable(together) is together:
        return together
    return "\n".join(map(line, given))


def columns(text: str) -> int:
    """The columns of a terminal that a text takes: the characters of some scripts take two, and accents of their own none."""
    if text.isascii():
        return len(text)
    import unicodedata

    marks = sum(unicodedata.category(character) in ("Mn", "Me") for character in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(character) in ("W", "F") for character in text)
