# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the catalog records of the ledger: which copies have their entry there, and which stores have its head.

A copy that is verified and has no entry yet gets one: after an upgrade, or if a run was killed in between.
"""

from __future__ import annotations

from ..base import hints as t
from .database import text
from .manifests import decode, encode

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from .database import Database
    from .entry import Entry, Known, Unentered


Mark = t.Tuple[int, str, str]
"""The number of an entry, and the store and the key of the archive that it is about."""

_CONDITION = "job = ? AND state = 'verified' AND entry IS NULL"


class Entered:
    """The entries of the ledger in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Each run asks for these two, and does not need the types.

    def owes_entries(self, job: str) -> bool:
        """Whether a verified copy of the job has no entry yet."""
        return self._database.execute("SELECT 1 FROM copies WHERE %s LIMIT 1" % _CONDITION, (job,)) != []

    def standing(self, job: str) -> t.Optional[t.Tuple[str, int, t.List[str]]]:
        """The id of the ledger, its last entry, and the stores with its archives that lack its head. None without a ledger."""
        rows = self._database.execute(
            "SELECT ledger, ledgers.seq, store, MAX(heads.seq) FROM ledgers LEFT JOIN heads USING (job) WHERE job = ? GROUP BY store",
            (job,),
        )
        if not rows:
            return None
        return rows[0][0], rows[0][1], [store for _ledger, seq, store, sent in rows if store is not None and sent < seq]

    def known(self, job: str) -> t.Optional[Known]:
        """The ledger of a job, as far as the catalog knows it."""
        from .entry import Known

        standing = self.standing(job)
        return None if standing is None else Known(*standing[:2])

    def owed(self, job: str) -> t.List[str]:
        """The stores with archives of the ledger that lack its head."""
        standing = self.standing(job)
        return [] if standing is None else standing[2]

    def unentered(self, job: str, most: int, known: t.Optional[Entry] = None) -> t.List[Unentered]:
        """Verified copies without an entry, in the order in which their archives were made. known: an archive that the caller has read."""
        from .entry import Unentered

        found = []
        # First without the manifests of the archives, which SQLite would sort.
        query = "SELECT archive, store, key, manifest FROM copies WHERE %s ORDER BY archive, store LIMIT ?" % _CONDITION
        for archive, store, key, manifest in self._database.execute(query, (job, most)):
            if manifest is None and known is not None and known.id == archive:
                found.append(Unentered(archive, store, key, known.manifest))
                continue
            if manifest is None:
                manifest = self._database.execute("SELECT manifest FROM archives WHERE id = ?", (archive,))[0][0]
            found.append(Unentered(archive, store, key, decode(manifest)))
        return found

    def learn(self, job: str, known: Known, puts: t.Collection[Mark], tombstones: t.Collection[Mark]) -> None:
        """Record entries of the ledger, up to ``known``."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE copies SET entry = ?, tombstone = NULL WHERE store = ? AND key = ?",
                [(seq, store, text(key)) for seq, store, key in puts],
            )
            self._database.executemany(
                "UPDATE copies SET tombstone = ? WHERE store = ? AND key = ?", [(seq, store, text(key)) for seq, store, key in tombstones]
            )
            self._database.execute("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?)", (job, *known))
            # Each store of an entry needs the head.
            self._database.executemany("INSERT OR IGNORE INTO heads VALUES (?, ?, -1, '')", [(job, store) for _seq, store, _key in puts])

    def reset(self, job: str) -> None:
        """Forget every entry of the job: its ledger is about to start again."""
        with self._database.transaction():
            self._database.execute("UPDATE copies SET entry = NULL, tombstone = NULL WHERE job = ?", (job,))
            self._database.execute("DELETE FROM ledgers WHERE job = ?", (job,))
            self._database.execute("DELETE FROM heads WHERE job = ?", (job,))

    def rewrapped(self, store: str, manifests: t.Mapping[str, Manifest]) -> None:
        """Record the new manifests of copies, by their keys."""
        with self._database.transaction():
            self._database.executemany(
                "UPDATE copies SET manifest = ? WHERE store = ? AND key = ? AND state = 'verified'",
                [(encode(manifest), store, text(key)) for key, manifest in manifests.items()],
            )

    def entry_of(self, store: str, key: str) -> t.Optional[t.Tuple[t.Optional[int], t.Optional[int], Manifest]]:
        """Of a copy: the number of its entry and of its tombstone, and its manifest. None if the catalog does not know it."""
        rows = self._database.execute(
            "SELECT entry, tombstone, COALESCE(copies.manifest, archives.manifest) FROM copies JOIN archives ON archives.id = archive"
            " WHERE store = ? AND copies.key = ?",
            (store, text(key)),
        )
        return (rows[0][0], rows[0][1], decode(rows[0][2])) if rows else None

    def sent(self, job: str) -> t.Dict[str, t.List[str]]:
        """The heads that stores have: {store: [keys]}, oldest first."""
        sent: t.Dict[str, t.List[str]] = {}
        for store, key in self._database.execute("SELECT store, key FROM heads WHERE job = ? AND seq >= 0 ORDER BY seq", (job,)):
            sent.setdefault(store, []).append(key)
        return sent

    def set_sent(self, job: str, store: str, seq: int, key: str) -> None:
        """Record that a store has a head."""
        self._database.execute("INSERT OR REPLACE INTO heads VALUES (?, ?, ?, ?)", (job, store, seq, key))

    def forget_head(self, job: str, store: str, key: str) -> None:
        """Record that a store no longer has a head."""
        self._database.execute("DELETE FROM heads WHERE job = ? AND store = ? AND key = ?", (job, store, key))
