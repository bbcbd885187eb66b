# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all SQL sinks have in common: the statements, and one transaction for rows and position."""

from __future__ import annotations

import contextlib
import itertools
import time
import typing as t
from abc import abstractmethod

from ..checkpoint import Gap, Rejected
from ..records.tables import Columns, Table, columns_of, with_generation
from .base import ConflictError, NoSchemaError, RowRefusedError, Sink, SinkDeniedError, SinkError, StoredLine, Totals, nothing
from .mapping import Mapping
from .rows import COLUMNS, generation_of, row_of
from .schema import (
    GAP,
    GENERATION,
    HOURLY,
    HOURLY_FAILED_LOGINS,
    KEY,
    REJECTED,
    SCHEMA,
    SUMMED,
    VERSION,
    Dialect,
    create_statements,
    sums_of,
)
from .sums import insert_of, on_conflict, selects, sums_of_rows
from .trial import NothingToKeep, no_row_into, statements_without_rows

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions
    from ..checkpoint import Batch, Generation
    from ..records.tables import Rows
    from .schema import ControlTable
    from .sums import Sums

REJECTED_COLUMNS = tuple(column.name for column in REJECTED.columns if column.name != "stored_at")
MOST_KNOWN = 5000
"""Generations of a stream that are kept in memory; with more of them each file costs a query."""
FEW = 50
"""Rows for which COPY or LOAD DATA is not worth its round trips."""
SUMMED_AT_ONCE = 64 << 20
"""Bytes of a followed file of which one statement sums up the rows: a statement on a server must end within the time-out."""


