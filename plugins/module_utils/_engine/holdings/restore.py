# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore archives from stores: each from the first store that can give it."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..archive.manifest import authenticate, period_of, source_bytes
from ..archive.restore import Placing, restore
from ..base.errors import (
    ArchiveNotFoundError,
    IntegrityError,
    KeyMissingError,
    LogArchiveError,
    StoreError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from ..base.lists import some
from ..base.progress import Advance, Progress, no_progress
from ..base.staging import ExtractedFile, check_destination, failing_clearly, has, remove_leftovers, staging_in
from ..stores.base import Store
from ..stores.opening import open_store
from . import inventory
from .inventory import Damaged, Inventory, StoredArchive
from .trust import NO_RECORD, Choice, Record, Trust

if t.TYPE_CHECKING:
    from ..archive.facts import SourceFacts
    from ..config.document import StoreOptions

Warn = t.Callable[[str], None]


class Holdings(t.NamedTuple):
    """The archives of a host and job (None: of all), with their stores and keys.

    stores: options of each store (``config.document.StoreOptions``; a ``JobStore`` will do), in order of preference. keyring: folder of
    the Fernet keys; None if there is none. unencrypted: accept archives that are not encrypted; anyone who can write to the store can
    have made such an archive. records: by the name of a store, what the catalog records of it.
    """

    stores: t.Sequence[StoreOptions]
    host: t.Optional[str]
    job: t.Optional[str]
    keyring: t.Optional[str]
    unencrypted: bool = False
    records: t.Mapping[str, Record] = {}


class Restored(t.NamedTuple):
    """One archive that was restored, or in a dry run would be, or that failed.

    store: name of the store that gave it; None if all its files were in place, or it failed. authenticated: whether its manifest is; None
    if the key was not needed and is not at hand. error: why no store could give it; None if it was restored.
    """

    key: str
    store: t.Optional[str]
    files: t.List[ExtractedFile]
    authenticated: t.Optional[bool]
    error: t.Optional[LogArchiveError] = None


def restore_from_stores(
    holdings: t.Sequence[Holdings],
    choice: Choice,
    destination: str,
    overwrite: bool = False,
    check: bool = False,
    progress: Progress = no_progress,
    warn: Warn = lambda text: None,
) -> t.Iterator[Restored]:
    """Restore the chosen archives below a folder; yield each when it is done. Nothing happens before the first one is asked for.

    A name (``choice.names``) may be in any of the holdings. Without names, the first store of each of the holdings that answers and
    has an archive in the range defines the archives. Each archive is taken from the first store that can give it whole: an
    archive that a store cannot give, or that is damaged there, is taken from the next store that has the same logs.
    Of an archive that is taken because it has a named log, only that log is restored. Of several archives of a log only the last state is
    restored (``last_states``); ``warn`` names the others. An archive with all its
    files in place is not fetched again.

    An archive that is damaged or forged in every store, or for which there is no key, is yielded with its error, and the next one is
    restored. The caller reports it at the end.

    overwrite: replace files with other content; without it they are an error. check: fetch and write nothing; the state of each file
    is then what a real run would give it. warn: called with a sentence for each store or copy that was passed over.
    Raises ConfigError if the destination is refused (``staging.check_destination``), ArchiveNotFoundError if a name or the whole range
    is not there, the error of the store if stores that could have it failed,
    KeyringError if the keyring cannot be used, DiskFullError, LogArchiveError. What was yielded before stays restored.
    """
    check_destination(destination)
    with contextlib.ExitStack() as stack:
        stocks = [stack.enter_context(contextlib.closing(_Stock(each, choice, warn, check))) for each in holdings]
        found: t.Iterable[t.Tuple[_Stock, t.List[StoredArchive]]] = ((stock, stock.chosen(choice)) for stock in stocks)
        if choice.names:
            # A name that is nowhere is an error before anything is restored.
            found = list(found)
            _require_names([archive for _stock, archives in found for archive in archives], stocks, choice)
        nothing = True
        for stock, archives in found:
            wanted, replaced = last_states(archives, choice.names)
            for archive, without in wanted:
                yield _restore_copy(stock, archive, destination, Placing(overwrite, without), check, progress)
                nothing = False
            for key, damaged in stock.failed.items():
                yield Restored(key, None, [], None, IntegrityError(damaged.why))
                nothing = False
            if replaced:
                warn(_older_states(replaced))
            stock.close()
    unanswered = [stock.errors[0] for stock in stocks if stock.errors and not stock.listed_any]
    errors = [error for stock in stocks for error in stock.errors]
    if unanswered and not choice.names:
        raise unanswered[0]
    if nothing:
        raise errors[0] if errors else _nothing_found(stocks)


def failure(restored: t.Iterable[Restored]) -> t.Optional[LogArchiveError]:
    """The error that reports all archives that failed, by name; None if there is none."""
    restored = list(restored)
    errors = [one.error for one in restored if one.error is not None]
    if not errors:
        return None
    if len(errors) == len(restored) and all(isinstance(error, KeyMissingError) for error in errors):
        return errors[0]
    return IntegrityError(
        "%d of %d archives could not be restored: %s; the others are in place. The first failed because: %s"
        % (len(errors), len(restored), some([one.key for one in restored if one.error is not None]), errors[0])
    )


def is_restored(archive: StoredArchive, destination: str, without: t.AbstractSet[str] = frozenset()) -> bool:
    """Whether every file of the archive, without those of these names, stands below ``destination`` with the bytes that the manifest
    describes."""
    sources = [source for source in archive.manifest["sources"] if source["name"] not in without]
    return all(has(destination, source["name"], source["size"], source["sha256"], _data(source)) for source in sources)


def last_states(
    archives: t.Sequence[StoredArchive], names: t.Sequence[str] = ()
) -> t.Tuple[t.List[t.Tuple[StoredArchive, t.AbstractSet[str]]], t.List[StoredArchive]]:
    """Of these archives (oldest first) those that have the last state of a log, each with the names of its files that are left out: a
    later archive has them, or they are not named; and the archives of which nothing is left.

    names: see ``Choice``. Of an archive that has a named log, and is not named itself, only that log counts.

    Two states of a log cannot be in the same place. An archive that is not authenticated counts as older than any that is: anyone can have
    dated it.
    """
    seen: t.Set[t.Tuple[str, str]] = set()
    wanted: t.List[t.Tuple[StoredArchive, t.AbstractSet[str]]] = []
    replaced = []
    order = {archive.key: number for number, archive in enumerate(archives)}
    # By when it was archived: an archive of many logs begins with the oldest of them, and the clock that dated the logs may be set back.
    made = inventory.effective(archives, lambda manifest: manifest["created"])
    for archive in sorted(archives, key=lambda one: (one.authenticated is True, made[one.key], order[one.key]), reverse=True):
        host = archive.manifest["host"]
        sources = archive.manifest["sources"]
        named = not names or not {archive.key, archive.manifest["archive"]["name"]}.isdisjoint(names)
        logs = [(host, source["path"]) for source in sources if named or source["path"] in names]
        last = set(logs) - seen
        without = {source["name"] for source in sources if (host, source["path"]) not in last}
        if len(without) < len(sources):
            wanted.append((archive, without))
        else:
            replaced.append(archive)
        seen.update(logs)
    return sorted(wanted, key=lambda item: order[item[0].key]), sorted(replaced, key=lambda archive: order[archive.key])


def _data(source: SourceFacts) -> t.Optional[t.List[t.Tuple[int, int]]]:
    return [(pair[0], pair[1]) for pair in source["data"]] if "data" in source else None


def _older_states(replaced: t.Sequence[StoredArchive]) -> str:
    keys = [archive.key for archive in replaced]
    shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return "%d archive(s) of older states of the same logs were not restored (%s); to get one, restore it alone, by its key" % (
        len(keys),
        shown,
    )


def files_by_manifest(archive: StoredArchive, destination: str, state: str, without: t.AbstractSet[str]) -> t.List[ExtractedFile]:
    """The files that restoring the archive gives, each with this state, by its manifest. without: names of files that are left out."""
    return [
        ExtractedFile(os.path.join(destination, source["name"]), source["name"], source["size"], source["sha256"], state)
        for source in archive.manifest["sources"]
        if source["name"] not in without
    ]


class _Stock:
    """Holdings as their stores list them. Each store is opened when it is first needed. A store that fails is reported and left out."""

    def __init__(self, holdings: Holdings, choice: Choice, warn: Warn, check: bool) -> None:
        self.holdings = holdings
        self.warn = warn
        self._check = check
        self.errors: t.List[LogArchiveError] = []
        self.unavailable: t.Set[str] = set()
        """Names of stores that stopped answering: the others are asked first."""
        self.failed: t.Dict[str, Damaged] = {}
        """By key, archives of the choice that can be used in no store."""
        self._choice = choice
        self._tried: t.List[t.Optional[_Listed]] = []

    @property
    def listed_any(self) -> bool:
        return any(self._tried)

    def listed(self) -> t.Iterator[_Listed]:
        """Each store that answers, in order."""
        for number, options in enumerate(self.holdings.stores):
            if number == len(self._tried):
                self._tried.append(self._list(options))
            listed = self._tried[number]
            if listed is not None:
                yield listed

    def _list(self, options: StoreOptions) -> t.Optional[_Listed]:
        try:
            with contextlib.ExitStack() as stack:
                store = stack.enter_context(contextlib.closing(open_store(options, self._check)))
                wanted = self.holdings
                trust = Trust(wanted.keyring, wanted.unencrypted, wanted.records.get(store.name, NO_RECORD), self._choice)
                listed = _Listed(store, inventory.read(store, wanted.host, wanted.job, trust=trust), trust)
                stack.pop_all()
                return listed
        except LogArchiveError as error:
            self.errors.append(error)
            if len(self.holdings.stores) > 1:
                self.warn("store %s: %s" % (_name(options), error))
            return None

    def chosen(self, choice: Choice) -> t.List[StoredArchive]:
        """The archives of the choice, oldest first, by the first store that has any, or that has the name.

        Archives that are damaged or missing in that store, and names that it does not have, are searched in the next one. ``failed`` gets
        those that no store has.
        """
        found: t.List[StoredArchive] = []
        missing = list(choice.names)
        damaged: t.Dict[str, Damaged] = {}
        for listed in self.listed():
            archives = inventory.overlapping(listed.held.archives, choice.start, choice.end)
            if choice.names:
                here = [name for name in missing if inventory.is_there(archives, name)]
                missing = [name for name in missing if name not in here]
                found += inventory.named(archives, here)
            elif not found:
                found += archives
            found += [archive for archive in archives if archive.key in damaged and archive not in found]
            for key, item in listed.held.damaged.items():
                text = "store %s: %s" % (listed.store.name, item.why)
                if inventory.may_be_chosen(key, item, choice):
                    damaged.setdefault(key, item._replace(why=text))
                elif not choice.names:
                    self.warn(text)
            for archive in found:
                damaged.pop(archive.key, None)
            if not missing and not damaged and (found or choice.names):
                break
        found = inventory.oldest_first(found)
        if choice.latest and found:
            found = inventory.latest(found)
            choice = choice._replace(start=period_of(found[0].manifest).start)
        self.failed = {key: item for key, item in damaged.items() if inventory.may_be_chosen(key, item, choice)}
        return found

    def copies(self, archive: StoredArchive) -> t.Iterator[t.Tuple[_Listed, StoredArchive]]:
        """Each store that has the logs of an archive, with its archive of them; stores that stopped answering come last."""
        for unavailable in (False, True):
            for listed in self.listed():
                if (listed.store.name in self.unavailable) == unavailable:
                    copy = listed.same_logs(archive)
                    if copy is not None:
                        yield listed, copy

    def close(self) -> None:
        for listed in self._tried:
            if listed is not None:
                listed.store.close()


class _Listed:
    """One store with its inventory. trust: how far its manifests are believed."""

    def __init__(self, store: Store, held: Inventory, trust: Trust) -> None:
        self.store = store
        self.held = held
        self.trust = trust
        self._by_logs: t.Dict[t.Any, t.Dict[str, StoredArchive]] = {}

    def same_logs(self, archive: StoredArchive) -> t.Optional[StoredArchive]:
        """The archive of the same logs here, of several the one with the same key; None if there is none."""
        if not self._by_logs:
            for each in self.held.archives:
                self._by_logs.setdefault(_logs(each), {})[each.key] = each
        same = self._by_logs.get(_logs(archive), {})
        return same.get(archive.key) or next(iter(same.values()), None)


def _logs(archive: StoredArchive) -> t.Any:
    """What two archives of the same logs have in common (their ciphertexts always differ)."""
    manifest = archive.manifest
    return manifest["host"], manifest["job"], frozenset((s["path"], s["size"], s["sha256"]) for s in manifest["sources"])


def _name(options: StoreOptions) -> str:
    return str(options.get("name") or options["type"])


def _require_names(chosen: t.Sequence[StoredArchive], stocks: t.Sequence[_Stock], choice: Choice) -> None:
    failed = [item for stock in stocks for item in stock.failed.items()]
    missing = [
        name
        for name in choice.names
        if not inventory.is_there(chosen, name)
        and not any(inventory.may_be_chosen(key, item, choice._replace(names=[name])) for key, item in failed)
    ]
    if missing:
        for stock in stocks:
            if stock.errors:
                raise stock.errors[0]
        everything = [archive for stock in stocks for listed in stock.listed() for archive in listed.held.archives]
        inventory.named(inventory.overlapping(everything, choice.start, choice.end), missing)


def _nothing_found(stocks: t.Sequence[_Stock]) -> ArchiveNotFoundError:
    locations = sorted({listed.store.location() for stock in stocks for listed in stock.listed()})
    return ArchiveNotFoundError("no archive is in this range", ", ".join(locations), "List the store to see which archives it has")


def _restore_copy(stock: _Stock, archive: StoredArchive, destination: str, placing: Placing, check: bool, progress: Progress) -> Restored:
    if is_restored(archive, destination, placing.without):
        if not check:
            # A restore may have been killed when all its files were in place.
            remove_leftovers(destination)
        return Restored(archive.key, None, files_by_manifest(archive, destination, "unchanged", placing.without), archive.authenticated)
    if check:
        store = next(stock.copies(archive))[0].store
        return Restored(archive.key, store.name, files_by_manifest(archive, destination, "written", placing.without), archive.authenticated)
    errors: t.List[LogArchiveError] = []
    for listed, copy in stock.copies(archive):
        store = listed.store
        try:
            with progress("restore %s" % store.location(copy.key), source_bytes(copy.manifest)) as advance:
                authenticated, files = _fetch_and_extract(listed, copy, destination, placing, advance)
            return Restored(copy.key, store.name, files, authenticated)
        except (StoreError, IntegrityError, KeyMissingError) as error:
            if isinstance(error, StoreUnavailableError):
                stock.unavailable.add(store.name)
            errors.append(error)
            if len(stock.holdings.stores) > 1:
                stock.warn("store %s: %s" % (store.name, error))
    if all(isinstance(error, StoreError) and not isinstance(error, StoreNotFoundError) for error in errors):
        raise errors[0]  # The stores fail, and not the archive: they would fail for the next one too, and take as long.
    return Restored(archive.key, None, [], None, errors[0])


def _fetch_and_extract(
    listed: _Listed, archive: StoredArchive, destination: str, placing: Placing, progress: Advance
) -> t.Tuple[bool, t.List[ExtractedFile]]:
    """Fetch an archive to the destination's staging folder and extract it (see ``archive.restore``). Returns whether its manifest is
    authenticated, and the files."""
    subject = listed.store.location(archive.key)
    envelope = listed.trust.envelope(archive.manifest, subject)
    authenticated = authenticate(archive.manifest, envelope, subject)
    with failing_clearly(destination), staging_in(destination) as staging, staging.create("archive") as file:
        listed.store.get(archive.key, file, most=archive.manifest["archive"]["size"])
        return authenticated, restore(file, envelope, destination, subject, archive.manifest, placing, progress)
