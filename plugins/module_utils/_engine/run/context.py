# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps of one run share."""

from __future__ import annotations

from ..archive import naming
from ..base import hints as t
from ..base.errors import LogArchiveError, MissingLibraryError
from ..base.light import datetime
from ..base.progress import no_progress
from ..base.units import UTC
from ..sources.opening import collector_of
from ..state import catalog as catalogs
from ..state.spool import Spool
from .record import Recorder
from .stores import OpenStores

if t.TYPE_CHECKING:
    from ..base.beneath import Identity
    from ..base.progress import Progress
    from ..config.document import JobDocument
    from ..holdings.retention import Item
    from ..holdings.trust import Part, Trust
    from ..state.entry import Entry
    from ..state.record import ArchiveRecord
    from .ledger import Keeper
    from .signed import Signed

Confirm = t.Callable[[str, str, int], bool]
"""Called with an archive's name, its location in the store and its size in bytes; returns whether it may be sent."""


class Context:
    """One run of a job: its document, its time and its callbacks, and the collector, catalog, spool, stores and record it works with.

    A dry run (``check``) changes no file of the catalog. ``coming``, dry run only: the archives that the run would send,
    which the plan of what it would prune must count. ``unwanted``: by the name of a store, the starts of periods (in seconds since the
    epoch) that retention would drop there at once. ``left_out``: paths of the logs that it would drop in every store. ``packed``: by path,
    device and inode of each file that this run has packed. ``revisions``: by the key of an archive without a revision, the last revision
    that this run has given. ``unsettled``: what ``deliver.settle`` has yet to do: archives, each with its part of the record unless a store
    still awaits it; ``unsettled_sources`` and ``unsettled_bytes``: how many logs and bytes they have. ``ledger_error``: why this run gave
    up keeping the ledger. ``prunes_on_request``: an operator asked for nothing but a prune, so that its refusal is an error.
    """

    def __init__(
        self,
        document: JobDocument,
        now: t.Optional[datetime.datetime],
        check: bool,
        confirm: t.Optional[Confirm] = None,
        progress: t.Optional[Progress] = None,
    ) -> None:
        self.document = document
        self.job = document["name"]
        self.names = naming.names_of(document)
        self.host = naming.host_name(document["host"])
        self.now = now or datetime.datetime.now(UTC)
        self.check = check
        self.confirm = confirm
        self.progress = progress or no_progress
        known = not check or catalogs.exists(document["state"])
        self.catalog = (
            catalogs.reading(document, readonly=True) if check and known else catalogs.Catalog(document["state"] if known else None)
        )
        self.collector = collector_of(document)
        self.spool = Spool(document["spool"], self.names)
        self.stores = OpenStores(document["stores"], check)
        self.recorder = Recorder(self.job, self.host, self.now, check, document["log"])
        self.coming: t.List[Item] = []
        self.unwanted: t.Dict[str, t.Set[int]] = {}
        self.left_out: t.Set[str] = set()
        self.prunes_on_request = False
        self.packed: t.Dict[str, Identity] = {}
        self.revisions: t.Dict[str, int] = {}
        self.unsettled: t.List[t.Tuple[Entry, t.Optional[ArchiveRecord]]] = []
        self.unsettled_sources = 0
        self.unsettled_bytes = 0
        self.ledger_error: t.Optional[LogArchiveError] = None
        self._keeper: t.Optional[Keeper] = None
        self._signed: t.Optional[Signed] = None

    def close(self) -> None:
        """Close the catalog and the spool."""
        self.catalog.close()
        self.spool.close()

    @property
    def suffix(self) -> str:
        """How the names of the job's archives end."""
        from ..crypto.envelope import suffix

        return self.document["archive"]["suffix"] or suffix(self.document["encryption"]["format"])

    def trust_of(self, store: str, part: t.Optional[Part] = None) -> Trust:
        """How far the manifests of a store of the job are believed: by the keys of the job, and by its ledger. part: what is read of it."""
        from ..holdings.trust import NO_RECORD, Choice, Trust

        record = NO_RECORD._replace(**self.proofs_of(store), part=lambda choice: part)
        return Trust(self.document["encryption"]["keyring"], record=record, choice=Choice())

    def proofs_of(self, store: str) -> t.Dict[str, t.Any]:
        """What this host knows of the manifests in a store, beside its catalog: fields of a ``Record``."""
        from ..state.rewraps import manifests_of
        from .signed import Signed

        if self._signed is None:
            self._signed = Signed(self.document)
        return {"signed": self._signed.of_store(store), "exchanged": manifests_of(self.document["state"], self.job, store)}

    @property
    def ledger(self) -> Keeper:
        """The ledger of the job."""
        if self._keeper is None:
            from .ledger import Keeper

            self._keeper = Keeper(self.catalog, self.document["state"], self.host, self.job)
        return self._keeper

    def enter(self, begins_with: str, known: t.Optional[Entry] = None) -> None:
        """Enter in the ledger what stores have verified since (see ``Keeper.enter``). A failure is recorded once; the next run goes on."""
        if self.ledger_error is not None:
            return
        self.recorder.begin("ledger", listed=False)
        try:
            self.ledger.enter(begins_with, known)
        except MissingLibraryError as error:
            self.ledger_error = error
            self.recorder.warn("no ledger is kept: %s" % error)
        except LogArchiveError as error:
            self.ledger_error = error
            self.recorder.fail(error)

    def expect(self, key: str, start: datetime.datetime) -> None:
        """Dry run: record that the run would send the archive ``key`` of the period that begins at ``start``."""
        from ..holdings.retention import Item

        self.coming.append(Item(key, start, self.host, self.job, 0))

    def fail_store(self, name: str, error: LogArchiveError) -> None:
        """Record that a store failed, and give it up for this run unless the error is about one archive only."""
        self.stores.note_failure(name, error)
        self.recorder.fail_store(name, error)
