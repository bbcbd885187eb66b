# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fields of a decoded line to the values of a table's columns, checked: what a row holds, every database takes."""

from __future__ import annotations

import json
import operator
import typing as t

from .refused import Refused
from .tables import BOOLEAN, INTEGER, NAME, TEXT, Table, Value

Values = t.Tuple[Value, ...]
MOST_PLANS = 200
"""Combinations of types that are remembered for a table."""


class _Plan(t.NamedTuple):
    """What is known of lines with fields of the same types: their number, the texts of limited length among them, and the limits."""

    number: int
    names: t.Callable[[t.Sequence[t.Any]], t.Tuple[str, ...]]
    limits: t.Tuple[int, ...]


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
        self._fields = [column[2] for column in self._columns]
        self._plans: t.Dict[t.Tuple[type, ...], _Plan] = {}

    def fill(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> Values:
        """The values of all columns. time: in UTC, and as the line has it. ``fields`` may be emptied."""
        # Most lines of a log look alike: types that were checked once need no second check, column by column.
        get = fields.get
        values = [get(field) for field in self._fields]
        types = tuple(map(type, values))
        plan = self._plans.get(types)
        if plan is not None and plan.number == len(fields) and not any(map(operator.gt, map(len, plan.names(values)), plan.limits)):
            return (*time, *values, None)
        count, whole = len(fields), bool not in types
        filled = self._fill(time, fields)
        if not self._absent and whole and not fields and types.count(type(None)) + count == len(types) and len(self._plans) < MOST_PLANS:
            self._plans[types] = self._plan_for(count, values)
        return filled

    def _plan_for(self, count: int, values: t.Sequence[t.Any]) -> _Plan:
        """The plan of lines like this one, which is sound."""
        indexes = [index for index, column in enumerate(self._columns) if column[3] and values[index] is not None and column[1] is NAME]
        if len(indexes) < 2:
            return _Plan(count, lambda values: tuple(values[index] for index in indexes), tuple(self._columns[i][3] for i in indexes))
        return _Plan(count, operator.itemgetter(*indexes), tuple(self._columns[index][3] for index in indexes))

    def _fill(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> Values:
        values: t.List[Value] = [time[0], time[1]]
        add, take, absent = values.append, fields.pop, self._absent
        for name, kind, field, length in self._columns:
            value = take(field, None)
            if value is None or (absent and value in absent and value.__class__ is not bool):
                add(None)
            elif kind is TEXT or kind is NAME:
                if value.__class__ is not str:
                    raise Refused("bad_type", "%s is not a text" % field)
                if length and len(value) > length:
                    value = self._cut(name if field[0] == "\0" else field, value, length)
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