class SqlDriver(Sink):
    """A database with SQL: what each driver does in its own way. mark: the placeholder of its driver."""

    mark = "?"
    dialect: Dialect

    @abstractmethod
    def _query(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        """Execute one statement; returns its rows."""

    @abstractmethod
    def _change(self, statement: str, values: t.Sequence[t.Any] = ()) -> int:
        """Execute one statement; returns the number of rows that it changed."""

    @abstractmethod
    def _prepared(self, table: str, columns: t.Sequence[str], rows: Rows) -> t.Any:
        """What can be made of rows of a profile's table before ``_insert_rows`` gets them; None if nothing."""

    @abstractmethod
    def _insert_rows(self, table: str, columns: t.Sequence[str], rows: Rows) -> None:
        """Insert rows with these columns."""

    @abstractmethod
    def _execute_rows(self, statement: str, rows: Rows) -> None:
        """Execute a statement once for each row."""

    @abstractmethod
    def _insert_generation(self, statement: str, values: t.Sequence[t.Any]) -> int:
        """Execute the INSERT of a generation; returns its id. Raises ConflictError if it exists already."""

    @abstractmethod
    def _transaction(self) -> t.ContextManager[None]:
        """All statements of the context or none of them; they are on the disk when the context ends."""

    @abstractmethod
    def _existing_tables(self) -> t.Set[str]:
        """The names of the tables in the database."""

    def select(self, statement: str, values: t.Sequence[t.Any] = ()) -> t.List[t.Sequence[t.Any]]:
        """Execute a SELECT, in which ``?`` stands for a value; returns its rows."""
        return self._query(statement.replace("?", self.mark), values)

    @contextlib.contextmanager
    def snapshot(self) -> t.Iterator[None]:
        """Each SELECT of the context sees the same rows, while a follower stores others."""
        for statement in self.dialect.snapshot:
            self._change(statement)
        try:
            yield
        finally:
            # Without a connection there is nothing to end.
            with contextlib.suppress(SinkError):
                self._change("ROLLBACK")

    def _insert(self, table: str, columns: t.Sequence[str]) -> str:
        return "INSERT INTO %s (%s) VALUES (%s)" % (table, ", ".join(columns), ", ".join([self.mark] * len(columns)))


class SqlRejected(SqlDriver):
    """The table of rejected lines. stream, host: whose they are. name: how messages name the database."""

    stream: str
    host: str
    name: str

    def rejected(self, after: t.Optional[t.Tuple[int, int]], lines: int, size: int) -> t.List[StoredLine]:
        # Within a generation, so that each page is a range of the key, however many lines were stored before.
        generation, offset = after or (0, -1)
        m = self.mark
        of = "FROM %s WHERE generation = %s AND line_offset > %s AND stored_at IS NULL ORDER BY line_offset LIMIT " % (REJECTED.name, m, m)
        sizes = self._query("SELECT LENGTH(line) %s%d" % (of, lines), (generation, offset))
        if not sizes:
            waits = "SELECT 1 FROM %s r WHERE r.generation = g.id AND r.stored_at IS NULL" % REJECTED.name
            statement = "SELECT g.id FROM %s g WHERE g.id > %s AND g.stream = %s AND g.host = %s AND EXISTS (%s) ORDER BY g.id LIMIT 1"
            found = self._query(statement % (GENERATION.name, m, m, m, waits), (generation, self.stream, self.host))
            return self.rejected((found[0][0], -1), lines, size) if found else []
        fitting = sum(total <= size for total in itertools.accumulate(row[0] for row in sizes))
        rows = self._query("SELECT line_offset, bytes, reason, detail, line %s%d" % (of, max(1, fitting)), (generation, offset))
        return [StoredLine(generation, Rejected(row[0], row[1], row[2], row[3], bytes(row[4]))) for row in rows]

    def reject_again(self, generation: int, refused: t.Sequence[t.Tuple[int, str, str]]) -> None:
        m = self.mark
        statement = "UPDATE %s SET reason = %s, detail = %s WHERE generation = %s AND line_offset = %s AND stored_at IS NULL"
        with self._transaction():
            self._execute_rows(statement % (REJECTED.name, m, m, m, m), [(why, detail, generation, at) for at, why, detail in refused])

    def seal_rejected(self, generation: int, lines: t.Sequence[t.Tuple[int, bytes]]) -> None:
        m = self.mark
        statement = "UPDATE %s SET line = %s WHERE generation = %s AND line_offset = %s AND stored_at IS NULL" % (REJECTED.name, m, m, m)
        with self._transaction():
            self._execute_rows(statement, [self._fitting((line, generation, offset)) for offset, line in lines])

    def _fitting(self, row: t.Tuple[t.Any, ...]) -> t.Tuple[t.Any, ...]:
        """A row with a rejected line, as the server takes it."""
        return row

    def _mark_stored(self, generation: int, offsets: t.Sequence[int]) -> None:
        """Mark rejected lines as stored. Raises ConflictError if another process has done so with one of them."""
        marked = self._change(
            "UPDATE %s SET stored_at = %s WHERE generation = %s AND stored_at IS NULL AND line_offset IN (%s)"
            % (REJECTED.name, self.mark, self.mark, ", ".join(map(str, offsets))),
            (time.time(), generation),
        )
        if marked != len(offsets):
            raise ConflictError("another process stored a rejected line", self.name)


class SqlSink(SqlRejected):
    """The sink. has_sums: whether it has the hourly tables of its profile."""

    has_turns = True

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], name: str) -> None:
        self.stream = stream
        self.host = host
        self.name = name
        self._mapping = Mapping(options, stream, host, self.dialect.quote) if options["table"] else None
        self.tables = {table.name: table for table in tables}
        self._asked = False
        self._known: t.Optional[t.Dict[str, t.Dict[str, Generation]]] = None
        self._columns = {name: [*KEY, *(column.name for column in table.columns)] for name, table in self.tables.items()}
        self.has_sums = self._mapping is None and bool(sums_of(tables))

    # -- the schema ---------------------------------------------------------------------------------------------------

    def prepare(self, create: bool) -> None:
        """Create the tables that are missing. Raises SinkError if a newer version made the schema, or if the positions are gone.

        create: if not, change nothing, and raise NoSchemaError if a table is missing.
        """
        existing = self._existing_tables()
        statements = create_statements(self.dialect, () if self._mapping else self.tables.values())
        if self._mapping is not None:
            self._check_table(self._mapping.table)
        if SCHEMA.name in existing:
            version = self._query("SELECT MAX(version) FROM %s" % SCHEMA.name)[0][0]
            # Another process may have created it between the two queries.
            check_schema(version, GENERATION.name in existing or GENERATION.name in self._existing_tables(), self.name)
        missing = [name for name in statements if name not in existing]
        if not create:
            sums = {table.name for table in sums_of(self.tables.values())}
            self.has_sums = self.has_sums and not sums.intersection(missing)
            # Without them everything can be read nevertheless.
            missing = [name for name in missing if name not in sums]
        if missing and not create:
            if self._mapping is not None:
                # This table is not created with the others.
                self._query("EXPLAIN " + no_row_into(self._mapping.into, self._mapping.names))
            hint = "'log-archive ingest %s' creates them" % self.stream
            raise NoSchemaError("the tables do not exist yet (%s)" % ", ".join(missing), self.name, hint)
        if missing:
            with self._transaction():
                for name in missing:
                    for statement in statements[name]:
                        self._create(name, statement)
                if not self._query("SELECT 1 FROM %s WHERE version = %d" % (SCHEMA.name, VERSION)):
                    self._change(self._insert(SCHEMA.name, ("version", "created_at")), (VERSION, time.time()))
        if create and self.has_sums:
            self._sum_up_old_rows()

    def _create(self, table: str, statement: str) -> None:
        try:
            self._change(statement)
        except SinkDeniedError as error:
            text = "the table %s does not exist, and the user may not create it (%s)" % (table, error.message)
            hint = "As an administrator, run the output of 'log-archive ingest %s --print-schema'" % self.stream
            raise SinkDeniedError(text, self.name, hint) from error

    def _sum_up_old_rows(self) -> None:
        """Add the rows that an older version stored for this stream and host to the hourly tables, a generation at a time."""
        unknown = self._generations("id NOT IN (SELECT generation FROM %s)" % SUMMED.name)
        condition = "generation = {0} AND line_offset >= {0} AND line_offset < {0}".format(self.mark)
        for generation in unknown:
            with self._transaction():
                # If another process does the same, the key of this row lets only one of them go on.
                self._change(self._insert(SUMMED.name, ("generation",)), (generation.id,))
                for start in range(0, generation.offset + 1, SUMMED_AT_ONCE):
                    for table in (HOURLY, HOURLY_FAILED_LOGINS):
                        for select in selects(self.dialect, table, condition):
                            statement = insert_of(table) + select + on_conflict(self.dialect, table)
                            self._change(statement, (generation.id, start, start + SUMMED_AT_ONCE))

    def check_writable(self) -> None:
        with contextlib.suppress(NothingToKeep), self._transaction():
            for statement in self._statements_without_rows():
                self._change(statement)
            # A table of somebody else may have a trigger.
            raise NothingToKeep

    def check_columns(self) -> None:
        """Find missing tables and columns only, without waiting for a process that writes."""
        for statement in self._statements_without_rows():
            self._query("EXPLAIN " + statement)

    def _statements_without_rows(self) -> t.Iterator[str]:
        rows = self._columns if self._mapping is None else {self._mapping.into: self._mapping.names}
        return statements_without_rows(self.dialect, rows, sums_of(self.tables.values()) if self.has_sums else ())

    # -- positions ----------------------------------------------------------------------------------------------------

    def open_generations(self) -> t.List[Generation]:
        return self._generations("closed = 0")

    def generations_like(self, first_line: str) -> t.List[Generation]:
        # A follower that starts asks for each file of the stream: one query for all is many times faster.
        if not self._asked:
            self._asked = True
            every = self._generations("id > 0", limit=MOST_KNOWN + 1)
            self._known = {} if len(every) <= MOST_KNOWN else None
            for generation in every:
                self.note_stored(generation)
        if self._known is None:
            return self._generations("first_line = %s" % self.mark, first_line)
        return sorted(self._known.get(first_line, {}).values(), key=lambda generation: generation.id)

    def note_stored(self, generation: Generation) -> None:
        if self._known is not None:
            self._known.setdefault(generation.head[0][1], {})[generation.public_id] = generation
            if len(self._known) > MOST_KNOWN:
                self._known = None

    def _generations(self, condition: str, *values: t.Any, limit: t.Optional[int] = None) -> t.List[Generation]:
        m = self.mark
        statement = "SELECT %s FROM %s WHERE %s AND stream = %s AND host = %s ORDER BY id%s" % (
            ", ".join(COLUMNS), GENERATION.name, condition, m, m, "" if limit is None else " LIMIT %d" % limit,
        )  # fmt: skip
        return [generation_of(row) for row in self._query(statement, (*values, self.stream, self.host))]

    # -- a batch ------------------------------------------------------------------------------------------------------

    def prepare_batch(self, batch: Batch) -> Batch:
        generation = batch.generation.id
        if self._mapping is not None or not self.tables or not generation:
            return batch
        rows = {}
        for name, given in batch.rows.items():
            columns = columns_of(given)
            rows[name] = Columns(columns, self._prepared(name, self._columns[name], with_generation(generation, Columns(columns))))
        return batch._replace(rows=rows, sums=sums_of_rows(generation, batch.rows) if self.has_sums else None)

    def commit(self, batch: Batch, meanwhile: t.Callable[[], None] = nothing) -> Generation:
        with self._transaction_of(batch):
            with _not_of_a_line(self.name):
                generation = self._move(batch)
            meanwhile()
            for name, rows in batch.rows.items():
                self._store_rows(name, generation.id, generation.public_id, rows)
            if batch.before < 0 and self.has_sums:
                self._change(self._insert(SUMMED.name, ("generation",)), (generation.id,))
            self._add_sums(generation.id, batch.rows, batch.sums)
            now = time.time()
            if batch.rejected:
                lines = [(generation.id, r.line_offset, r.length, r.reason, r.detail, r.line, now) for r in batch.rejected]
                self._insert_rows(REJECTED.name, REJECTED_COLUMNS, lines)
            for gap in batch.gaps:
                self._add_gap(generation.id, gap, now)
        self.note_stored(generation)
        return generation

    def _transaction_of(self, batch: Batch) -> t.ContextManager[t.Any]:
        """The transaction that stores a batch."""
        return self._transaction()

    def _store_rows(self, table: str, generation: int, public_id: str, rows: Rows) -> None:
        """Store rows of a profile's table, there or in the one that they are mapped to. Each begins with the line's offset."""
        try:
            if self._mapping is None:
                self._insert_rows(table, self._columns[table], with_generation(generation, rows))
            else:
                mapped = self._mapping.rows(self.tables[table], public_id, rows)
                self._insert_rows(self._mapping.into, self._mapping.names, mapped)
        except ConflictError as error:
            # This transaction has the position already, so it is not another process.
            if self._mapping is not None:
                raise RowRefusedError("a row of %s has the same key" % self._mapping.table, self.name) from error
            hint = "Rows and positions belong together: restore both from the same backup, or empty all tables"
            raise SinkError("%s already has rows beyond the stored position" % table, self.name, hint) from error

    def _add_sums(self, generation: int, rows: t.Mapping[str, Rows], sums: t.Optional[Sums] = None) -> None:
        """Add rows to the hourly tables. sums: what they add, if that is known."""
        if self.has_sums:
            for table, added in sums_of_rows(generation, rows) if sums is None else sums:
                self._add_to_sums(table, added)

    def _add_to_sums(self, table: ControlTable, sums: Rows) -> None:
        values = "VALUES (%s)" % ", ".join([self.mark] * len(table.columns))
        self._execute_rows(insert_of(table) + values + on_conflict(self.dialect, table), sums)

    def not_filled(self, column: str) -> t.Optional[SinkError]:
        """The error of a column that must have a value and that nothing fills; None if a row should have filled it."""
        filled = self._mapping.columns if self._mapping is not None else itertools.chain(*self._columns.values())
        if not column or column in filled:
            return None
        hint = "Give it a default, or add it to 'columns'" if self._mapping is not None else "Give it a default, or remove it"
        return SinkError("the column %s must have a value, but no line has one" % column, self.name, hint)

    def altered(self, what: str, code: t.Union[int, str]) -> SinkError:
        """The error of a table or column that is missing, or is not as it must be.

        what: ": " and the name of the table or column, "" if the server does not state it. code: of the error.
        """
        hint = "'log-archive ingest %s --print-schema' prints the expected tables" % self.stream
        if self._mapping is not None:
            hint = "Compare the table %s with 'columns'; for the others, %s" % (self._mapping.table, hint)
        return SinkError("a table or column is missing or was altered%s (error %s)" % (what, code), self.name, hint)

    def _check_table(self, table: str) -> None:
        """Raise SinkError if rows in an existing table would not be in the transaction of their position. Most databases have only such."""

    def _add_gap(self, generation: int, gap: Gap, now: float) -> None:
        """Store a gap, unless the same one is known: a file may be truncated again at the same position."""
        m = self.mark
        known = "SELECT 1 FROM %s WHERE generation = %s AND line_offset = %s AND kind = %s" % (GAP.name, m, m, m)
        if not self._query(known, (generation, gap.line_offset, gap.kind)):
            columns = ("generation", "line_offset", "kind", "bytes", "detail", "noticed_at")
            self._insert_rows(GAP.name, columns, [(generation, gap.line_offset, gap.kind, gap.length, gap.detail, now)])

    def _move(self, batch: Batch) -> Generation:
        """Store the new position, if the sink has the one before."""
        generation = batch.generation
        row = row_of(generation, self.stream, self.host)
        if batch.before < 0:
            return generation._replace(id=self._insert_generation(self._insert(GENERATION.name, COLUMNS[1:]), row))
        # ``first_line`` and what else identifies the generation stays. In a database that was restored another one may have the number.
        m = self.mark
        changed = self._change(
            "UPDATE %s SET %s WHERE id = %s AND public_id = %s AND read_offset = %s AND lines_read <= %s"
            % (GENERATION.name, ", ".join("%s = %s" % (name, m) for name in COLUMNS[6:]), m, m, m, m),
            (*row[5:], generation.id, generation.public_id, batch.before, generation.lines),
        )
        if changed != 1:
            raise ConflictError("another process moved the position of %s" % generation.place.path, self.name)
        return generation

    # -- rejected lines, counts ---------------------------------------------------------------------------------------

    def store_rejected(self, generation: int, offsets: t.Sequence[int], rows: t.Mapping[str, Rows]) -> None:
        with self._transaction():
            self._mark_stored(generation, offsets)
            known = self._query("SELECT public_id FROM %s WHERE id = %s" % (GENERATION.name, self.mark), (generation,))
            for table, given in rows.items():
                self._store_rows(table, generation, known[0][0], given)
            self._add_sums(generation, rows)

    def totals(self, accepted: float = 0.0) -> Totals:
        of = "WHERE g.stream = %s AND g.host = %s" % (self.mark, self.mark)
        values = (self.stream, self.host)
        lines = self._query("SELECT COALESCE(SUM(g.lines_read), 0) FROM %s g %s" % (GENERATION.name, of), values)[0][0]
        join = "JOIN %s g ON g.id = x.generation %s" % (GENERATION.name, of)
        figures = "COUNT(*), COALESCE(SUM(CASE WHEN x.noticed_at > %s THEN 0 ELSE 1 END), 0), COALESCE(MAX(x.noticed_at), 0)" % self.mark
        waits = "SELECT %s FROM %s x %s AND x.stored_at IS NULL" % (figures, REJECTED.name, join)
        rejected = self._query(waits, (accepted, *values))[0]
        figures = "COUNT(*), COALESCE(SUM(x.bytes), 0), COALESCE(MAX(x.noticed_at), 0)"
        gaps = self._query("SELECT %s FROM %s x %s" % (figures, GAP.name, join), values)[0]
        of_rejected = int(rejected[0]), int(rejected[1]), float(rejected[2])
        return Totals(int(lines), *of_rejected, int(gaps[0]), int(gaps[1]), float(gaps[2]))


