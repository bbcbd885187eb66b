# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a stream is in the journal.

A generation is one numbering of entries by journald (the part ``s`` of a cursor), and an offset is a number in it (the part ``i``): so a
row has the same key however often its entry is read. The head of a generation is ((0, numbering), (number, cursor of the last entry)).
"""

from __future__ import annotations

import itertools
import time
import typing as t

from ..checkpoint import Batch, Gap, Generation
from ..tail.lines import Long, nothing_read
from . import damage
from .passed import Passed
from .positions import Positions
from .reader import Journal, JournalError, files_of

if t.TYPE_CHECKING:
    from ...config.stream_document import FollowOptions
    from ..checkpoint import Note
    from ..tail.lines import Limits, Piece
    from .export import Entry
    from .reader import Reading, Signature

ANCHOR = 300.0
"""Seconds after which the position moves over entries of other units: else the last entry of a quiet unit would be removed, with a gap."""
FORCED = 10.0
"""Seconds after which the journal is read though it does not look changed."""
MOST_COUNTED = 100_000
"""Entries that ``lag`` counts."""
LOOKS = 3
"""Looks in a row that must not find the last entry before it counts as removed: files are renamed during one of them."""


class JournalReading(t.NamedTuple):
    """What was read. batch: without rows; the caller adds those of the piece."""

    piece: Piece
    batch: Batch
    first_line: bytes = b""


class Lag(t.NamedTuple):
    """since: the time of the first unread entry in Unix seconds, 0 without one; size: of the unread lines in bytes; end: of the last."""

    since: float
    size: int
    end: int


class JournalTracker:
    """Follows units of the journal for one sink.

    owner: host and stream. generations: those that the sink has open; lookup: returns all that the sink has with a first digest.
    clock: monotonic, in seconds.
    problems: why the journal cannot be read.
    """

    looks = 15
    settles_in = 0.0

    def __init__(
        self,
        options: FollowOptions,
        max_line: int,
        owner: str,
        generations: t.Iterable[Generation],
        lookup: t.Callable[[str], t.List[Generation]],
        clock: t.Callable[[], float] = time.monotonic,
    ) -> None:
        journal = options["journal"]
        if journal is None:
            raise AssertionError("the stream follows files")
        self.positions = Positions(journal, owner, generations, lookup)
        self.name = self.positions.name
        self.journal = Journal(journal, max_line + 1)
        self._passed = Passed(self.journal, self.positions)
        self._max_line = max_line
        self._clock = clock
        self._reading: t.Optional[Reading] = None
        self._pending: t.Optional[Entry] = None
        self._horizon: t.Optional[Entry] = None
        self._done = self._unsettled = False
        self._files: t.Optional[t.FrozenSet[str]] = None
        # The files in which the last entry was found.
        self._searched: t.Optional[t.FrozenSet[str]] = None
        # Archived files that could not be read to their end, and those that are gaps already.
        self._damaged: t.Set[str] = set()
        self._reported: t.Set[str] = set()
        self._anchor: t.Optional[Entry] = None
        self._missed = 0
        self._seen: t.Optional[Signature] = None
        self._seen_at = self._anchored_at = -ANCHOR - clock()
        self.problems: t.Dict[str, str] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether the next looks may find more."""
        moves = self._anchor is not None or (self._done and self._horizon is not None)
        return moves or self._missed > 0 or self._unsettled or bool(self.positions.over())

    @property
    def backlog(self) -> int:
        """The journal does not know it."""
        return 0

    def close(self) -> None:
        """End the program that reads."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def scan(self, seconds: float = float("inf")) -> None:
        """Let the next call of ``read`` look again."""
        if self._done:
            self.close()
            self._done, self._pending = False, None
            if self._horizon is not None:
                # All entries up to there were read, and what was read is stored.
                self._anchor, self._horizon = self._horizon, None
                self._anchored_at = self._clock()

    def glance(self) -> None:
        """Nothing: only ``scan`` lets it look again."""

    # -- what is to be stored beside rows -----------------------------------------------------------------------------

    def notes(self) -> t.Iterator[Note]:
        """The position moves to the newest entry when all before it was read; numberings that are over are closed."""
        anchor, self._anchor = self._anchor, None
        if anchor is not None:
            gaps = self._gaps_at_end()
            if gaps is None:
                self._anchor = anchor
            generation = self.positions.of(anchor.sequence)
            if gaps is not None and anchor.number >= generation.offset:
                moved = self.positions.moved_to(generation, anchor)._replace(read_at=generation.read_at)
                gaps += self._damage()
                yield Batch(generation.offset if generation.id else -1, moved, {}, (), gaps), self.positions.move
        for generation in self.positions.over():
            yield Batch(generation.offset, generation._replace(closed=True), {}, (), ()), self.positions.keep

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, limits: Limits) -> t.Optional[JournalReading]:
        """Read the next entries; None if there is nothing to read now. Raises what ``lookup`` raises."""
        if self._done or not self._begin():
            return None
        try:
            reading = self._read(limits)
            gaps = self._gaps() if reading is not None else []
            # The program lists the files as it starts. A file that is renamed meanwhile may have no place in the list.
            files, self._files = self._files, None
            if files is not None and files != files_of(self.journal.signature()[0]):
                gaps = None
        except JournalError as error:
            self.problems[self.name] = str(error)
            gaps = None
        if gaps is None:
            # Read the same again.
            self._done, self._seen, self._horizon = True, None, None
            return None
        return reading and reading._replace(batch=reading.batch._replace(gaps=gaps + self._damage()))

    def _begin(self) -> bool:
        """Start to read if the journal may have something new; whether something is being read."""
        if self._reading is not None:
            return True
        now = self._clock()
        signature, settled = self.journal.signature()
        if signature == self._seen and not self.problems and not self._missed and now - self._seen_at < FORCED:
            return False
        self._unsettled = not settled and self.positions.current is not None
        if self._unsettled:
            return False
        self.problems = {}
        try:
            # Before the entries of the units: then all of them that are older are among those.
            self._horizon = self.journal.newest() if now - self._anchored_at >= ANCHOR else None
            self._reading = self.journal.after(self._start(files_of(signature)))
        except JournalError as error:
            self.problems[self.name] = str(error)
            return False
        self._seen, self._seen_at, self._files = signature, now, files_of(signature)
        return True

    def _start(self, files: t.FrozenSet[str]) -> t.Optional[str]:
        """The cursor to read from; None for the beginning.

        Without its entry journalctl goes by the time, and the clock may have been set back. What is stored is known by its number.
        """
        cursor = self.positions.cursor
        if cursor is None:
            return None
        if files != self._searched:
            if not self.journal.holds(cursor):
                return None
            self._searched = files
        return self._passed.first(files) or cursor

    def _read(self, limits: Limits) -> t.Optional[JournalReading]:
        piece = nothing_read(0)
        generation: t.Optional[Generation] = None
        last: t.Optional[Entry] = None
        size = 0
        while len(piece.lines) + len(piece.long) < limits.lines and size < limits.size:
            entry = self._next()
            if entry is None:
                break
            of_entry = self.positions.of(entry.sequence)
            if entry.number < of_entry.offset:
                continue
            if generation is not None and of_entry.head[0] != generation.head[0]:
                self._pending = entry
                break
            generation, last = of_entry, entry
            line, length = self.journal.line(entry)
            if length > self._max_line:
                piece.long.append(Long(entry.number, length, line[: self._max_line]))
            else:
                piece.lines.append((entry.number, line))
            size += len(line)
        if self._reading is not None:
            self._damaged |= self._reading.damaged()
        if generation is None or last is None:
            return None
        count = len(piece.lines) + len(piece.long)
        after = self.positions.moved_to(generation, last)._replace(lines=generation.lines + count)
        return JournalReading(piece._replace(end=after.offset, total=count), Batch(generation.offset if generation.id else -1, after, {}))

    def _next(self) -> t.Optional[Entry]:
        entry, self._pending = self._pending, None
        if entry is None and self._reading is not None:
            try:
                entry = next(self._reading, None)
                warning = self._reading.warning
            except JournalError as error:
                # What it printed before is right.
                warning = str(error)
            if entry is None:
                self._done = True
                if warning:
                    self.problems[self.name] = warning
                    self._horizon = None
        return entry

    def moved(self, _reading: JournalReading, generation: Generation) -> None:
        """Note that a reading was stored."""
        self.positions.move(generation)

    def lag(self) -> Lag:
        """What is not read yet, without reading it: at most the first entries of it are counted."""
        since, size, end = 0.0, 0, 0
        reading = None
        try:
            reading = self.journal.after(self.positions.cursor)
            for entry in itertools.islice(reading, MOST_COUNTED):
                if entry.number >= self.positions.of(entry.sequence).offset:
                    since = since or entry.realtime / 1e6
                    size += self.journal.line(entry)[1]
                    end = entry.number + 1
            if reading.warning:
                self.problems[self.name] = reading.warning
        except JournalError as error:
            self.problems[self.name] = str(error)
        finally:
            if reading is not None:
                reading.close()
        return Lag(since, size, end)

    def _damage(self) -> t.List[Gap]:
        """Entries that were not read, and that are behind the position once what is read now is stored."""
        offset = self.positions.current.offset if self.positions.current is not None else 0
        unread = [path for path in sorted(self._damaged - self._reported) if damage.last_entry(path) > self.positions.realtime]
        self._reported |= self._damaged
        return [Gap(offset, None, "damaged", damage.text_of(unread))] if unread else []

    # -- positions ----------------------------------------------------------------------------------------------------

    def _gaps_at_end(self) -> t.Optional[t.List[Gap]]:
        try:
            return self._gaps()
        except JournalError as error:
            self.problems[self.name] = str(error)
            return None

    def _gaps(self) -> t.Optional[t.List[Gap]]:
        """What was removed between the position and what was read after it; None if it is not sure yet.

        If the last entry is there now, then it was there when the entries after it were read.
        """
        cursor = self.positions.cursor
        if cursor is None or self.journal.holds(cursor):
            self._missed = 0
            return []
        self._missed += 1
        if self._missed < LOOKS or self.positions.current is None:
            return None
        self._missed = 0
        return [Gap(self.positions.current.offset, None, "vacuumed", "")]
