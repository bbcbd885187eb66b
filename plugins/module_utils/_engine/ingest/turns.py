# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two processes store the batches of a large backlog in turns: while one stores its batch, the other one parses the next.

Only this process opens logs, and it decides what is next. A batch moves the position from where the batch before it ended, in the
transaction that stores its rows. So their order is that of the lines, and whatever fails, the sink knows which of them it has.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from .checkpoint import Stored, stored_of
from .helper import PATIENCE, Helper, HelperError
from .sinks.base import SinkError, SinkFullError

if t.TYPE_CHECKING:
    from ..config.stream_document import SinkOptions, StreamDocument
    from .checkpoint import Batch
    from .reading import Reader
    from .sinks.base import Sink
    from .source import Read, Source

BACKLOG = 32 << 20
"""Unread bytes from which on a process is started: its start takes as long as storing 2 MiB."""
OWN, THEIRS = 0.95, 1.05
"""The shares of the lines, 1.0 being the average: this process also reads for the other one."""
LAST_PATIENCE = 10.0
"""Seconds that the other process gets for its batch when the follower ends."""


def is_worthwhile(source: Source) -> bool:
    """Whether there is enough to read for two processes, and a second processor for one of them."""
    return source.backlog >= BACKLOG and len(os.sched_getaffinity(0)) > 1


class Turns:
    """The turns of this process and the other one. Raises HelperError for the other one, and whatever this one meets."""

    def __init__(self, document: StreamDocument, options: SinkOptions, reader: Reader, source: Source, sink: Sink) -> None:
        self._reader = reader
        self._source = source
        self._sink = sink
        self._own: t.Optional[Batch] = None
        # What the other process got, and what it is storing.
        self._sent: t.Optional[Batch] = None
        self._theirs: t.Optional[Batch] = None
        self._ends = False
        self._helper = Helper(document, options)

    @property
    def is_ready(self) -> bool:
        """Whether the other process has started. It takes a moment, in which this process goes on without it."""
        return self._helper.is_ready

    def stop(self) -> None:
        """Read nothing more. What is read can still be stored."""
        self._ends = True

    def step(self) -> t.Optional[Stored]:
        """Store the next batch, here or in the other process; returns None if all that can be read now is stored."""
        if self._theirs is not None:
            self._prepare()
            return self._received(self._theirs, PATIENCE)
        if self._own is None:
            self._prepare()
        batch, self._own = self._own, None
        if batch is None:
            return None
        stored = stored_of(batch, self._sink.commit(batch))
        if self._sent is not None:
            self._helper.store()
            self._theirs, self._sent = self._sent, None
        return stored

    def complete(self) -> t.Optional[Stored]:
        """What the other process is storing now, once that is done; None without that, or if it does not succeed: then it is read again."""
        if self._theirs is not None:
            with contextlib.suppress(HelperError, SinkError, SinkFullError):
                return self._received(self._theirs, LAST_PATIENCE)
        return None

    def close(self) -> None:
        """End the other process. What it has not stored yet is read again."""
        self._helper.close()

    def _received(self, batch: Batch, patience: float) -> Stored:
        self._theirs = None
        stored = self._helper.receive(batch, patience)
        self._sink.note_stored(stored.generation)
        return stored

    def _prepare(self) -> None:
        """Read for both, and parse while the other process does, too, or stores the batch before."""
        reading = self._read(OWN)
        self._sent = None if reading is None else self._send()
        self._own = None if reading is None else self._sink.stage_batch(reading.batch, self._reader.parse_parts(reading))

    def _send(self) -> t.Optional[Batch]:
        """Read for the other process; returns its batch without the lines, None if there is nothing to read now."""
        reading = self._read(THEIRS)
        if reading is None:
            return None
        self._helper.send(reading)
        return reading.batch

    def _read(self, share: float) -> t.Optional[Read]:
        reading = None if self._ends else self._reader.read_turn(self._source, share)
        if reading is not None:
            # Its position is stored after those before it. If one of them fails, all of them are read again.
            self._source.moved(reading, reading.batch.generation)
        return reading
