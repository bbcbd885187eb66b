# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stream follows: files, or the journal."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..archive.naming import host_name
from ..base.units import parse_size

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument
    from .checkpoint import Batch, Generation, Note
    from .tail.lines import Limits, Piece


class Read(t.Protocol):
    """What was read. batch: without rows; the caller adds those of the piece."""

    @property
    def piece(self) -> Piece:
        """The lines."""

    @property
    def batch(self) -> Batch:
        """The new position, and what was lost before the lines."""

    @property
    def first_line(self) -> bytes:
        """The first line of the file, which may name the fields of the others; empty if it is very long, or there is no file."""


Found = t.Tuple[Read, "Batch"]
"""What was read, and its batch with rows."""


class Source(t.Protocol):
    """The lines of a stream, for one sink. problems: what could not be read at the last look, by path.

    looks: how often to look at most while it is waiting. settles_in: seconds until more is known of a file; 0.0 if all are known.
    """

    problems: t.Dict[str, str]
    looks: int

    @property
    def settles_in(self) -> float:
        """Seconds."""

    @property
    def is_waiting(self) -> bool:
        """Whether the next looks may find more, without a new line."""

    @property
    def backlog(self) -> int:
        """Bytes that can be read now; 0 if that is not known."""

    def scan(self, seconds: float = float("inf")) -> None:
        """Look at what is there. seconds: about how long it may take; what is left is looked at by the next call."""

    def glance(self) -> None:
        """Look whether what is being read has grown, and at nothing else."""

    def notes(self) -> t.Iterator[Note]:
        """What is to be stored beside rows. The caller stores each, and calls its function, before it takes the next."""

    def read(self, limits: Limits) -> t.Optional[Read]:
        """Read the next lines; None if there is nothing to read now."""

    def moved(self, reading: t.Any, generation: Generation) -> None:
        """Note that a reading was stored."""

    def close(self) -> None:
        """Close what is open."""


def owner_of(document: StreamDocument) -> str:
    """Host and stream: whose generations these are."""
    return "%s\0%s" % (host_name(document["host"]), document["name"])


ABSENT = "the folder does not exist"


class Absent(t.NamedTuple):
    """The paths of a stream that do not exist. Each may come later, or be a mistake. is_all: whether the stream has no other path."""

    paths: t.List[str]
    is_all: bool


def absent_of(document: StreamDocument) -> Absent:
    """Look which paths of a stream do not exist. A journal has none."""
    paths = document["follow"]["paths"]
    absent = [path for path in paths if not os.path.exists(path)]
    return Absent(absent, bool(absent) and len(absent) == len(paths))


def has_sightings(document: StreamDocument) -> bool:
    """Whether the loss of a file can be noticed without the sink. A journal has its cursor, and an object with records is one file."""
    return document["follow"]["journal"] is None and document["parse"]["profile"] != "cloudtrail"


def source_of(
    document: StreamDocument,
    generations: t.Iterable[Generation],
    lookup: t.Callable[[str], t.List[Generation]],
    clock: t.Callable[[], float] = time.monotonic,
) -> Source:
    """The source of a stream. generations: those that the sink has open; lookup: returns all that it has with a first digest."""
    _raise_limit_of_files()
    owner = owner_of(document)
    if document["follow"]["journal"] is not None:
        from .journal.tracker import JournalTracker

        return JournalTracker(document["follow"], parse_size(document["parse"]["max_line"]), owner, generations, lookup, clock)
    from .tail.tracker import Tracker

    return Tracker(document["follow"], owner, generations, lookup, clock, document["parse"]["profile"] == "cloudtrail")


def _raise_limit_of_files() -> None:
    """Each file that may still grow is kept open; the soft limit is 1024 on most systems, for cron, too."""
    import resource

    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard))
