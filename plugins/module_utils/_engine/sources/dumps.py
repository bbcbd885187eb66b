# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump from a web server, fetched once: the version that was fetched is remembered.

The memory is a file, ``<job>.web.json`` in the state folder: {url, etag, last_modified, days}. A job writes it only when the dump is in
the catalog, so a run that was killed, or ran out of space, fetches again.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t

from ..base import beneath
from ..base.beneath import identity
from ..base.durable import write_atomically
from ..base.errors import LogArchiveError
from ..base.periods import load_timezone, period_containing
from ..config.spec import WEB
from . import web
from .base import Collected, Collector, Source
from .fetched import new_folder
from .web_errors import shown

if t.TYPE_CHECKING:
    from ..base.periods import Period
    from ..base.progress import Progress
    from ..base.staging import ExtractedFile
    from ..config.document import JobDocument, WebOptions


_UNKNOWN = "unknown"
"""Remembered instead of the day of a file that has no valid time in the zip."""


class WebCollector(Collector):
    """The option ``web`` of a job document. The files of the zip become one archive."""

    step = "fetch"
    period = "day"
    grouping = "run"
    strict_hint = "The job treats this as an error (web.absent)"
    deletable = False

    def __init__(self, document: JobDocument) -> None:
        if document["web"] is None:
            raise AssertionError("the job has no web options")
        self.options = document["web"]
        self.timezone = self.options["timezone"]
        self.strict = self.options["absent"] == "error"
        self.memory = os.path.join(document["state"], "%s.web.json" % document["name"])
        self.state = document["state"]
        self.below = "web/%s" % document["name"]
        self.folder = os.path.join(self.state, self.below)

    @staticmethod
    def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
        # Options that are wrong in themselves are left out, and reported first.
        return web.problems(t.cast("WebOptions", options)) if len(options) == len(WEB) else []

    @contextlib.contextmanager
    def collect(
        self, now: datetime.datetime, since: t.Optional[datetime.datetime], progress: Progress, check: bool
    ) -> t.Iterator[Collected]:
        """Fetch the dump. Raises what ``web.collect`` raises."""
        import tempfile

        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="log-archive-") if check else new_folder(self.state, self.below)
            )
            known, days = remembered(self.memory)
            with progress("fetch %s" % shown(self.options["url"]), 0) as advance:
                got = web.collect(self.options, folder, now, known, advance)
            if got.unchanged:
                yield Collected([], folder, problem=stale(self.options, days, now))
                return
            today = period_containing("day", now, self.timezone)
            # In a dry run, too, a file has the path that it will have in the archive.
            files = [self._source(f, today) for f in got.files]
            if got.problem is None:
                yield Collected(files, folder, remember=lambda: remember(self.memory, got))
            else:
                yield Collected(files, folder, problem=got.problem)

    def _source(self, file: ExtractedFile, period: Period) -> Source:
        status = os.stat(file.path)
        return Source(os.path.join(self.folder, file.name), file.size, status.st_mtime_ns, period, self.folder, identity(status))


def stale(options: WebOptions, days: t.Sequence[str], now: datetime.datetime) -> t.Optional[str]:
    """Why an unchanged dump with files of these days (see ``remembered``) is not from today, if the options require that; else None."""
    today = now.astimezone(load_timezone(options["timezone"])).date().isoformat()
    if options["modified"] != "today" or all(day == today for day in days):
        return None
    known = [day for day in days if day != _UNKNOWN]
    when = "since %s" % max(known) if known else "and has no date"
    return "%s is unchanged %s, not from today (%s, %s)" % (shown(options["url"]), when, today, options["timezone"])


def remembered(memory: str) -> t.Tuple[t.Optional[web.Validators], t.List[str]]:
    """The version that ``remember`` wrote, and the days of its files ("2024-01-12"); None and [] if there is none."""
    try:
        folder, name = os.path.split(memory)
        with beneath.open_private(folder) as state, open(beneath.open_file(state, name), encoding="utf-8") as file:
            held = json.load(file)
        return web.Validators(held["url"], held["etag"], held["last_modified"]), list(held["days"])
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing is lost: the dump is fetched once more, and the catalog recognises it.
        return None, []


def remember(memory: str, got: web.Dump) -> None:
    """Write to the file ``memory`` which version of the dump was fetched."""
    days = sorted({_UNKNOWN if moment is None else moment.date().isoformat() for moment in got.modified.values()})
    text = json.dumps(dict(got.validators._asdict(), days=days), indent=1, sort_keys=True).encode() + b"\n"
    try:
        folder, name = os.path.split(memory)
        with beneath.open_private(folder) as state:
            write_atomically(name, text, dir_fd=state)
    except OSError as error:
        raise LogArchiveError("cannot record the version of the dump: %s" % error.strerror, memory) from error
