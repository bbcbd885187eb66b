# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare the stores of a job with its ledger. Nothing is changed here."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timezone

from ..archive import manifest as manifests
from ..archive.naming import MANIFEST_SUFFIX, day_of, folder_key, folder_keys, host_name, is_archive_key, manifest_key, unrevised
from ..base.errors import LogArchiveError
from ..holdings.heads import heads_in
from ..state import catalog as catalogs
from ..state.ledger.chain import BROKEN, BrokenLedgerError, Contents, Head, Stored, parse, sha256_of
from ..state.ledger.file import ledger_of
from ..state.rewraps import manifests_of

if t.TYPE_CHECKING:
    from ..archive.naming import HeadName
    from ..config.document import JobDocument
    from ..holdings.inventory import StoredArchive
    from ..state.catalog import Catalog
    from ..stores.base import Store

ACCEPT = "If you know why, run 'log-archive ledger accept %s --reason TEXT', which enters it in the ledger"


class Finding(t.NamedTuple):
    """What an audit found. kind: missing, unrecorded, replaced, cut, broken or unreachable. key: of an archive; None is the whole store."""

    kind: str
    key: t.Optional[str]
    error: str


class Audit:
    """The ledger of one job, as it is compared with stores. catalog: of the job; None if it has none.

    broken: why the ledger cannot be used; None if it can, or if there is none yet.
    """

    def __init__(self, document: JobDocument, catalog: t.Optional[Catalog]) -> None:
        self._document = document
        self._host = host_name(document["host"])
        self._job = document["name"]
        self._catalog = catalog
        self._ledger = ledger_of(document)
        self._contents: t.Optional[Contents] = None
        self.head: t.Optional[Head] = None
        self.broken: t.Optional[LogArchiveError] = None
        try:
            self.head = self._ledger.head()
            known = None if catalog is None else catalog.entered.known(self._job)
            if known is not None and self.head is None:
                raise BrokenLedgerError("the ledger is missing, but the catalog has a record of it", self._ledger.path, BROKEN)
            if known is not None and self.head is not None and (known.ledger != self.head.ledger or known.seq > self.head.seq):
                text = "the ledger was cut or replaced: it ends at entry %d, but the catalog knows entry %d of %s"
                raise BrokenLedgerError(text % (self.head.seq, known.seq, known.ledger), self._ledger.path, BROKEN)
        except FileNotFoundError:
            pass  # The job has no state yet.
        except LogArchiveError as error:
            self.broken = error

    @property
    def folders(self) -> t.List[str]:
        """How the keys of the job's archives begin in a store."""
        return folder_keys(self._host, self._document)

    @property
    def is_kept(self) -> bool:
        """Whether there is a ledger that can be used."""
        return self.head is not None and self.broken is None

    @property
    def is_alone(self) -> bool:
        """Whether the ledger knows more than the catalog, which was lost."""
        return self.is_kept and (self._catalog is None or self._catalog.entered.known(self._job) is None)

    def contents(self, signatures: bool = False) -> t.Optional[Contents]:
        """The content of the ledger, read and checked as a whole; None if there is none that can be used."""
        if self.is_kept and (self._contents is None or signatures):
            try:
                self._contents, _end = self._ledger.replay(signatures)
            except LogArchiveError as error:
                self.broken = error
        return self._contents if self.is_kept else None

    def unrecorded(self, store: Store, keys: t.Iterable[str]) -> t.List[Finding]:
        """Which of these archives in the store have no entry. The ledger is read only if the catalog does not know one of them."""
        own = [key for key in keys if is_archive_key(key) and key.startswith(tuple(self.folders))]
        unknown = [key for key in own if not self._is_known(store, key)]
        contents = self.contents() if unknown else None
        if contents is None:
            return []
        entered = contents.held.keys() | contents.gone.keys()
        return [self._unrecorded(store, key) for key in unknown if (store.name, key) not in entered]

    def missing(self, store: Store, present: t.Container[str], may_be_gone: t.Container[str] = ()) -> t.List[Finding]:
        """Archives that the store must have by the ledger, and that are not present. may_be_gone: others may have removed them."""
        contents = self.contents()
        held = {} if contents is None else contents.of_store(store.name)
        # What was put there after the store was listed is not missing.
        last = -1 if self.head is None else self.head.seq
        absent = [key for key in held if key not in present and held[key].seq <= last and key not in may_be_gone]
        if not absent:
            return []
        due = self._due(store.name, held)
        absent = [key for key in absent if key not in due and not self._is_being_removed(store, key)]
        # Nobody has looked in the folders of another host.
        looked = [key for key in absent if key.startswith(tuple(self.folders))]
        hosts: t.Dict[str, t.List[str]] = {}
        for key in sorted(set(absent).difference(looked)):
            hosts.setdefault(key.partition("/")[0], []).append(key)
        return [
            *(self._of_other_host(store, name, keys) for name, keys in hosts.items()),
            *(self._missing(store, key, held[key]) for key in looked),
        ]

    def replaced(self, store: Store, archives: t.Iterable[StoredArchive]) -> t.List[Finding]:
        """Archives with another manifest than the ledger has."""
        contents = self.contents()
        held = {} if contents is None else contents.of_store(store.name)
        exchanged = manifests_of(self._document["state"], self._job, store.name) if held else {}
        found = []
        for archive in archives:
            if archive.key not in held or exchanged.get(archive.key) == archive.manifest:
                continue
            if manifests.sha256_of(archive.manifest) != held[archive.key].manifest:
                text = "it was replaced: its manifest is not the one of entry %d of the ledger" % held[archive.key].seq
                found.append(Finding("replaced", archive.key, "%s: %s" % (store.location(archive.key), text)))
        return found

    def heads(self, store: Store, thorough: bool = True) -> t.List[Finding]:
        """Whether the ledger contains the heads that the store holds. thorough: all of them, and not only the newest. Raises StoreError."""
        if not self.is_kept or self.head is None:
            return []
        held = heads_in(store, self._host, self._job)
        others = [head for head in held if head.ledger != self.head.ledger]
        # Under an earlier name there may have been another ledger, too, which was kept aside.
        earlier = [head for name in self._document["was"] for head in heads_in(store, self._host, name)]
        own = sorted(head for head in held + earlier if head.ledger == self.head.ledger)
        why = None
        if others and others[-1].ledger not in self._accepted():
            why = "the store has the head of another ledger, %s, with entry %d: this one was started again" % (
                others[-1].ledger,
                others[-1].seq,
            )
        elif own and own[-1].seq > self.head.seq and not self._has_grown(own[-1].seq):
            why = "the store has the head of entry %d, but the ledger ends at %d: it was cut, or an older state of the host was restored"
            why %= (own[-1].seq, self.head.seq)
        else:
            compared = own if thorough else [head for head in own if head.seq == own[-1].seq]
            forked = self._not_contained(compared)
            if forked is not None:
                why = (
                    "the ledger has another entry %d than the head in the store: it forked, because an older state of the host was restored"
                    % forked
                )
        if why is None:
            return []
        return [Finding("cut", None, "%s: %s. %s" % (store.location(folder_key(self._host, self._job)), why, BROKEN))]

    def _has_grown(self, seq: int) -> bool:
        """Whether a run has appended that entry since."""
        self.head = self._ledger.head() or self.head
        return self.head is not None and seq <= self.head.seq

    def _accepted(self) -> t.Set[str]:
        """The ids of the ledgers that this one replaces, by the will of an operator."""
        line = next(self._ledger.lines(), None)
        return set() if line is None else {str(each) for each in parse(line, self._ledger.path).payload.get("after", [])}

    def _not_contained(self, heads: t.Sequence[HeadName]) -> t.Optional[int]:
        """The number of the first head that is not an entry of the ledger."""
        end = t.cast("Head", self.head)
        wanted = [head for head in heads if (head.seq, head.sha256) != (end.seq, end.sha256)]
        if not wanted:
            return None
        hashes = {}
        numbers = {head.seq for head in wanted}
        first = min(numbers)
        for seq, line in enumerate(self._ledger.lines(first), first):
            if seq in numbers:
                hashes[seq] = sha256_of(line)
        return next((head.seq for head in wanted if hashes.get(head.seq) != head.sha256), None)

    def explain(self, store: Store, strange: t.Sequence[str]) -> t.Dict[str, str]:
        """What is wrong with archives that the catalog does not record: {key: why}. Without a catalog, also what is missing."""
        found = self.unrecorded(store, strange)
        if self.is_alone:
            found += self.missing(store, set(strange))
        return {finding.key: finding.error for finding in found if finding.key is not None}

    def check_heads(self, store: Store, thorough: bool) -> None:
        """Note as ``broken`` that the ledger does not contain the heads that the store holds (see ``heads``). Raises StoreError."""
        for finding in self.heads(store, thorough):
            self.broken = BrokenLedgerError(finding.error)

    def is_own(self, host: t.Optional[str]) -> bool:
        """Whether these are the archives of this host."""
        return host == self._host

    # -- what the catalog knows ---------------------------------------------------------------------------------------

    def _is_known(self, store: Store, key: str) -> bool:
        """Whether the catalog knows the archive: it has its entry, will get it from the next run, or is being sent or removed."""
        if self._catalog is None:
            return False
        if self._catalog.state_of(store.name, key) is not None:
            return True
        # The store may have been renamed; 'log-archive sync' records that.
        if self._catalog.lacking.is_of_former_store(key, {options["name"] for options in self._document["stores"]}):
            return True
        # A store may have given it another revision than the catalog has until it is verified.
        return self._catalog.state_of(store.name, unrevised(key)[0]) == "pending"

    def _is_being_removed(self, store: Store, key: str) -> bool:
        return self._catalog is not None and self._catalog.state_of(store.name, key) == "pruned"

    def _due(self, name: str, held: t.Mapping[str, Stored]) -> t.Container[str]:
        """Archives that retention would remove: an append-only store's server may have done so."""
        from ..holdings import prune
        from ..holdings.policy import read_policy

        own = next((options["retention"] for options in self._document["stores"] if options["name"] == name), None)
        policy = own or self._document["retention"]
        if policy is None:
            return ()
        days = {key: day_of(key) for key in held}
        starts = {key: int(day.start.timestamp()) for key, day in days.items() if day is not None}
        return prune.due(starts, read_policy(policy), datetime.now(timezone.utc))

    def _missing(self, store: Store, key: str, stored: Stored) -> Finding:
        text = "%s: the archive is gone, but the ledger has no tombstone for it (entry %d put it there, %d bytes, SHA-256 %s). %s"
        return Finding("missing", key, text % (store.location(key), stored.seq, stored.size, stored.sha256, ACCEPT % self._job))

    def _of_other_host(self, store: Store, name: str, keys: t.Sequence[str]) -> Finding:
        text = (
            "%s: %d archive(s) of the ledger are of the host %s, but the host of the job is now %s, so no run prunes or verifies them. "
            "If the host was renamed, set 'host: %s' in the job: it then continues under that name (docs/changing.md)"
        )
        return Finding("missing", keys[0], text % (store.location(name), len(keys), name, self._host, name))

    def _unrecorded(self, store: Store, key: str) -> Finding:
        text = "%s: the archive is in the store, but the ledger has no entry for it: this host did not put it there. %s"
        return Finding("unrecorded", key, text % (store.location(key), ACCEPT % self._job))


