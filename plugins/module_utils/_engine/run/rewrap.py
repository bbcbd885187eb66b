# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Add recipients to the archives of a job, or remove some, without encrypting an archive again: only manifests are exchanged.

The new manifests are recorded, then each is put into the store in one step, then the ledger gets its entry and the catalog learns of it. A
rewrap that is killed in between is completed by the next one, or by the next run.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.manifest import LARGEST, bound_name, sealed, size_of
from ..base.errors import (
    EXIT_DONE,
    EXIT_INTEGRITY,
    EXIT_PARTLY,
    ConfigError,
    IntegrityError,
    KeyringError,
    LogArchiveError,
    StoreDeniedError,
)
from ..base.units import format_size
from ..crypto.envelope import FernetEnvelope, has_recipients
from ..state import rewraps
from .context import Context
from .exchange import finish
from .job import context_of

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..base.progress import Progress
    from ..config.document import JobDocument
    from ..crypto.envelope import Offline
    from ..crypto.recipients import Recipient

BATCH = 100
"""Manifests that are exchanged together."""
BATCH_BYTES = 16 << 20


class Wanted(t.NamedTuple):
    """add: new recipients. remove: the texts of others, or ids of keys of the keyring. offline: what opens archives beside the keyring.

    stores: names.
    """

    add: t.Sequence[Recipient]
    remove: t.Collection[str]
    offline: Offline
    stores: t.Sequence[str]


class Rewrapped(t.NamedTuple):
    """The result for one store. changed: keys of the archives that got other recipients (in a dry run: would get). unchanged: how many had
    them already. without: how many have no recipients, because they are encrypted with a key of the keyring, or not at all. waiting: how
    many are not there yet. failed: {key: why it stays as it is}. error: why the whole store does.
    """

    store: str
    changed: t.List[str]
    unchanged: int
    without: int
    waiting: int
    failed: t.Dict[str, str]
    error: t.Optional[str]
    exit_code: int


def rewrap(document: JobDocument, wanted: Wanted, check: bool, progress: Progress) -> t.List[Rewrapped]:
    """Rewrap the archives of a job in these stores. check: change nothing. A store that fails does not stop the others.

    Raises LockedError, and LogArchiveError if the catalog or the ledger cannot be used: then nothing was changed.
    """
    with context_of(document, check=check, progress=progress) as context, contextlib.closing(context.stores):
        if not check:
            context.ledger.enter()
        results = []
        for name in wanted.stores:
            done = Rewrapped(name, [], 0, 0, sum(name in names for names in context.catalog.awaited(context.job).values()), {}, None, 0)
            try:
                if not check:
                    finish(context, name)
                done = _rewrap_store(context, name, wanted, done)
            except LogArchiveError as error:
                done = done._replace(error=str(error), exit_code=error.exit_code)
            results.append(done)
        if not check and context.catalog.entered.owed(context.job):
            from .heads import send

            send(context)
        return results


def _rewrap_store(context: Context, name: str, wanted: Wanted, done: Rewrapped) -> Rewrapped:
    from ..holdings import inventory
    from ..holdings.trust import NO_RECORD, Trust

    if context.stores.options[name]["append_only"]:
        raise StoreDeniedError(
            "the store is append-only for this host: no manifest can be replaced there",
            name,
            "Rewrap the archives where the store may be changed",
        )
    store = context.stores.open(name)
    record = NO_RECORD._replace(held=lambda: context.catalog.held(context.job, name), **context.proofs_of(name))
    trust = Trust(context.document["encryption"]["keyring"], True, record, offline=wanted.offline)
    held = inventory.read(store, context.host, context.job, trust=trust, was=context.document["was"])
    codes = [EXIT_PARTLY] if done.waiting else []
    done.failed.update((key, item.why) for key, item in held.damaged.items())
    codes += [EXIT_INTEGRITY] if held.damaged else []
    batch: t.Dict[str, Manifest] = {}
    size = unchanged = without = 0
    with context.progress("rewrap %s" % name, len(held.archives), "archives") as advance:
        for archive in held.archives:
            advance(1)
            if not has_recipients(archive.manifest["encryption"]):
                without += 1
                continue
            try:
                envelope = t.cast("FernetEnvelope", trust.envelope(archive.manifest, store.location(archive.key)))
                if not archive.authenticated:
                    raise _unproven(context.job, store.location(archive.key))
                manifest = _rewrapped(archive.manifest, envelope, wanted, store.location(archive.key))
            except (KeyringError, IntegrityError, ConfigError) as error:
                done.failed[archive.key] = str(error)
                codes.append(error.exit_code)
                continue
            if manifest is None:
                unchanged += 1
                continue
            batch[archive.key] = manifest
            size += size_of(manifest)
            if len(batch) == BATCH or size > BATCH_BYTES:
                _exchange(context, name, batch)
                done.changed.extend(batch)
                batch, size = {}, 0
    _exchange(context, name, batch)
    done.changed.extend(batch)
    worst = next((code for code in (EXIT_INTEGRITY, 2, 1, EXIT_PARTLY) if code in codes), EXIT_DONE)
    return done._replace(unchanged=unchanged, without=without, exit_code=worst)


def _unproven(job: str, subject: str) -> IntegrityError:
    return IntegrityError(
        "nothing proves that this host made the archive: the ledger has no entry for it",
        subject,
        "Find out where it comes from. If you trust it, enter it with 'log-archive ledger accept %s --reason TEXT --identity FILE'" % job,
    )


def _rewrapped(manifest: Manifest, envelope: FernetEnvelope, wanted: Wanted, subject: str) -> t.Optional[Manifest]:
    """The manifest for the recipients that are wanted; None if it has them already."""
    name = bound_name(manifest["host"], manifest["job"], manifest["archive"]["name"])
    new = envelope.rewrapped(name, wanted.add, wanted.remove)
    if new is envelope:
        return None
    bare = {field: value for field, value in manifest.items() if field != "hmac"}
    exchanged = sealed(t.cast("Manifest", {**bare, "encryption": new.facts}), new)
    size = size_of(exchanged)
    if size > LARGEST:
        raise ConfigError("the manifest would be %d bytes; the limit is %s" % (size, format_size(LARGEST)), subject)
    return exchanged


def _exchange(context: Context, store: str, manifests: t.Mapping[str, Manifest]) -> None:
    if manifests and not context.check:
        rewraps.begin(context.document["state"], context.job, store, manifests)
        finish(context, store)
