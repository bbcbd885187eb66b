# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a file is recognised by its content, whatever its name: digests of the KiB before certain marks."""

from __future__ import annotations

import hashlib
import typing as t

if t.TYPE_CHECKING:
    from ..checkpoint import Generation, Head
    from .content import Content

WINDOW = 1024
"""Bytes of a digest at most: those before a mark."""


def digest(data: bytes) -> str:
    """32 hex digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def skip_zeros(content: Content, offset: int, size: int) -> int:
    """The first offset from this one on with a byte that is not zero; ``size`` if there is none before."""
    while offset < size:
        offset = content.next_data(offset)
        data = content.read(offset, min(1 << 16, size - offset))
        if not data:
            break
        rest = data.lstrip(b"\0")
        if rest:
            return offset + len(data) - len(rest)
        offset += len(data)
    return size


def first_mark(data: bytes) -> t.Optional[int]:
    """The length of the first line with its newline, or WINDOW if it is longer; None if neither is there yet.

    data: the first up to WINDOW bytes behind the zero bytes at the beginning.
    """
    end = data.find(b"\n")
    if end >= 0:
        return end + 1
    return WINDOW if len(data) >= WINDOW else None


def marks_up_to(data: bytes, length: int) -> t.List[int]:
    """The marks of a content: each whole number of lines in the first WINDOW bytes, WINDOW, and every power of two above it.

    data: the first up to WINDOW bytes; length: of the content that counts.
    """
    data = data[:length]
    marks = []
    at = data.find(b"\n")
    while at >= 0:
        marks.append(at + 1)
        at = data.find(b"\n", at + 1)
    power = WINDOW
    while power <= length:
        if power not in marks:
            marks.append(power)
        power *= 2
    return marks


def window(content: Content, base: int, mark: int) -> str:
    """The digest of the up to WINDOW bytes before the mark. base: the first offset that is not a zero byte."""
    begin = max(0, mark - WINDOW)
    return digest(content.read(base + begin, mark - begin))


def tail(content: Content, offset: int) -> str:
    """The digest of the up to WINDOW bytes before an offset."""
    begin = max(0, offset - WINDOW)
    return digest(content.read(begin, offset - begin))


def extended(head: Head, content: Content, base: int, offset: int) -> Head:
    """The head of a generation that was read up to an offset: the old one and the marks that were passed."""
    last = head[-1][0] if head else 0
    if head and 2 * last > offset - base and last >= WINDOW:
        return head
    marks = marks_up_to(content.read(base, WINDOW), offset - base)
    return (*head, *((mark, window(content, base, mark)) for mark in marks if mark > last))


class Likeness(t.NamedTuple):
    """How a content compares with a generation. evidence: bytes from the beginning on up to which both agree.

    whole: the content holds all that was read of the generation, so that it can be read on.
    """

    generation: Generation
    evidence: int
    whole: bool


def compare(content: Content, base: int, size: int, generation: Generation) -> t.Optional[Likeness]:
    """The likeness of a content to a generation; None if it is another one. size: of the content."""
    evidence = 0
    for mark, expected in generation.head:
        if base + mark > size:
            break
        if window(content, base, mark) != expected:
            return None
        evidence = mark
    if not evidence:
        return None
    if size >= generation.offset:
        if tail(content, generation.offset) != generation.tail:
            return None
        return Likeness(generation, max(evidence, generation.offset - base), True)
    return Likeness(generation, evidence, False)
