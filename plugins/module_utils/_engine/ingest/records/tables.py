# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SQL tables of the profiles, declared once: their columns, types and indexes, and the field of a line that fills each column.

Each row also has the columns of its position, ``generation`` and ``line_offset``, which are its key (``sinks.schema``). The fields of
SFTPGo's log are those of SFTPGo 2.7.
"""

from __future__ import annotations

import itertools
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


class Columns:
    """Rows of a table, kept as columns of the same length: what reads a million rows is several times faster with whole columns.

    prepared: what a sink has made of the rows to send them, if it has.
    """

    __slots__ = ("columns", "prepared")

    def __init__(self, columns: t.Sequence[t.Sequence[t.Any]], prepared: t.Any = None) -> None:
        self.columns = columns
        self.prepared = prepared

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __iter__(self) -> t.Iterator[t.Tuple[t.Any, ...]]:
        return zip(*self.columns)


Rows = t.Union[t.Sequence[t.Tuple[t.Any, ...]], Columns]
"""Rows, each as the values of its columns."""


def columns_of(rows: Rows) -> t.Sequence[t.Sequence[t.Any]]:
    """The columns of rows; none if there are no rows."""
    return rows.columns if isinstance(rows, Columns) else list(zip(*rows))


def prepared_of(rows: Rows) -> t.Any:
    """What a sink has made of rows to send them; None if nothing."""
    return rows.prepared if isinstance(rows, Columns) else None


def joined(parts: t.Iterable[Rows]) -> Columns:
    """All rows of some parts, of which none is empty."""
    return Columns([list(itertools.chain(*columns)) for columns in zip(*map(columns_of, parts))])


def with_generation(generation: int, rows: Rows) -> Columns:
    """Rows that begin with the line's offset, with the id of their generation before it."""
    return Columns([(generation,) * len(rows), *columns_of(rows)], prepared_of(rows))


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

DERIVED_PRINCIPAL, DERIVED_TYPE, DERIVED_ACCOUNT, DERIVED_CLASS, DERIVED_CALL = "\0principal", "\0type", "\0account", "\0class", "\0call"
DERIVED_RESPONSE, DERIVED_DENIED, DERIVED_ROOT = "\0response", "\0denied", "\0root"
CLOUDTRAIL = Table(
    "cloudtrail_event",
    (
        *TIME_COLUMNS,
        _name("event_id", 64, "eventID"),
        _name("service", 255, "eventSource"),
        _name("action", 255, "eventName"),
        _name("region", 64, "awsRegion"),
        # The index of MySQL holds at most 3072 bytes.
        _name("principal", 700, DERIVED_PRINCIPAL),
        _name("principal_type", 64, DERIVED_TYPE),
        _name("account", 64, DERIVED_ACCOUNT),
        # An address, or the name of a service.
        _name("source_ip", 255, "sourceIPAddress"),
        _text("response", DERIVED_RESPONSE),
        _name("error_code", 255, "errorCode"),
        _text("error_message", "errorMessage"),
        _name("event_class", 64, DERIVED_CLASS),
        _name("call_type", 64, DERIVED_CALL),
        Column("denied", BOOLEAN, DERIVED_DENIED),
        Column("root", BOOLEAN, DERIVED_ROOT),
        Column("read_only", BOOLEAN, "readOnly"),
        _text("user_agent", "userAgent"),
        EXTRA,
    ),
    (("time_utc",), ("event_id",), ("principal", "time_utc")),
)
"""A record of CloudTrail. response: ``responseElements`` as JSON text. event_class, call_type, denied, root: see ``audit.record``."""

FLOW_NUMBERS = ("srcport", "dstport", "protocol", "packets", "bytes")
_FLOW_NAMES = ("action", "log-status", "vpc-id", "subnet-id", "instance-id")
_FLOW_LATER = (
    "type", "pkt-srcaddr", "pkt-dstaddr", "region", "az-id", "sublocation-type", "sublocation-id", "pkt-src-aws-service",
    "pkt-dst-aws-service", "flow-direction",
)  # fmt: skip
_FLOW_TEXTS = (
    "ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id", "ecs-container-id",
    "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn", "ecs-task-arn", "ecs-task-id", "reject-reason",
    "resource-id", "encryption-status",
)  # fmt: skip


def _underscored(field: str) -> str:
    return "traffic_type" if field == "type" else field.replace("-", "_")


VPC_FLOW = Table(
    "vpc_flow_record",
    (
        *TIME_COLUMNS,
        _integer("version"),
        _name("account_id", 64, "account-id"),
        _name("interface_id", 64, "interface-id"),
        _name("srcaddr", 64),
        _name("dstaddr", 64),
        *(_integer(field) for field in FLOW_NUMBERS),
        # In Unix seconds; the time of the row is the start.
        _integer("end_unix", "end"),
        *(_name(_underscored(field), 64, field) for field in _FLOW_NAMES),
        _integer("tcp_flags", "tcp-flags"),
        *(_name(_underscored(field), 64, field) for field in _FLOW_LATER),
        _integer("traffic_path", "traffic-path"),
        *(_text(_underscored(field), field) for field in _FLOW_TEXTS),
        EXTRA,
    ),
    (("time_utc",), ("srcaddr", "time_utc"), ("dstaddr", "time_utc")),
)
"""A VPC flow log record, with the fields of versions 2 to 10:
https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html."""

ROUTE53 = Table(
    "route53_query",
    (
        *TIME_COLUMNS,
        _name("account_id", 64),
        _name("region", 64),
        _name("vpc_id", 64),
        # A name has at most 253 characters, and four times as many with escapes.
        _text("query_name"),
        _name("query_type", 32),
        _name("query_class", 32),
        _name("rcode", 32),
        _name("srcaddr", 64),
        _integer("srcport"),
        _name("transport", 32),
        _name("firewall_rule_action", 64),
        _name("firewall_rule_group_id", 64),
        _name("firewall_domain_list_id", 64),
        EXTRA,
    ),
    (("time_utc",), ("srcaddr", "time_utc")),
)
"""A query that Route 53 Resolver answered: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resolver-query-logs-format.html.

``extra`` has the answers and the ids of the source."""

ROUTE53_PUBLIC = Table(
    "route53_public_query",
    (
        *TIME_COLUMNS,
        _name("hosted_zone_id", 64),
        _text("query_name"),
        _name("query_type", 32),
        _name("rcode", 32),
        _name("protocol", 32),
        _name("edge_location", 64),
        _name("resolver_ip", 64),
        _name("edns_client_subnet", 64),
        EXTRA,
    ),
    (("time_utc",), ("resolver_ip", "time_utc")),
)
"""A query to a public hosted zone: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/query-logs.html#query-logs-format."""

PROFILES: t.Dict[str, t.Tuple[Table, ...]] = {
    "sftpgo": (TRANSFER, COMMAND, LOGIN, FAILED_LOGIN, HTTP, APPLICATION),
    "generic": (GENERIC,),
    "client_events": (CLIENT_EVENT,),
    "cloudtrail": (CLOUDTRAIL,),
    "vpc_flow": (VPC_FLOW,),
    "route53_resolver": (ROUTE53,),
    "route53_public": (ROUTE53_PUBLIC,),
}
"""The tables of each profile."""
