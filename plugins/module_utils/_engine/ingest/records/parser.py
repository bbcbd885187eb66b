# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line to a row: decode it, change its fields, find its time, and let the profile fill a table."""

from __future__ import annotations

import typing as t

from .client_events import ClientEventsParser
from .decode import decoder
from .fill import Filler, Values
from .refused import Refused
from .sftpgo import SftpgoParser
from .sftpgo_fast import fast_parser
from .tables import GENERIC, PROFILES, Table
from .times import time_parser
from .transform import Transform

if t.TYPE_CHECKING:
    from ...config.stream_document import StreamDocument


class GenericParser:
    """The profile ``generic``: any field is allowed, so none is new."""

    def __init__(self, truncate: bool) -> None:
        self._filler = Filler(GENERIC, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        return GENERIC.name, self._filler.fill(time, fields)


class LineParser:
    """Turns the lines of a stream into rows. check: for a dry run, which creates no key."""

    def __init__(self, document: StreamDocument, check: bool = False) -> None:
        parse = document["parse"]
        truncate = parse["long_values"] == "truncate"
        self._decode = decoder()
        self._time_field = parse["time_field"]
        self._time = time_parser(parse["time_format"], parse["timezone"])
        self._profile: t.Union[SftpgoParser, GenericParser, ClientEventsParser]
        self._client_events: t.Optional[ClientEventsParser] = None
        if document["client_ids"] is not None:
            self._profile = self._client_events = ClientEventsParser(document["client_ids"], parse["new_fields"] == "keep", truncate, check)
        elif parse["profile"] == "sftpgo":
            self._profile = SftpgoParser(parse["new_fields"] == "keep", truncate)
        else:
            self._profile = GenericParser(truncate)
        options = document["transform"]
        self._transform = Transform(options, self._time_field) if options else None
        self._fast = fast_parser(self._time_field, self._time) if isinstance(self._profile, SftpgoParser) and not options else None

    def parse(self, line: bytes) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns. line: without its newline. Raises Refused."""
        row = self._fast(line) if self._fast is not None else None
        if row is not None:
            return row
        fields = self._decode(line)
        if self._transform is not None:
            fields = self._transform.apply(fields)
        return self._profile.row(self._time(fields.pop(self._time_field, None)), fields)

    def sealed(self, line: bytes) -> bytes:
        """A rejected line as a sink stores it: encrypted if it may hold a client id. Raises KeyringError."""
        return line if self._client_events is None else self._client_events.sealed(line)

    def unsealed(self, data: bytes) -> bytes:
        """The line that ``sealed`` stored. Raises KeyringError, IntegrityError."""
        return data if self._client_events is None else self._client_events.unsealed(data)


def tables_of(document: StreamDocument) -> t.Tuple[Table, ...]:
    """The tables that the stream fills."""
    return PROFILES[document["parse"]["profile"]]


__all__ = ["LineParser", "Refused", "tables_of"]
