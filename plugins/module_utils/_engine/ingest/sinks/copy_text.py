# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as the text that LOAD DATA of MySQL and MariaDB and COPY of PostgreSQL read: tabs between values, escapes with a backslash.

https://www.postgresql.org/docs/current/sql-copy.html, https://mariadb.com/kb/en/load-data-infile/
"""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from ..records.tables import columns_of, prepared_of

if t.TYPE_CHECKING:
    from ..records.tables import Rows

NULL = "\\N"
_SPECIAL = b"\\\n\t\r"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def text_of(rows: Rows) -> bytes:
    """Rows of texts, whole numbers and None, with a newline behind each. A column has either texts or numbers.

    Raises UnicodeEncodeError for half of a surrogate pair.
    """
    prepared = prepared_of(rows)
    if prepared is not None:
        return t.cast(bytes, prepared)
    columns, count = columns_of(rows), len(rows)
    if not count:
        return b""
    # Few rows have anything to escape. To count that in the text takes a fraction of the time of a look at each value.
    text, nulls = _joined(columns, count, False)
    if len(text) - len(text.translate(None, _SPECIAL)) != count * len(columns) + nulls:
        text, nulls = _joined(columns, count, True)
    return text


def prepared_text(rows: Rows) -> t.Optional[bytes]:
    """The same, but None for half of a surrogate pair: it is refused when the rows are stored."""
    with contextlib.suppress(UnicodeEncodeError):
        return text_of(rows)
    return None


def _joined(columns: t.Sequence[t.Sequence[t.Any]], count: int, escape: bool) -> t.Tuple[bytes, int]:
    """The rows, and how many values are NULL."""
    parts: t.List[t.Union[str, t.Sequence[str]]] = []
    same: t.List[str] = []
    nulls = 0
    for column in columns:
        first = column[0]
        # Many columns hold one value: those that stand side by side are one text.
        if first == column[-1] and column.count(first) == count:
            nulls += count if first is None else 0
            same.append(_text(first, escape))
            continue
        if same:
            parts.append("\t".join(same))
            same = []
        empty = column.count(None)
        nulls += empty
        # In a column, the other values are all texts or all numbers.
        is_text = isinstance(first or next(filter(None, column), 0), str)
        if escape or (empty and not is_text):
            parts.append([_text(value, escape) for value in column])
        elif empty:
            parts.append([NULL if value is None else value for value in column])
        else:
            parts.append(column if is_text else list(map(repr, column)))
    if same:
        parts.append("\t".join(same))
    head, tail = parts[0], parts[-1]
    if len(parts) == 1 or not isinstance(head, str) or not isinstance(tail, str):
        every = [itertools.repeat(part, count) if isinstance(part, str) else part for part in parts]
        return "".join(map("%s\n".__mod__, map("\t".join, zip(*every)))).encode("utf-8"), nulls
    # All values as one list, with the end of a row and the beginning of the next as one value: without an object for each row.
    width = len(parts) - 1
    values = [tail + "\n" + head] * (width * count)
    for place, part in enumerate(parts[1:-1]):
        values[place::width] = [part] * count if isinstance(part, str) else part
    values[-1] = tail + "\n"
    return (head + "\t" + "\t".join(values)).encode("utf-8"), nulls


def _text(value: t.Any, escape: bool) -> str:
    if value is None:
        return NULL
    return str(value).translate(_ESCAPES) if escape else str(value)
