# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore archives from stores: each from the first store that can give it."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..archive.manifest import source_bytes
from ..archive.restore import Placing, restore
from ..base.errors import (
    IntegrityError,
    KeyMissingError,
    LogArchiveError,
    StoreError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from ..base.lists import some
from ..base.progress import Advance, Progress, no_progress
from ..base.rows import rows_of
from ..base.staging import ExtractedFile, StagedFile, check_destination, failing_clearly, has, planned, remove_leftovers, staging_in
from . import inventory
from .inventory import StoredArchive
from .stock import Holdings, Listed, Stock, Warn, check_found, chosen_of
from .trust import Choice

if t.TYPE_CHECKING:
    from ..archive.facts import SourceFacts


class Restored(t.NamedTuple):
    """One archive that was restored, or in a dry run would be, or that failed.

    store: name of the store that gave it; None if all its files were in place, or it failed. authenticated: whether its manifest is; None
    if the key was not needed and is not at hand. error: why no store could give it; None if it was restored.
    """

    key: str
    store: t.Optional[str]
    files: t.Collection[ExtractedFile]
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
        stocks = [stack.enter_context(contextlib.closing(Stock(each, choice, warn, check))) for each in holdings]
        nothing = True
        for stock, archives in chosen_of(stocks, choice):
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
    check_found(stocks, choice, nothing)


def restore_whole(stock: Stock, archive: StoredArchive, destination: str, progress: Progress = no_progress) -> None:
    """Restore all logs of one archive of the stock below a new folder. Raises the error of ``restore_from_stores`` for it."""
    check_destination(destination)
    restored = _restore_copy(stock, archive, destination, Placing(), False, progress)
    if restored.error is not None:
        raise restored.error


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
    return all(stands(source, destination) for source in archive.manifest["sources"] if source["name"] not in without)


def stands(source: SourceFacts, destination: str) -> bool:
    """Whether the log stands below ``destination`` with the bytes that were archived."""
    return has(destination, source["name"], source["size"], source["sha256"], _data(source))


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
    latest_first = sorted(archives, key=lambda one: (one.authenticated is True, made[one.key], order[one.key]), reverse=True)
    for archive in latest_first:
        host = archive.manifest["host"]
        sources = archive.manifest["sources"]
        named = not names or not {archive.key, archive.manifest["archive"]["name"]}.isdisjoint(names)
        without: t.Set[str] = set()
        if seen or not named:
            without = {s["name"] for s in sources if (host, s["path"]) in seen or not (named or s["path"] in names)}
        if len(without) < len(sources):
            wanted.append((archive, without))
        else:
            replaced.append(archive)
        # Of one archive with many logs, a set of them would take more memory than all the rest.
        if archive is not latest_first[-1]:
            seen.update((host, source["path"]) for source in sources if named or source["path"] in names)
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


def files_by_manifest(archive: StoredArchive, destination: str, state: str, without: t.AbstractSet[str]) -> t.Collection[ExtractedFile]:
    """The files that restoring the archive gives, each with this state, by its manifest. without: names of files that are left out."""
    sources = archive.manifest["sources"]
    files = (
        ExtractedFile(os.path.join(destination, source["name"]), source["name"], source["size"], source["sha256"], state)
        for source in sources
        if source["name"] not in without
    )
    return rows_of(files, len(sources), ExtractedFile._make)


def _restore_copy(stock: Stock, archive: StoredArchive, destination: str, placing: Placing, check: bool, progress: Progress) -> Restored:
    if is_restored(archive, destination, placing.without):
        if not check:
            # A restore may have been killed when all its files were in place.
            remove_leftovers(destination)
        return Restored(archive.key, None, files_by_manifest(archive, destination, "unchanged", placing.without), archive.authenticated)
    if check:
        store = next(stock.copies(archive))[0].store
        return Restored(archive.key, store.name, _planned(archive, destination, placing), archive.authenticated)
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


def _planned(archive: StoredArchive, destination: str, placing: Placing) -> t.Collection[ExtractedFile]:
    """The files that a restore would give, by the manifest. Raises LogArchiveError for what stands in their way."""
    sources = archive.manifest["sources"]
    staged = (
        StagedFile(source["name"], "", source["size"], source["sha256"], 0, 0, _data(source))
        for source in sources
        if source["name"] not in placing.without
    )
    with failing_clearly(destination):
        return planned(rows_of(staged, len(sources), StagedFile._make), destination, placing.overwrite)


def _fetch_and_extract(
    listed: Listed, archive: StoredArchive, destination: str, placing: Placing, progress: Advance
) -> t.Tuple[bool, t.Collection[ExtractedFile]]:
    """Fetch an archive to the destination's staging folder and extract it (see ``archive.restore``). Returns whether its manifest is
    authenticated, and the files."""
    subject = listed.store.location(archive.key)
    envelope = listed.trust.envelope(archive.manifest, subject)
    authenticated = listed.trust.check(archive.key, archive.manifest, subject) or False
    with failing_clearly(destination), staging_in(destination) as staging, staging.create("archive") as file:
        listed.store.get(archive.key, file, most=archive.manifest["archive"]["size"])
        return authenticated, restore(file, envelope, destination, subject, archive.manifest, placing, progress)