@contextlib.contextmanager
def _not_of_a_line(name: str) -> t.Iterator[None]:
    """A position that is refused is no fault of a line. name: of the sink."""
    try:
        yield
    except RowRefusedError as error:
        hint = error.hint or "Look for a trigger, a constraint or an altered column there"
        raise SinkError("%s does not take the position: %s" % (GENERATION.name, error.message), name, hint) from error


def check_schema(version: t.Optional[int], has_positions: bool, name: str) -> None:
    """Raise SinkError if the tables cannot be used. version: of the schema, None before it is complete. name: of the sink."""
    if version is not None and version > VERSION:
        raise SinkError("a newer version of log-archive created the tables", name, "Install that version again")
    if version is not None and not has_positions:
        hint = "Restore it with the other tables from the same backup, or drop all tables of log-archive there"
        raise SinkError("%s does not exist any more; without it all lines would be stored again" % GENERATION.name, name, hint)


def no_table(name: str, sink: str) -> SinkError:
    """The error of a view, or a table that is elsewhere. sink: how messages name it."""
    return SinkError("%s is not a table of this database but a view or a foreign table" % name, sink, "Name the table itself in 'table'")


def print_schema(dialect: Dialect, tables: t.Iterable[Table]) -> str:
    """The DDL that creates what a sink needs, and records the version of the schema."""
    statements = [each for table in create_statements(dialect, tables).values() for each in table]
    # It is run again when tables are missing, and for each stream of a database.
    recorded = (
        "INSERT INTO {0} (version, created_at) SELECT {1}, {2} FROM (SELECT 1 AS one) AS one"
        " WHERE NOT EXISTS (SELECT 1 FROM {0} WHERE version = {1})"
    )
    statements.append(recorded.format(SCHEMA.name, VERSION, int(time.time())))
    return "".join("%s;\n" % statement for statement in statements)
