# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of a store with all archives of a choice: what names a day or a log must not cost more with each year that archives are kept."""

from __future__ import annotations

import time
import typing as t
from datetime import datetime, timedelta, timezone

from ..archive.naming import archive_key
from ..base.periods import Period
from ..base.units import format_utc
from ..holdings.inventory import whole_is_cheaper
from ..holdings.trust import Part

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..config.document import StoreOptions
    from ..holdings.trust import Choice
    from ..state.held import Held
    from ..state.listings import Listing

LAST_PERIODS = 30
"""Periods in which the latest archives are searched. The newest ones may be damaged."""
MOST_TIME = timedelta(days=366)
"""Of a range, or of one period, that is listed day by day."""


def part_of(
    options: StoreOptions, everything: t.Sequence[str], held: Held, listing: t.Optional[Listing], choice: Choice
) -> t.Optional[Part]:
    """The part of a store with all archives of the choice; None if it cannot be known.

    options: of the store. everything: the folders of the job.

    The catalog knows the archives that this host made. Others are found by the last whole listing, or by a listing of the days that are
    asked for: none has a longer period than any that is known.
    """
    unrecorded = {} if listing is None else listing.unrecorded
    if choice.latest and not (choice.names or choice.start or choice.end):
        starts = held.starts(LAST_PERIODS)
        choice = choice._replace(start=datetime.fromtimestamp(starts[-1], timezone.utc) if starts else None)
    if choice.start is None and choice.end is None:
        recorded = _named(held, listing, choice.names)
        if recorded is None:
            return None
        folders = sorted({key.rpartition("/")[0] + "/" for key in [*recorded, *unrecorded]})
    else:
        recorded = held.between(*(None if moment is None else format_utc(moment) for moment in (choice.start, choice.end)))
        folders = list(everything) if listing is None else _days(everything, held, listing, choice) or list(everything)
    if whole_is_cheaper(options, held.count() + len(unrecorded), len(folders)):
        folders = list(everything)
    others = {key for folder in folders for key in held.below(folder)} - recorded.keys()
    return Part(folders, recorded, others)


def _named(held: Held, listing: t.Optional[Listing], names: t.Sequence[str]) -> t.Optional[t.Dict[str, Manifest]]:
    """The recorded archives with these names: {key: manifest}. None if the store may have others: one with the key of a recorded archive
    is that archive, but another one may hold the same log."""
    recorded = {}
    for name in names:
        found = held.named(name)
        if not found or (listing is None and name not in found):
            return None
        recorded.update(found)
    return recorded or None


def _days(everything: t.Sequence[str], held: Held, listing: Listing, choice: Choice) -> t.List[str]:
    """The folders of the days on which a period may start that touches the time of the choice; none if there are too many."""
    known = [held.newest() or 0, *(one.start for one in listing.unrecorded.values())]
    longest = max([held.longest(), *(one.seconds for one in listing.unrecorded.values())])
    last = datetime.fromtimestamp(max([time.time(), *known]), timezone.utc) + timedelta(days=1)
    end = last if choice.end is None else min(choice.end, last)
    if choice.start is None or end - choice.start > MOST_TIME or longest > MOST_TIME.total_seconds():
        return []
    folders: t.List[str] = []
    day = (choice.start - timedelta(seconds=longest)).astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    while day <= end:
        for folder in everything:
            host, job, _end = folder.split("/")
            folders.append(archive_key(host, job, Period(day, day), ""))
        day += timedelta(days=1)
    return folders
