# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are seen while a sink is down.

The sink has the positions, so nothing can be read meanwhile, and the source may remove a file that the sink has never heard of. Nothing is
kept open: a removed file would fill the disk. What is known of such a file is enough to report its loss once the sink is back.
"""

from __future__ import annotations

import contextlib
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
"""Files that are remembered at most."""


class Sightings:
    """The files of a stream that were seen. Compressed ones are left out: each was a plain file before, or came from elsewhere."""

    def __init__(self, options: FollowOptions) -> None:
        self._options = options
        self._names = Names(options)
        self._looked: t.Dict[Identity, Found] = {}
        self._seen: t.Dict[str, t.List[Generation]] = {}
        self._count = 0

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

    def unsaved(self, owner: str, lookup: t.Callable[[str], t.List[Generation]]) -> t.List[Generation]:
        """The files that the sink has never heard of, as new generations. They may still be there. Raises what ``lookup`` raises.

        owner: host and stream. lookup: returns all generations that the sink has with a first digest.
        """
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
        return found

    def _note(self, found: Found) -> None:
        with contextlib.closing(PlainContent(open_found(found))) as content:
            size = content.size()
            base = fingerprint.skip_zeros(content, 0, size)
            if fingerprint.first_mark(content.read(base, min(fingerprint.WINDOW, size - base))) is None:
                return
            head = fingerprint.extended((), content, base, min(size, base + fingerprint.WINDOW))
            place = Place(found.path, found.live, *found.key, size)
            noted = Generation(0, "", found.folder, head, base, base, fingerprint.tail(content, base), 0, place, 0.0, False)
        same = self._seen.setdefault(head[0][1], [])
        for index, other in enumerate(same):
            if _is_same(other.head, head):
                same[index] = noted if size >= other.place.size else other
                return
        if self._count < MOST:
            same.append(noted)
            self._count += 1


def _is_same(one: Head, other: Head) -> bool:
    """Whether two beginnings may be of one file, of which one is longer."""
    return all(mark == expected for mark, expected in zip(one, other))
