# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are seen while a sink is down.

The sink has the positions, so nothing can be read meanwhile, and the source may remove a file that the sink has never heard of. Nothing is
kept open: a removed file would fill the disk. What is known of such a file is enough to report its loss once the sink is back.
"""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..checkpoint import Generation, Place
from . import fingerprint
from .content import PlainContent
from .matching import public_id
from .walk import Names, open_found, walk

if t.TYPE_CHECKING:
    from ...base.beneath import Identity
    from ...config.stream_document import FollowOptions
    from ..checkpoint import Head
    from .walk import Found

MOST = 10_000
"""Files that are remembered as they began. Further ones are only counted once they are gone."""


class Sightings:
    """The files of a stream that were seen. Compressed ones are left out: each was a plain file before, or came from elsewhere."""

    def __init__(self, options: FollowOptions) -> None:
        self._options = options
        self._names = Names(options)
        self._looked: t.Dict[Identity, Found] = {}
        self._seen: t.Dict[str, t.List[Generation]] = {}
        self._count = 0
        self._more: t.Dict[Identity, t.Tuple[str, Found]] = {}
        self._gone = Gone()
        self._is_first = True

    def look(self) -> None:
        """Note which files are there, and how large they are."""
        before, self._looked = self._looked, {}
        for found in walk(self._options, self._names).files:
            if found.compressed:
                continue
            if before.get(found.key) != found:
                # What cannot be read now may be read later, or it is gone.
                with contextlib.suppress(OSError):
                    self._note(found)
            self._looked[found.key] = found
        for key in self._more.keys() - self._looked.keys():
            self._gone.add(self._more.pop(key)[1])
        self._is_first = False

    def enlarged(self, generations: t.Sequence[Generation]) -> t.List[Generation]:
        """The same generations, with the largest size that their files had: the loss of what was not read yet has a number then."""
        found = []
        for each in generations:
            place = each.place
            for seen in self._seen.get(each.head[0][1], ()):
                if (seen.place.device, seen.place.inode) == (place.device, place.inode) and _is_same(seen.head, each.head):
                    place = place._replace(size=max(place.size, seen.place.size))
            found.append(each._replace(place=place))
        return found

    def unsaved(self, owner: str, lookup: t.Callable[[str], t.List[Generation]]) -> t.List[Generation]:
        """The files that the sink has never heard of, as new generations. They may still be there. Raises what ``lookup`` raises.

        owner: host and stream. lookup: returns all generations that the sink has with a first digest.
        """
        self._is_first = True
        found = []
        for first, seen in list(self._seen.items()):
            known = lookup(first)
            left = [each for each in seen if not any(_is_same(each.head, other.head) for other in known)]
            self._count -= len(seen) - len(left)
            self._seen[first] = left
            for number, each in enumerate(left):
                others = sum(other.folder == each.folder for other in (*known, *left[:number]))
                found.append(each._replace(public_id=public_id(owner, each.folder, first, others)))
            if not left:
                del self._seen[first]
        return found + self._gone.unsaved(owner, lookup)

    def _note(self, found: Found) -> None:
        with contextlib.closing(PlainContent(open_found(found))) as content:
            size = content.size()
            base = fingerprint.skip_zeros(content, 0, size)
            if fingerprint.first_mark(content.read(base, min(fingerprint.WINDOW, size - base))) is None:
                return
            head = fingerprint.extended((), content, base, min(size, base + fingerprint.WINDOW))
            place = Place(found.path, found.live, *found.key, size)
            noted = Generation(0, "", found.folder, head, base, base, fingerprint.tail(content, base), 0, place, 0.0, False)
        same = self._seen.get(head[0][1], [])
        for index, other in enumerate(same):
            if _is_same(other.head, head):
                same[index] = noted if size >= other.place.size else other
                return
        if self._count < MOST:
            self._seen[head[0][1]] = [*same, noted]
            self._count += 1
        elif not self._is_first:
            # What is there at the first look is probably known to the sink.
            first, before = head[0][1], self._more.get(found.key)
            if before is not None and before[0] != first:
                # Another file has its inode now.
                self._gone.add(before[1])
            self._more[found.key] = first, found


class Gone:
    """Files that are only counted: they were seen, and are gone."""

    def __init__(self) -> None:
        self._files = self._size = 0
        self._told = (0, 0)
        self._number = time.time()

    def add(self, found: Found) -> None:
        """Count a file, unless it is there as a compressed one."""
        if not os.path.lexists(found.path + ".gz"):
            self._files += 1
            self._size += found.size

    def unsaved(self, owner: str, lookup: t.Callable[[str], t.List[Generation]]) -> t.List[Generation]:
        """All of them as one generation that no file is, until the sink has that. See ``Sightings.unsaved``."""
        if lookup(self._first):
            self._files -= self._told[0]
            self._size -= self._told[1]
            self._number = time.time()
        self._told = self._files, self._size
        if not self._files:
            return []
        place = Place("%d more files" % self._files, False, 0, 0, self._size)
        head, tail = ((fingerprint.WINDOW, self._first),), fingerprint.digest(b"")
        return [Generation(0, public_id(owner, "", self._first, 0), "", head, 0, 0, tail, 0, place, 0.0, False)]

    @property
    def _first(self) -> str:
        return fingerprint.digest(b"%r more files" % self._number)


def _is_same(one: Head, other: Head) -> bool:
    """Whether two beginnings may be of one file, of which one is longer."""
    return all(mark == expected for mark, expected in zip(one, other))
