# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moves the lines of a stream into one sink, each exactly once.

The sink has the positions. Whatever fails, the pump forgets what it knows and reads them again: so a lost reply of a COMMIT, a second
follower, a killed database and a restart are the same case.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from .ahead import Ahead
from .checkpoint import stored_of
from .helper import HelperError
from .reading import Reader, is_full
from .sinks.base import RowRefusedError, nothing
from .sinks.opening import open_sink
from .source import has_sightings, owner_of, source_of
from .tail.sightings import Sightings
from .turns import Turns, is_worthwhile

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .checkpoint import Batch, Generation, Stored
    from .sinks.base import Sink, SinkError
    from .source import Found, Read, Source

LOOK = 5.0
"""About how many seconds a look may take. systemd waits for the start and for signs of life; the end of a follower waits for the look."""
PAUSE = 0.2
"""Seconds between two looks that may find more without a new line."""


class Counts:
    """What a pump has stored since it was made. gap_bytes: of the gaps with a known length."""

    def __init__(self) -> None:
        self.lines = self.rows = self.rejected = self.gaps = self.gap_bytes = self.batches = 0

    def add(self, stored: Stored) -> None:
        """Count what a transaction has stored."""
        self.rows += stored.rows
        self.rejected += stored.rejected
        self.lines += stored.rows + stored.rejected
        self.gaps += len(stored.gaps)
        self.gap_bytes += sum(gap.length or 0 for gap in stored.gaps)
        self.batches += 1


class Observer(t.Protocol):
    """What a pump reports."""

    def stored(self, stored: Stored) -> None:
        """A batch is stored."""

    def refused(self, documents: int) -> None:
        """The search server refused so many documents, which were stored as rejected lines."""

    def helper_failed(self, reason: str) -> None:
        """The process that stores every other batch of a backlog failed. This one goes on without it, which takes longer."""


