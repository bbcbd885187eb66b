# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of a job: recover, deliver what waits, collect, pack, deliver, delete sources, clean, prune, record, notify.

The order of writing carries the guarantee. An archive is whole in the spool (manifest first, archive last) before the catalog
knows it; the catalog knows it before any store gets it; a store's copy counts when it is verified and recorded in the catalog; the archive
leaves the spool after that; sources are deleted last. If a run is killed at any step, the next run finds that step undone and does
it, or finds it done and recognises it. After a power failure the catalog may lack the last archive: the spool has it.
"""

from __future__ import annotations

import contextlib
import os
import time

from ..base import durable, hints as t
from ..base.errors import LockedError, LogArchiveError
from ..base.lists import some
from ..state import folders
from . import prune as pruning
from .collect import collect
from .context import Context

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..base.progress import Progress
    from ..config.document import JobDocument
    from ..state.record import RunRecord, SpoolRecord
    from .context import Confirm


def run(
    document: JobDocument,
    now: t.Optional[datetime] = None,
    confirm: t.Optional[Confirm] = None,
    progress: t.Optional[Progress] = None,
    check: bool = False,
    documented: bool = False,
) -> RunRecord:
    """Run one job, and complete what earlier runs of it left.

    now: an aware datetime, the clock by default. check: a dry run; only record what the run would do. documented: a document on this host
    names the job: if it goes, what the job leaves is reported (``state.orphans``).
    Failures are in the record, those of each store by themselves. Raises LockedError if another run of the job is active, ConfigError
    if the job belongs to another user, and LogArchiveError if no record can be kept; the receivers of the job are notified of the latter.
    """
    try:
        with contextlib.ExitStack() as stack:
            taken = [] if check else stack.enter_context(locked(document))
            context = stack.enter_context(contextlib.closing(Context(document, now, check, confirm, progress)))
            if taken:
                context.recorder.event("renamed", was=taken)
            if check:
                carry_out(context, lambda: _archive_and_prune(context, after_kill=False))
            else:
                context.spool.make()
                _run_and_remember(context, documented)
            return context.recorder.record
    except LockedError:
        raise
    except (LogArchiveError, OSError) as error:
        if isinstance(error, OSError):
            error = LogArchiveError("the run cannot begin (%s)" % error.strerror, error.filename)
        if not check:
            from .early import report

            report(document["name"], document["host"], document["notify"], document["log"], error)
        raise error


def prune(
    document: JobDocument,
    stores: t.Sequence[str] = (),
    now: t.Optional[datetime] = None,
    check: bool = False,
    max_delete_share: t.Optional[float] = None,
) -> RunRecord:
    """Apply retention now, to the stores of these names or to all of the job; returns the record as ``run`` does.

    max_delete_share: in place of that of each policy.
    """
    if max_delete_share is not None:
        document = _with_share(document, max_delete_share)
    with context_of(document, now, check) as context:
        carry_out(context, lambda: _prune_only(context, stores or context.stores.names))
        return context.recorder.record


def send(
    document: JobDocument,
    now: t.Optional[datetime] = None,
    confirm: t.Optional[Confirm] = None,
    progress: t.Optional[Progress] = None,
    check: bool = False,
) -> RunRecord:
    """Send the archives that wait in the spool, and archive nothing new; returns the record as ``run`` does, which is not kept."""
    with context_of(document, now, check, confirm, progress) as context:
        carry_out(context, lambda: _send_only(context))
        return context.recorder.record


def remove_archives(document: JobDocument, reason: str, progress: t.Optional[Progress] = None, check: bool = False) -> RunRecord:
    """Remove every archive of the job from its stores, for this reason; returns the record as ``run`` does, which is not kept."""
    with context_of(document, check=check, progress=progress) as context:

        def work() -> None:
            if not check and context.catalog.entered.owes_entries(context.job):
                context.enter("adopt")
            pruning.remove_all(context, reason)
            send_head(context)

        carry_out(context, work)
        return context.recorder.record


def _send_only(context: Context) -> None:
    if not context.check:
        context.spool.make()
        recover(context)
        if context.catalog.entered.owes_entries(context.job):
            context.enter("adopt")
    _deliver_waiting(context)
    if context.stores.written:
        from .deliver import clean

        clean(context, everywhere=False)
    send_head(context)


def _with_share(document: JobDocument, share: float) -> JobDocument:
    """The document with this ``max_delete_share`` in each of its policies."""

    def changed(policy: t.Any) -> t.Any:
        return policy and {**policy, "max_delete_share": share}

    stores = [{**store, "retention": changed(store["retention"])} for store in document["stores"]]
    return t.cast("JobDocument", {**document, "retention": changed(document["retention"]), "stores": stores})


def _prune_only(context: Context, stores: t.Sequence[str]) -> None:
    context.prunes_on_request = True
    if not context.check and context.catalog.entered.owes_entries(context.job):
        context.enter("adopt")
    pruning.prune(context, stores, always=True)
    send_head(context)


def _run_and_remember(context: Context, documented: bool) -> None:
    """A run with its record in the catalog, and with notifications. Once they are sent, the run is already recorded."""
    runs, record = context.catalog.runs, context.recorder.record
    last = runs.last(context.job)
    if last is None and documented:
        runs.know(context.job, context.now.timestamp())
    number = runs.begin(context.job, context.now.timestamp())
    notify = context.document["notify"]
    previous = runs.last_ended(context.job) if notify else None
    try:
        carry_out(context, lambda: _archive_and_prune(context, after_kill=last is not None and last.ended is None))
    finally:
        _remember(context, number)
        if notify:
            from ..tell import notifying

            warnings = notifying.report_run(context.document, record, previous and previous.record)
            if warnings:
                _warn_of_notifications(context, warnings)
                # The event log may be what fails now.
                context.recorder.judge()
                _remember(context, number)


def _remember(context: Context, number: int) -> None:
    """Keep the record in the catalog. If that fails, the record reports it, and receivers are still notified."""
    try:
        context.catalog.runs.end(number, time.time(), context.recorder.record)
    except LogArchiveError as error:
        context.recorder.fail(error)
        context.recorder.judge()


def carry_out(context: Context, work: t.Callable[[], None]) -> None:
    """Do the work of a run, and record how it ended. Only exceptions that no step expects are raised."""
    recorder = context.recorder
    began = time.monotonic()
    try:
        recorder.event("run_started")
        work()
    except LogArchiveError as error:
        recorder.fail(error)
    except OSError as error:
        recorder.fail(LogArchiveError("the run ended early (%s)" % error.strerror, error.filename))
    except BaseException as error:
        recorder.abort(error)
        raise
    finally:
        context.stores.close()
        recorder.conclude(time.monotonic() - began, _spooled(context))


def _spooled(context: Context) -> SpoolRecord:
    try:
        return context.catalog.spooled(context.job)
    except LogArchiveError as error:
        context.recorder.fail(error)
        return {"archives": 0, "bytes": 0}


def recover(context: Context) -> None:
    """Bring spool and catalog together, if an earlier run left archives in either. The run holds the lock of the job."""
    context.recorder.begin("recover", listed=False)
    keys = context.spool.clean()
    if keys or context.catalog.entries(context.job, spooled=True):
        from .recover import bring_together

        bring_together(context, keys)


def finish_rewraps(context: Context) -> None:
    """Complete what a rewrap that was cut has left: until then, the catalog does not have the manifests that are in the store."""
    if os.path.exists(folders.rewraps_path(context.document["state"], context.job)):
        from .exchange import finish_of_run

        finish_of_run(context)


def _archive_and_prune(context: Context, after_kill: bool) -> None:
    """The pipeline. after_kill: the last run was killed; it may have left unfinished uploads anywhere.

    A step that an idle run does not need is imported when it is needed.
    """
    if not context.check:
        _notify_of_start(context)
        _warn_of_failed_verifications(context)
        recover(context)
        if context.catalog.entered.owes_entries(context.job):
            context.enter("adopt")
        finish_rewraps(context)
        if os.path.exists(folders.removals_path(context.document["state"], context.job)):
            from .delete import finish_deletions

            finish_deletions(context)
    _deliver_waiting(context)
    sources = collect(context)
    if not context.check and len(context.stores.required) < len(context.stores.names):
        from .backlog import limit

        limit(context)
    if context.document["delete_sources"]:
        from .delete import delete_sources

        delete_sources(context, sources)
    if after_kill or context.stores.written:
        from .deliver import clean

        clean(context, everywhere=after_kill)
    pruning.prune(context, context.stores.names, always=False)
    send_head(context)


def _deliver_waiting(context: Context) -> None:
    """Send the archives that wait in the spool."""
    waiting = context.catalog.entries(context.job, spooled=True)
    if waiting:
        from .deliver import deliver, settle

        for entry in waiting:
            deliver(context, entry, context.recorder.add_archive(entry, "spooled"))
        settle(context)


def send_head(context: Context) -> None:
    """Copy the head of the ledger to the stores that need it, and record where the ledger ends."""
    standing = context.catalog.entered.standing(context.job)
    if standing is None:
        return
    ledger, seq, owed = standing
    context.recorder.record["ledger"] = {"ledger": ledger, "seq": seq}
    if not (context.check or set(owed).isdisjoint(context.stores.names)):
        from .heads import send

        send(context)


def _warn_of_failed_verifications(context: Context) -> None:
    """A run does not read the stores again: until ``log-archive verify`` does, each run repeats what it found."""
    failures = context.catalog.verifications.failures(context.job)
    for store, errors in failures.items():
        context.recorder.begin("verify", listed=False)
        context.recorder.warn(
            "store %s: %d archive(s) failed verification: %s. 'log-archive verify' checks them again"
            % (store, len(errors), some(list(errors)))
        )


def _notify_of_start(context: Context) -> None:
    if context.document["notify"]:
        from ..tell import notifying

        _warn_of_notifications(context, notifying.report_start(context.document))


def _warn_of_notifications(context: Context, warnings: t.Sequence[str]) -> None:
    context.recorder.begin("notify", listed=False)
    for warning in warnings:
        context.recorder.warn(warning)


@contextlib.contextmanager
def context_of(
    document: JobDocument,
    now: t.Optional[datetime] = None,
    check: bool = False,
    confirm: t.Optional[Confirm] = None,
    progress: t.Optional[Progress] = None,
) -> t.Iterator[Context]:
    """The context of a command for one job, closed at the end. It holds the lock of the job, unless it is a dry run (``check``)."""
    with contextlib.ExitStack() as stack:
        if not check:
            stack.enter_context(locked(document))
        yield stack.enter_context(contextlib.closing(Context(document, now, check, confirm, progress)))


@contextlib.contextmanager
def locked(document: JobDocument) -> t.Iterator[t.List[str]]:
    """Hold the lock of the job, after its state was made and checked, and take over what it has under earlier names: the names of which
    there was something."""
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(folders.held(document["state"], create=True))
        stack.enter_context(lock(document["state"], document["name"], state))
        taken = []
        if document["was"]:
            from ..state import renames

            if renames.is_due(document):
                # A run under an earlier name may still be active.
                for name in document["was"]:
                    stack.enter_context(lock(document["state"], name, state))
                taken = renames.take_over(document)
        yield taken


@contextlib.contextmanager
def lock(folder: str, name: str, state: int) -> t.Iterator[None]:
    """Hold the lock of the job with this name. folder: path of the state folder; state: a descriptor of it. Raises LockedError."""
    path = folders.lock_of(folder, name)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(durable.lock(path, wait=False, dir_fd=state))
        except OSError as error:
            raise LogArchiveError("cannot create the lock file: %s" % error.strerror, path) from error
        yield
