# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a stream and their generations: what is there, what is new, what was renamed, copied, truncated, lost.

The name of a file does not count, nor does its inode: a file is what it contains. ``matching`` decides; here is the state.
"""

from __future__ import annotations

import time
import typing as t

from ..checkpoint import Batch, Gap, Generation
from . import fingerprint, marks, matching
from .content import DamagedError
from .file import COPY, DONE, NEW, READING, WAITING, File
from .holders import Holders
from .lines import Limits, Piece, read_lines
from .orphans import ORPHAN_SCANS, Orphans
from .walk import Names, walk

if t.TYPE_CHECKING:
    from ...base.beneath import Identity
    from ...config.stream_document import FollowOptions
    from ..checkpoint import Note

LINGER = 60.0
"""Seconds without a change after which a file that is not live is read to its end for good, also a last line without its newline."""
DAMAGED_AFTER = 60.0
"""Seconds without a change after which a compressed file is damaged, and not merely unfinished."""

AT_ONCE = 0.01
"""Seconds before a look that need not wait."""


class Reading(t.NamedTuple):
    """What was read of one file. batch: without rows; the caller adds those of the piece."""

    file: File
    piece: Piece
    batch: Batch

    @property
    def first_line(self) -> bytes:
        """The first line of the file."""
        return self.file.first_line


class Tracker:
    """Follows the files of one stream for one sink.

    owner: host and stream. generations: those that the sink has open; lookup: returns all that the sink has with a first digest.
    clock: monotonic, in seconds. enveloped: a file may be one JSON object with a list of records.
    problems: what could not be read at the last scan, by path.
    """

    looks = ORPHAN_SCANS

    def __init__(
        self,
        options: FollowOptions,
        owner: str,
        generations: t.Iterable[Generation],
        lookup: t.Callable[[str], t.List[Generation]],
        clock: t.Callable[[], float] = time.monotonic,
        enveloped: bool = False,
    ) -> None:
        self._enveloped = enveloped
        self._options = options
        self._names = Names(options)
        self._owner = owner
        self._lookup = lookup
        self._clock = clock
        self._scans = 0
        self._lost = self._is_behind = False
        # Whether the file of an orphan may be one that cannot be read, or one that is being compressed.
        self._may_hide = False
        self.files: t.Dict[Identity, File] = {}
        self.orphans = Orphans(generations)
        self.problems: t.Dict[str, str] = {}
        self._gaps: t.List[t.Tuple[File, Gap]] = []
        self._holders = Holders(())
        self._turns: t.Optional[t.List[File]] = None

    def close(self) -> None:
        """Close all files."""
        for file in self.files.values():
            file.close()

    @property
    def settles_in(self) -> float:
        """Seconds until it is known whether a file is only a copy in progress, or until the next scan goes on; 0.0 without either."""
        if self._is_behind:
            return AT_ONCE
        due = [file.retry_at for file in self.files.values() if file.state == COPY and file.retry_at is not None]
        return max(AT_ONCE, max(due) - self._clock()) if due else 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether the next scans may find more: a generation has no file."""
        return bool(self.orphans)

    @property
    def backlog(self) -> int:
        """Bytes that are not read yet."""
        return sum(file.unread for file in self.files.values() if file.state == READING)

    # -- looking ------------------------------------------------------------------------------------------------------

    def scan(self, seconds: float = float("inf")) -> None:
        """Look at all files, and find the generation of each; what is compressed waits for the next scan after so many seconds."""
        self._scans += 1
        now = self._clock()
        walked = walk(self._options, self._names)
        self.problems = walked.problems
        # One file may have several names.
        found = {each.key: each for each in sorted(walked.files, key=lambda each: each.live)}
        for key, file in list(self.files.items()):
            self._attempt(file, file.look, found.pop(key, None), now)
            if file.missing and file.content is None:
                del self.files[key]
        for key, each in found.items():
            self.files[key] = File(each, now, self._enveloped, time.time() - each.mtime_ns / 1e9)
        for file in self.files.values():
            self._attempt(file, self._check, file)
        self._holders, self._turns = Holders(self.files.values()), None
        begin, self._is_behind, compressed = self._clock(), False, 0
        for file in _to_identify(self.files.values(), self.orphans):
            if _is_due(file, now, self._lost):
                compressed += file.found.compressed
                if file.found.compressed and compressed > 1 and self._clock() - begin > seconds:
                    file.state, self._is_behind = NEW, True
                else:
                    self._attempt(file, self._identify, file, now)
        self._lost = False
        self._may_hide = bool(self.problems) or self._is_behind or any(file.unfinished for file in self.files.values())
        self.problems.update(_lost_whole(self.files.values()))
        self.problems.update(walked.unsupported)
        self.problems.update(self.orphans.note_away(walked.absent, walked.empty))

    def glance(self) -> None:
        """Look whether the files that are being read have grown, and at nothing else."""
        self._turns = None
        for file in self.files.values():
            self._attempt(file, file.glance, self._clock())

    def _attempt(self, file: File, look: t.Callable[..., t.Any], *given: t.Any) -> t.Any:
        """What a function that looks at a file returns; None if the file cannot be read: then the next scan begins with it again."""
        try:
            return look(*given)
        except FileNotFoundError:
            # The next scan finds it under its new name.
            return None
        except OSError as error:
            self.problems[file.found.path] = error.strerror or str(error)
            if file.state == READING and file.content is not None:
                self._lose(file, truncated=False)
            file.start_again()
            return None

    def _check(self, file: File) -> None:
        """Notice that a file is not what it was."""
        if file.state == DONE and file.changed:
            file.start_again()
        elif file.state == READING and file.changed and file.content is not None:
            if file.content.compressed:
                self._lose(file, truncated=False)
            else:
                file.stuck = -1
                if not file.is_intact():
                    self._lose(file, truncated=file.has_names)
                else:
                    self._gaps += [(file, gap) for gap in file.take_lost()]

    def _lose(self, file: File, truncated: bool) -> None:
        """The file is not its generation's any more."""
        self.orphans.add(file.reading[1], self._scans, file.seen, truncated)
        self._lost = True
        file.start_again()

    def _identify(self, file: File, now: float) -> None:
        file.retry_at = None
        begin = time.time()
        content = file.open()
        known = _unchanged(file, self._candidates, self._holders)
        if known is not None:
            self._adopt(file, known)
            return
        first = _first_mark(file, now, self._ends(file))
        if first is None:
            file.state = WAITING
            file.retry_at = file.changed_at + LINGER if file.unfinished or not self._ends(file) else None
            file.close()
            return
        key = fingerprint.window(content, file.base, first)
        candidates = self._candidates(key)
        cut = matching.kept_of(file, content, (each for each in candidates if self._holders.other(each, file) is None))
        for like in matching.likenesses(file, content, candidates):
            holder = self._holders.other(like.generation, file)
            if matching.continues(file, like, holder, like.generation.public_id in self.orphans):
                if holder is not None:
                    holder.start_again()
                self._adopt(file, like.generation)
                file.recognised_at = begin
                return
            if matching.is_copy(file, like, holder, now, cut):
                file.state = COPY
                file.retry_at = file.first_at + matching.COPY_SETTLES if holder is None else None
                file.close()
                return
        others = sum(each.folder == file.found.folder for each in candidates)
        file.begin(_new_generation(file, (first, key), matching.public_id(self._owner, file.found.folder, key, others), cut))
        self._holders.add(file)

    def _candidates(self, first: str) -> t.List[Generation]:
        """The generations with this first digest: as the sink has them, or as they are here."""
        found = [*self._lookup(first), *self._holders.generations(first), *self.orphans.like(first)]
        return list({each.public_id: each for each in found}.values())

    def _adopt(self, file: File, generation: Generation) -> None:
        """The file is this generation."""
        orphan = self.orphans.take(generation.public_id)
        if orphan is not None:
            self._gaps += [(file, gap) for gap in orphan.gaps_of(file)]
        file.adopt(generation)
        self._holders.add(file)

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, limits: Limits) -> t.Optional[Reading]:
        """Read the next lines, of the oldest file that has any; None if there is nothing to read now."""
        if self._turns is None:
            self._turns = sorted((file for file in self.files.values() if file.state == READING and file.unread), key=_age, reverse=True)
        while self._turns:
            file = self._turns[-1]
            if file.state == READING and file.content is not None and file.unread and (file.stuck != file.size or self._ends(file)):
                reading: t.Optional[Reading] = self._attempt(file, self._read, file, limits.of(file.unread))
                if reading is not None:
                    return reading
            self._turns.pop()
        return None

    def _read(self, file: File, limits: Limits) -> t.Optional[Reading]:
        content, generation = file.reading
        if not content.compressed:
            file.size = content.size()
        piece = read_lines(content, generation.offset, limits, file.scanned_from(generation.offset), self._ends(file) and not file.damage)
        far = not file.found.live or file.size - piece.end > marks.NEAR
        after = generation._replace(
            head=fingerprint.extended(generation.head, content, file.base, piece.end),
            offset=piece.end,
            tail=fingerprint.tail(content, piece.end),
            lines=generation.lines + piece.total,
            place=file.place(),
            read_at=time.time(),
            recent=generation.recent if far or content.compressed else marks.noted(generation.recent, content, piece),
        )
        # If what was read before is intact now, then so was all that was just read.
        if not content.compressed and not file.is_intact():
            self._lose(file, truncated=file.has_names)
            return None
        self._gaps += [(file, gap) for gap in file.take_lost()]
        file.scanned = piece.end, piece.scanned
        if piece.end == generation.offset:
            file.stuck = file.size
            return None
        gaps = [Gap(offset, length, "hole", "") for offset, length in piece.holes]
        return Reading(file, piece, Batch(generation.offset, after, {}, (), gaps))

    def moved(self, reading: Reading, generation: Generation) -> None:
        """Note that a reading was stored."""
        reading.file.moved(generation)

    def notes(self) -> t.Iterator[Note]:
        """What was found out and is to be stored beside rows. The caller stores each, and calls its function, before it takes the next.

        A new generation is stored at once, so that its loss is noticed even if the follower is killed before it reads a line.
        """
        yield from _begun(list(self.files.values()))
        while self._gaps:
            file, gap = self._gaps.pop(0)
            if file.generation is not None:
                yield Batch(file.generation.offset, file.generation, {}, (), (gap,)), _setter(file)
        yield from _recognised(list(self.files.values()))
        yield from _moved(list(self.files.values()))
        if not self._may_hide:
            for batch in self.orphans.given_up(self._scans):
                yield batch, lambda stored: self.orphans.take(stored.public_id)
        for file in list(self.files.values()):
            generation = file.generation
            if file.state == READING and generation is not None and self._ends(file) and file.is_used_up:
                yield _closing(file, generation), _setter(file)
                file.state = DONE
                file.close()

    def _ends(self, file: File) -> bool:
        """Whether a file does not grow any more."""
        return not file.writable and (file.found.compressed or self._clock() - file.changed_at >= LINGER)


