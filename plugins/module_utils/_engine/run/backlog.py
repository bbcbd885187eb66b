# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limit the archives that wait in the spool only for stores that are not required."""

from __future__ import annotations

import typing as t

from ..base.units import format_size, parse_size
from .deliver import unspool

if t.TYPE_CHECKING:
    from ..state.entry import Entry
    from .context import Context


def limit(run: Context) -> None:
    """Give up the oldest archives of each store that is not required, if those that wait only for such stores exceed its limit."""
    run.recorder.begin("limit the backlog", listed=False)
    waiting = _awaited_by_optional_stores(run)
    for name, options in run.stores.options.items():
        if options["required"]:
            continue
        entries = [entry for entry, stores in waiting if name in stores]
        given_up = _oldest_beyond(entries, parse_size(options["max_backlog"]))
        if not given_up:
            continue
        for entry in given_up:
            run.catalog.lacking.give_up(entry, name)
            if not any(copy.state == "pending" for copy in run.catalog.copies(entry).values()):
                unspool(run, entry)
        _report(run, name, given_up, str(options["max_backlog"]))


def _awaited_by_optional_stores(run: Context) -> t.List[t.Tuple[Entry, t.Set[str]]]:
    """The archives in the spool that every required store has, oldest first, with the stores that await them."""
    found = []
    required = set(run.stores.required)
    for entry in run.catalog.entries(run.job, spooled=True):
        pending = {copy.store for copy in run.catalog.copies(entry).values() if copy.state == "pending"}
        if pending and not pending & required:
            found.append((entry, pending))
    return found


def _oldest_beyond(entries: t.Sequence[Entry], limit_bytes: int) -> t.List[Entry]:
    """The oldest of the entries, so many that the others are not larger than the limit together."""
    size = sum(entry.size for entry in entries)
    beyond = []
    for entry in entries:
        if size <= limit_bytes:
            break
        beyond.append(entry)
        size -= entry.size
    return beyond


def _report(run: Context, name: str, given_up: t.Sequence[Entry], limit_text: str) -> None:
    keys = [entry.key for entry in given_up]
    run.recorder.record["given_up"][name] = keys
    run.recorder.set_changed()
    run.recorder.event("given_up", store=name, archives=keys)
    size = format_size(sum(entry.size for entry in given_up))
    first, last = given_up[0].manifest["period"]["start"], given_up[-1].manifest["period"]["end"]
    run.recorder.warn(
        "store %s: gave up %d archive(s), %s, with logs of %s to %s: they waited only for this store and exceeded its max_backlog (%s)."
        " The required stores have them" % (name, len(given_up), size, first, last, limit_text)
    )
