# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sink is: a database that stores the rows of a stream together with its positions."""

from __future__ import annotations

import re
import typing as t
from abc import ABC, abstractmethod

from ...base.errors import DiskFullError, LogArchiveError
from ..records.tables import joined

if t.TYPE_CHECKING:
    from ..checkpoint import Batch, Generation, Parsed, Rejected
    from ..records.tables import Rows


class SinkError(LogArchiveError):
    """A sink failed. retryable: the same call may succeed later."""

    kind = "sink"
    retryable = False


class SinkUnavailableError(SinkError):
    """The database cannot be reached, does not answer, or has lost the connection. A transaction may or may not be committed."""

    kind = "sink_unavailable"
    retryable = True


class SinkDeniedError(SinkError):
    """The database refuses the user, a right or the certificate. Tried again seldom: it could lock an account."""

    kind = "sink_denied"


class SinkFullError(DiskFullError):
    """The database has no room. Nothing of the transaction is stored."""

    kind = "sink_full"
    retryable = True


class NoSchemaError(SinkError):
    """The database has no tables of ours yet."""

    kind = "no_schema"


class ConflictError(SinkError):
    """The position in the sink is not the expected one: another follower moved it, or a lost reply was a success. Read it again."""

    kind = "sink_conflict"
    retryable = True


class RowRefusedError(SinkError):
    """The database refuses a value of the transaction. Nothing of it is stored."""

    kind = "row_refused"


SLOW = "a statement took too long, or waited for a lock"


def named_in(pattern: str, message: str, text: str, otherwise: str) -> str:
    """``text`` with the names of tables, columns or rights that a message of a server has in the groups of ``pattern``.

    Nothing else of the message is shown: it may hold values. otherwise: if the pattern does not match.
    """
    found = re.search(pattern, message)
    return text % tuple(name.replace("`", "") for name in found.groups()) if found else otherwise


def other_key(key: str, name: str) -> RowRefusedError:
    """The error of a unique key that somebody added to a table of ours. name: of the sink."""
    return RowRefusedError("another row has the same values of the unique key %s" % key, name)


def nothing() -> None:
    """Do nothing."""


class StoredLine(t.NamedTuple):
    """A rejected line as the sink has it. generation: its id."""

    generation: int
    rejected: Rejected


class Totals(t.NamedTuple):
    """What a sink has of a stream. rejected: lines that wait to be tried again; accepted: how many of them a person has accepted.

    gap_bytes: of the gaps with a known length. rejected_at, gap_at: when the last one was noticed, in Unix seconds, 0 without one.
    """

    lines: int
    rejected: int
    accepted: int
    rejected_at: float
    gaps: int
    gap_bytes: int
    gap_at: float


class Sink(ABC):
    """The sink of one stream of one host. Every method raises SinkError or one of its children.

    has_turns: whether two processes can store the batches of a backlog in turns, each with its own connection.
    After an error the sink may have lost its connection: call ``close`` and open a new one.
    """

    has_turns = False

    def check_writable(self) -> None:
        """Find out whether the sink takes lines before there is one: raise SinkError if a right, a table or a column is missing, or if
        the database is read-only. It changes nothing.
        """
        return

    @abstractmethod
    def open_generations(self) -> t.List[Generation]:
        """The generations that are not closed, oldest first."""

    @abstractmethod
    def generations_like(self, first_line: str) -> t.List[Generation]:
        """The generations, also closed ones, with this first digest of their head, oldest first."""

    def prepare_batch(self, batch: Batch) -> Batch:
        """Do what can be done for a batch before ``commit``; returns the batch to commit.

        Another thread may call this while the sink commits the batch before.
        """
        return batch

    def stage_batch(self, batch: Batch, parts: t.Iterable[Parsed]) -> Batch:
        """Do all that can be done for a batch before ``commit``; returns the batch to commit, which the same thread does next.

        batch: without rows. parts: its rows and rejected lines.
        """
        rows: t.Dict[str, t.List[Rows]] = {}
        rejected: t.List[Rejected] = []
        for part in parts:
            for table, given in part.rows.items():
                rows.setdefault(table, []).append(given)
            rejected += part.rejected
        return self.prepare_batch(batch._replace(rows={table: joined(given) for table, given in rows.items()}, rejected=rejected))

    def note_stored(self, generation: Generation) -> None:
        """Note that another process has stored a batch of a generation."""
        return

    @abstractmethod
    def commit(self, batch: Batch, meanwhile: t.Callable[[], None] = nothing) -> Generation:
        """Store a batch in one transaction; returns its generation with its id.

        meanwhile: called once when the database begins to work, and this thread begins to wait for it.
        Raises ConflictError if the position is not ``batch.before``, or if the new generation exists already; RowRefusedError.
        """

    @abstractmethod
    def rejected(self, after: t.Optional[t.Tuple[int, int]], lines: int, size: int) -> t.List[StoredLine]:
        """The next rejected lines of one generation that were not stored later, from the one behind the key ``after`` on; none at the end.

        lines, size: how many lines and about how many bytes of them at most, but always one line.
        """

    @abstractmethod
    def store_rejected(self, generation: int, offsets: t.Sequence[int], rows: t.Mapping[str, Rows]) -> None:
        """Store the rows of rejected lines of a generation, and mark the lines with these offsets as stored, in one transaction.

        rows: by the name of the table, as of a batch. A line without a row is only marked.
        Raises ConflictError if another process has marked one of them before; RowRefusedError.
        """

    @abstractmethod
    def totals(self, accepted: float = 0.0) -> Totals:
        """Counts of the stream and host. accepted: when the last rejected line that is accepted was noticed, in Unix seconds."""

    trouble: t.Optional[SinkError] = None
    """Why documents wait to be sent, for a sink that sends them."""
    refused = 0
    """How many documents the server has refused since the sink was opened; they are rejected lines now."""

    @property
    def waiting(self) -> int:
        """How many documents wait to be sent."""
        return 0

    def deliver(self) -> bool:
        """Send some of what waits to be sent, if it is time to; returns whether another call makes sense at once."""
        return False

    def send_again(self, generation: int, offsets: t.Sequence[int]) -> None:
        """Send documents again that the server refused. Raises ConflictError if another process did so before with one of them."""
        return

    def reject_again(self, generation: int, refused: t.Sequence[t.Tuple[int, str, str]]) -> None:
        """Store why rejected lines are rejected now. refused: the offset of each, the reason and its detail."""
        return

    def seal_rejected(self, generation: int, lines: t.Sequence[t.Tuple[int, bytes]]) -> None:
        """Store the text of rejected lines anew, each with its offset: it is encrypted now."""
        return

    @abstractmethod
    def close(self) -> None:
        """Close the connection. A transaction that is not committed is lost."""