def _to_identify(files: t.Iterable[File], orphans: Orphans) -> t.List[File]:
    """The order in which it is found out what files are: first those that were known before, so that no copy takes the place of one."""
    homes = orphans.homes()
    return sorted(files, key=lambda file: (file.found.key not in homes, *_age(file)))


def _is_due(file: File, now: float, lost: bool) -> bool:
    """Whether it has to be found out what a file is. lost: a generation has lost its file."""
    due = file.retry_at is not None and now >= file.retry_at
    return file.state == NEW or (file.state in (WAITING, COPY) and (file.changed or lost or due))


def _first_mark(file: File, now: float, ends: bool) -> t.Optional[int]:
    """Find size and base of the content; returns the first mark, or None if the file has to wait. ends: the file does not grow any more."""
    content = file.open()
    file.unfinished = False
    try:
        file.size = content.size()
    except DamagedError as error:
        if now - file.changed_at < DAMAGED_AFTER:
            file.unfinished = True
            return None
        file.size, file.damage = error.size, error.reason
    file.note_seen()
    file.base = fingerprint.skip_zeros(content, 0, file.size)
    data = content.read(file.base, min(fingerprint.WINDOW, file.size - file.base))
    file.note_first_line()
    first = fingerprint.first_mark(data)
    # Such a file may have one line without its newline.
    return len(data) if first is None and data and ends else first


