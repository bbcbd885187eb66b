# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify the archives in the stores of a job, record the result, and notify of failures."""

from __future__ import annotations

import contextlib
import time
import typing as t
from datetime import datetime, timezone

from ..archive.naming import MANIFEST_SUFFIX, host_name, unrevised
from ..base.durable import is_locked
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, EXIT_PARTLY, WORST_FIRST, IntegrityError, LogArchiveError
from ..crypto.envelope import NOT_OFFLINE, Offline
from ..holdings.verify import Checked
from ..state import catalog as catalogs
from ..state.folders import lock_of
from .audit import Audit
from .record import Recorder

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..config.document import JobDocument, JobStore
    from ..holdings.inventory import Inventory
    from ..holdings.trust import Record
    from ..stores.base import Store
    from ..tell.report import VerifiedRow


class Wanted(t.NamedTuple):
    """What to verify. host: None is every host. start, end: only periods that touch this time. level: None is the store's own.

    offline: what opens archives beside the keyring of the job.
    """

    host: t.Optional[str]
    start: t.Optional[datetime]
    end: t.Optional[datetime]
    level: t.Optional[str]
    offline: Offline = NOT_OFFLINE


class Verified(t.NamedTuple):
    """The result for one job. exit_code: 4 if an archive failed, 1 or 2 if a store failed or lacks archives, 3 if an upload or a removal
    was cut."""

    rows: t.List[VerifiedRow]
    exit_code: int


LEDGER = "ledger"
"""In the place of a store: the ledger of the job."""
UPLOADING = "its upload is under way"
UPLOAD_CUT = "its upload was cut; the next run completes it"
REMOVING = "its removal is under way"
REMOVAL_CUT = "its removal was cut; the next prune completes it"


def verify(
    document: JobDocument, stores: t.Sequence[JobStore], records: t.Mapping[str, Record], wanted: Wanted, progress: Progress
) -> Verified:
    """Verify these stores of a job. records: what the catalog records of them. A store that fails does not stop the others.

    Raises LogArchiveError if the catalog cannot be used.
    """
    rows: t.List[VerifiedRow] = []
    codes = [EXIT_DONE]
    with contextlib.ExitStack() as stack:
        catalog = None
        if catalogs.exists(document["state"]):
            catalog = stack.enter_context(contextlib.closing(catalogs.reading(document)))
        audit = Audit(document, catalog)
        failed_before = {} if catalog is None else catalog.verifications.failures(document["name"])
        for options in stores:
            try:
                found = _verify_store(document, options, records.get(options["name"]), catalog, wanted, progress, audit)
            except LogArchiveError as error:
                rows.append(_row(document, options["name"], None, error=str(error)))
                codes.append(error.exit_code)
                continue
            lacked = _lacked(document, options, catalog, wanted)
            if lacked:
                text = (
                    "it lacks %d archive(s) that the job keeps and other stores have, so they were not verified."
                    " 'log-archive sync %s' copies them"
                )
                rows.append(_row(document, options["name"], None, error=text % (lacked, document["name"])))
                codes.append(EXIT_FAILED)
            if catalog is not None:
                results = {t.cast(str, row["key"]): row["error"] for row in found if row["note"] is None}
                complete = wanted.start is None and wanted.end is None and wanted.host in (None, host_name(document["host"]))
                catalog.verifications.record(document["name"], options["name"], time.time(), results, complete)
            codes += [EXIT_INTEGRITY for row in found if row["error"] is not None]
            codes += [EXIT_PARTLY for row in found if row["note"] in (UPLOAD_CUT, REMOVAL_CUT)]
            rows += found
        if audit.broken is not None:
            rows.append(_row(document, LEDGER, None, error=str(audit.broken)))
            codes.append(audit.broken.exit_code)
        _report(document, rows, failed_before, catalog)
    return Verified(rows, next(code for code in WORST_FIRST if code in codes))


def _lacked(document: JobDocument, options: JobStore, catalog: t.Optional[catalogs.Catalog], wanted: Wanted) -> int:
    """How many of the wanted archives the store should have and was never sent: it is not whole because nothing is wrong with the others.

    A new job, or one without a catalog, expects nothing.
    """
    if catalog is None or wanted.host not in (None, host_name(document["host"])):
        return 0
    from ..tell.lacking import lacking_in

    return sum(not one.begun for one in lacking_in(document, options, catalog, start=wanted.start, end=wanted.end))


