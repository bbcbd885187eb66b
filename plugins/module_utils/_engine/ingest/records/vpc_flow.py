# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VPC flow logs: the fields by their names, which the first line of a file has, in any order.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html. Fields are separated by spaces; ``-`` is no value. Flow logs that
come from CloudWatch Logs have no line with names.
"""

from __future__ import annotations

import typing as t

from .fill import Filler, Values
from .refused import Refused
from .tables import INTEGER, VPC_FLOW

VERSION_2 = (
    "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end",
    "action", "log-status",
)  # fmt: skip
"""The default format."""
MOST_DIGITS = 19
_KNOWN = frozenset(column.field for column in VPC_FLOW.columns if column.field) | {"start"}
_NUMBERS = frozenset(column.field for column in VPC_FLOW.columns if column.kind == INTEGER)

Fields = t.Tuple[str, ...]


def header_of(line: bytes) -> t.Optional[Fields]:
    """The fields that a line names; None if it is a record. Parquet and Athena write ``_`` for ``-``."""
    names = tuple(line.decode("ascii", "replace").replace("_", "-").split())
    # A record never consists of names of fields only: its version or its times are numbers.
    if not names or sum(name in _KNOWN for name in names) * 2 <= len(names) or any(name.isdigit() for name in names):
        return None
    return names


def fields_of(names: t.Sequence[str]) -> Fields:
    """The fields of a custom format, as a document has them: ``srcaddr`` or ``${srcaddr}``."""
    return tuple(name[2:-1] if name.startswith("${") and name.endswith("}") else name.replace("_", "-") for name in names)


class FlowLines:
    """Decodes the lines of flow logs. fields: of files without a line of names; () if they are unknown."""

    def __init__(self, fields: Fields, max_line: int) -> None:
        self._default = fields
        self._max_line = max_line
        self._header = b""
        self._fields = fields

    def begin(self, first_line: bytes) -> None:
        """Lines of another file follow. first_line: of that file."""
        if first_line != self._header:
            found = header_of(first_line)
            self._header = first_line if found else b""
            self._fields = found or self._default

    def decode(self, line: bytes) -> t.Optional[t.Dict[str, t.Any]]:
        """The fields of a record, numbers as such; None for a line of names. Raises Refused."""
        first, newline, rest = line.partition(b"\n")
        if newline:
            # A rejected line, see ``with_header``.
            self.begin(first)
            line = rest
        if header_of(line) is not None:
            return None
        try:
            values = line.decode("utf-8").split()
        except UnicodeDecodeError as error:
            raise Refused("not_utf8", "byte %d" % error.start) from None
        fields = self._fields
        if not fields:
            if len(values) != len(VERSION_2) or values[0] != "2":
                raise Refused("no_header")
            fields = VERSION_2
        if len(values) != len(fields):
            raise Refused("field_count", "%d values for %d fields" % (len(values), len(fields)))
        found: t.Dict[str, t.Any] = {}
        for name, value in zip(fields, values):
            if value == "-":
                continue
            if "\0" in value:
                raise Refused("bad_text", "U+0000")
            found[name] = _number(name, value) if name in _NUMBERS else value
        if "start" not in found and "end" in found:
            found["start"] = str(found["end"])
        return found

    def with_header(self, line: bytes) -> bytes:
        """A rejected line as it is stored: with the names of its fields, so that it can be tried again. A cut line is not tried again."""
        return self._header + b"\n" + line if self._header and len(line) < self._max_line and b"\n" not in line else line


class FlowParser:
    """The profile ``vpc_flow``."""

    def __init__(self, keep_new: bool, truncate: bool) -> None:
        self._filler = Filler(VPC_FLOW, keep_new, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        return VPC_FLOW.name, self._filler.fill(time, fields)


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit():
        raise Refused("bad_type", "%s is not a whole number" % name)
    if len(value) > MOST_DIGITS or int(value) >= 1 << 63:
        raise Refused("bad_number", "%s does not fit into 64 bits" % name)
    return int(value)
