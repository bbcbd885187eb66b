# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which generation a file is, by its content: the decisions, without any state of their own."""

from __future__ import annotations

import os
import typing as t

from . import marks
from .content import BLOCK
from .fingerprint import WINDOW, compare, digest, first_mark

if t.TYPE_CHECKING:
    from ..checkpoint import Generation
    from .content import Content
    from .file import File
    from .fingerprint import Likeness

COPY_SETTLES = 5.0
"""Seconds after which a live file is no copy in progress any more."""

CLOCK = 1.0
"""Seconds by which the clocks of a file system and of the process differ at most."""


def public_id(owner: str, folder: str, first: str, others: int) -> str:
    """The id of a new generation.

    owner: host and stream, which may share a database with others. first: the first digest of its head; others: how many generations of
    the folder have the same one.
    """
    return digest(("%s\0%s\0%s\0%d" % (owner, folder, first, others)).encode("utf-8", "surrogateescape"))


def likenesses(file: File, content: Content, candidates: t.Iterable[Generation]) -> t.List[Likeness]:
    """How the file compares with each candidate, the best first; those that it is not are left out."""
    found = [compare(content, file.base, file.size, generation) for generation in candidates]

    def rank(like: Likeness) -> t.Tuple[bool, int, bool, int]:
        generation = like.generation
        return like.whole, generation.offset if like.whole else like.evidence, is_place_of(file, generation), -generation.id

    return sorted((like for like in found if like is not None), key=rank, reverse=True)


def unchanged(file: File, content: Content, lookup: t.Callable[[str], t.List[Generation]]) -> t.Optional[Generation]:
    """The generation of a compressed file that was read to its end, if the file is the same since then. It is not decompressed.

    lookup: returns the generations with a first digest.
    """
    data = content.read(0, WINDOW)
    mark = first_mark(data)
    if mark is None or not data.strip(b"\0"):
        return None
    changed = content.status().st_ctime
    for each in lookup(digest(data[:mark])):
        # Neither its content nor its inode can have been replaced since it was read without a later time of change.
        if each.closed and is_place_of(file, each) and changed + CLOCK < each.read_at:
            return each
    return None


def is_place_of(file: File, generation: Generation) -> bool:
    """Whether the generation was seen under this device and inode."""
    return file.found.key == (generation.place.device, generation.place.inode)


def kept_of(file: File, content: Content, generations: t.Iterable[Generation]) -> t.Optional[marks.Kept]:
    """What the file still has of one of these generations, if it was one and lost its end: the most of it. None: nothing is certain."""
    if content.compressed:
        return None
    # Truncating a file does not change its inode.
    found = [marks.kept_of(content, file.base, file.size, each) for each in generations if is_place_of(file, each)]
    return max((kept for kept in found if kept is not None), default=None)


def continues(file: File, like: Likeness, holder: t.Optional[File], lost: bool) -> bool:
    """Whether a file that holds all that was read of a generation is read on for it.

    holder: the file that has the generation now. lost: whether the generation has just lost its file.
    Less than a KiB may be the same by chance, as two files with the same first line: then folder or inode must be the same, too, or it is a
    rotated file that comes when the other one goes.
    """
    generation = like.generation
    if holder is not None:
        return _takes_over(file, like, holder)
    if not like.whole:
        return False
    if like.evidence >= WINDOW or _shares_folder(file, generation, None) or is_place_of(file, generation):
        return True
    return not file.found.live and (lost or _keeps_name(file, generation))


def _keeps_name(file: File, generation: Generation) -> bool:
    """Whether a file has the name that the generation had in another folder, compressed or not, and is not there any more."""
    before = generation.place.path
    names = [os.path.basename(path) for path in (file.found.path, before)]
    one, other = (name[:-3] if name.endswith(".gz") else name for name in names)
    return one == other and not os.path.lexists(before)


def _shares_folder(file: File, generation: Generation, holder: t.Optional[File]) -> bool:
    """Whether a file lies where the generation began or was seen last, or where the file that has it lies now."""
    folders = [generation.folder, os.path.dirname(generation.place.path), *([holder.found.folder] if holder is not None else [])]
    return file.found.folder in folders


def _takes_over(file: File, like: Likeness, holder: File) -> bool:
    """Whether the file that has the generation is a copy of a part of this one, or of this one, which is live."""
    if not like.whole or holder.writable or not _can_be_copy(file, like, holder):
        return False
    longer = file.size > holder.size or (file.found.live and file.size == holder.size)
    return longer and _agree(file, like, holder)


def is_copy(file: File, like: Likeness, holder: t.Optional[File], now: float, cut: t.Optional[marks.Kept]) -> bool:
    """Whether a file holds only what was, or is, read from another file.

    holder: the file of that generation, if there is one. cut: what the file still has if it lost its end.
    """
    if not _can_be_copy(file, like, holder):
        return False
    if holder is not None and (like.whole or holder.content is not None):
        return _agree(file, like, holder)
    if like.whole:
        return False
    # A rotated file does not grow any more; if it is the one that was read while it was live, it lost its end before the rotation.
    # A live file that is shorter than what was read may be the beginning of a copy, but not for long. It is none if it has other lines,
    # and must be known before it is copied and truncated.
    if not file.found.live:
        was_live = like.generation.place.live or like.generation.recent
        return cut is None or not was_live or not is_place_of(file, like.generation)
    return now - file.first_at < COPY_SETTLES and not (cut is not None and cut.differs)


def _can_be_copy(file: File, like: Likeness, holder: t.Optional[File]) -> bool:
    """Whether what a file has in common with a generation is no chance. With less than a KiB a live file may just begin with the same lines
    as the log before it, unless both are new, or it comes when the other one goes.
    """
    if like.evidence >= WINDOW:
        return True
    replaced = holder is not None and holder.missing
    if not file.found.live:
        # It may have been moved to another folder and compressed there.
        return replaced or _shares_folder(file, like.generation, holder)
    return _shares_folder(file, like.generation, holder) and (not like.generation.id or (replaced and like.whole))


def _agree(file: File, like: Likeness, holder: File) -> bool:
    """Whether a file and the one that has the generation hold the same, as far as the shorter one goes. What was read is known to."""
    if holder.content is None:
        # It was read to its end.
        return True
    if file.content is None:
        raise AssertionError("the file is not open")
    at, end, same = like.generation.offset if like.whole else 0, min(file.size, holder.size), True
    while same and at < end:
        count = min(BLOCK, end - at)
        same = file.content.read(at, count) == holder.content.read(at, count)
        at += count
    holder.content.release()
    return same
