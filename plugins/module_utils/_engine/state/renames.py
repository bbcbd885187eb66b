# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take over what a job has under its earlier names (``was``): its ledger, its part of the catalog, and its other files in the state folder.

Archives keep their keys, in the stores and in the spool. Each step is complete or can be repeated, so the next run goes on if this one is
killed. If the job has a ledger by itself already, that one goes on: the ledger of the earlier name is kept aside, and the copies that it
recorded are adopted.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..base.errors import LogArchiveError
from .database import Database, path_in
from .folders import removals_path, rewraps_path
from .ledger import moving
from .ledger.file import ledger_of

if t.TYPE_CHECKING:
    from ..config.document import JobDocument

_ANEW = ("prunes", "listings", "differences")
"""Tables about whole stores: with the folders of another name, that has to be found out again."""
_EARLIEST = {"jobs": "since", "verifications": "at"}
"""Tables with a time of which the earlier one counts."""


def is_due(document: JobDocument) -> bool:
    """Whether an earlier name of the job still has something in the state folder."""
    state = document["state"]
    if any(moving.has_files(state, name) or any(map(os.path.lexists, _files(state, name))) for name in document["was"]):
        return True
    if not os.path.exists(path_in(state)):
        return False
    with contextlib.closing(Database(state, readonly=True)) as database:
        return any(tables_of(database, name) for name in document["was"])


def take_over(document: JobDocument) -> t.List[str]:
    """Take over what there is; returns the names that had something. The caller holds the lock of the job under each of its names.

    Raises LogArchiveError.
    """
    state, job = document["state"], document["name"]
    taken = []
    with contextlib.closing(Database(state)) as database:
        for name in document["was"]:
            moved = moving.move(state, name, job)
            if _move_files(state, name, job) or moved or tables_of(database, name):
                taken.append(name)
        if taken:
            take_entries(database, document)
    return taken


def take_entries(database: Database, document: JobDocument) -> None:
    """Give the job what the catalog has under its earlier names, in one transaction."""
    ledger = None
    with contextlib.suppress(LogArchiveError, FileNotFoundError):  # An audit reports a ledger that is broken.
        head = ledger_of(document).head()
        ledger = None if head is None else head.ledger
    with database.transaction():
        for name in document["was"]:
            for table in _ledger_first(tables_of(database, name)):
                _take_rows(database, table, name, document["name"], ledger)


def _take_rows(database: Database, table: str, old: str, new: str, ledger: t.Optional[str]) -> None:
    """Give the rows of one table to the new name. ledger: the id of the job's ledger; None if it is not known."""
    if table == "ledgers":
        theirs, own = (database.execute("SELECT ledger FROM ledgers WHERE job = ?", (name,)) for name in (old, new))
        if theirs and theirs != [(ledger,)] and (own or ledger is not None):
            # The ledger of the job goes on, and adopts these copies.
            database.execute("UPDATE copies SET entry = NULL, tombstone = NULL WHERE job = ?", (old,))
            database.execute("DELETE FROM heads WHERE job = ?", (old,))
            database.execute("DELETE FROM ledgers WHERE job = ?", (old,))
            return
        if own and own != theirs:
            database.execute("DELETE FROM ledgers WHERE job = ?", (new,))
    elif table in _ANEW:
        database.execute("DELETE FROM %s WHERE job IN (?, ?)" % table, (old, new))
    elif table == "outcomes":
        database.execute(
            "UPDATE outcomes SET runs = runs + COALESCE((SELECT o.runs FROM outcomes AS o"
            " WHERE o.job = ? AND o.exit_code = outcomes.exit_code), 0) WHERE job = ?",
            (old, new),
        )
    elif table in _EARLIEST:
        column = _EARLIEST[table]
        same = " AND o.store = verifications.store" if table == "verifications" else ""
        least = "(SELECT MIN(o.%s) FROM %s AS o WHERE o.job = ?%s)" % (column, table, same)
        database.execute("UPDATE %s SET %s = MIN(%s, COALESCE(%s, %s)) WHERE job = ?" % (table, column, column, least, column), (old, new))
    database.execute("UPDATE OR IGNORE %s SET job = ? WHERE job = ?" % table, (new, old))
    database.execute("DELETE FROM %s WHERE job = ?" % table, (old,))


def _ledger_first(tables: t.Sequence[str]) -> t.List[str]:
    """The ledger decides which entries of copies and which heads count."""
    return sorted(tables, key=lambda table: table != "ledgers")


def tables_of(database: Database, job: t.Optional[str] = None) -> t.List[str]:
    """The tables that have rows of a job; without a name, the tables of jobs."""
    tables = database.execute(
        "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c"
        " WHERE m.type = 'table' AND c.name = 'job' ORDER BY m.name"
    )
    return [table for (table,) in tables if job is None or database.execute("SELECT 1 FROM %s WHERE job = ? LIMIT 1" % table, (job,))]


def _files(state: str, name: str) -> t.List[str]:
    """The other files of a job in the state folder."""
    return [removals_path(state, name), os.path.join(state, "%s.web.json" % name), rewraps_path(state, name)]


def _move_files(state: str, old: str, new: str) -> bool:
    """Take over the records of deletions and of a rewrap that were cut, and what a web source remembers; returns whether there was one."""
    from . import removals

    theirs, memory, exchange = _files(state, old)
    own, own_memory, own_exchange = _files(state, new)
    found = False
    if os.path.lexists(theirs):
        found = True
        removals.begin(own, list(dict.fromkeys([*removals.unfinished(own), *removals.unfinished(theirs)])))
        removals.keep(theirs, [])
    if os.path.lexists(memory):
        found = True
        if os.path.lexists(own_memory):
            os.unlink(memory)
        else:
            os.rename(memory, own_memory)
    if os.path.lexists(exchange):
        found = True
        os.rename(exchange, own_exchange)
    return found
