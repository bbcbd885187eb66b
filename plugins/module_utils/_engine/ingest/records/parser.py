# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line to a row: decode it, change its fields, find its time, and let the profile fill a table."""

from __future__ import annotations

import re
import typing as t

from ...base.units import parse_size
from ...crypto import client_ids
from .client_events import ClientEventsParser
from .cloudtrail import CloudTrailParser
from .decode import decoder
from .fill import Filler, Values
from .refused import NoRecord, Refused
from .route53 import PublicParser, Route53Parser, decode_public
from .sftpgo import SftpgoParser
from .sftpgo_fast import fast_parser
from .tables import GENERIC, PROFILES, Rows, Table
from .times import column_parser, time_parser
from .transform import Transform, is_sealed, unsealed
from .vpc_flow import FlowLines, FlowParser, fields_of

if t.TYPE_CHECKING:
    from ...config.stream_document import StreamDocument
    from .sftpgo_fast import Line


_EXPORT_TIME = re.compile(rb"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z ")
"""Begins each line of a file that CloudWatch Logs exported: the time of the log event."""


class GenericParser:
    """The profile ``generic``: any field is allowed, so none is new."""

    def __init__(self, truncate: bool) -> None:
        self._filler = Filler(GENERIC, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        return GENERIC.name, self._filler.fill(time, fields)


class Profile(t.Protocol):
    """Fills the tables of a profile."""

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied. Raises Refused."""


class LineParser:
    """Turns the lines of a stream into rows. check: for a dry run, which creates no key."""

    def __init__(self, document: StreamDocument, check: bool = False) -> None:
        parse = document["parse"]
        keep_new, truncate = parse["new_fields"] == "keep", parse["long_values"] == "truncate"
        self._decode: t.Callable[[bytes], t.Optional[t.Dict[str, t.Any]]] = decoder()
        self._time_field = parse["time_field"]
        self._time = time_parser(parse["time_format"], parse["timezone"])
        self._profile: Profile
        self._flow: t.Optional[FlowLines] = None
        self._blank = parse["profile"] == "cloudtrail"
        self._may_be_exported = parse["profile"] in ("cloudtrail", "vpc_flow", "route53_resolver", "route53_public")
        self._client_events: t.Optional[ClientEventsParser] = None
        if document["client_ids"] is not None:
            self._profile = self._client_events = ClientEventsParser(document["client_ids"], keep_new, truncate, check)
        elif parse["profile"] == "sftpgo":
            self._profile = SftpgoParser(keep_new, truncate)
        elif parse["profile"] == "cloudtrail":
            self._profile = CloudTrailParser(keep_new, truncate)
        elif parse["profile"] == "route53_resolver":
            self._profile = Route53Parser(keep_new, truncate)
        elif parse["profile"] == "route53_public":
            self._profile = PublicParser(keep_new, truncate)
            self._decode = decode_public
        elif parse["profile"] == "vpc_flow":
            self._profile = FlowParser(keep_new, truncate)
            self._flow = FlowLines(fields_of(parse["fields"]), parse_size(parse["max_line"]))
            self._decode = self._flow.decode
        else:
            self._profile = GenericParser(truncate)
        options = document["transform"]
        self._transform = Transform(options, self._time_field, PROFILES[parse["profile"]]) if options else None
        self._keyring = options["keyring"] if options else None
        self._fast = None
        if isinstance(self._profile, SftpgoParser) and not options:
            self._fast = fast_parser(self._time_field, column_parser(self._time, parse["time_format"], parse["timezone"]))

    def begin(self, first_line: bytes) -> None:
        """The lines of another file follow. first_line: of that file; it may name the fields."""
        if self._flow is not None:
            self._flow.begin(first_line)

    def parse(self, line: bytes) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns. line: without its newline. Raises Refused, NoRecord."""
        if self._blank and not line.strip():
            # What is around the records of a file of CloudTrail.
            raise NoRecord
        if self._may_be_exported and line[:2] == b"20":
            line = _EXPORT_TIME.sub(b"", line, 1)
        fields = self._decode(line)
        if fields is None:
            raise NoRecord
        if self._transform is not None:
            fields = self._transform.apply(fields)
        return self._profile.row(self._time(fields.pop(self._time_field, None)), fields)

    def parse_lines(self, lines: t.Iterable[Line]) -> t.Tuple[t.Dict[str, Rows], t.List[t.Tuple[Line, Refused]]]:
        """Rows by table, each beginning with the offset of its line; and the lines that no table takes. lines: with their offsets."""
        rows: t.Dict[str, Rows] = {}
        refused = []
        if self._fast is not None:
            fast, lines = self._fast(lines)
            rows.update(fast)
        others: t.Dict[str, t.List[t.Tuple[t.Any, ...]]] = {}
        for offset, line in lines:
            try:
                table, values = self.parse(line)
            except NoRecord:
                continue
            except Refused as error:
                refused.append(((offset, line), error))
            else:
                others.setdefault(table, []).append((offset, *values))
        for table, more in others.items():
            rows[table] = [*rows[table], *more] if table in rows else more
        return rows, refused

    def sealed(self, line: bytes) -> bytes:
        """A rejected line as a sink stores it: encrypted if it may hold what the stream encrypts, with the names of its fields.

        Raises KeyringError.
        """
        return self._encrypted(line if self._flow is None else self._flow.with_header(line))

    def unsealed(self, data: bytes, length: int) -> bytes:
        """The line that ``sealed`` stored. length: of the line in its file. Raises KeyringError, IntegrityError."""
        return unsealed(self._keyring, data, length) if self._client_events is None else self._client_events.unsealed(data, length)

    def sealed_later(self, data: bytes, length: int) -> t.Optional[bytes]:
        """A rejected line that was stored before the stream encrypted, encrypted; None if it can stay. Arguments: as of ``unsealed``."""
        is_safe = is_sealed(data, length) if self._client_events is None else client_ids.is_sealed(data, length)
        encrypted = data if is_safe else self._encrypted(data)
        return None if encrypted == data else encrypted

    def _encrypted(self, data: bytes) -> bytes:
        if self._client_events is not None:
            return self._client_events.sealed(data)
        return data if self._transform is None else self._transform.sealed(data)


def tables_of(document: StreamDocument) -> t.Tuple[Table, ...]:
    """The tables that the stream fills."""
    return PROFILES[document["parse"]["profile"]]
