# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that is safe to show, and of limited length."""

from __future__ import annotations

CUT = "(cut)"
"""The end of a text that was cut."""
LONGEST_PROBLEM = 2000
"""Characters."""


def printable(text: str) -> str:
    """The text with control characters and invalid characters escaped: it is valid UTF-8 and cannot control a terminal."""
    return "".join(character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text)


def one_line(text: str) -> str:
    """The same on one line."""
    return printable(text).replace("\n", " ")


def problem(text: str) -> str:
    """An error or a warning, cut to a length that a message can have many of."""
    return text if len(text) <= LONGEST_PROBLEM else "%s... %s" % (text[:LONGEST_PROBLEM], CUT)


def cut(text: str, limit: int) -> str:
    """The text, at most ``limit`` characters long. If it is shortened, it ends after a whole line, and a last line reports this."""
    if len(text) <= limit:
        return text
    note = "\n" + CUT
    kept = text[: max(0, limit - len(note))]
    return kept[: kept.rfind("\n") if "\n" in kept else None] + note
