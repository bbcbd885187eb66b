# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accept what an audit found: an operator knows why an archive is gone or came to be there, or why the ledger is broken."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.naming import host_name, names_of
from ..base.errors import IntegrityError, StoreNotFoundError
from ..crypto.envelope import NOT_OFFLINE, Offline
from ..holdings.heads import heads_in
from ..holdings.inventory import fetch_manifest
from ..holdings.trust import Trust
from ..state import catalog as catalogs
from ..stores.opening import open_store
from .audit import Audit, Finding, compare
from .job import locked
from .ledger import Keeper, stored

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from ..state.ledger.chain import Contents
    from ..stores.base import Store


class Accepted(t.NamedTuple):
    """What was entered. adopted, lost: keys by store. left: findings that nobody can accept. set_aside: the path of a ledger that was
    replaced, because it was broken."""

    adopted: t.Dict[str, t.List[str]]
    lost: t.Dict[str, t.List[str]]
    left: t.List[Finding]
    set_aside: t.Optional[str]


def accept(document: JobDocument, reason: str, offline: Offline = NOT_OFFLINE) -> Accepted:
    """Enter in the ledger of a job what its stores hold or lack without an entry. A broken ledger is kept aside, and a new one begun.

    offline: what opens archives beside the keyring. An archive that it opens is adopted, though anyone can have made it.
    Raises LockedError, StoreError, LogArchiveError.
    """
    host, job = host_name(document["host"]), document["name"]
    done = Accepted({}, {}, [], None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locked(document))
        catalog = stack.enter_context(contextlib.closing(catalogs.Catalog(document["state"])))
        keeper = Keeper(catalog, document["state"], host, job)
        audit = Audit(document, catalog)
        audit.contents(signatures=True)
        if audit.broken is not None or _is_unknown_to_a_store(document, audit):
            done = done._replace(set_aside=keeper.replace(_ids(document, catalog, host)))
        keeper.enter("adopt")
        audit = Audit(document, catalog)
        trust = Trust(document["encryption"]["keyring"], offline=offline)
        for options in document["stores"]:
            with contextlib.closing(open_store(options)) as store:
                found = compare(audit, store)[1]
                adopted, lost = [], []
                for finding in found:
                    payload = None
                    if finding.kind == "missing" and finding.key is not None:
                        lost.append({**_facts(audit, store, finding.key), "reason": reason})
                    elif finding.kind == "unrecorded" and finding.key is not None:
                        payload = _payload(store, finding.key, trust)
                        if payload is not None:
                            adopted.append({**payload, "reason": reason})
                    if payload is None and finding.kind not in ("missing", "cut"):
                        done.left.append(finding)
                keeper.accept(adopted, lost)
                catalog.set_pruned(store.name, [one["archive"] for one in lost])
                done.adopted[store.name] = [one["archive"] for one in adopted]
                done.lost[store.name] = [one["archive"] for one in lost]
    return done


def _is_unknown_to_a_store(document: JobDocument, audit: Audit) -> bool:
    """Whether a store holds a head that the ledger does not contain."""
    for options in document["stores"]:
        with contextlib.closing(open_store(options)) as store:
            if audit.heads(store):
                return True
    return False


def _ids(document: JobDocument, catalog: catalogs.Catalog, host: str) -> t.Set[str]:
    """The ids of the ledgers that the stores and the catalog know."""
    known = catalog.entered.known(document["name"])
    ids = set() if known is None else {known.ledger}
    for options in document["stores"]:
        with contextlib.closing(open_store(options)) as store:
            ids |= {head.ledger for name in names_of(document) for head in heads_in(store, host, name)}
    return ids


def _facts(audit: Audit, store: Store, key: str) -> t.Dict[str, t.Any]:
    held = t.cast("Contents", audit.contents()).held[(store.name, key)]
    return {"archive": key, "store": store.name, "put": held.seq, "size": held.size, "sha256": held.sha256}


def _payload(store: Store, key: str, trust: Trust) -> t.Optional[t.Dict[str, t.Any]]:
    """The entry of an archive that is authenticated, or that a job made without encryption; None for any other."""
    try:
        manifest = fetch_manifest(store, key)
        if trust.check(key, manifest, store.location(key)) is None:
            return None
    except (IntegrityError, StoreNotFoundError):
        return None
    return stored(store.name, key, manifest)