class Pump:
    """One stream into one sink. clock: monotonic, in seconds.
    open_sink: returns the open sink; by default the real one. check: for a dry run, which creates no key.
    """

    def __init__(
        self,
        document: StreamDocument,
        options: SinkOptions,
        clock: t.Callable[[], float] = time.monotonic,
        observer: t.Optional[Observer] = None,
        open_sink: t.Callable[[SinkOptions, StreamDocument], Sink] = open_sink,
        check: bool = False,
    ) -> None:
        self._document = document
        self._options = options
        self._clock = clock
        self._observer = observer
        self._open_sink = open_sink
        self._problems: t.Dict[str, str] = {}
        self._check = check
        self._reader = Reader(document, check)
        self._sink: t.Optional[Sink] = None
        self._tracker: t.Optional[Source] = None
        self._refused = 0
        self._ahead: t.Optional[Ahead] = None
        self._turns: t.Optional[Turns] = None
        # Whether to go on without a second process until the backlog is read.
        self._alone = check
        self._sightings: t.Optional[Sightings] = None
        self.name = options["name"]
        self.counts = Counts()

    @property
    def problems(self) -> t.Dict[str, str]:
        """What could not be read at the last look, by path."""
        return self._tracker.problems if self._tracker is not None else self._problems

    def pause(self, looks: int) -> float:
        """Seconds after which to look again after so many looks; 0.0 if that is not needed.

        A generation may have no file, a journal may be in its rotation, or a file may be a copy in progress.
        """
        if self._tracker is None:
            return 0.0
        return max(self.settles_in, PAUSE if self._tracker.is_waiting and looks <= self._tracker.looks else 0.0)

    @property
    def settles_in(self) -> float:
        """Seconds after which to look again at the latest, 0.0 if that does not matter."""
        return 0.0 if self._tracker is None else self._tracker.settles_in

    @property
    def trouble(self) -> t.Optional[SinkError]:
        """Why documents wait to be sent, if they do. Reading goes on until the outbox is full."""
        return None if self._sink is None else self._sink.trouble

    def deliver(self) -> bool:
        """Send documents that wait, if the sink sends any; False if there is nothing to send now. Raises SinkError; then call ``close``."""
        if self._sink is None:
            raise AssertionError("look first")
        more = self._sink.deliver()
        self._count_refused()
        return more

    def _count_refused(self) -> None:
        """Count documents that the server refused as rejected lines: they were counted as rows."""
        refused = 0 if self._sink is None else self._sink.refused
        new = refused - self._refused
        self.counts.rows -= new
        self.counts.rejected += new
        self._refused = refused
        if new and self._observer is not None:
            self._observer.refused(new)

    def close(self) -> None:
        """Close the sink and all files. The next call of ``look`` opens them again and reads the positions."""
        if self._ahead is not None:
            self._ahead.drop()
            self._ahead = None
        self._end_turns()
        if self._tracker is not None:
            self._problems = self._tracker.problems
            self._tracker.close()
            self._tracker = None
        if self._sink is not None:
            with contextlib.suppress(Exception):
                # The connection may be what failed.
                self._sink.close()
            self._sink = None
            self._refused = 0

    def look(self) -> None:
        """Look for files and lines, and store what was found out about files. Raises SinkError; then call ``close``."""
        if self._ahead is not None:
            # What was read ahead counts on files as they were before this look.
            self._ahead.stop()
            while self._ahead is not None:
                self.step()
        if self._turns is not None:
            self._turns.stop()
            while self._turns is not None:
                self.step()
        if self._sink is None or self._tracker is None:
            sink = self._sink = self._open_sink(self._options, self._document)
            # Now, and not with the first line, which may come days later.
            sink.check_writable()
            generations = sink.open_generations()
            if self._sightings is not None:
                generations = self._sightings.enlarged(generations)
                generations += self._sightings.unsaved(owner_of(self._document), sink.generations_like)
            self._tracker = source_of(self._document, generations, sink.generations_like, self._clock)
        self._tracker.scan(LOOK)
        self.settle()

    def watch(self) -> None:
        """Note which files are there while the sink is down, so that the loss of one that it never heard of is reported later."""
        if self._tracker is None and has_sightings(self._document):
            if self._sightings is None:
                self._sightings = Sightings(self._document["follow"])
            self._sightings.look()

    def settle(self) -> None:
        """Store what was found out about files. Raises SinkError; then call ``close``."""
        if self._tracker is None:
            raise AssertionError("look first")
        for batch, stored in self._tracker.notes():
            stored(self._store(batch))

    def glance(self) -> None:
        """Look only for more lines in the files that are being read: much cheaper than ``look``. After ``close`` it does nothing."""
        if self._tracker is not None:
            self._tracker.glance()

    def step(self) -> bool:
        """Store one batch; False if there is nothing to read now. Raises SinkError; then call ``close``."""
        if self._turns is not None:
            stored = self._step_in_turns(self._turns)
            if stored is not None:
                return stored
        found = self._read() if self._ahead is None else self._ahead.take()
        goes_on = found is not None and is_full(found[0])
        if not goes_on:
            self._ahead = None
        if found is None:
            self._end_turns()
            self._alone = self._check
            return False
        reading, batch = found
        if goes_on and self._ahead is None:
            self._begin_turns()
        # With more to come, read and parse it while the database stores this. If it does not, all of that is forgotten.
        try:
            if goes_on:
                self._store(batch, self._read_ahead if self._turns is None else nothing)
                return True
            generation = self._store(batch)
        except RowRefusedError as error:
            # The batch has a row that the database refuses: find it by halves.
            if self._reader.limit > 1:
                self._reader.limit //= 2
                if goes_on:
                    self._read_again()
                return True
            generation = self._store(self._reader.reject(reading, batch, error))
        else:
            self._reader.widen()
        self._moved(reading, generation)
        return True

    def _step_in_turns(self, turns: Turns) -> t.Optional[bool]:
        """What ``step`` returns; None while the other process starts."""
        try:
            if not turns.is_ready:
                return None
            stored = turns.step()
        except (HelperError, RowRefusedError) as error:
            self._report_helper(error)
            self._read_again()
            return True
        if stored is None:
            self._end_turns()
            self._alone = self._check
            return False
        self._count(stored)
        return True

    def _begin_turns(self) -> None:
        """Start the second process, if there is enough to do for it."""
        if self._tracker is None or self._sink is None:
            raise AssertionError("look first")
        if self._turns is None and not self._alone and self._sink.has_turns and is_worthwhile(self._tracker):
            try:
                self._turns = Turns(self._document, self._options, self._reader, self._tracker, self._sink)
            except HelperError as error:
                self._alone = True
                self._report_helper(error)

    def _report_helper(self, error: Exception) -> None:
        if self._observer is not None and isinstance(error, HelperError):
            self._observer.helper_failed(str(error))

    def _end_turns(self) -> None:
        turns, self._turns = self._turns, None
        if turns is not None:
            with contextlib.closing(turns):
                stored = turns.complete()
            if stored is not None:
                self._count(stored)

    def _read_again(self) -> None:
        """Begin again where the sink is, without a second process."""
        self._alone = True
        self.close()
        self.look()

    def _read(self) -> t.Optional[Found]:
        """Read lines and parse them; None if there is nothing to read now. Behind a full batch the next lines can be read."""
        if self._tracker is None or self._sink is None:
            raise AssertionError("look first")
        reading = self._reader.read(self._tracker)
        if reading is None:
            return None
        batch = self._sink.prepare_batch(self._reader.parse(reading))
        if is_full(reading):
            self._moved(reading, batch.generation)
        return reading, batch

    def _read_ahead(self) -> None:
        if self._ahead is None:
            self._ahead = Ahead(self._read)
            self._ahead.start()

    def _moved(self, reading: Read, generation: Generation) -> None:
        if self._tracker is None:
            raise AssertionError("look first")
        self._tracker.moved(reading, generation)

    def _store(self, batch: Batch, meanwhile: t.Callable[[], None] = nothing) -> Generation:
        if self._sink is None:
            raise AssertionError("open the sink first")
        generation = self._sink.commit(batch, meanwhile)
        self._count(stored_of(batch, generation))
        return generation

    def _count(self, stored: Stored) -> None:
        self.counts.add(stored)
        self._count_refused()
        if self._observer is not None:
            self._observer.stored(stored)
