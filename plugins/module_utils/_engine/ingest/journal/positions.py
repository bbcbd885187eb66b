# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The positions of a stream in the numberings of a journal."""

from __future__ import annotations

import time
import typing as t

from ..checkpoint import Generation, Place
from ..tail.fingerprint import digest

if t.TYPE_CHECKING:
    from ...config.stream_document import JournalOptions
    from .export import Entry


class Positions:
    """The generations of a stream. current: the one with the position, None at the beginning.

    owner: host and stream. generations: those that the sink has open; lookup: returns all that the sink has with a first digest.
    name: of the journal, for people.
    """

    def __init__(
        self,
        journal: JournalOptions,
        owner: str,
        generations: t.Iterable[Generation],
        lookup: t.Callable[[str], t.List[Generation]],
    ) -> None:
        self.name = "journal: " + ", ".join(journal["units"])
        self._owner = owner
        self._lookup = lookup
        self._folder = "journal:%s:%s" % (journal["directory"] or "", ",".join(sorted(journal["units"])))
        self._known = {each.head[0][1]: each for each in generations if each.folder == self._folder}
        # If a follower was killed as the numbering changed, both are open: what is read again is known by its number.
        self.current = min(self._known.values(), key=_realtime_of, default=None)

    @property
    def cursor(self) -> t.Optional[str]:
        """The cursor of the last entry, None at the beginning."""
        return self.current.head[-1][1] if self.current is not None else None

    @property
    def realtime(self) -> int:
        """The time of the last entry in microseconds since 1970, 0 at the beginning."""
        return _realtime_of(self.current) if self.current is not None else 0

    def over(self) -> t.List[Generation]:
        """The numberings that the position has left, and that the sink has open."""
        if self.current is None or not self.current.id:
            return []
        return [each for each in self._known.values() if each.id and not each.closed and each.head[0] != self.current.head[0]]

    def keep(self, generation: Generation) -> None:
        """Note a generation as the sink has it now."""
        self._known[generation.head[0][1]] = generation

    def move(self, generation: Generation) -> None:
        """The same for the one with the position."""
        self.keep(generation)
        self.current = generation

    def of(self, sequence: str) -> Generation:
        """The generation of a numbering: as it is here, as the sink has it, or a new one."""
        known = self._known.get(sequence)
        if known is None:
            stored = [each for each in self._lookup(sequence) if each.folder == self._folder]
            known = stored[0] if stored else self._new(sequence)
            self._known[sequence] = known
        return known

    def _new(self, sequence: str) -> Generation:
        public_id = digest(("%s\0%s\0%s" % (self._owner, self._folder, sequence)).encode("utf-8", "surrogateescape"))
        place = Place(self.name, True, 0, 0, 0)
        return Generation(0, public_id, self._folder, ((0, sequence),), 0, 0, "", 0, place, 0.0, False)

    def moved_to(self, generation: Generation, entry: Entry) -> Generation:
        """The generation after an entry was read."""
        number = entry.number
        place = generation.place._replace(size=number + 1)
        head = (generation.head[0], (number, entry.cursor))
        return generation._replace(head=head, offset=number + 1, place=place, read_at=time.time(), closed=False)


def _realtime_of(generation: Generation) -> int:
    """The time of the last entry that was read, from its cursor."""
    parts = dict(part.split("=", 1) for part in generation.head[-1][1].split(";") if "=" in part)
    return int(parts.get("t", "0"), 16)
