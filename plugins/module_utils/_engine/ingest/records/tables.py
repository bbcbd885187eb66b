# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL tables of the profiles, declared once: their columns, types and indexes, and the field of a line that fills each column.

Each row also has the columns of its position, ``generation`` and ``line_offset``, which are its key (``sinks.schema``). The fields of
SFTPGo's log are those of SFTPGo 2.7.
"""

from __future__ import annotations

import typing as t

Value = t.Union[None, int, str]
"""A value of a column. Times are text in UTC, "2026-11-03 01:59:58.114000"; booleans are 0 and 1; JSON is text."""

INTEGER, TEXT, NAME, TIME, JSON, BOOLEAN = "integer", "text", "name", "time", "json", "boolean"
"""Kinds of columns: 64 bits with sign; text of any length; text of at most ``length`` characters, which an index can hold; a time in UTC to
the microsecond; an object as JSON text; true or false."""


class Column(t.NamedTuple):
    """A column. field: the field of a line that fills it as it is; the parser adds those with U+0000 in their names, which no line has."""

    name: str
    kind: str
    field: str = ""
    length: int = 0


class Table(t.NamedTuple):
    """A table. indexes: the columns of each index beside the key."""

    name: str
    columns: t.Tuple[Column, ...]
    indexes: t.Tuple[t.Tuple[str, ...], ...]


def _text(name: str, field: str = "") -> Column:
    return Column(name, TEXT, field or name)


def _name(name: str, length: int, field: str = "") -> Column:
    return Column(name, NAME, field or name, length)


def _integer(name: str, field: str = "") -> Column:
    return Column(name, INTEGER, field or name)


TIME_COLUMNS = (Column("time_utc", TIME), Column("time_text", NAME, "", 64))
"""The time of a line in UTC, and as the line has it. They are the first columns of each table."""
EXTRA = Column("extra", JSON)
"""The fields that the profile does not know. It is the last column of each table, NULL if there is none."""

_LEVEL = _name("level", 32)
DERIVED_IP, DERIVED_PORT = "\0ip", "\0port"
_CLIENT_IP = Column("client_ip", NAME, DERIVED_IP, 64)
_CLIENT_PORT = Column("client_port", INTEGER, DERIVED_PORT)
_LOCAL = _name("local_addr", 64)
_USER = _name("username", 255)
_CONNECTION = _name("connection_id", 255)
_PROTOCOL = _name("protocol", 32)

TRANSFER = Table(
    "sftpgo_transfer",
    (
        *TIME_COLUMNS,
        _LEVEL,
        _name("sender", 64),
        _LOCAL,
        _CLIENT_IP,
        _CLIENT_PORT,
        _integer("elapsed_ms"),
        _integer("size_bytes"),
        _USER,
        _text("file_path"),
        _text("virtual_path"),
        _CONNECTION,
        _PROTOCOL,
        _name("ftp_mode", 32),
        _text("error"),
        EXTRA,
    ),
    (("time_utc",), ("username", "time_utc")),
)
"""Uploads and downloads, by ``sender``. With an ``error`` the transfer failed, and ``size_bytes`` is what was moved before."""

COMMAND = Table(
    "sftpgo_command",
    (
        *TIME_COLUMNS,
        _LEVEL,
        _name("sender", 64),
        _LOCAL,
        _CLIENT_IP,
        _CLIENT_PORT,
        _USER,
        _text("file_path"),
        _text("target_path"),
        _text("virtual_path"),
        _text("virtual_target_path"),
        _name("filemode", 32),
        _integer("uid"),
        _integer("gid"),
        _name("access_time", 64),
        _name("modification_time", 64),
        _integer("size_bytes", "size"),
        _integer("elapsed_ms", "elapsed"),
        _text("ssh_command"),
        _CONNECTION,
        _PROTOCOL,
        EXTRA,
    ),
    (("time_utc",), ("username", "time_utc")),
)
"""Commands on files, by ``sender`` (Rename, Remove, ...). SFTPGo writes "" and -1 for what a command does not have; here it is NULL."""

LOGIN = Table(
    "sftpgo_login",
    (
        *TIME_COLUMNS,
        _LEVEL,
        _name("client_ip", 64, "ip"),
        _USER,
        _name("method", 64),
        _PROTOCOL,
        _CONNECTION,
        _text("client"),
        Column("encrypted", BOOLEAN, "encrypted"),
        _text("info"),
        EXTRA,
    ),
    (("time_utc",), ("username", "time_utc")),
)

FAILED_LOGIN = Table(
    "sftpgo_failed_login",
    (
        *TIME_COLUMNS,
        _LEVEL,
        _name("client_ip", 64),
        _USER,
        _name("login_type", 64),
        _PROTOCOL,
        _text("error"),
        EXTRA,
    ),
    (("time_utc",), ("client_ip", "time_utc")),
)
"""SFTPGo writes these lines at level debug only."""

HTTP = Table(
    "sftpgo_http",
    (
        *TIME_COLUMNS,
        _LEVEL,
        _LOCAL,
        _CLIENT_IP,
        _CLIENT_PORT,
        _name("proto", 32),
        _name("method", 32),
        _text("user_agent"),
        _text("uri"),
        _name("cipher_suite", 64),
        _name("request_id", 255),
        _integer("resp_status"),
        _integer("resp_size"),
        _integer("elapsed_ms"),
        EXTRA,
    ),
    (("time_utc",),),
)

APPLICATION = Table(
    "sftpgo_application",
    (*TIME_COLUMNS, _LEVEL, _name("sender", 64), _CONNECTION, _text("message"), EXTRA),
    (("time_utc",),),
)
"""All other lines of SFTPGo. A line of sender SFTP repeats the size of a transfer; it is none."""

GENERIC = Table("generic_line", (*TIME_COLUMNS, _LEVEL, _text("message"), EXTRA), (("time_utc",),))
"""A line of any log: ``extra`` has all fields beside the time, ``level`` and ``message``."""

CLIENT_ID, CLIENT_KEY, KIND = "\0client_id", "\0client_key", "\0kind"
CLIENT_EVENT = Table(
    "client_event",
    (
        *TIME_COLUMNS,
        _name("kind", 16, KIND),
        _name("level", 32, "log_level"),
        _text("thread"),
        _name("event_id", 255, "ID"),
        _name("client_id", 512, CLIENT_ID),
        _name("client_key", 32, CLIENT_KEY),
        EXTRA,
    ),
    (("time_utc",), ("client_id", "time_utc")),
)
"""An event of an application. kind: "error" if the line has a client id, otherwise "data". client_id: encrypted with the key client_key."""

PROFILES: t.Dict[str, t.Tuple[Table, ...]] = {
    "sftpgo": (TRANSFER, COMMAND, LOGIN, FAILED_LOGIN, HTTP, APPLICATION),
    "generic": (GENERIC,),
    "client_events": (CLIENT_EVENT,),
}
"""The tables of each profile."""