def _unchanged(file: File, lookup: t.Callable[[str], t.List[Generation]], holders: Holders) -> t.Optional[Generation]:
    """The generation of a compressed file that is as it was when it was read; it has its size then."""
    content = file.open()
    known = matching.unchanged(file, content, lookup) if content.compressed else None
    if known is None or holders.other(known, file) is not None:
        return None
    file.size = known.offset
    return known


def _new_generation(file: File, first: t.Tuple[int, str], name: str, cut: t.Optional[marks.Kept]) -> Generation:
    """A new generation, from the beginning of a file on, or from the end of what it still has of another one.

    first: its first mark. name: its public id.
    """
    content = file.open()
    kept = cut or marks.Kept(file.base, fingerprint.tail(content, file.base), ())
    start = kept.end
    marked = max(start, min(file.size, file.base + fingerprint.WINDOW))
    head = fingerprint.extended((), content, file.base, marked) or (first,)
    return Generation(0, name, file.found.folder, head, start, start, kept.tail, 0, file.place(), 0.0, False, kept.recent)


def _lost_whole(files: t.Iterable[File]) -> t.Iterator[t.Tuple[str, str]]:
    """Compressed files without a line that can be read, and why. They have no generation, so no gap can be stored."""
    for file in files:
        if file.state == WAITING and file.damage:
            yield file.found.path, "no line of it can be decompressed: %s" % file.damage


