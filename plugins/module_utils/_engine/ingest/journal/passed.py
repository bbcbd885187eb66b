# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entries that were not read and that journalctl has before the position, so that it never comes to them.

It sorts entries of different numberings by the time. A numbering that begins anew after the clock was set back, as on a machine without a
clock of its own whose journal was replaced because it was damaged, is before the entries that were read. So is what arrives late from
another machine.
"""

from __future__ import annotations

import typing as t

from .header import header_of

if t.TYPE_CHECKING:
    from .positions import Positions
    from .reader import Journal

TRIES = 5
"""How often such an entry is looked for again: what is read while a file is renamed is read again."""


class Passed:
    """Looks for such entries."""

    def __init__(self, journal: Journal, positions: Positions) -> None:
        self._journal = journal
        self._positions = positions
        # By numbering, its last entry when there was nothing to find.
        self._looked: t.Dict[str, int] = {}
        self._found: t.Optional[str] = None
        self._tries = 0

    def first(self, files: t.Iterable[str]) -> t.Optional[str]:
        """The cursor of the oldest of them in these files; None without one. Raises JournalError."""
        position = self._positions.current
        if position is None:
            return None
        paths: t.Dict[str, t.List[str]] = {}
        last: t.Dict[str, int] = {}
        for path in files:
            header = header_of(path)
            if header is not None and header.sequence != position.head[0][1] and header.first_at < self._positions.realtime:
                paths.setdefault(header.sequence, []).append(path)
                last[header.sequence] = max(header.last, last.get(header.sequence, 0))
        found = []
        for sequence, number in last.items():
            unread = self._positions.of(sequence).offset
            if number >= unread and self._looked.get(sequence) != number:
                entry = self._journal.first_from(sequence, unread, paths[sequence])
                if entry is not None and entry.realtime < self._positions.realtime:
                    found.append((entry.realtime, entry.cursor))
                else:
                    self._looked[sequence] = number
        cursor = min(found)[1] if found else None
        self._tries = self._tries + 1 if cursor == self._found else 0
        self._found = cursor
        if self._tries >= TRIES:
            # It cannot be read, as it seems: wait for another entry.
            self._looked.update(last)
            return None
        return cursor
