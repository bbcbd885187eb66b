# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which class each type of sink has. A type is loaded when a stream uses it."""

from __future__ import annotations

import os
import textwrap
import typing as t

from ...archive.naming import host_name
from ...base.beneath import open_regular
from ..records.parser import tables_of
from .base import NoSchemaError, SinkError

if t.TYPE_CHECKING:
    from ...config.stream_document import SinkOptions, StreamDocument
    from .schema import Dialect
    from .sql import SqlSink


def open_sink(options: SinkOptions, document: StreamDocument, create: bool = True) -> SqlSink:
    """Open one sink of a stream.

    create: make the database file and the tables that are missing; otherwise raise NoSchemaError. Raises SinkError; MissingLibraryError
    without the library of the sink.
    """
    if not create and options["path"] is not None and not os.path.exists(options["path"]):
        if not os.path.isdir(os.path.dirname(options["path"])):
            raise SinkError("the folder of the database does not exist", options["path"], "Create it")
        if options["table"]:
            raise SinkError("the database does not exist", options["path"], "Create it with the table %s" % options["table"])
        raise NoSchemaError("the database does not exist yet", options["path"], "'log-archive ingest %s' creates it" % document["name"])
    if options["ca_bundle"] is not None:
        _check_bundle(options["ca_bundle"])
    made = KINDS[options["type"]]()(options, document["name"], host_name(document["host"]), tables_of(document), create)
    return t.cast("SqlSink", made)


def _check_bundle(path: str) -> None:
    """Raise SinkError if a file of CA certificates cannot be used: the drivers fail each in another way."""
    import ssl

    try:
        os.close(open_regular(path))
        ssl.create_default_context(cafile=path)
    except OSError as error:
        reason = "it contains no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise SinkError("the CA certificates cannot be read: %s" % reason, path, "Correct the file, or 'ca_bundle'") from error


def schema_of(options: SinkOptions, document: StreamDocument) -> str:
    """The DDL of the tables that a SQL sink creates; for one that fills an existing table also what its columns can get, as a comment."""
    from .mapping import values_of
    from .sql import print_schema

    dialect = t.cast("Dialect", KINDS[options["type"]]().dialect)
    if not options["table"]:
        return print_schema(dialect, tables_of(document))
    values = ", ".join(sorted(values_of(document["parse"]["profile"])))
    comment = textwrap.wrap("The columns of %s can be filled with: %s" % (options["table"], values), 100)
    return "".join("-- %s\n" % line for line in comment) + print_schema(dialect, ())


def _sqlite() -> t.Any:
    from .sqlite import SqliteSink

    return SqliteSink


def _mysql() -> t.Any:
    from .mysql import MysqlSink

    return MysqlSink


def _postgresql() -> t.Any:
    from .postgresql import PostgresqlSink

    return PostgresqlSink


def _search() -> t.Any:
    from .search.sink import SearchSink

    return SearchSink


KINDS: t.Dict[str, t.Callable[[], t.Any]] = {
    "sqlite": _sqlite,
    "mysql": _mysql,
    "mariadb": _mysql,
    "postgresql": _postgresql,
    "elasticsearch": _search,
    "opensearch": _search,
}
