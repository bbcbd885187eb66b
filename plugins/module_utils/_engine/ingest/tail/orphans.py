# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generations without a file: their file was renamed, compressed or copied, and is found again; or it is lost."""

from __future__ import annotations

import typing as t

from ..checkpoint import Batch, Gap, Generation

if t.TYPE_CHECKING:
    from ...base.beneath import Identity
    from .file import File

ORPHAN_SCANS = 3
"""Looks in a row that must not find a generation before it counts as lost: a rotation may be under way during one of them."""

GONE = "the folder does not exist any more"
UNMOUNTED = "the folder is empty, and its files were on another file system: mount it"


class Orphan(t.NamedTuple):
    """since: the number of the scan that missed its file. seen: the largest size of the file. truncated: the file was truncated."""

    generation: Generation
    since: int
    seen: int
    truncated: bool

    def gaps_of(self, file: File) -> t.List[Gap]:
        """What this file, which is the generation, may lack."""
        generation = self.generation
        lost = max(0, self.seen - file.size)
        # A copy may lack what was written between the copy and the truncation. The file itself may have lost what was not read yet.
        if self.truncated or lost:
            return [Gap(max(file.size, generation.offset), lost or None, "truncated", "")]
        return []


class Orphans:
    """The orphans of a stream by the public id of the generation. generations: those that have no file yet when the follower starts."""

    def __init__(self, generations: t.Iterable[Generation]) -> None:
        self._all: t.Dict[str, Orphan] = {}
        self._by_first: t.Dict[str, t.Dict[str, Orphan]] = {}
        self._away: t.Set[str] = set()
        for generation in generations:
            self.add(generation, 0)

    def add(self, generation: Generation, scan: int, seen: int = 0, truncated: bool = False) -> None:
        """A generation that has lost its file."""
        orphan = Orphan(generation, scan, max(seen, generation.place.size), truncated)
        self._all[generation.public_id] = orphan
        self._by_first.setdefault(generation.head[0][1], {})[generation.public_id] = orphan

    def take(self, public_id: str) -> t.Optional[Orphan]:
        """Remove and return an orphan that has a file again or that is closed; None if it is none."""
        orphan = self._all.pop(public_id, None)
        if orphan is not None:
            del self._by_first[orphan.generation.head[0][1]][public_id]
        return orphan

    def __contains__(self, public_id: str) -> bool:
        return public_id in self._all

    def __bool__(self) -> bool:
        return bool(self._all)

    def like(self, first: str) -> t.List[Generation]:
        """Those with this first digest of their head."""
        return [orphan.generation for orphan in self._by_first.get(first, {}).values()]

    def homes(self) -> t.Set[Identity]:
        """The devices and inodes under which they were seen."""
        return {(orphan.generation.place.device, orphan.generation.place.inode) for orphan in self._all.values()}

    def note_away(self, absent: t.Iterable[str], empty: t.Mapping[str, int]) -> t.Dict[str, str]:
        """Notice which folders may come back with the files of orphans; returns what is wrong, by folder.

        absent: folders that do not exist. empty: the device of each folder with nothing in it. If the files were on another one, their
        file system is not mounted.
        """
        folders: t.Dict[str, t.Tuple[str, t.Optional[int]]] = {folder.rstrip("/"): (folder, None) for folder in absent}
        folders.update((folder.rstrip("/"), (folder, device)) for folder, device in empty.items())
        self._away, problems = set(), {}
        for public_id, orphan in self._all.items():
            place = orphan.generation.place
            # Many folders can be empty, and many orphans be there.
            for above in _folders_above(place.path):
                folder, device = folders.get(above, ("", place.device))
                if device != place.device:
                    self._away.add(public_id)
                    problems[folder] = GONE if device is None else UNMOUNTED
        return problems

    def given_up(self, scan: int) -> t.List[Batch]:
        """The end of each orphan that was missed for long enough, if its folder is there."""
        due = [orphan for orphan in self._all.values() if scan - orphan.since >= ORPHAN_SCANS]
        return [_end_of(orphan) for orphan in due if orphan.generation.public_id not in self._away]


def _folders_above(path: str) -> t.Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path


def _end_of(orphan: Orphan) -> Batch:
    """The generation is closed, with a gap if something was lost or may have been."""
    generation = orphan.generation
    gaps = []
    lost = orphan.seen - generation.offset
    if lost > 0 or orphan.truncated or generation.place.live:
        gaps.append(Gap(generation.offset, lost if lost > 0 else None, "truncated" if orphan.truncated else "removed", ""))
    # What was only seen while the sink was down is new to it.
    return Batch(generation.offset if generation.id else -1, generation._replace(closed=True), {}, (), gaps)
