# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many rows of JSON in little memory: the facts about each of 100,000 files take 80 bytes instead of 1,300."""

from __future__ import annotations

import hashlib
import json
import typing as t
import zlib

MANY = 1000
"""More rows than this are worth compressing."""
OF_A_BLOCK = 256
"""Rows that are compressed together."""
_LEVEL = 1

Row = t.TypeVar("Row")


def canonical(value: t.Any) -> str:
    """The value as JSON: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _same(value: t.Any) -> t.Any:
    return value


class Rows(t.Collection[Row]):
    """Rows in the order in which they were appended. Each is kept as canonical JSON, and made again each time that it is read.

    make: makes a row of what its JSON holds; a named tuple is kept as a list.
    """

    def __init__(self, make: t.Callable[[t.Any], Row] = _same, rows: t.Iterable[Row] = ()) -> None:
        self._make = make
        self._blocks: t.List[t.Union[bytes, memoryview]] = []
        self._waiting: t.List[str] = []
        self._count = 0
        for row in rows:
            self.append(row)

    def append(self, row: Row) -> None:
        """Add a row."""
        self.append_text(canonical(row))

    def append_text(self, text: str) -> None:
        """Add a row that is canonical JSON already."""
        self._waiting.append(text)
        self._count += 1
        if len(self._waiting) == OF_A_BLOCK:
            self._blocks.append(zlib.compress(",".join(self._waiting).encode("ascii"), _LEVEL))
            self._waiting.clear()

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> t.Iterator[Row]:
        for text in self.texts():
            yield from map(self._make, json.loads(b"[%s]" % text))

    def __contains__(self, row: object) -> bool:
        return any(row == each for each in self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows) and self._make is other._make:
            return len(self) == len(other) and self._digest() == other._digest()
        if isinstance(other, (list, Rows)):
            return len(self) == len(other) and all(one == another for one, another in zip(self, other))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _digest(self) -> bytes:
        digest = hashlib.sha256()
        for text in self.texts():
            digest.update(text)
            digest.update(b",")
        return digest.digest()

    def texts(self) -> t.Iterator[bytes]:
        """The rows as canonical JSON, separated by commas, in pieces; each piece ends with a row."""
        yield from map(zlib.decompress, self._blocks)
        if self._waiting:
            yield ",".join(self._waiting).encode("ascii")

    def packed(self) -> t.Iterator[t.Union[bytes, memoryview]]:
        """All rows in pieces, which together are for ``unpack``."""
        last = [zlib.compress(",".join(self._waiting).encode("ascii"), _LEVEL)] if self._waiting else []
        for block in [*self._blocks, *last]:
            yield len(block).to_bytes(4, "big")
            yield block

    def unpack(self, data: memoryview, count: int) -> None:
        """Add ``count`` rows from what ``packed`` returned. Raises ValueError for other data."""
        if self._count:
            raise AssertionError("there are rows already")
        at = 0
        while at < len(data):
            end = at + 4 + int.from_bytes(data[at : at + 4], "big")
            self._blocks.append(data[at + 4 : end])
            at = end
        if at != len(data):
            raise ValueError("the rows are cut")
        self._count = count


def rows_of(rows: t.Iterable[Row], count: int, make: t.Callable[[t.Any], Row] = _same) -> t.Union[t.List[Row], Rows[Row]]:
    """The rows as a list, or compressed if they are many. count: about how many there are; make: see ``Rows``."""
    return Rows(make, rows) if count > MANY else list(rows)
