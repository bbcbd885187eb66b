# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The run record: what one run of a job did, or in a dry run would do.

The catalog keeps the record of each run. ``log-archive run --json`` and the module archive_run return it, as its RETURN block documents.
Reports and notifications read it. Import this module for type checking only: building the types takes longer than an idle run's queries.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..archive.facts import PeriodText


class StepRecord(t.TypedDict):
    """One step of a run. ``state``: done, warning or failed."""

    state: str
    errors: int
    warnings: int


class CopyRecord(t.TypedDict, total=False):
    """One archive in one store. ``state`` is always there: verified or pending; in a dry run also pruned.

    After a put: ``location``, ``verified_by`` (a verification level), ``md5``, ``etag``, ``attempts``. After a failure, or if the put
    was not confirmed: ``error``.
    """

    state: str
    location: str
    verified_by: str
    md5: t.Optional[str]
    etag: t.Optional[str]
    attempts: int
    error: str


class ArchiveRecord(t.TypedDict, total=False):
    """An archive that the run made or sent. Sizes are in bytes.

    ``state``: done, or spooled if a store still awaits it; "archived" if the run ended in between. In a dry run "would be archived"
    (then without size, sha256 and key_id) or "would be sent". ``stores``: by the name of the store.
    """

    name: str
    key: str
    state: str
    size: int
    sha256: str
    key_id: t.Optional[str]
    sources: t.List[str]
    source_bytes: int
    stores: t.Dict[str, CopyRecord]


class SkippedRecord(t.TypedDict):
    """A file that was skipped, and why."""

    path: str
    reason: str


class PruneRecord(t.TypedDict, total=False):
    """What retention did in one store. ``removed``: keys. ``failed``: {key: why it could not be removed}. ``refusals``: of guards.

    ``plan`` (dry run only): per archive why it is kept or removed.
    """

    kept: int
    removed: t.List[str]
    failed: t.Dict[str, str]
    bytes_freed: int
    refusals: t.List[str]
    plan: t.Sequence[t.Mapping[str, object]]


class NotShippedRecord(t.TypedDict):
    """The archives that were not made, or not sent to one store, because retention would have removed them there at once.

    archives: how many; bytes: of their logs; start, end: of their periods, in UTC; policy: the rules, of which none keeps them.
    """

    archives: int
    bytes: int
    start: str
    end: str
    policy: str


class SyncRecord(t.TypedDict):
    """What was copied to one store. ``copied``, ``present`` (there already, and verified now): keys. ``bytes``: of those copied.
    ``failed``: {key: why the store did not get the archive}."""

    copied: t.List[str]
    present: t.List[str]
    bytes: int
    failed: t.Dict[str, str]


class SpoolRecord(t.TypedDict):
    """The archives that wait in the spool at the end of the run."""

    archives: int
    bytes: int


class LedgerRecord(t.TypedDict):
    """Where the ledger of the job ends: its id and the number of its last entry."""

    ledger: str
    seq: int


class RunRecord(t.TypedDict):
    """One run. ``started`` in UTC; ``seconds``: how long it took; ``steps`` by name in order; ``pruned`` and
    ``not_shipped`` by store name. ``given_up``: by store name, the keys of archives that the store will not get (``max_backlog``).

    ``open_since``: the start of the oldest period with a log that matches and could not be archived yet; later runs look back to it.
    ``ledger``: where the ledger of the job ended when the run did; None without a ledger.
    ``outcome``: done, "nothing to do", "partly done", failed or "integrity failure"; ``exit_code`` is the command's for it.
    """

    job: str
    host: str
    check: bool
    started: str
    seconds: float
    outcome: str
    exit_code: int
    changed: bool
    steps: t.Dict[str, StepRecord]
    archives: t.List[ArchiveRecord]
    missing: t.List[PeriodText]
    skipped: t.List[SkippedRecord]
    open_since: t.Optional[str]
    pruned: t.Dict[str, PruneRecord]
    not_shipped: t.Dict[str, NotShippedRecord]
    given_up: t.Dict[str, t.List[str]]
    sources_deleted: t.List[str]
    spool: SpoolRecord
    ledger: t.Optional[LedgerRecord]
    warnings: t.List[str]
    errors: t.List[str]


class SyncedRecord(RunRecord):
    """The record of ``log-archive sync``. ``synced``: by store name, what was copied there, or in a dry run would be."""

    synced: t.Dict[str, SyncRecord]


class AdoptedRow(t.TypedDict):
    """One object that may be an archive of an earlier script. ``size`` and ``source_bytes`` in bytes.

    ``state``: adopted (in a dry run, would be), present (was adopted before), unmatched (its name does not match), refused (its name
    matches, and it cannot be adopted), failed (it cannot be opened). ``reason``: of the last three. ``key``: of the archive. ``content``:
    tgz or zip. ``key_id``: of the key of a token. ``files``: how many it has. What is not known is None.
    """

    name: str
    size: int
    state: str
    reason: t.Optional[str]
    key: t.Optional[str]
    period: t.Optional[PeriodText]
    content: t.Optional[str]
    key_id: t.Optional[str]
    files: t.Optional[int]
    source_bytes: t.Optional[int]


class AdoptRecord(t.TypedDict):
    """What was found in one store. ``objects``: with at most 1,000 of those that are unmatched; ``unmatched``: how many there are.
    ``own``: how many objects of this software it has; ``elsewhere``: how many others are in folders in which the template finds nothing."""

    store: str
    template: str
    objects: t.List[AdoptedRow]
    unmatched: int
    own: int
    elsewhere: int


class AdoptedRecord(RunRecord):
    """The record of ``log-archive adopt``. ``adopted``: what was adopted, or in a dry run would be."""

    adopted: AdoptRecord
