# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the sinks in a database server have in common: a server works for several connections at the same time."""

from __future__ import annotations

import contextlib
import typing as t

from ..records.tables import with_generation
from .base import ConflictError, RowRefusedError, SinkUnavailableError
from .sql import SqlSink
from .sums import HourlySums

if t.TYPE_CHECKING:
    from ..checkpoint import Batch, Parsed, Rejected


def read_only(code: t.Union[int, str], name: str) -> SinkUnavailableError:
    """The error of a database that only reads now. name: of the sink."""
    hint = "Lines wait until it is writable; if it is a replica, set 'host' to the primary server"
    return SinkUnavailableError("the database is read-only (error %s)" % code, name, hint)


class ServerSink(SqlSink):
    """A sink in a server. The rows of a batch go there while another connection stores the batch before, in the transaction that moves the
    position later. Until then nobody sees them, and they are gone with the connection.
    """

    grace = 5
    """Seconds that a server gets to report that a statement took longer than the time-out."""
    _begun: t.Optional[contextlib.ExitStack] = None
    """The transaction that has the rows of ``_staged``."""
    _staged: t.Optional[Batch] = None

    def stage_batch(self, batch: Batch, parts: t.Iterable[Parsed]) -> Batch:
        self._roll_back()
        if self._mapping is not None or not batch.generation.id:
            return super().stage_batch(batch, parts)
        with contextlib.ExitStack() as begun:
            begun.enter_context(self._transaction())
            try:
                self._staged = self._insert_parts(batch, parts)
            except ConflictError as error:
                # Who has the position when they are stored again finds out why they are there.
                raise RowRefusedError("the database already has the rows", self.name) from error
            self._begun = begun.pop_all()
        return self._staged

    def _insert_parts(self, batch: Batch, parts: t.Iterable[Parsed]) -> Batch:
        """Insert the rows of a batch; only one of its parts is in memory as objects. Returns the batch without its rows."""
        generation, count, sums = batch.generation.id, 0, HourlySums()
        rejected: t.List[Rejected] = []
        for part in parts:
            for table, rows in part.rows.items():
                self._insert_rows(table, self._columns[table], with_generation(generation, rows))
                count += len(rows)
            rejected += part.rejected
            if self.has_sums:
                sums.add(part.rows)
        return batch._replace(rejected=rejected, staged=count, sums=sums.rows(generation) if self.has_sums else None)

    def _transaction_of(self, batch: Batch) -> t.ContextManager[t.Any]:
        if self._begun is not None and self._staged is batch:
            begun, self._begun = self._begun, None
            return begun
        self._roll_back()
        if batch.staged:
            raise ConflictError("the transaction with the rows of the batch was rolled back", self.name)
        return self._transaction()

    def _roll_back(self) -> None:
        """Give up the rows of a batch that are in a transaction."""
        begun, self._begun, self._staged = self._begun, None, None
        if begun is not None:
            error = ConflictError("another batch is stored", self.name)
            begun.__exit__(ConflictError, error, None)