@contextlib.contextmanager
def auditing(document: JobDocument) -> t.Iterator[Audit]:
    """The audit of a job with its catalog. Raises LogArchiveError if the catalog cannot be used."""
    with contextlib.ExitStack() as stack:
        catalog = None
        if catalogs.exists(document["state"]):
            catalog = stack.enter_context(contextlib.closing(catalogs.reading(document)))
        yield Audit(document, catalog)


def listed(store: Store, folders: t.Iterable[str]) -> t.Dict[str, int]:
    """The archives that a store lists in these folders with their manifests: {key: size in bytes}. Raises StoreError."""
    sizes = {item.key: item.size for folder in folders for item in store.list(folder)}
    return {key: size for key, size in sizes.items() if not key.endswith(MANIFEST_SUFFIX) and manifest_key(key) in sizes}


def compare(audit: Audit, store: Store) -> t.Tuple[int, t.List[Finding]]:
    """Compare one store with the ledger by its listing: how many archives it must have, and the findings. Raises StoreError."""
    contents = audit.contents()
    if contents is None:
        return 0, []
    there = listed(store, audit.folders)
    held = contents.of_store(store.name)
    found = audit.missing(store, there) + audit.unrecorded(store, there)
    for key, size in there.items():
        if key in held and held[key].size != size:
            text = "%s: it has %d bytes, and entry %d of the ledger %d: it was replaced"
            found.append(Finding("replaced", key, text % (store.location(key), size, held[key].seq, held[key].size)))
    return len(held), sorted(found + audit.heads(store), key=lambda finding: (finding.key or "", finding.kind))
