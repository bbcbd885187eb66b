# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore from stores: each archive from the first store that can give it. With file stores and archives as a job makes them."""

from __future__ import annotations

import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ArchiveNotFoundError,
    IntegrityError,
    KeyringError,
    LogArchiveError,
    StoreError,
    StoreUnavailableError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import Staging
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import (
    Restored,
    failure,
    restore_from_stores,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.host import Host, at, files_below
from rigs.stores import store_options

pytest.importorskip("cryptography")
KEYS = ["web1/syslog/2024/01/12/syslog.20240112.%d.tgz.fernet" % hour for hour in (12, 13, 14)]
ALL = Choice(start=at("1970-01-01 00:00"))


class Site:
    """A host with three archives in each of two stores, ``near`` and ``far``, and a destination."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(folder)
        self.near = folder / "mount1" / "near"
        self.far = folder / "mount2" / "far"
        self.destination = folder / "restored"
        self.warnings: t.List[str] = []

    def holdings(self, *stores: str, **options: t.Any) -> Holdings:
        written = [store_options("file", name=name, path=str(getattr(self, name))) for name in stores or ("near", "far")]
        return Holdings(written, "web1", options.get("job", "syslog"), str(self.host.keyring), options.get("unencrypted", False))

    def written(self, *stores: str) -> t.List[t.Dict[str, t.Any]]:
        """The stores as a job document has them."""
        return [{"type": "file", "name": name, "path": str(getattr(self, name))} for name in stores or ("near", "far")]

    def restore(self, *holdings: Holdings, choice: Choice = ALL, **options: t.Any) -> t.List[Restored]:
        return list(restore_from_stores(holdings or [self.holdings()], choice, str(self.destination), warn=self.warnings.append, **options))

    def restored(self) -> t.Dict[str, bytes]:
        return {os.path.basename(name): (self.destination / name).read_bytes() for name in files_below(self.destination)}

    def logs(self, *hours: int) -> t.Dict[str, bytes]:
        names = ["syslog.20240112.%d" % hour for hour in hours]
        return {name: (self.host.logs / name).read_bytes() for name in names}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder)
    for store in (site.near, site.far):
        store.parent.mkdir()
    site.host.stores = site.written()
    site.host.write_logs(12, 13, 14)
    site.host.run()
    return folder


@pytest.fixture
def site(template: pathlib.Path, tmp_path: pathlib.Path) -> Site:
    shutil.copytree(template, tmp_path / "site")
    return Site(tmp_path / "site")


def unmount(store: pathlib.Path) -> None:
    """Take the store away with the folder above it: the store cannot be listed."""
    shutil.rmtree(store.parent)


def damage(path: pathlib.Path) -> None:
    """Flip a bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_the_first_store_gives_everything(site: Site) -> None:
    restored = site.restore()
    assert [one.key for one in restored] == KEYS
    assert {one.store for one in restored} == {"near"}
    assert {file.state for one in restored for file in one.files} == {"written"}
    assert site.restored() == site.logs(12, 13, 14)
    assert site.warnings == []


def test_restored_archives_are_not_fetched_again(site: Site) -> None:
    site.restore()
    shutil.rmtree(site.host.keyring)
    again = site.restore()
    assert {one.store for one in again} == {None}
    assert {file.state for one in again for file in one.files} == {"unchanged"}


def test_a_dry_run_predicts_the_real_run(site: Site) -> None:
    site.restore(choice=Choice(names=[KEYS[0]]))
    checked = site.restore(check=True)
    assert site.restored() == site.logs(12)
    assert [one[1:] for one in checked] == [one[1:] for one in site.restore()]


def other_content(path: pathlib.Path) -> None:
    path.write_bytes(b"other")


def a_folder(path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: pathlib.Path) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def a_file_above(path: pathlib.Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.touch()


@pytest.mark.parametrize("obstacle", [other_content, a_folder, a_link, a_file_above])
def test_a_dry_run_fails_as_the_real_run_for_what_stands_in_the_way(site: Site, obstacle: t.Callable[[pathlib.Path], None]) -> None:
    site.restore()
    (path,) = site.destination.rglob("syslog.20240112.13")
    obstacle(path)
    with pytest.raises(LogArchiveError) as real:
        site.restore()
    with pytest.raises(LogArchiveError) as dry:
        site.restore(check=True)
    assert str(dry.value) == str(real.value)


def test_a_dry_run_fails_as_the_real_run_if_the_destination_is_a_file(site: Site) -> None:
    site.destination.touch()
    with pytest.raises(LogArchiveError) as real:
        site.restore()
    with pytest.raises(LogArchiveError) as dry:
        site.restore(check=True)
    assert str(dry.value) == str(real.value)


def test_a_dry_run_overwrites_on_request(site: Site) -> None:
    site.restore()
    (path,) = site.destination.rglob("syslog.20240112.13")
    other_content(path)
    checked = site.restore(check=True, overwrite=True)
    assert path.read_bytes() == b"other"
    assert [one[1:] for one in checked] == [one[1:] for one in site.restore(overwrite=True)]


def test_the_next_store_if_the_first_cannot_be_listed(site: Site) -> None:
    unmount(site.near)
    assert {one.store for one in site.restore()} == {"far"}
    assert site.restored() == site.logs(12, 13, 14)
    (warning,) = site.warnings
    assert warning.startswith("store near: ")


def test_the_next_store_if_the_first_has_nothing_in_the_range(site: Site) -> None:
    shutil.rmtree(site.near)
    site.near.mkdir()
    assert {one.store for one in site.restore()} == {"far"}


def test_only_the_damaged_archive_comes_from_the_next_store(site: Site) -> None:
    damage(site.near / KEYS[1])
    restored = site.restore()
    assert [one.store for one in restored] == ["near", "far", "near"]
    assert site.restored() == site.logs(12, 13, 14)
    (warning,) = site.warnings
    assert warning.startswith("store near: ") and KEYS[1] in warning


def test_an_archive_with_a_damaged_manifest_comes_from_the_next_store(site: Site) -> None:
    (site.near / manifest_key(KEYS[0])).write_bytes(b"{")
    restored = site.restore()
    assert [(one.key, one.store) for one in restored] == list(zip(KEYS, ["far", "near", "near"]))
    assert site.warnings == []


def test_an_archive_with_a_damaged_manifest_is_reported_if_no_store_has_a_good_one(site: Site) -> None:
    for store in (site.near, site.far):
        (store / manifest_key(KEYS[0])).write_bytes(b"{")
    restored = site.restore()
    assert [one.key for one in restored] == [*KEYS[1:], KEYS[0]]
    assert site.restored() == site.logs(13, 14)
    assert "not JSON" in str(restored[-1].error)


def test_a_name_that_the_first_store_does_not_have(site: Site) -> None:
    (site.near / KEYS[0]).unlink()
    restored = site.restore(choice=Choice(names=[os.path.basename(key) for key in KEYS[:2]]))
    assert [one.store for one in restored] == ["far", "near"]


def test_another_ciphertext_of_the_same_logs_is_as_good(site: Site, template: pathlib.Path) -> None:
    shutil.rmtree(site.far)
    site.host.state = site.host.folder / "another-catalog"
    site.host.stores = site.written("far")
    site.host.logs = template / "logs"  # The manifests name these paths.
    site.host.run()
    assert (site.near / KEYS[1]).read_bytes() != (site.far / KEYS[1]).read_bytes()
    damage(site.near / KEYS[1])
    assert [one.store for one in site.restore()] == ["near", "far", "near"]
    assert site.restored() == site.logs(12, 13, 14)


def test_an_archive_that_no_store_can_give_leaves_nothing_and_the_others_are_restored(site: Site) -> None:
    damage(site.near / KEYS[1])
    damage(site.far / KEYS[1])
    restored = site.restore()
    assert site.restored() == site.logs(12, 14)
    assert [one.error is None for one in restored] == [True, False, True]
    assert str(site.near) in str(restored[1].error)
    error = failure(restored)
    assert isinstance(error, IntegrityError) and KEYS[1] in str(error) and KEYS[0] not in str(error)
    assert [warning.split(":")[0] for warning in site.warnings] == ["store near", "store far"]


def test_a_store_that_goes_away_midway(site: Site) -> None:
    restoring = restore_from_stores([site.holdings()], ALL, str(site.destination), warn=site.warnings.append)
    assert next(restoring).store == "near"
    unmount(site.near)
    assert [one.store for one in restoring] == ["far", "far"]
    assert site.restored() == site.logs(12, 13, 14)


def test_a_store_that_stops_answering_is_asked_last(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: t.List[str] = []
    get = FileStore.get

    def failing_get(store: FileStore, key: str, *arguments: t.Any, **options: t.Any) -> None:
        if key in KEYS:
            asked.append(store.name)
            if store.name == "near":
                raise StoreUnavailableError("no answer", store.location(key))
        get(store, key, *arguments, **options)

    monkeypatch.setattr(FileStore, "get", failing_get)
    assert {one.store for one in site.restore()} == {"far"}
    assert asked == ["near", "far", "far", "far"]


def test_no_store_answers(site: Site) -> None:
    unmount(site.near)
    unmount(site.far)
    with pytest.raises(StoreError, match=str(site.near)) as caught:
        site.restore()
    assert not isinstance(caught.value, ArchiveNotFoundError)
    assert len(site.warnings) == 2


def test_nothing_in_the_range(site: Site) -> None:
    with pytest.raises(ArchiveNotFoundError, match=r"/mount1/near, .*/mount2/far: no archive is in this range"):
        site.restore(choice=Choice(start=at("2025-01-01 00:00")))


def test_a_failed_store_may_have_what_the_others_do_not(site: Site) -> None:
    unmount(site.near)
    for choice in (Choice(start=at("2025-01-01 00:00")), Choice(names=["no-such-archive"])):
        with pytest.raises(StoreError, match=str(site.near)) as caught:
            site.restore(choice=choice)
        assert not isinstance(caught.value, ArchiveNotFoundError)


def test_an_unknown_name_is_an_error_before_anything_is_restored(site: Site) -> None:
    with pytest.raises(ArchiveNotFoundError, match=r"syslog\.20240112\.1\.tgz\.fernet: .*Similar names: syslog\.20240112\.1"):
        site.restore(choice=Choice(names=[KEYS[0], "syslog.20240112.1.tgz.fernet"]))
    assert not site.destination.exists()


def test_a_name_may_be_of_any_job(site: Site) -> None:
    other = site.holdings(job="other")
    assert [one.key for one in site.restore(other, site.holdings(), choice=Choice(names=[KEYS[0]]))] == [KEYS[0]]
    # A range that one job has nothing of is not an error.
    assert len(site.restore(other, site.holdings())) == 3


def test_latest_is_the_newest_period(site: Site) -> None:
    assert [one.key for one in site.restore(choice=Choice(latest=True))] == [KEYS[2]]


def test_a_missing_key_is_an_error_at_once(site: Site) -> None:
    shutil.rmtree(site.host.keyring)
    with pytest.raises(KeyringError):
        site.restore()
    assert site.warnings == []


def test_other_content_is_overwritten_only_on_request(site: Site) -> None:
    site.restore(choice=Choice(names=[KEYS[0]]))
    (path,) = site.destination.rglob("syslog.20240112.12")
    path.write_bytes(b"other")
    with pytest.raises(LogArchiveError, match="other content"):
        site.restore(choice=Choice(names=[KEYS[0]]))
    site.restore(choice=Choice(names=[KEYS[0]]), overwrite=True)
    assert site.restored() == site.logs(12)


def test_an_unencrypted_archive_is_accepted_only_on_request(site: Site) -> None:
    shutil.rmtree(site.near)
    site.host.stores = site.written("near")
    site.host.state = site.host.folder / "another-catalog"
    site.host.run(encryption={"format": "none"})
    refused = site.restore(site.holdings("near"))
    assert {type(one.error) for one in refused} == {IntegrityError}
    assert "not encrypted" in str(failure(refused))
    assert site.restored() == {}
    site.restore(site.holdings("near", unencrypted=True))
    assert site.restored() == site.logs(12, 13, 14)


def test_progress_counts_the_bytes_of_the_files(site: Site) -> None:
    import contextlib

    moved: t.Dict[str, t.List[int]] = {}

    @contextlib.contextmanager
    def progress(title: str, size: int) -> t.Iterator[t.Callable[[int], None]]:
        moved[title] = [size, 0]

        def advance(count: int) -> None:
            moved[title][1] += count

        yield advance

    site.restore(progress=progress)
    assert len(moved) == 3
    assert all(size == done > 0 for size, done in moved.values())


@pytest.fixture
def together(tmp_path: pathlib.Path) -> Site:
    """A site with one archive of three logs."""
    site = Site(tmp_path)
    site.near.parent.mkdir()
    site.host.stores = site.written("near")
    site.host.write_logs(12, 13, 14)
    site.host.run(archive={"group": "run"})
    return site


@pytest.mark.parametrize("check", [True, False])
def test_only_the_named_log_of_an_archive_is_written(together: Site, monkeypatch: pytest.MonkeyPatch, check: bool) -> None:
    created = []
    create = Staging.create
    monkeypatch.setattr(Staging, "create", lambda staging, name: (created.append(name), create(staging, name))[1])
    name = str(together.host.logs / "syslog.20240112.13")
    near = together.holdings("near")
    (restored,) = together.restore(near, choice=Choice(names=[name]), check=check)
    assert [(os.path.basename(file.path), file.state) for file in restored.files] == [("syslog.20240112.13", "written")]
    assert (together.restored() if not check else together.logs(13)) == together.logs(13)
    # The archive itself is fetched to the staging folder, too.
    assert len(created) == (0 if check else 2)
    if not check:
        (again,) = together.restore(near, choice=Choice(names=[name]))
        assert (again.store, [file.state for file in again.files]) == (None, ["unchanged"])
        together.restore(near, choice=Choice(names=[name, restored.key]))
        assert together.restored() == together.logs(12, 13, 14)


def test_a_named_log_is_refused_if_another_of_its_archive_is_damaged(together: Site) -> None:
    (key,) = [name for name in files_below(together.near) if not name.endswith(".json")]
    data = bytearray((together.near / key).read_bytes())
    data[len(data) // 2] ^= 1
    (together.near / key).write_bytes(data)
    name = str(together.host.logs / "syslog.20240112.12")
    (restored,) = together.restore(together.holdings("near"), choice=Choice(names=[name]))
    assert restored.error is not None and together.restored() == {}


def test_an_older_archive_gives_no_log_that_is_not_named(together: Site) -> None:
    (path,) = together.host.write_logs(13, size=9000)
    together.host.run(now=at("2024-01-12 15:35"), archive={"group": "run"})
    (restored,) = together.restore(together.holdings("near"), choice=Choice(names=[str(path)]))
    assert (len(restored.files), together.restored()) == (1, together.logs(13))
    assert "older states of the same logs were not restored" in together.warnings[0]
