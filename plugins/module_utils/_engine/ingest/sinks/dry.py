# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sink for a dry run: it has the positions of the real one, and stores nothing."""

from __future__ import annotations

import typing as t

from .base import NoSchemaError, Sink, Totals, nothing
from .opening import open_sink
from .schema import SQLITE

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions, StreamDocument
    from ..checkpoint import Batch, Generation
    from ..records.tables import Rows
    from .base import StoredLine
    from .sql import SqlSink


class DrySink(Sink):
    """What one sink of a stream has, without any change to it. If it has no tables yet, it is empty."""

    def __init__(self, options: SinkOptions, document: StreamDocument) -> None:
        self._sink: t.Optional[SqlSink] = None
        try:
            self._sink = open_sink(options, document, create=False)
        except NoSchemaError:
            pass

    def check_writable(self) -> None:
        if self._sink is None:
            return
        if self._sink.dialect is SQLITE:
            # A file has no rights of its own, and to write would wait for the follower.
            self._sink.check_columns()
        else:
            self._sink.check_writable()

    def open_generations(self) -> t.List[Generation]:
        return [] if self._sink is None else self._sink.open_generations()

    def generations_like(self, first_line: str) -> t.List[Generation]:
        return [] if self._sink is None else self._sink.generations_like(first_line)

    def commit(self, batch: Batch, meanwhile: t.Callable[[], None] = nothing) -> Generation:
        # A number other than 0 means that the sink has it.
        return batch.generation._replace(id=batch.generation.id or -1)

    def rejected(self, after: t.Optional[t.Tuple[int, int]], lines: int, size: int) -> t.List[StoredLine]:
        return [] if self._sink is None else self._sink.rejected(after, lines, size)

    def store_rejected(self, generation: int, offsets: t.Sequence[int], rows: t.Mapping[str, Rows]) -> None:
        return

    def totals(self, accepted: float = 0.0) -> Totals:
        return Totals(0, 0, 0, 0.0, 0, 0, 0.0) if self._sink is None else self._sink.totals(accepted)

    @property
    def waiting(self) -> int:
        return 0 if self._sink is None else self._sink.waiting

    def close(self) -> None:
        if self._sink is not None:
            self._sink.close()
