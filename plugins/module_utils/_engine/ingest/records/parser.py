# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A line to a row: decode it, change its fields, find its time, and let the profile fill a table."""

from __future__ import annotations

import typing as t

from .decode import decoder
from .fill import Filler, Values
from .refused import Refused
from .sftpgo import SftpgoParser
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
    """Turns the lines of a stream into rows."""

    def __init__(self, document: StreamDocument) -> None:
        parse = document["parse"]
        truncate = parse["long_values"] == "truncate"
        self._decode = decoder()
        self._time_field = parse["time_field"]
        self._time = time_parser(parse["time_format"], parse["timezone"])
        self._profile: t.Union[SftpgoParser, GenericParser]
        if parse["profile"] == "sftpgo":
            self._profile = SftpgoParser(parse["new_fields"] == "keep", truncate)
        else:
            self._profile = GenericParser(truncate)
        options = document["transform"]
        self._transform = Transform(options, self._time_field) if options else None

    def parse(self, line: bytes) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns. line: without its newline. Raises Refused."""
        fields = self._decode(line)
        if self._transform is not None:
            fields = self._transform.apply(fields)
        return self._profile.row(self._time(fields.pop(self._time_field, None)), fields)


def tables_of(document: StreamDocument) -> t.Tuple[Table, ...]:
    """The tables that the stream fills."""
    return PROFILES[document["parse"]["profile"]]


__all__ = ["LineParser", "Refused", "tables_of"]
