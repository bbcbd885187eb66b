# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of a sink: its tables in the order of their creation, as DDL for each kind of database.

``ingest_schema`` holds the version. ``ingest_generation`` holds the positions; each row of a profile's table, of ``ingest_rejected`` and of
``ingest_gap`` belongs to one generation.
"""

from __future__ import annotations

import typing as t

from ..records.tables import BOOLEAN, INTEGER, JSON, NAME, TEXT, TIME, TIME_COLUMNS, TRANSFER, Column, Table

VERSION = 2
KEY = ("generation", "line_offset")
"""The first columns and the primary key of every table of a profile. ``line_offset`` is in bytes of the decompressed file."""

ID, BYTES, REAL = "id", "bytes", "real"
"""Further kinds of columns: an automatic number, bytes of any length, a number of seconds with a fraction."""


class ControlTable(t.NamedTuple):
    """A table for positions. key: the primary key; unique: the columns of each unique index; nullable: the columns that may be NULL."""

    name: str
    columns: t.Tuple[Column, ...]
    key: t.Tuple[str, ...]
    unique: t.Tuple[t.Tuple[str, ...], ...] = ()
    indexes: t.Tuple[t.Tuple[str, ...], ...] = ()
    nullable: t.Tuple[str, ...] = ()


SCHEMA = ControlTable("ingest_schema", (Column("version", INTEGER), Column("created_at", REAL)), ("version",))
GENERATION = ControlTable(
    "ingest_generation",
    (
        Column("id", ID),
        Column("stream", NAME, "", 100),
        Column("host", NAME, "", 100),
        # Derived from host, folder and beginning: a second follower cannot add the same generation again.
        Column("public_id", NAME, "", 64),
        Column("first_line", NAME, "", 64),
        Column("folder", TEXT),
        Column("head", TEXT),
        Column("start_offset", INTEGER),
        Column("read_offset", INTEGER),
        Column("tail", NAME, "", 64),
        Column("lines_read", INTEGER),
        Column("path", TEXT),
        Column("live", BOOLEAN),
        Column("device", NAME, "", 32),
        Column("inode", NAME, "", 32),
        Column("size_seen", INTEGER),
        Column("read_at", REAL),
        Column("closed", BOOLEAN),
    ),
    ("id",),
    unique=(("public_id",),),
    indexes=(("first_line", "stream", "host"), ("closed", "stream", "host")),
)
GAP = ControlTable(
    "ingest_gap",
    (
        *(Column(name, INTEGER) for name in KEY),
        Column("kind", NAME, "", 32),
        Column("bytes", INTEGER),
        Column("detail", TEXT),
        Column("noticed_at", REAL),
    ),
    (*KEY, "kind"),
    nullable=("bytes",),
)
REJECTED = ControlTable(
    "ingest_rejected",
    (
        *(Column(name, INTEGER) for name in KEY),
        Column("bytes", INTEGER),
        Column("reason", NAME, "", 32),
        Column("detail", TEXT),
        Column("line", BYTES),
        Column("noticed_at", REAL),
        # When a later try stored it in its table; NULL until then.
        Column("stored_at", REAL),
    ),
    KEY,
    nullable=("stored_at",),
)
CONTROL = (SCHEMA, GENERATION, GAP, REJECTED)

_HOUR_KEY = (Column("hour_utc", TIME), Column("generation", INTEGER))
_CLIENT_IP = Column("client_ip", NAME, "", 64)
HOURLY = ControlTable(
    "sftpgo_hourly",
    (
        *_HOUR_KEY,
        Column("username", NAME, "", 255),
        _CLIENT_IP,
        Column("protocol", NAME, "", 32),
        # Without an error; "failed" are those with one.
        Column("uploads", INTEGER),
        Column("downloads", INTEGER),
        Column("bytes_uploaded", INTEGER),
        Column("bytes_downloaded", INTEGER),
        Column("failed", INTEGER),
        Column("logins", INTEGER),
        Column("commands", INTEGER),
        Column("last_seen", TIME),
    ),
    ("hour_utc", "generation", "username", "client_ip", "protocol"),
)
"""The transfers, logins and commands of each hour, for statistics. A text that is NULL in the rows is "" here."""
HOURLY_FAILED_LOGINS = ControlTable(
    "sftpgo_hourly_failed_login",
    (*_HOUR_KEY, _CLIENT_IP, Column("failed_logins", INTEGER)),
    ("hour_utc", "generation", "client_ip"),
)
SUMMED = ControlTable("ingest_summed", (Column("generation", INTEGER),), ("generation",))
"""The generations of which all rows are in the hourly tables: those that an older version stored are not, until they are added."""
SUMS = (SUMMED, HOURLY, HOURLY_FAILED_LOGINS)
"""Tables of the profile sftpgo that are kept up with its rows."""


def sums_of(tables: t.Iterable[Table]) -> t.Tuple[ControlTable, ...]:
    """The tables with sums that these tables of a profile have."""
    return SUMS if any(table.name == TRANSFER.name for table in tables) else ()


class Dialect(t.NamedTuple):
    """How a kind of database writes DDL.

    types: by kind of column; NAME has a place for the length. table_options: after the brackets. sums_by_key: the same for tables of sums.
    index_in_table: whether an index is a part of CREATE TABLE, because the database cannot create a table and its indexes in one
    transaction. hour: the hour of ``time_utc``. later: the function that returns the later one of two times.
    on_conflict: what an INSERT does if the key is there already, with a place for the columns of the key; inserted: the value that it
    would have inserted. without: the indexes that cost more than they are worth.
    snapshot: the statements that begin a transaction that sees no later changes. quote: the character around names.
    """

    types: t.Mapping[str, str]
    table_options: str = ""
    sums_by_key: str = ""
    index_in_table: bool = False
    hour: str = ""
    later: str = "GREATEST"
    on_conflict: str = "ON CONFLICT (%s) DO UPDATE SET "
    inserted: str = "excluded.%s"
    without: t.Tuple[str, ...] = ()
    snapshot: t.Tuple[str, ...] = ()
    quote: str = '"'


SQLITE = Dialect(
    {
        ID: "INTEGER",
        INTEGER: "INTEGER",
        BOOLEAN: "INTEGER",
        REAL: "REAL",
        NAME: "TEXT",
        TEXT: "TEXT",
        TIME: "TEXT",
        JSON: "TEXT",
        BYTES: "BLOB",
    },
    sums_by_key=" WITHOUT ROWID",
    hour="SUBSTR(time_utc, 1, 13) || ':00:00.000000'",
    later="MAX",
    # They take a fifth of the time of a backlog. A span of time, or the hours of a user in the sums, lead to the rows of that user, too.
    without=("sftpgo_transfer_by_username", "sftpgo_command_by_username", "sftpgo_login_by_username", "sftpgo_failed_login_by_client_ip"),
    snapshot=("BEGIN",),
)


MYSQL = Dialect(
    {
        ID: "BIGINT NOT NULL AUTO_INCREMENT",
        INTEGER: "BIGINT",
        BOOLEAN: "SMALLINT",
        REAL: "DOUBLE",
        NAME: "VARCHAR(%d)",
        TEXT: "LONGTEXT",
        TIME: "DATETIME(6)",
        JSON: "LONGTEXT",
        BYTES: "LONGBLOB",
    },
    # Names of users and files differ by case and accents; only InnoDB has transactions.
    # The other formats, one of which may be the default of the server, have no room for the keys.
    table_options=" ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
    index_in_table=True,
    hour="CAST(CONCAT(SUBSTR(CAST(time_utc AS CHAR), 1, 13), ':00:00') AS DATETIME(6))",
    on_conflict="ON DUPLICATE KEY UPDATE ",
    inserted="VALUES(%s)",
    quote="`",
    snapshot=("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"),
)
POSTGRESQL = Dialect(
    {
        ID: "BIGINT GENERATED ALWAYS AS IDENTITY",
        INTEGER: "BIGINT",
        BOOLEAN: "SMALLINT",
        REAL: "DOUBLE PRECISION",
        NAME: "VARCHAR(%d)",
        TEXT: "TEXT",
        TIME: "TIMESTAMP(6) WITH TIME ZONE",
        JSON: "JSONB",
        BYTES: "BYTEA",
    },
    hour="DATE_TRUNC('hour', time_utc)",
    snapshot=("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",),
)


def create_statements(dialect: Dialect, tables: t.Iterable[Table]) -> t.Dict[str, t.List[str]]:
    """The DDL of the tables for positions and of these tables for rows: by table, the table itself and then its indexes."""
    statements: t.Dict[str, t.List[str]] = {}
    tables = tuple(tables)
    for control in (*CONTROL, *sums_of(tables)):
        lines = [_column(column, dialect, column.name in control.nullable) for column in control.columns]
        lines.append("PRIMARY KEY (%s)" % ", ".join(control.key))
        lines += ["UNIQUE (%s)" % ", ".join(columns) for columns in control.unique]
        options = dialect.table_options if control in CONTROL else dialect.sums_by_key + dialect.table_options
        statements[control.name] = _create(control.name, lines, control.indexes, dialect, options)
    for table in tables:
        lines = [_column(Column(name, INTEGER), dialect, False) for name in KEY]
        lines += [_column(column, dialect, index >= len(TIME_COLUMNS)) for index, column in enumerate(table.columns)]
        lines.append("PRIMARY KEY (%s)" % ", ".join(KEY))
        statements[table.name] = _create(table.name, lines, table.indexes, dialect, dialect.table_options)
    return statements


def _create(name: str, lines: t.Sequence[str], indexes: t.Iterable[t.Tuple[str, ...]], dialect: Dialect, options: str) -> t.List[str]:
    named = [("%s_by_%s" % (name, columns[0]), ", ".join(columns)) for columns in indexes]
    named = [index for index in named if index[0] not in dialect.without]
    if dialect.index_in_table:
        lines = [*lines, *("INDEX %s (%s)" % index for index in named)]
        named = []
    table = "CREATE TABLE IF NOT EXISTS %s (\n    %s\n)%s" % (name, ",\n    ".join(lines), options)
    return [table, *("CREATE INDEX IF NOT EXISTS %s ON %s (%s)" % (index, name, columns) for index, columns in named)]


def _column(column: Column, dialect: Dialect, nullable: bool) -> str:
    kind = dialect.types[column.kind]
    if "%d" in kind:
        kind %= column.length
    return "%s %s%s" % (column.name, kind, "" if nullable or column.kind == ID else " NOT NULL")