def _begun(files: t.Iterable[File]) -> t.Iterator[Note]:
    """The new generations."""
    for file in files:
        if file.state == READING and file.generation is not None and not file.generation.id:
            # A file that lost its end begins with a hole that is known.
            hole = [Gap(0, file.base, "hole", "")] if file.base and file.generation.start == file.base else []
            yield Batch(-1, file.generation, {}, (), hole), _setter(file)


def _recognised(files: t.Iterable[File]) -> t.Iterator[Note]:
    """The compressed files that were read before, and had to be decompressed to be recognised: next time they need not be."""
    for file in files:
        if file.state == DONE and file.recognised_at and file.found.compressed and file.generation is not None:
            generation = file.generation._replace(place=file.place(), read_at=file.recognised_at)
            file.recognised_at, file.has_moved = 0.0, False
            yield Batch(generation.offset, generation, {}), _setter(file)


def _moved(files: t.Iterable[File]) -> t.Iterator[Note]:
    """The files that would not be recognised by the place that is stored."""
    for file in files:
        generation = file.generation
        if file.has_moved and generation is not None:
            file.has_moved = False
            yield Batch(generation.offset, generation._replace(place=file.place()), {}), _setter(file)


def _closing(file: File, generation: Generation) -> Batch:
    """The end of a generation that was read."""
    gaps = [Gap(generation.offset, None, "damaged", file.damage)] if file.damage else []
    # A live file that is gone may come back, and may have lost its end by then.
    recent = generation.recent if file.found.live else ()
    return Batch(generation.offset, generation._replace(closed=True, place=file.place(), recent=recent), {}, (), gaps)


def _setter(file: File) -> t.Callable[[Generation], None]:
    def store(generation: Generation) -> None:
        file.generation = generation

    return store


def _age(file: File) -> t.Tuple[bool, int, str]:
    """The order of reading: what is rotated before what is live, the oldest first."""
    return file.writable, file.found.mtime_ns, file.found.path
