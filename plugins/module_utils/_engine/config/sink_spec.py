# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a sink."""

from __future__ import annotations

import os
import re
import typing as t

from ..base.errors import ConfigError
from ..base.units import parse_age
from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec

SERVERS = ["mysql", "mariadb", "postgresql"]
"""Types of sinks that are database servers."""

SEARCH = ["elasticsearch", "opensearch"]
"""Types of sinks that are search servers."""

SINK: Spec = {
    "type": {
        "type": "str",
        "required": True,
        "choices": ["sqlite", *SERVERS, *SEARCH],
        "description": [
            "The type of the sink: V(sqlite), an SQLite file on this host; V(mysql) or V(mariadb), which require the Python library"
            " PyMySQL; V(postgresql), which requires psycopg (version 3); V(elasticsearch), which requires elasticsearch (version 8"
            " or 9); V(opensearch), which requires opensearch-py.",
        ],
    },
    "name": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the sink in messages. The default is its type."],
    },
    "path": {
        "type": "path",
        "types": ["sqlite", *SEARCH],
        "description": [
            "The SQLite file. It is created if it does not exist; its folder must exist. For V(elasticsearch) and V(opensearch) it holds"
            " the positions and the outbox, which contains the documents that the server does not have yet."
        ],
    },
    "host": {
        "type": "str",
        "types": [*SERVERS, *SEARCH],
        "default": "localhost",
        "description": ["The host name or address of the server."],
    },
    "port": {
        "type": "int",
        "types": [*SERVERS, *SEARCH],
        "minimum": 1,
        "maximum": 65535,
        "description": ["The port of the server. The default is 3306 for MySQL and MariaDB, 5432 for PostgreSQL and 9200 for the others."],
    },
    "socket": {
        "type": "path",
        "types": SERVERS,
        "description": [
            "The Unix socket of the server, instead of O(host): the socket itself for MySQL and MariaDB, its folder for PostgreSQL."
        ],
    },
    "database": {"type": "str", "types": SERVERS, "description": ["The name of the database. It must exist."]},
    "user": {
        "type": "str",
        "types": [*SERVERS, *SEARCH],
        "description": [
            "The user name on the server. In a database the user needs the rights INSERT, SELECT and UPDATE. It also needs the right to"
            " create tables, unless they were created with the output of C(log-archive ingest --print-schema).",
        ],
    },
    "password": {"type": "str", "types": [*SERVERS, *SEARCH], "secret": True, "description": ["The password of O(user)."]},
    "api_key": {
        "type": "str",
        "types": SEARCH,
        "secret": True,
        "description": ["The API key in its encoded form (base64), instead of O(user) and O(password)."],
    },
    "tls": {
        "type": "str",
        "types": [*SERVERS, *SEARCH],
        "choices": ["verify", "none"],
        "description": [
            "Whether to require TLS with a certificate that is valid for O(host) (V(verify)), or to connect without encryption (V(none)).",
            "The default is V(verify), except for a socket or a server on this host (C(localhost) or a loopback address).",
        ],
    },
    "ca_bundle": {
        "type": "path",
        "types": [*SERVERS, *SEARCH],
        "description": ["A file of CA certificates to trust instead of the system's."],
    },
    "table": {
        "type": "str",
        "types": ["sqlite", *SERVERS],
        "pattern": r"[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?",
        "pattern_means": "the name of a table, or of its database or schema and the table: logdata, msda_log.logdata",
        "description": [
            "An existing table that gets all rows, instead of the tables of the profile. Its engine must support transactions (such as"
            " InnoDB). The tables for positions and rejected lines are still created in O(database).",
        ],
    },
    "columns": {
        "type": "map",
        "types": ["sqlite", *SERVERS],
        "description": [
            "The value for each column of O(table): a column of the tables of the profile (C(log-archive ingest --print-schema) lists"
            " them), or V(stream), V(host), V(table) (the name of the table of the profile), V(line_offset), or V(row_id) (a text of up to"
            " 60 characters that is unique to the line).",
        ],
        "example": {"hash": "row_id", "time": "time_utc", "username": "username", "size_bytes": "size_bytes"},
    },
    "prefix": {
        "type": "str",
        "types": SEARCH,
        "pattern": r"[a-z0-9][a-z0-9._-]{0,99}",
        "pattern_means": "lower-case letters, digits, '.', '_' and '-' (at most 100, beginning with a letter or digit)",
        "description": [
            "The prefix of the names of the indices, C(PREFIX-KIND-2021.04), with the month of the entry in UTC. The default is the name of"
            " the stream in lower case.",
        ],
    },
    "delete_after": {
        "type": "str",
        "types": SEARCH,
        "description": [
            "Let the server delete an index when it is older than this, such as V(400d), with a policy of ILM (V(elasticsearch)) or ISM"
            " (V(opensearch)). ILM counts from the end of the index's month, ISM from its creation. A unit (w, d, h, m or s) is required,"
            " and at least V(1d). By default indices are not deleted.",
        ],
    },
    "outbox": {
        "type": "size",
        "types": SEARCH,
        "default": "100M",
        "description": [
            "The maximum size of the outbox. While it is full, no new lines are read until the server accepts documents again."
        ],
    },
    "timeout": {
        "type": "duration",
        "types": [*SERVERS, *SEARCH],
        "default": "60",
        "description": ["How long to wait for an answer of the server."],
    },
}

