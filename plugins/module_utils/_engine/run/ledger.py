# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep the ledger of a job while it runs.

A copy gets its entry after it is verified, and its tombstone before it is removed. The catalog remembers which copies have theirs: what a
run that was killed did not enter, the next one does. So are archives adopted that an earlier release stored.
"""

from __future__ import annotations

import hashlib
import typing as t

from ..archive.manifest import sha256_of
from ..archive.naming import is_archive_key, original_of
from ..crypto.envelope import opened_by
from ..state.entry import Known
from ..state.ledger import file as files
from ..state.ledger.chain import BROKEN, BrokenLedgerError, Contents, Head, Payload

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..state.catalog import Catalog
    from ..state.entered import Mark
    from ..state.entry import Entry

BATCH = 1000
"""Entries that are written to the disk at a time."""


class Keeper:
    """The ledger of one job, for the holder of its lock. host: as stores name it."""

    def __init__(self, catalog: Catalog, state: str, host: str, job: str) -> None:
        self._entered = catalog.entered
        self._state = state
        self._host = host
        self._job = job
        self._ledger = files.Ledger(state, job)
        self._opened = False
        self._adopts = False

    def enter(self, begins_with: str = "adopt", known: t.Optional[Entry] = None) -> None:
        """Enter each verified copy that has no entry. begins_with: the op of the entries, if the ledger begins with them. Archives that
        an earlier script made are adopted. known: an archive of the catalog that need not be read.

        Raises LogArchiveError; the next call goes on.
        """
        op = "put" if self._open(create=True) and not self._adopts else begins_with
        while True:
            found = self._entered.unentered(self._job, BATCH, known)
            if not found:
                return
            entries = [("adopt" if original_of(one.key) is not None else op, one) for one in found]
            self._append([(each, stored(one.store, one.key, one.manifest)) for each, one in entries])

    def bury(self, store: str, rules: t.Mapping[str, t.Tuple[str, int]], policy: str) -> None:
        """Enter why archives are about to be removed from a store. rules: {key: (the rule, size in bytes)}. policy: as text.

        Raises LogArchiveError; then nothing may be removed.
        """
        if not self._open(create=False):
            return
        digest = hashlib.sha256(policy.encode("utf-8")).hexdigest()
        new = []
        for key, (rule, size) in rules.items():
            known = self._entered.entry_of(store, key)
            if not is_archive_key(key) or (known is not None and known[1] is not None):
                continue
            put, sha256 = self._put_of(store, key) if known is None else (known[0], known[2]["archive"]["sha256"])
            facts = {"archive": key, "store": store, "put": put, "size": size, "sha256": sha256, "rule": rule, "policy": digest}
            new.append(("prune", facts))
        self._append(new)

    def rewrap(self, store: str, manifests: t.Mapping[str, Manifest]) -> None:
        """Enter the new manifests of archives of a store, by their keys, unless they have their entry already. Raises LogArchiveError."""
        if not self._open(create=False):
            return
        held = self._read(0).of_store(store)
        new = []
        for key, manifest in manifests.items():
            facts = stored(store, key, manifest)
            if key in held and held[key].manifest != facts["manifest"]:
                new.append(("rewrap", {name: facts[name] for name in ("archive", "store", "manifest", "keys")}))
        self._append(new)

    def accept(self, adopted: t.Sequence[Payload], lost: t.Sequence[Payload]) -> None:
        """Enter what an operator accepts: archives that are there without an entry, and archives that are gone without a tombstone."""
        self._open(create=True)
        self._append([("adopt", payload) for payload in adopted] + [("lost", payload) for payload in lost])

    def replace(self, after: t.Collection[str]) -> str:
        """Keep the ledger aside and begin a new one; returns the path of the old one. after: ids of the ledgers that it replaces."""
        path = self._ledger.set_aside()
        self._entered.reset(self._job)
        self._begin(after)
        self._adopts = True
        return path

    def head(self) -> t.Optional[Head]:
        """Where the ledger ends; None if the job has none."""
        return self._ledger.head()

    def _open(self, create: bool) -> bool:
        """Bring ledger and catalog together; returns whether the job has a ledger already. create: begin one if it has none."""
        if self._opened:
            return True
        known = self._entered.known(self._job)
        head = self._ledger.recover()
        if head is None:
            if known is not None or files.exists(self._state, self._job):
                raise BrokenLedgerError("the ledger is missing", self._path, BROKEN)
            if create:
                self._begin(())
            return False
        if known is not None and known.ledger != head.ledger:
            raise BrokenLedgerError(
                "it is another ledger (%s) than the catalog knows (%s)" % (head.ledger, known.ledger), self._path, BROKEN
            )
        if known is not None and known.seq > head.seq:
            text = "the ledger ends at entry %d, but the catalog knows entry %d: it was cut or an older state was restored"
            raise BrokenLedgerError(text % (head.seq, known.seq), self._path, BROKEN)
        if known is None or known.seq < head.seq:
            self._learn(head, -1 if known is None else known.seq)
        self._opened = True
        return True

    @property
    def _path(self) -> str:
        return self._ledger.path

    def _begin(self, after: t.Collection[str]) -> None:
        head = self._ledger.begin(self._host, after)
        self._entered.learn(self._job, Known(head.ledger, head.seq), (), ())
        self._opened = True

    def _learn(self, head: Head, seq: int) -> None:
        """Learn the entries after ``seq``, which a run that was killed, or a lost catalog, did not record."""
        contents = self._read(seq + 1)
        puts: t.List[Mark] = []
        for (store, key), archive in contents.held.items():
            known = self._entered.entry_of(store, key)
            if known is not None and known[2]["archive"]["sha256"] == archive.sha256:
                puts.append((archive.seq, store, key))
        gone = [(tombstone, store, key) for (store, key), tombstone in contents.gone.items()]
        self._entered.learn(self._job, Known(head.ledger, head.seq), puts, gone)

    def _read(self, start: int) -> Contents:
        from ..state.ledger.chain import parse

        contents = Contents()
        for line in self._ledger.lines(start):
            contents.add(parse(line, self._path))
        return contents

    def _put_of(self, store: str, key: str) -> t.Tuple[t.Optional[int], t.Optional[str]]:
        """The number of the entry of an archive that the catalog does not know, and its SHA-256."""
        if not hasattr(self, "_contents"):
            self._contents = self._read(0)
        found = self._contents.held.get((store, key))
        return (None, None) if found is None else (found.seq, found.sha256)

    def _append(self, new: t.Sequence[files.New]) -> None:
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            try:
                numbers = self._ledger.append(batch)
            except BaseException:
                # The entries may be there, and only the head is not.
                self._opened = False
                raise
            marks: t.Dict[str, t.List[Mark]] = {"put": [], "gone": [], "rewrap": []}
            for seq, (op, payload) in zip(numbers, batch):
                kind = {"put": "put", "adopt": "put", "rewrap": "rewrap"}.get(op, "gone")
                marks[kind].append((seq, payload["store"], payload["archive"]))
            head = t.cast("Head", self._ledger.head())
            self._entered.learn(self._job, Known(head.ledger, numbers[-1]), marks["put"], marks["gone"])


def stored(store: str, key: str, manifest: Manifest) -> t.Dict[str, t.Any]:
    """The payload of a put or an adopt."""
    return {
        "archive": key,
        "store": store,
        "size": manifest["archive"]["size"],
        "sha256": manifest["archive"]["sha256"],
        "manifest": sha256_of(manifest),
        "keys": opened_by(manifest["encryption"]),
    }
