# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Forged stores: what is believed of a manifest, by its place, by what the catalog records, and by its HMAC."""

from __future__ import annotations

import base64
import contextlib
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import walk
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, KeyMissingError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory, verify as verifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.comparison import compare
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.inventory import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import (
    Restored,
    failure,
    restore_from_stores,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import NO_RECORD, Record, Trust
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs import forgery, version1
from rigs.holdings import KEYS
from rigs.host import JOB, NAME, Host, at, file_store, files_below
from rigs.stores import store_options

pytest.importorskip("cryptography")
ALL = Choice(start=at("1970-01-01 00:00"))
NEXT_DAY = "web1/syslog/2024/01/13/syslog.20240113.12.tgz.fernet"


class Site:
    """A host with three archives in one store."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(folder)
        self.store = self.host.store
        self.warnings: t.List[str] = []

    def trust(self, record: Record = NO_RECORD) -> Trust:
        return Trust(str(self.host.keyring), False, record)

    def read(self, record: Record = NO_RECORD) -> inventory.Inventory:
        return inventory.read(file_store(self.store), NAME, JOB, trust=self.trust(record))

    def restore(self, choice: Choice = ALL, record: Record = NO_RECORD, **options: t.Any) -> t.List[Restored]:
        stores = [store_options("file", name="store", path=str(self.store))]
        holdings = Holdings(stores, NAME, JOB, str(self.host.keyring), records={"store": record})
        to = str(self.host.folder / "restored")
        return list(restore_from_stores([holdings], choice, to, warn=self.warnings.append, **options))

    def restored(self) -> t.List[str]:
        """The hours of the logs in the destination, each of which must have its own bytes."""
        folder = self.host.folder / "restored"
        found = files_below(folder)
        for name in found:
            log = self.host.logs / name.rpartition("/")[2]
            assert (folder / name).read_bytes() == log.read_bytes()
        return [name[-2:] for name in found]

    def verify(self, level: t.Optional[str] = None, record: Record = NO_RECORD) -> t.Dict[str, t.Any]:
        store, trust = file_store(self.store), self.trust(record)
        held = inventory.read(store, NAME, JOB, trust=trust)
        checked = verifying.unusable(held) + [verifying.verify(store, archive, level, trust) for archive in held.archives]
        return {one.key: one for one in checked}

    @contextlib.contextmanager
    def record(self) -> t.Iterator[Record]:
        """What the catalog of the host records."""
        with contextlib.closing(Catalog(str(self.host.state))) as catalog:
            yield Record(lambda: catalog.held(JOB, "file"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("site")
    host = Host(folder)
    host.write_logs(12, 13, 14)
    host.run()
    return folder


@pytest.fixture
def site(template: pathlib.Path, tmp_path: pathlib.Path) -> Site:
    shutil.copytree(template, tmp_path / "site")
    return Site(tmp_path / "site")


def forged_period(site: Site) -> None:
    forgery.alter(site.store, KEYS[1], period={"start": "2024-01-12T13:30:00Z", "end": "2024-01-12T14:00:00Z"})


FORGERIES: t.Dict[str, t.Callable[[Site], None]] = {
    "another period": forged_period,
    "another time": lambda site: forgery.alter(site.store, KEYS[1], created="2030-01-01T00:00:00Z"),
    "no HMAC": lambda site: forgery.alter(site.store, KEYS[1], hmac=None),
    "the HMAC of another archive": lambda site: forgery.alter(site.store, KEYS[1], hmac=forgery.read_manifest(site.store, KEYS[0])["hmac"]),
    "an unknown key": lambda site: forgery.alter(site.store, KEYS[1], encryption={"format": "fernet", "key_id": "0" * 16}),
    "a key id that is none": lambda site: forgery.alter(site.store, KEYS[1], encryption={"format": "fernet", "key_id": "../../x"}),
    "not encrypted": lambda site: forgery.alter(site.store, KEYS[1], hmac=None, encryption={"format": "none", "key_id": None}),
    "another archive with its manifest": lambda site: forgery.copy(site.store, KEYS[0], KEYS[1]),
    "another archive": lambda site: forgery.copy(site.store, KEYS[0], KEYS[1], manifest=False),
    "another manifest": lambda site: forgery.copy(site.store, KEYS[0], KEYS[1], archive=False),
    "a manifest of 70 MB": lambda site: (site.store / (KEYS[1] + ".manifest.json")).write_bytes(b"x" * 70_000_000) and None,
    "a manifest of lists": lambda site: (site.store / (KEYS[1] + ".manifest.json")).write_bytes(b"[" + b"[]," * 5_000_000 + b"1]") and None,
}


@pytest.mark.parametrize("name", FORGERIES)
def test_one_forged_archive_is_named_and_the_others_are_restored(site: Site, name: str) -> None:
    FORGERIES[name](site)
    restored = site.restore()
    assert site.restored() == ["12", "14"]
    assert [one.key for one in restored if one.error is not None] == [KEYS[1]]
    error = failure(restored)
    assert isinstance(error, IntegrityError) and KEYS[1] in str(error)
    assert all(one.authenticated for one in restored if one.error is None)


@pytest.mark.parametrize("name", FORGERIES)
@pytest.mark.parametrize("level", ["read_back", "authenticated"])
def test_verify_refuses_what_a_restore_refuses(site: Site, name: str, level: str) -> None:
    FORGERIES[name](site)
    checked = site.verify(level)
    bad = [key for key, one in checked.items() if one.error is not None]
    # Without its key, an archive can be read back, and a restore refuses it only for the key.
    assert bad == ([] if name == "an unknown key" and level == "read_back" else [KEYS[1]])
    assert [checked[key].level for key in (KEYS[0], KEYS[2])] == [level] * 2


def test_an_archive_in_the_folder_of_another_day_is_refused(site: Site) -> None:
    forgery.copy(site.store, KEYS[0], NEXT_DAY.replace("20240113", "20240112"))
    (why,) = (item.why for item in site.read().damaged.values())
    assert "belongs to another place" in why and "syslog.20240112.12.tgz.fernet" in why


def test_a_later_archive_that_is_not_authentic_does_not_replace_one_that_is(site: Site) -> None:
    later = KEYS[0].replace(".tgz", ".r2.tgz")
    forgery.copy(site.store, KEYS[0], later)
    forgery.downgrade(site.store, later, created="2030-01-01T00:00:00Z")
    restored = site.restore()
    assert [(one.key, one.authenticated) for one in restored] == [(key, True) for key in KEYS]


def test_keys_that_were_rotated_each_prove_their_archives(site: Site) -> None:
    keyring.rotate(str(site.host.keyring))
    site.host.write_logs(15)
    site.host.run(at("2024-01-12 16:05"))
    held = site.read()
    assert len({archive.manifest["encryption"]["key_id"] for archive in held.archives}) == 2
    assert {archive.authenticated for archive in held.archives} == {True}


def test_without_the_keys_nothing_is_known_and_restore_names_the_key(site: Site) -> None:
    shutil.rmtree(site.host.keyring)
    keyring.create(str(site.host.keyring))
    assert [archive.authenticated for archive in site.read().archives] == [None] * 3
    error = failure(site.restore())
    assert isinstance(error, KeyMissingError)
    assert {one.error is None for one in site.verify("read_back").values()} == {True}
    assert {"is needed" in one.error for one in site.verify("authenticated").values()} == {True}


@pytest.mark.parametrize("level", [None, "size", "read_back", "authenticated"])
def test_the_levels_of_an_intact_store(site: Site, level: t.Optional[str]) -> None:
    checked = site.verify(level)
    assert {(one.level, one.authenticated, one.error) for one in checked.values()} == {(level or "read_back", True, None)}


# -- archives of an older version -------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path: pathlib.Path) -> Site:
    site = Site(tmp_path)
    keyring.import_key(str(site.host.keyring), version1.KEY_TEXT)
    version1.write(site.store)
    return site


def test_an_archive_of_the_first_version_is_restored_and_reported_as_unauthenticated(old: Site) -> None:
    (restored,) = old.restore()
    assert (restored.key, restored.authenticated, restored.error) == (version1.KEY, False, None)
    assert (old.host.folder / "restored" / version1.LOG).read_bytes() == version1.CONTENT


@pytest.mark.parametrize("level", ["read_back", "authenticated"])
def test_an_archive_of_the_first_version_is_verified_and_reported_as_unauthenticated(old: Site, level: str) -> None:
    assert old.verify(level) == {version1.KEY: verifying.Checked(version1.KEY, "read_back", None, False)}


def test_the_key_of_the_first_version_is_still_read() -> None:
    assert keyring.key_id(base64.urlsafe_b64decode(version1.KEY_TEXT)) == version1.MANIFEST["encryption"]["key_id"]


# -- the catalog ------------------------------------------------------------------------------------------------------


def test_what_the_catalog_records_wins_over_a_stripped_hmac(site: Site) -> None:
    """Without the catalog, a manifest that pretends to be of the first version is accepted, and reported as unauthenticated."""
    forgery.downgrade(site.store, KEYS[1])
    assert [archive.authenticated for archive in site.read().archives] == [True, False, True]
    with site.record() as record:
        assert "the catalog records" in site.read(record).damaged[KEYS[1]].why
        restored = site.restore(record=record)
    assert [one.key for one in restored if one.error is not None] == [KEYS[1]]
    assert site.restored() == ["12", "14"]


def test_an_archive_that_was_removed_is_named(site: Site) -> None:
    forgery.remove(site.store, KEYS[1])
    with site.record() as record:
        assert "was removed" in site.verify(record=record)[KEYS[1]].error
        restored = site.restore(record=record)
    assert [one.key for one in restored if one.error is not None] == [KEYS[1]]
    assert site.restored() == ["12", "14"]


def test_an_archive_outside_of_the_choice_is_not_missed(site: Site) -> None:
    forgery.remove(site.store, KEYS[0])
    with site.record() as record:
        restored = site.restore(Choice(start=at("2024-01-12 13:00")), record)
        named = site.restore(Choice(names=[KEYS[1]]), record)
        latest = site.restore(Choice(latest=True), record)
    assert failure([*restored, *named, *latest]) is None
    assert site.restored() == ["13", "14"]


def test_an_archive_that_was_removed_can_be_asked_for_by_its_log(site: Site) -> None:
    (source,) = forgery.read_manifest(site.store, KEYS[0])["sources"]
    forgery.remove(site.store, KEYS[0])
    with site.record() as record:
        (restored,) = site.restore(Choice(names=[source["path"]]), record)
    assert restored.key == KEYS[0] and "was removed" in str(restored.error)


def test_an_archive_that_retention_would_remove_may_be_gone(site: Site) -> None:
    forgery.remove(site.store, KEYS[0])
    with site.record() as record:
        assert site.verify(record=record._replace(may_be_gone={KEYS[0]})).keys() == set(KEYS[1:])


def test_an_archive_that_a_run_has_pruned_meanwhile_is_not_missed(site: Site) -> None:
    forgery.remove(site.store, KEYS[0])
    with site.record() as record:
        answers = [record.held(), {}]
        assert site.read(Record(lambda: answers.pop(0))).damaged == {}


def test_a_comparison_without_reading_archives(site: Site) -> None:
    def wrong(action: t.Callable[[], None]) -> t.List[str]:
        with site.record() as record:
            action()
            found = compare(file_store(site.store), record)
        assert all(found.values())
        return sorted(found)

    assert wrong(lambda: None) == []
    assert wrong(lambda: forgery.downgrade(site.store, KEYS[1])) == [KEYS[1]]
    assert wrong(lambda: forgery.remove(site.store, KEYS[0])) == KEYS[:2]
    assert wrong(lambda: (site.store / KEYS[2]).write_bytes(b"x") and None) == KEYS


def rewrite(path: pathlib.Path) -> None:
    """Write another time into a manifest, in its place, at once, so that neither its size nor the time of its content differs."""
    before = path.stat()
    data = path.read_bytes().replace(b'"created":"20', b'"created":"19')
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(data)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat()[:9] == before[:9]


CHANGES_IN_STORE: t.Dict[str, t.Callable[[Site], t.Any]] = {
    "a manifest rewritten": lambda site: rewrite(site.store / (KEYS[1] + ".manifest.json")),
    "an archive cut": lambda site: os.truncate(site.store / KEYS[1], 10),
    "an archive gone": lambda site: (site.store / KEYS[1]).unlink(),
    "a manifest exchanged": lambda site: forgery.downgrade(site.store, KEYS[1]),
    "a folder gone": lambda site: shutil.rmtree((site.store / KEYS[1]).parent),
    "a copy beside it": lambda site: forgery.copy(site.store, KEYS[1], KEYS[1].replace(".13.", ".13.r9.")),
}


@pytest.mark.parametrize("change", CHANGES_IN_STORE)
def test_a_folder_that_was_right_is_read_again_once_it_changes(site: Site, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "SETTLED", 0)
    store = file_store(site.store)
    read = []
    monkeypatch.setattr(store, "get", lambda key, *options, get=store.get, **more: (read.append(key), get(key, *options, **more)))
    with contextlib.closing(Catalog(str(site.host.state))) as catalog:
        record = Record(lambda: catalog.held(JOB, "file"), compared=catalog.compared(JOB, "file"))
        assert (compare(store, record), len(read)) == ({}, len(KEYS))
        assert (compare(store, record), len(read)) == ({}, len(KEYS)), "nothing changed, and nothing was read"
        CHANGES_IN_STORE[change](site)
        found = compare(store, record)
        assert found and (found == compare(store, record)), "what is wrong is not forgotten"
    assert KEYS[1] in found or change == "a copy beside it"


def test_a_folder_that_was_right_is_read_again_once_the_catalog_changes(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "SETTLED", 0)
    store = file_store(site.store)
    with contextlib.closing(Catalog(str(site.host.state))) as catalog:
        record = Record(lambda: catalog.held(JOB, "file"), compared=catalog.compared(JOB, "file"))

        def right() -> t.List[str]:
            assert compare(store, record) == {}
            return list(catalog.compared(JOB, "file").right())

        (folder,) = right()
        entries = catalog.entries(JOB)
        changes: t.List[t.Callable[[], t.Any]] = [
            lambda: catalog.set_pruned("file", KEYS[:1]),
            lambda: catalog.set_kept("file", KEYS[:1]),
            lambda: catalog.set_verified(entries[0], "file", KEYS[0], "read_back", None),
            lambda: catalog.adopt(entries[0], "file", entries[0].manifest),
        ]
        for change in changes:
            change()
            assert catalog.compared(JOB, "file").right() == {}
            # Without its record, the first archive is one more than expected.
            assert right() == ([] if change is changes[0] else [folder])
        with contextlib.closing(Catalog(str(site.host.state))) as other:
            compared = catalog.compared(JOB, "file")
            assert list(compared.right()) == [folder]
            other.set_pruned("file", KEYS[:1])
            compared.remember({folder: "a mark of the time before"})
            assert compared.right() == {}


def test_a_file_that_was_written_just_now_may_change_again_without_a_trace(site: Site) -> None:
    with contextlib.closing(Catalog(str(site.host.state))) as catalog:
        compared = catalog.compared(JOB, "file")
        os.utime(site.store / KEYS[0])
        assert compare(file_store(site.store), Record(lambda: catalog.held(JOB, "file"), compared=compared)) == {}
        assert compared.right() == {}


# -- limits -----------------------------------------------------------------------------------------------------------


def test_the_manifests_of_a_listing_have_a_limit_and_the_smallest_come_first(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = forgery.read_manifest(site.store, KEYS[0])
    huge = {**manifest, "more": ["x" * 100] * 5000}
    first = KEYS[0].replace("syslog.20240112", "a.20240112")
    shutil.copy(site.store / KEYS[0], site.store / first)
    forgery.write_manifest(site.store, first, huge)
    monkeypatch.setattr(inventory, "MOST_MEMORY", 400_000)
    held = site.read()
    assert [archive.key for archive in held.archives] == KEYS
    assert "would take more than" in held.damaged[first].why
