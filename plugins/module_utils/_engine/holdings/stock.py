# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a host and job in all its stores: which are wanted, and where the copies of each are."""

from __future__ import annotations

import contextlib
import typing as t

from ..archive.manifest import period_of, source_identities
from ..base.errors import ArchiveNotFoundError, LogArchiveError
from ..crypto.envelope import NOT_OFFLINE, Offline
from ..stores.base import Store
from ..stores.opening import open_store
from . import inventory
from .inventory import Damaged, Inventory, StoredArchive
from .trust import NO_RECORD, Choice, Record, Trust

if t.TYPE_CHECKING:
    from ..config.document import StoreOptions

Warn = t.Callable[[str], None]


Logs = t.Tuple[str, str, bytes]
"""What two archives of the same logs have in common (their ciphertexts always differ): host, job and digest of the sources."""


class Holdings(t.NamedTuple):
    """The archives of a host and job (None: of all), with their stores and keys.

    stores: options of each store (``config.document.StoreOptions``; a ``JobStore`` will do), in order of preference. keyring: folder of
    the Fernet keys; None if there is none. unencrypted: accept archives that are not encrypted; anyone who can write to the store can
    have made such an archive. records: by the name of a store, what the catalog records of it. was: earlier names of the job.
    offline: what else opens archives.
    """

    stores: t.Sequence[StoreOptions]
    host: t.Optional[str]
    job: t.Optional[str]
    keyring: t.Optional[str]
    unencrypted: bool = False
    records: t.Mapping[str, Record] = {}
    was: t.Sequence[str] = ()
    offline: Offline = NOT_OFFLINE


class Stock:
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
        self._tried: t.List[t.Optional[Listed]] = []

    @property
    def listed_any(self) -> bool:
        return any(self._tried)

    def listed(self) -> t.Iterator[Listed]:
        """Each store that answers, in order."""
        for number, options in enumerate(self.holdings.stores):
            if number == len(self._tried):
                self._tried.append(self._list(options))
            listed = self._tried[number]
            if listed is not None:
                yield listed

    def _list(self, options: StoreOptions) -> t.Optional[Listed]:
        try:
            with contextlib.ExitStack() as stack:
                store = stack.enter_context(contextlib.closing(open_store(options, self._check)))
                wanted = self.holdings
                trust = Trust(wanted.keyring, wanted.unencrypted, wanted.records.get(store.name, NO_RECORD), self._choice, wanted.offline)
                listed = Listed(store, inventory.read(store, wanted.host, wanted.job, trust=trust, was=wanted.was), trust)
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
            found = inventory.latest(found, dict.fromkeys(self.holdings.was, self.holdings.job))
            choice = choice._replace(start=period_of(found[0].manifest).start)
        self.failed = {key: item for key, item in damaged.items() if inventory.may_be_chosen(key, item, choice)}
        return found

    def copies(self, archive: StoredArchive) -> t.Iterator[t.Tuple[Listed, StoredArchive]]:
        """Each store that has the logs of an archive, with its archive of them; stores that stopped answering come last."""
        silent = []
        for listed in self.listed():
            copy = listed.same_logs(archive)
            if copy is not None and listed.store.name in self.unavailable:
                silent.append((listed, copy))
            elif copy is not None:
                yield listed, copy
        yield from silent

    def close(self) -> None:
        for listed in self._tried:
            if listed is not None:
                listed.store.close()


class Listed:
    """One store with its inventory. trust: how far its manifests are believed."""

    def __init__(self, store: Store, held: Inventory, trust: Trust) -> None:
        self.store = store
        self.held = held
        self.trust = trust
        self._by_logs: t.Dict[Logs, t.Dict[str, StoredArchive]] = {}

    def same_logs(self, archive: StoredArchive) -> t.Optional[StoredArchive]:
        """The archive of the same logs here, of several the one with the same key; None if there is none."""
        if not self._by_logs:
            for each in self.held.archives:
                self._by_logs.setdefault(_logs(each), {})[each.key] = each
        same = self._by_logs.get(_logs(archive), {})
        return same.get(archive.key) or next(iter(same.values()), None)


def _logs(archive: StoredArchive) -> Logs:
    manifest = archive.manifest
    return manifest["host"], manifest["job"], source_identities(manifest)


def _name(options: StoreOptions) -> str:
    return str(options.get("name") or options["type"])


def chosen_of(stocks: t.Sequence[Stock], choice: Choice) -> t.Iterable[t.Tuple[Stock, t.List[StoredArchive]]]:
    """What each stock has of the choice. A name that is nowhere is an error before the first is returned."""
    chosen = ((stock, stock.chosen(choice)) for stock in stocks)
    if not choice.names:
        return chosen
    found = list(chosen)
    require_names([archive for _stock, archives in found for archive in archives], stocks, choice)
    return found


def check_found(stocks: t.Sequence[Stock], choice: Choice, nothing: bool) -> None:
    """Raise the error of a store without which a choice is not answered, or, with nothing, that there is no archive.

    nothing: no stock had an archive of the choice.
    """
    unanswered = [stock.errors[0] for stock in stocks if stock.errors and not stock.listed_any]
    errors = [error for stock in stocks for error in stock.errors]
    if unanswered and not choice.names:
        raise unanswered[0]
    if nothing:
        raise errors[0] if errors else nothing_found(stocks)


def require_names(chosen: t.Sequence[StoredArchive], stocks: t.Sequence[Stock], choice: Choice) -> None:
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


def nothing_found(stocks: t.Sequence[Stock]) -> ArchiveNotFoundError:
    locations = sorted({listed.store.location() for stock in stocks for listed in stock.listed()})
    return ArchiveNotFoundError("no archive is in this range", ", ".join(locations), "List the store to see which archives it has")
