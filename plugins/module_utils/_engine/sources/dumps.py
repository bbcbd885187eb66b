# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump from a web server whose version is remembered, so that it is not fetched twice: for one run of a job, or into a folder.

What is remembered is a file, ``<job>.web.json`` in the state folder: {url, etag, last_modified, days}. A job writes it only when the dump
is in the catalog, so that a run that was killed, or had no room, fetches again.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import typing as t

from ..base.durable import write_atomically
from ..base.errors import LogArchiveError
from ..base.periods import load_timezone, period_containing
from . import web
from .files import Source


class Dump(t.NamedTuple):
    """files: what is to be archived, below ``folder``; problem: why it is nothing; remember: call it once they are archived."""

    files: t.List[Source]
    folder: str
    problem: t.Optional[str]
    remember: t.Callable[[], None]


@contextlib.contextmanager
def fetched(
    document: t.Mapping[str, t.Any],
    now: datetime.datetime,
    progress: t.Callable[[str, int], t.ContextManager[t.Callable[[int], None]]],
    check: bool,
) -> t.Iterator[Dump]:
    """Fetch the dump of a job; its files are there while the context lasts. check: in a folder elsewhere, as if nothing had happened.

    Raises what ``web.collect`` raises, at the beginning of the context.
    """
    import tempfile

    options = document["web"]
    memory = os.path.join(document["state"], "%s.web.json" % document["name"])
    folder = document["select"]["paths"][0]
    with contextlib.ExitStack() as stack:
        place = tempfile.mkdtemp(prefix="log-archive-") if check else folder
        stack.callback(_remove, place)
        if not check:
            _remove(place)  # What a run left that was killed. A fresh folder in /tmp is kept: made again, it could be somebody else's.
        known, days = remembered(memory)
        with progress("fetch %s" % web.shown(options["url"]), 0) as advance:
            got = web.collect(options, place, now, known, advance)
        today = period_containing("day", now, options["timezone"])
        if got.unchanged:
            yield Dump([], place, stale(options, days, now), lambda: None)
            return
        # Known by the folder that it lies in, also where check mode has put it elsewhere.
        sources = [Source(os.path.join(folder, f.name), f.size, os.stat(f.path).st_mtime_ns, today) for f in got.files]
        yield Dump(sources, place, got.problem, lambda: remember(memory, got))


def _remove(folder: str) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise LogArchiveError("what was fetched cannot be removed (%s)" % error.strerror, error.filename or folder) from error


def stale(options: t.Mapping[str, t.Any], days: t.Sequence[str], now: datetime.datetime) -> t.Optional[str]:
    """Why a dump that is unchanged, with files of these days, is not what is wanted; None where it is."""
    today = now.astimezone(load_timezone(options["timezone"])).date().isoformat()
    if options["modified"] != "today" or all(day == today for day in days):
        return None
    return "%s is unchanged since %s, not of today (%s, %s)" % (web.shown(options["url"]), max(days), today, options["timezone"])


def remembered(memory: str) -> t.Tuple[t.Optional[web.Validators], t.List[str]]:
    """What ``remember`` has written: which version of the dump we have, and the days of its files."""
    try:
        with open(memory, encoding="utf-8") as file:
            told = json.load(file)
        return web.Validators(told["url"], told["etag"], told["last_modified"]), list(told["days"])
    except (OSError, ValueError, KeyError, TypeError):
        # Nothing is lost with it: the dump is fetched once more, and recognised by the catalog.
        return None, []


def remember(memory: str, got: web.Collected) -> None:
    """Write down, in the file ``memory``, which version of the dump we have."""
    days = sorted({"unknown" if moment is None else moment.date().isoformat() for moment in got.modified.values()})
    text = json.dumps(dict(got.validators._asdict(), days=days), indent=1, sort_keys=True).encode() + b"\n"
    try:
        write_atomically(memory, text)
    except OSError as error:
        raise LogArchiveError("the version of the dump cannot be remembered (%s)" % error.strerror, memory) from error