def _verify_store(
    document: JobDocument,
    options: JobStore,
    record: t.Optional[Record],
    catalog: t.Optional[catalogs.Catalog],
    wanted: Wanted,
    progress: Progress,
    audit: Audit,
) -> t.List[VerifiedRow]:
    from ..crypto.envelope import encrypts
    from ..holdings import inventory, verify as verifying
    from ..holdings.trust import NO_RECORD, Choice, Trust
    from ..stores.opening import open_store

    encryption = document["encryption"]
    choice = Choice(start=wanted.start, end=wanted.end)
    trust = Trust(encryption["keyring"], not encrypts(encryption), record or NO_RECORD, choice, wanted.offline)
    with contextlib.closing(open_store(options)) as store:
        held = inventory.read(store, wanted.host, document["name"], trust=trust, was=document["was"])
        archives = inventory.overlapping(held.archives, wanted.start, wanted.end)
        checked = verifying.unusable(held, choice if wanted.start or wanted.end else None)
        with progress("verify %s" % store.name, sum(archive.size for archive in archives)) as advance:
            for archive in archives:
                checked.append(verifying.verify(store, archive, wanted.level, trust))
                advance(archive.size)
        checked = _audited(audit, store, held, checked, wanted, () if record is None else record.may_be_gone)
        unfinished = {orphan.key[: -len(MANIFEST_SUFFIX)] for orphan in held.orphans}
        rows = []
        for one in checked:
            note = None
            if one.error is not None and catalog is not None:
                note = _note(document, store, one.key, one.key in unfinished, catalog)
            rows.append(_row(document, store.name, one, note=note))
        return rows


def _audited(
    audit: Audit, store: Store, held: Inventory, checked: t.Sequence[Checked], wanted: Wanted, may_be_gone: t.Container[str]
) -> t.List[Checked]:
    """What was checked, with the findings of the ledger: archives without an entry, and unless only a part is wanted those without a
    tombstone or with another manifest, and a ledger that does not contain what the store has witnessed."""
    if not audit.is_kept:
        return list(checked)
    found = audit.unrecorded(store, [one.key for one in checked])
    if wanted.start is None and wanted.end is None and audit.is_own(wanted.host):
        listed = {one.key for one in checked} | {item.key for item in held.recorded}
        found += audit.missing(store, listed, may_be_gone) + audit.replaced(store, held.archives)
        audit.check_heads(store, thorough=True)
    errors = {finding.key: finding.error for finding in found}
    known = [one if one.error is not None or one.key not in errors else Checked(one.key, None, errors[one.key]) for one in checked]
    there = {one.key for one in checked}
    return known + [Checked(key, None, why) for key, why in errors.items() if key is not None and key not in there]


def _note(document: JobDocument, store: Store, key: str, unfinished: bool, catalog: catalogs.Catalog) -> t.Optional[str]:
    """Why an archive that was not found whole is not a failure: a run is sending or removing it, or was killed meanwhile.

    unfinished: only its manifest was listed.
    """
    # A store may have given it another revision than the catalog has until it is verified.
    state = catalog.state_of(store.name, key) or catalog.state_of(store.name, unrevised(key)[0])
    arrived = any(item.key == key for item in store.list(key))
    if arrived:
        return UPLOADING if unfinished and state in ("pending", "verified") else None
    active = is_locked(lock_of(document["state"], document["name"]))
    if state == "pending":
        return UPLOADING if active else UPLOAD_CUT
    if state == "pruned":
        return REMOVING if active else REMOVAL_CUT
    return None


def _row(
    document: JobDocument, store: str, one: t.Optional[Checked], error: t.Optional[str] = None, note: t.Optional[str] = None
) -> VerifiedRow:
    return {
        "job": document["name"],
        "store": store,
        "key": None if one is None else one.key,
        "level": None if one is None else one.level,
        "authenticated": None if one is None else one.authenticated,
        "opened": one is None or one.opened,
        "error": error if one is None else None if note else one.error,
        "note": note,
        "archives": 0 if one is None else 1,
    }


def _report(
    document: JobDocument,
    rows: t.Sequence[VerifiedRow],
    failed_before: t.Mapping[str, t.Mapping[str, str]],
    catalog: t.Optional[catalogs.Catalog],
) -> None:
    """Log what failed and what was verified, and notify of failures, or that there are none any more."""
    name = document["name"]
    recorder = Recorder(name, host_name(document["host"]), datetime.now(timezone.utc), False, document["log"])
    for row in rows:
        recorder.begin("verify %s" % row["store"])
        if row["error"] is not None:
            subject = "store %s" % row["store"] if row["key"] is None else "store %s: %s" % (row["store"], row["key"])
            recorder.fail(IntegrityError("verification failed: %s" % row["error"], subject))
    for store in sorted({row["store"] for row in rows}):
        levels = [row["level"] for row in rows if row["store"] == store]
        recorder.event("verified", store=store, archives=len(levels) - levels.count(None))
    recorder.conclude(0.0, {"archives": 0, "bytes": 0})
    failing = {} if catalog is None else catalog.verifications.failures(name)
    recovered = bool(failed_before) and not failing and not recorder.record["errors"]
    if document["notify"]:
        from ..tell import notifying

        for warning in notifying.report_verification(document, recorder.record, recovered):
            recorder.warn(warning)
