# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Positions of a stream, and what one transaction stores with a new position. A sink keeps them beside the rows.

A **generation** is one life of a followed file. Its name does not count: it is known by its beginning (``Head``) and by the bytes before
the position (``tail``). All offsets are bytes of the decompressed content.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .records.tables import Columns, Rows

Head = t.Tuple[t.Tuple[int, str], ...]
"""The length and the digest (32 hex digits of SHA-256) of each whole number of lines within the first KiB of a generation, shortest first;
if a line does not end there, also of the whole KiB. The first of them never changes and finds a generation in a sink."""

Recent = t.Tuple[t.Tuple[int, str], ...]
"""Offsets up to the position, in rising order, each with the digest (16 hex digits of SHA-256) of the up to 1 KiB before it. Only a file
whose last name was a live one has them. See ``tail.marks``."""


class Place(t.NamedTuple):
    """Where a generation was seen last: path, whether the name is of a live file, device, inode, size in bytes of the content."""

    path: str
    live: bool
    device: int
    inode: int
    size: int


class Generation(t.NamedTuple):
    """A generation and its position.

    id: in the sink; 0 if the sink does not have it yet. public_id: derived from host, folder and beginning, so that it does not depend on
    the sink. head: of a journal, see ``journal.tracker``. start: the first offset that belongs to it (zero bytes before it are a hole;
    lines before it belong to another generation). offset: what is read. tail: the digest of the up to 1 KiB before it. lines: how many
    were read. read_at: Unix seconds of the last commit. closed: its file is gone, or it was read to its end after the rotation.
    recent: marks at the ends of its last lines.
    """

    id: int
    public_id: str
    folder: str
    head: Head
    start: int
    offset: int
    tail: str
    lines: int
    place: Place
    read_at: float
    closed: bool
    recent: Recent = ()


class Rejected(t.NamedTuple):
    """A line that no table takes. length: in bytes; line: its first bytes, all of them unless it is longer than ``parse.max_line``."""

    line_offset: int
    length: int
    reason: str
    detail: str
    line: bytes


class Gap(t.NamedTuple):
    """Bytes that were lost at the source, or that are not lines. kind: see GAP_KINDS. length: in bytes; None if it is not known."""

    line_offset: int
    length: t.Optional[int]
    kind: str
    detail: str


GAP_KINDS = {
    "truncated": "the file was truncated before it was read to its end",
    "removed": "the file was removed before it was read to its end",
    "hole": "zero bytes, left by a writer that went on at its old position after the file was truncated",
    "damaged": "a compressed file or a file of the journal that cannot be read to its end",
    "vacuumed": "the journal removed the last entry that was read, so entries after it may also be gone",
}


class Parsed(t.NamedTuple):
    """Lines as rows and rejected lines.

    rows: by the name of the table; each begins with the line's offset, then the values of the table's columns.
    """

    rows: t.Mapping[str, Rows]
    rejected: t.Sequence[Rejected]


class Batch(t.NamedTuple):
    """What one transaction stores: rows, rejected lines and gaps, and the generation with its new position.

    before: the offset that the sink must have, -1 if the generation is new to it. rows: as of ``Parsed``. sums: what the sink adds to its
    hourly tables, if that is computed already. staged: how many rows the sink already has.
    """

    before: int
    generation: Generation
    rows: t.Mapping[str, Rows]
    rejected: t.Sequence[Rejected] = ()
    gaps: t.Sequence[Gap] = ()
    sums: t.Optional[t.Sequence[t.Tuple[t.Any, Columns]]] = None
    staged: int = 0


class Stored(t.NamedTuple):
    """What a transaction has stored. rows, rejected: how many. first_rejected: the offset and the reason of the first rejected line."""

    generation: Generation
    rows: int
    rejected: int
    first_rejected: t.Optional[t.Tuple[int, str]]
    gaps: t.Sequence[Gap]


def stored_of(batch: Batch, generation: Generation) -> Stored:
    """A batch that is stored. generation: with its id."""
    rows = batch.staged + sum(map(len, batch.rows.values()))
    first = (batch.rejected[0].line_offset, batch.rejected[0].reason) if batch.rejected else None
    return Stored(generation, rows, len(batch.rejected), first, batch.gaps)


Note = t.Tuple[Batch, t.Callable[[Generation], t.Any]]
"""Something to store beside rows, and the function to call with the generation as it was stored."""
