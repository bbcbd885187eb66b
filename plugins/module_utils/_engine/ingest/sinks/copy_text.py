# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows as the text that LOAD DATA of MySQL and MariaDB and COPY of PostgreSQL read: tabs between values, escapes with a backslash.

https://www.postgresql.org/docs/current/sql-copy.html, https://mariadb.com/kb/en/load-data-infile/
"""

from __future__ import annotations

import contextlib
import itertools
import typing as t

from ..records.tables import Columns, columns_of

if t.TYPE_CHECKING:
    from ..records.tables import Rows

NULL = "\\N"
_SPECIAL = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_ESCAPES = str.maketrans(_SPECIAL)


def text_of(rows: Rows) -> bytes:
    """Rows of texts, whole numbers and None, with a newline behind each. Raises UnicodeEncodeError for half of a surrogate pair."""
    if isinstance(rows, Columns) and rows.prepared is not None:
        return t.cast(bytes, rows.prepared)
    lines = list(map("\t".join, zip(*map(_column, columns_of(rows)))))
    lines.append("")
    return "\n".join(lines).encode("utf-8")


def prepared_text(rows: Rows) -> t.Optional[bytes]:
    """The same, but None for half of a surrogate pair: it is refused when the rows are stored."""
    with contextlib.suppress(UnicodeEncodeError):
        return text_of(rows)
    return None


def _column(values: t.Sequence[t.Any]) -> t.Iterable[str]:
    """The texts of a column. It is looked at as a whole: most hold values of one type, with nothing special."""
    types = set(map(type, values))
    if types == {str}:
        everything = "".join(values)
        return map(_text, values) if any(each in everything for each in _SPECIAL) else values
    if types == {int}:
        return map(str, values)
    return itertools.repeat(NULL) if types == {type(None)} else map(_text, values)


def _text(value: t.Any) -> str:
    if value is None:
        return NULL
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)
