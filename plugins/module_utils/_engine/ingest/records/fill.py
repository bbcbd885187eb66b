# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of a decoded line to the values of a table's columns, checked: what a row holds, every database takes."""

from __future__ import annotations

import json
import typing as t

from .refused import Refused
from .tables import BOOLEAN, INTEGER, NAME, TEXT, Table, Value

Values = t.Tuple[Value, ...]


class Filler:
    """Takes the fields of one table out of an object.

    keep_new: store unknown fields in ``extra``; otherwise a line with one is refused. truncate: cut values that are too long.
    absent: texts and numbers that mean that there is no value.
    """

    def __init__(self, table: Table, keep_new: bool, truncate: bool, absent: t.Tuple[Value, ...] = ()) -> None:
        self.table = table
        self._keep_new = keep_new
        self._truncate = truncate
        self._absent = absent
        self._columns = [(c.name, c.kind, c.field, c.length) for c in table.columns[2:-1]]

    def fill(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any], derived: t.Mapping[str, Value]) -> Values:
        """The values of all columns. time: in UTC, and as the line has it. derived: the columns without a field. ``fields`` is emptied."""
        values: t.List[Value] = [time[0], time[1]]
        add, take, absent = values.append, fields.pop, self._absent
        for name, kind, field, length in self._columns:
            if not field:
                value = derived.get(name)
                if value.__class__ is str and len(value) > length > 0:
                    value = self._cut(name, value, length)
                add(value)
                continue
            value = take(field, None)
            if value is None or (absent and value in absent and value.__class__ is not bool):
                add(None)
            elif kind is TEXT or kind is NAME:
                if value.__class__ is not str:
                    raise Refused("bad_type", "%s is not a text" % field)
                if length and len(value) > length:
                    value = self._cut(field, value, length)
                add(value)
            elif kind is INTEGER:
                if value.__class__ is not int:
                    raise Refused("bad_type", "%s is not a whole number" % field)
                add(value)
            elif kind is BOOLEAN:
                if value.__class__ is not bool:
                    raise Refused("bad_type", "%s is not true or false" % field)
                add(int(value))
            else:
                raise AssertionError(kind)
        add(self._rest(fields) if fields else None)
        return tuple(values)

    def _cut(self, field: str, value: str, length: int) -> str:
        if not self._truncate:
            raise Refused("long_value", "%s has %d characters; its column takes %d" % (_shown(field), len(value), length))
        return value[:length]

    def _rest(self, fields: t.Mapping[str, t.Any]) -> str:
        if not self._keep_new:
            raise Refused("new_field", ", ".join(sorted(map(_shown, fields))[:10]))
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _shown(field: str) -> str:
    return ascii(field[:100])[1:-1]