NEEDED_BY_SINK = {"sqlite": ("path",), **dict.fromkeys(SERVERS, ("database", "user")), **dict.fromkeys(SEARCH, ("path",))}


LEAST_AGE = 86400.0
"""Seconds that an index is kept at least."""


def uses_tls(tls: t.Optional[str], host: str, socket: t.Optional[str]) -> bool:
    """Whether the connection of a sink with these options is encrypted: by default if its server is not on this host."""
    if tls is not None:
        return tls == "verify"
    host = host.lower()
    is_local = socket is not None or host in ("localhost", "::1") or (host.startswith("127.") and host.replace(".", "").isdigit())
    return not is_local


def _sqlite_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    return _table_problems(sink) + _path_problems(sink)


def _path_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    return ["path: must be a file, not a folder"] if sink["path"] and os.path.basename(sink["path"]) == "" else []


def _table_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    if bool(sink["table"]) != bool(sink["columns"]):
        return ["table: requires columns, and vice versa"]
    wrong = [name for name in sink["columns"] or () if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name)]
    return ["columns: %r is not the name of a column; use letters, digits and '_'" % name for name in wrong]


def _server_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    if sink["socket"] is not None and sink["tls"] == "verify":
        return ["tls: a connection through a socket has no certificate; omit it"]
    if sink["tls"] == "none" and sink["ca_bundle"] is not None:
        return ["ca_bundle: cannot be combined with tls: none"]
    return _table_problems(sink)


def _search_problems(sink: t.Mapping[str, t.Any]) -> t.List[str]:
    problems = _path_problems(sink)
    if sink["tls"] == "none" and sink["ca_bundle"] is not None:
        problems.append("ca_bundle: cannot be combined with tls: none")
    if sink["api_key"] and sink["user"]:
        problems.append("api_key: cannot be combined with user; give one of them")
    if sink["delete_after"] is not None:
        try:
            too_short = parse_age(sink["delete_after"]) < LEAST_AGE
        except ConfigError as error:
            problems.append("delete_after: %s" % error)
        else:
            if too_short:
                problems.append("delete_after: must be at least 1d")
    return problems


SINK_PROBLEMS = {"sqlite": _sqlite_problems, **dict.fromkeys(SERVERS, _server_problems), **dict.fromkeys(SEARCH, _search_problems)}
"""By type: mistakes in combinations of options, each as 'option: what is wrong'. The check opens no sink."""
