# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text of limited length."""

from __future__ import annotations

CUT = "(cut)"
"""The end of a text that was cut."""
LONGEST_PROBLEM = 2000
"""Characters."""


def problem(text: str, limit: int = LONGEST_PROBLEM) -> str:
    """An error or a warning, cut to a length (in characters) that a message can have many of."""
    return text if len(text) <= limit else "%s... %s" % (text[:limit], CUT)


def cut(text: str, limit: int) -> str:
    """The text, at most ``limit`` characters long. If it is shortened, it ends after a whole line, and a last line reports this."""
    if len(text) <= limit:
        return text
    note = "\n" + CUT
    kept = text[: max(0, limit - len(note))]
    return kept[: kept.rfind("\n") if "\n" in kept else None] + note
