# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contract of everything that logs can come from: the folders of this host, a web server.

``opening.collector_of`` gives the collector of a job. A run uses it like this::

    collector = collector_of(document)
    with collector.collect(now, since, progress, check) as collected:
        # Names, keys and grouping: collector.period, collector.timezone, collector.grouping or document["archive"]["group"].
        for files in collected.fetch(those of collected.files that are new):
            archive(files, below=collected.folder)
        if everything_was_archived and not check:
            collected.remember()
    # Then, unless other runs archived them: the missing periods that are due, or that began after the first run of the job.
    text = collector.describe_missing(missing) if missing else collected.problem
    if text is not None:
        fail(SelectionError(text, hint=collector.strict_hint)) if collector.strict else warn(text)
    fail(each of collected.pending that is unreadable)
    if document["delete_sources"] and collector.deletable:
        delete(collected.files)
"""

from __future__ import annotations

import abc

from ..base import hints as t
from ..base.named_tuple import NamedTuple

if t.TYPE_CHECKING:
    import datetime

    from ..base.beneath import Identity
    from ..base.periods import Period
    from ..base.progress import Progress
    from ..config.document import JobDocument


class Source(NamedTuple):
    """A file to archive. ``path`` is absolute, bytes that are not UTF-8 in it are surrogate escapes; ``size`` is in bytes.

    ``period`` comes from the file's name (it may be finer than the period asked for), else it is the period asked for that contains
    the modification time, else (period "none") that time, in whole seconds, as start and end.

    root: the folder below which the path is opened, without following a symbolic link; the path of ``root`` itself is trusted.
    identity: device and inode of the file that was selected.
    """

    path: str
    size: int
    mtime_ns: int
    period: Period
    root: str
    identity: Identity

    @property
    def relative(self) -> str:
        """The path below ``root``."""
        return self.path[len(self.root) :].lstrip("/")


class Skipped(NamedTuple):
    """A file or folder that matches and is skipped, and the reason."""

    path: str
    reason: str


class Pending(NamedTuple):
    """A log or folder that is wanted and cannot be archived now, and the reason; a later run takes it.

    period: the expected period that it belongs to; None if that is unknown, as for a folder. unreadable: that is a failure; otherwise
    the log is only not ready yet. size, mtime_ns: of a file that can be looked at.
    """

    path: str
    reason: str
    period: t.Optional[Period]
    unreadable: bool
    size: t.Optional[int] = None
    mtime_ns: t.Optional[int] = None


Archived = t.Callable[[str, int], t.Mapping[str, t.Tuple[int, int]]]
"""What is archived of the logs in a folder: called with its path, which ends with '/', and with how many names it has. Returns size and
modification time (nanoseconds) of their last states that are archived, by base name; it may leave out some."""


def _nothing() -> None:
    pass


def _all_at_once(sources: t.List[Source]) -> t.Iterator[t.List[Source]]:
    yield sources


class Collected(NamedTuple):
    """What a collector found.

    files: what to archive, by period start and path. folder: the folder that holds them; their paths are opened below it. It differs
    from the folder in their paths in a dry run, which may use a temporary folder.
    missing: expected periods without a file, oldest first, unless one of ``pending`` may belong to it. due: those expected periods that
    count even on the first run of a job.
    skipped: files that match and were skipped; those of ``pending`` are among them.
    problem: why there is nothing to archive, or None.
    remember: call it once all files are archived, so that the next run does not collect them again.
    fetch: called with those of ``files`` that are to be archived. It yields them in batches, and each batch is in the folder until the next
    one is asked for. A batch has the files as they were fetched, with what belongs to them; a file that cannot be fetched becomes one of
    ``pending``. It raises LogArchiveError if nothing more can be fetched.
    """

    files: t.List[Source]
    folder: str = "/"
    missing: t.Sequence[Period] = ()
    due: t.Sequence[Period] = ()
    skipped: t.Sequence[Skipped] = ()
    pending: t.Sequence[Pending] = ()
    problem: t.Optional[str] = None
    remember: t.Callable[[], None] = _nothing
    fetch: t.Callable[[t.List[Source]], t.Iterator[t.List[Source]]] = _all_at_once


class Collector(abc.ABC):
    """Where the logs of one job come from. A subclass sets the attributes in its class or its constructor.

    step: the name of this step in a run record: "select", "fetch".
    period: the span of one log: hour, day, week, month, or "none" if logs come at no fixed interval.
    timezone: the time zone of the times in names, as "Europe/Paris"; "local" is the host's.
    grouping: how files become archives ("file", "period", "run"), or None if the job document decides.
    strict: whether it is an error, not a warning, that there is nothing to archive; strict_hint: which option makes it one.
    deletable: whether the files are logs of this host, which the option ``delete_sources`` may delete.
    archived: set by a run that does not need logs that are archived already: a collector may leave them out.
    catch_up: how far back, in seconds, the first run looks. unreadable_hint: what to do about a file that cannot be read.
    """

    step: str
    period: str
    timezone: str
    grouping: t.Optional[str] = None
    strict: bool
    strict_hint: str
    deletable: bool = True
    archived: t.Optional[Archived] = None
    catch_up: float = 0.0
    unreadable_hint: str = "Give the user of the job the right to read it, or exclude it (select.exclude)"

    @abc.abstractmethod
    def __init__(self, document: JobDocument) -> None:
        """Take what the collector needs from the document; no file is read and nothing is connected yet."""

    @staticmethod
    @abc.abstractmethod
    def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
        """Mistakes in the options of this kind that show only when they are seen together, each as 'option: what is wrong'."""

    @abc.abstractmethod
    def collect(
        self, now: datetime.datetime, since: t.Optional[datetime.datetime], progress: Progress, check: bool
    ) -> t.ContextManager[Collected]:
        """Collect what is to be archived at ``now`` (aware); the files exist as long as the context lasts.

        since: the logs of earlier periods are archived; None if that is unknown. Periods since then are expected as well.
        check: a dry run, which changes nothing outside temporary folders.
        Raises LogArchiveError when the context begins.
        """

    def describe_missing(self, periods: t.Sequence[Period]) -> str:
        """One line that reports these expected periods as missing. Only a collector that returns ``missing`` needs it."""
        raise NotImplementedError
