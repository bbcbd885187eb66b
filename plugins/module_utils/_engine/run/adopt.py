# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give archives of an earlier script a manifest and entries in the catalog and the ledger. They are not changed or moved.

One archive at a time: it is fetched as its store holds it, read from its beginning to its end, and only then its manifest is put. The
catalog gets it after that, and the ledger last. If this is killed at any step, the next call reads the archive again, finds the manifest
right, and goes on.
"""

from __future__ import annotations

import typing as t

from ..archive import adopted as archives
from ..archive.manifest import digests as digests_in, period_of, source_bytes, source_identities
from ..archive.naming import manifest_key
from ..base.errors import ConfigError, IntegrityError, KeyringError, LogArchiveError, SourceError, StoreError, StoreUnavailableError
from ..base.periods import Period
from ..base.staging import failing_clearly, temporary_folder
from ..base.texts import line
from ..base.units import format_utc, parse_utc
from ..crypto import keyring
from ..crypto.envelope import encrypts
from ..holdings import adopt as names
from ..stores.base import digests_of
from .context import Context
from .exchange import written
from .job import carry_out, context_of, finish_rewraps, recover, send_head

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..archive.facts import Manifest, PeriodText
    from ..base.progress import Progress
    from ..config.document import JobDocument
    from ..state.record import AdoptedRecord, AdoptedRow
    from ..stores.base import Digests, Store

BATCH = 100
"""Archives that are entered in the ledger at a time."""


class Wanted(t.NamedTuple):
    """What to adopt. store: name of the store. template: of the names that the script gave (``holdings.adopt.Template``). keys: of the
    script, with which its tokens were made."""

    store: str
    template: str
    keys: t.Sequence[keyring.Key] = ()


def adopt(
    document: JobDocument,
    wanted: Wanted,
    now: t.Optional[datetime] = None,
    check: bool = False,
    progress: t.Optional[Progress] = None,
) -> AdoptedRecord:
    """Adopt the archives in one store of a job; returns the record, as a run does.

    check: a dry run; it reads every archive, and changes nothing. Failures are in the record. Raises ConfigError for a template or keys
    that cannot be used, KeyringError, LockedError if a run of the job is active.
    """
    template = names.Template(wanted.template)
    _check_keys(document, wanted)
    with context_of(document, now, check, progress=progress) as context:
        if not check:
            context.spool.make()
        record = t.cast("AdoptedRecord", context.recorder.record)
        record["adopted"] = {"store": wanted.store, "template": template.text, "objects": [], "unmatched": 0, "own": 0, "elsewhere": 0}
        carry_out(context, lambda: _Adoption(context, wanted, template).carry_out())
        return record


def read_keys(paths: t.Sequence[str]) -> t.List[keyring.Key]:
    """The keys in these files, which only root or this user can read. Raises KeyringError."""
    secrets = [keyring.read_private_key(path) for path in paths]
    return [keyring.Key(keyring.key_id(secret), secret) for secret in secrets]


def _check_keys(document: JobDocument, wanted: Wanted) -> None:
    options = document["encryption"]
    if options["keyring"] is None and encrypts(options):
        raise ConfigError(
            "the job '%s' has recipients and no keyring, so it cannot prove later that it adopted an archive" % document["name"],
            hint="Adopt with another job, which has a keyring",
        )
    if options["keyring"] is None and wanted.keys:
        raise ConfigError(
            "the job '%s' has no keyring to keep the keys for a later restore" % document["name"],
            hint="Set encryption.keyring of the job (format none may stay), or adopt with another job",
        )


class _Adoption:
    """One call. The keys of the script go to the keyring with the first archive that needs them."""

    def __init__(self, run: Context, wanted: Wanted, template: names.Template) -> None:
        self._run = run
        self._wanted = wanted
        self._template = template
        self._keyring = run.document["encryption"]["keyring"]
        self._record = t.cast("AdoptedRecord", run.recorder.record)["adopted"]
        self._vouching: t.Optional[keyring.Key] = None
        self._keys: t.List[keyring.Key] = []
        self._used: t.Set[str] = set()
        self._failed: t.List[t.Tuple[str, LogArchiveError]] = []

    def carry_out(self) -> None:
        run = self._run
        if not run.check:
            recover(run)
            if run.catalog.entered.owes_entries(run.job):
                run.enter("adopt")
            finish_rewraps(run)
        run.recorder.begin("adopt %s" % self._wanted.store)
        if self._keyring is not None:
            self._vouching = keyring.load_current(self._keyring)
        self._keys = archives.keys_at_hand(self._keyring, self._wanted.keys)
        store = run.stores.open(self._wanted.store)
        job = names.Job(run.host, run.names, run.collector.timezone, run.now)
        found = names.find(store.list(), self._template, job)
        self._record["unmatched"], self._record["own"], self._record["elsewhere"] = found.unmatched, found.own, found.elsewhere
        todo = sum(one.size for one in found.candidates if one.state in (names.NEW, names.PRESENT))
        with run.progress("adopt %s" % store.name, todo) as advance:
            for count, candidate in enumerate(found.candidates, 1):
                self._record["objects"].append(self._tried(store, candidate))
                advance(candidate.size if candidate.state in (names.NEW, names.PRESENT) else 0)
                if not (run.check or count % BATCH):
                    run.enter("adopt")
        if not run.check:
            run.enter("adopt")
            self._withdraw(store, job)
            send_head(run)
        self._report(found.candidates)

    def _tried(self, store: Store, candidate: names.Candidate) -> AdoptedRow:
        """The result for one object. Raises StoreError if the store fails as a whole."""
        row = _row(candidate)
        if candidate.key is None:
            return row
        try:
            if candidate.state == names.PRESENT and self._run.catalog.state_of(store.name, candidate.key) == "verified":
                entry = self._run.catalog.by_key(candidate.key)
                return _described(row, None if entry is None else entry.manifest)
            return self._adopted(store, candidate, candidate.key, row)
        except (IntegrityError, KeyringError, SourceError) as error:
            self._failed.append((candidate.name, error))
            row["state"], row["reason"] = "failed", str(error)
            return row

    def _adopted(self, store: Store, candidate: names.Candidate, key: str, row: AdoptedRow) -> AdoptedRow:
        import tempfile

        run, subject = self._run, store.location(candidate.name)
        folder = temporary_folder()
        with failing_clearly(folder), tempfile.TemporaryFile(dir=folder) as file:
            # The object as the store holds it: a token stays one.
            try:
                store.get(candidate.name, file, most=candidate.size)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                # One object that may not be read, or is in cold storage, does not keep the others from being adopted.
                raise SourceError("it cannot be read: %s" % error.message, subject, error.hint) from error
            file.seek(0)
            digests = digests_of(file)
            if digests.size != candidate.size:
                text = "it was listed with %d bytes, but now has %d: something writes to it" % (candidate.size, digests.size)
                raise SourceError(text, subject, "Stop the script, and adopt again")
            opened = archives.read(file, digests, self._keys, subject)
        if opened.key is not None and self._keyring is None:
            raise KeyringError("the job has no keyring", subject, "Set encryption.keyring of the job")
        manifest = self._manifest(store, candidate, key, opened, digests)
        row = _described({**row, "state": "adopted"}, manifest)
        run.recorder.set_changed()
        if opened.key is not None:
            self._used.add(opened.key.id)
        if not run.check:
            if opened.key is not None:
                keyring.add(t.cast(str, self._keyring), opened.key.secret)
            with written(manifest) as (path, of_manifest):
                store.put(path, manifest_key(key), of_manifest)
            # By its new key: from now on the store finds the object by its manifest.
            proof = store.verify(key, digests, "size")
            run.catalog.held_by(run.host, run.job, store.name).add(key, manifest, "read_back", proof.etag)
            run.recorder.event("adopted", archive=key, store=store.name, object=candidate.name)
        return row

    def _manifest(self, store: Store, candidate: names.Candidate, key: str, opened: archives.Opened, digests: Digests) -> Manifest:
        """The manifest of an archive: the one that is in the store already, that the catalog has, or a new one. Raises IntegrityError."""
        run = self._run
        entry = run.catalog.by_key(key)
        if candidate.state == names.PRESENT:
            from ..holdings.inventory import fetch_manifest

            there = fetch_manifest(store, key)
            if run.trust_of(store.name).check(key, there, store.location(manifest_key(key))) is None:
                raise IntegrityError("the key of its manifest is not at hand", store.location(manifest_key(key)))
            period = period_of(there)
        else:
            there, period = None, t.cast(Period, candidate.period)
        place = archives.Place(run.host, key.split("/")[1], key, candidate.name, self._template.text, period)
        new = archives.manifest_of(opened, digests, place, run.now, self._vouching)
        for known in (there, None if entry is None else entry.manifest):
            if known is None:
                continue
            if source_identities(known) != source_identities(new) or (known is there and digests_in(known) != digests):
                where = store.location(manifest_key(key)) if known is there else "the catalog"
                text = "it has other bytes than its manifest states (%s)" % where
                raise IntegrityError(
                    text, store.location(candidate.name), "Find out who changed it; remove the manifest to adopt it as it is"
                )
            if digests_in(known) == digests:
                return known
        return new

    def _withdraw(self, store: Store, job: names.Job) -> None:
        """Give up what another host or job adopted meanwhile: its manifest was not there yet when the store was listed.

        Each of two looks after its manifests are there, so at least the later one sees the other. If both do, neither keeps the archive.
        Raises LogArchiveError.
        """
        run = self._run
        mine = {row["name"]: row for row in self._record["objects"] if row["state"] == "adopted"}
        found = names.find(store.list(), self._template, job).candidates if mine else []
        twice = {str(mine[one.name]["key"]): one for one in found if one.name in mine and one.state == names.REFUSED}
        if not twice:
            return
        text = "%s; this job adopted it at the same time, and gave it up"
        if run.stores.options[store.name]["append_only"]:
            text = "%s; this job adopted it at the same time, and cannot remove its manifest from an append-only store"
        else:
            run.ledger.bury(store.name, {key: ("adopted by another host or job", one.size) for key, one in twice.items()}, "")
            run.catalog.set_pruned(store.name, twice)
            outcome = store.delete([manifest_key(key) for key in twice])
            left = [key for key, why in outcome.items() if why is not None]
            if left:
                raise StoreError("a manifest cannot be removed: %s" % outcome[left[0]], store.location(left[0]), "Remove it yourself")
        for one in twice.values():
            mine[one.name]["state"], mine[one.name]["reason"] = names.REFUSED, text % one.why

    def _report(self, candidates: t.Sequence[names.Candidate]) -> None:
        run = self._run
        refused = [row for row in self._record["objects"] if row["state"] == names.REFUSED]
        if refused:
            text = "%d object(s) with a matching name were not adopted, such as %s: %s"
            first = len(refused), _quoted(refused[0]["name"]), refused[0]["reason"]
            run.recorder.fail(SourceError(text % first, "store %s" % self._wanted.store))
        if self._failed:
            name, error = next(((name, one) for name, one in self._failed if isinstance(one, IntegrityError)), self._failed[0])
            text = "%d object(s) cannot be adopted, such as %s: %s" % (len(self._failed), _quoted(name), error)
            known = IntegrityError(text) if isinstance(error, IntegrityError) else LogArchiveError(text)
            known.exit_code = error.exit_code
            run.recorder.fail(known)
        self._warn_of_retention()
        unused = [key.id for key in self._wanted.keys if key.id not in self._used]
        if unused and any(one.state == names.NEW for one in candidates):
            run.recorder.warn("the key %s opened no archive, and was not imported" % ", ".join(unused))

    def _warn_of_retention(self) -> None:
        """Retention counts adopted archives from the next run on; nobody has seen its plan yet."""
        from ..holdings import prune
        from ..holdings.policy import read_policy
        from .prune import policy_of

        run, name = self._run, self._wanted.store
        policy = policy_of(run, name)
        new = [row for row in self._record["objects"] if row["state"] == "adopted" and row["key"] and row["period"]]
        if policy is None or not new or run.stores.options[name]["append_only"]:
            return
        starts = run.catalog.held_by(run.host, run.job, name).by_key()
        starts.update((str(row["key"]), int(parse_utc(t.cast("PeriodText", row["period"])["start"]).timestamp())) for row in new)
        due = prune.due(starts, read_policy(policy), run.now) & {row["key"] for row in new}
        if due:
            text = "the retention of the store would remove %d of these archives; 'log-archive prune %s --dry-run' shows which"
            run.recorder.warn(text % (len(due), run.job))


def _quoted(name: str) -> str:
    return "'%s'" % line(name)


def _row(candidate: names.Candidate) -> AdoptedRow:
    period = candidate.period
    return {
        "name": candidate.name,
        "size": candidate.size,
        "state": candidate.state,
        "reason": candidate.why,
        "key": candidate.key,
        "period": None if period is None else {"start": format_utc(period.start), "end": format_utc(period.end)},
        "content": None,
        "key_id": None,
        "files": None,
        "source_bytes": None,
    }


def _described(row: AdoptedRow, manifest: t.Optional[Manifest]) -> AdoptedRow:
    if manifest is None or "adopted" not in manifest:
        return row
    if row["state"] == names.PRESENT and row["period"] not in (None, manifest["period"]):
        why = "it was adopted with the template %s and another period, which starts at %s"
        row["state"], row["reason"] = names.REFUSED, why % (_quoted(manifest["adopted"]["template"]), manifest["period"]["start"])
    return {
        **row,
        "period": manifest["period"],
        "content": manifest["adopted"]["content"],
        "key_id": manifest["encryption"]["key_id"],
        "files": len(manifest["sources"]),
        "source_bytes": source_bytes(manifest),
    }
