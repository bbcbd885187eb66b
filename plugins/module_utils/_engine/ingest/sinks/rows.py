# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generations as rows of ``ingest_generation`` and back: the same for every sink."""

from __future__ import annotations

import itertools
import json
import typing as t

from ..checkpoint import Generation, Place
from .schema import GENERATION

if t.TYPE_CHECKING:
    from ..checkpoint import Head, Recent

COLUMNS = tuple(column.name for column in GENERATION.columns)
BEYOND = 1 << 62
"""The length of an entry of ``head`` that holds ``recent``. Versions without it ignore an entry that is longer than the file."""


def row_of(generation: Generation, stream: str, host: str) -> t.Tuple[t.Any, ...]:
    """The values of all columns but ``id``. Device and inode are text: they may need all 64 bits without a sign."""
    place = generation.place
    return (
        stream,
        host,
        generation.public_id,
        generation.head[0][1],
        text_of_path(generation.folder),
        _text_of_marks(generation.head, generation.recent),
        generation.start,
        generation.offset,
        generation.tail,
        generation.lines,
        text_of_path(place.path),
        int(place.live),
        str(place.device),
        str(place.inode),
        place.size,
        generation.read_at,
        int(generation.closed),
    )


def generation_of(row: t.Sequence[t.Any]) -> Generation:
    """The generation of a row with all columns."""
    values = dict(zip(COLUMNS, row))
    head, recent = _marks_of_text(values["head"])
    return Generation(
        id=values["id"],
        public_id=values["public_id"],
        folder=path_of_text(values["folder"]),
        head=head,
        start=values["start_offset"],
        offset=values["read_offset"],
        tail=values["tail"],
        lines=values["lines_read"],
        place=Place(path_of_text(values["path"]), bool(values["live"]), int(values["device"]), int(values["inode"]), values["size_seen"]),
        read_at=float(values["read_at"]),
        closed=bool(values["closed"]),
        recent=recent,
    )


def _text_of_marks(head: Head, recent: Recent) -> str:
    """Both as JSON. The recent marks are one text: the distance of each from the one before, and its digest."""
    if recent:
        offsets = [0, *(offset for offset, _digest in recent)]
        texts = ["%d %s" % (offset - before, digest) for before, (offset, digest) in zip(offsets, recent)]
        head = (*head, (BEYOND, " ".join(texts)))
    return json.dumps(head, separators=(",", ":"))


def _marks_of_text(text: str) -> t.Tuple[Head, Recent]:
    """The marks that ``_text_of_marks`` wrote."""
    head = [(mark[0], mark[1]) for mark in json.loads(text)]
    recent = [words.split() for length, words in head if length == BEYOND]
    found: t.List[t.Tuple[int, str]] = []
    for words in recent:
        offsets = itertools.accumulate(map(int, words[::2]))
        found.extend(zip(offsets, words[1::2]))
    return tuple(each for each in head if each[0] != BEYOND), tuple(found)


def text_of_path(path: str) -> str:
    """A path as text that every database takes: bytes that are not UTF-8 are written as U+F780 and what follows (private use)."""
    return "".join(chr(ord(c) - 0xDC80 + 0xF780) if "\udc80" <= c <= "\udcff" else c for c in path)


def path_of_text(text: str) -> str:
    """The path that ``text_of_path`` wrote."""
    return "".join(chr(ord(c) - 0xF780 + 0xDC80) if "\uf780" <= c <= "\uf7ff" else c for c in text)
