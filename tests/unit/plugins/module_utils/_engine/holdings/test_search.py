# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search in stores: what is printed is authentic, one bad archive does not hide the others, and no log touches a disk."""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import threading
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.patterns import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ArchiveNotFoundError,
    ConfigError,
    IntegrityError,
    KeyMissingError,
    StoreError,
    StoreUnavailableError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.search import Found, search_stores
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.host import Host, at
from rigs.stores import store_options

pytest.importorskip("cryptography")
KEYS = ["web1/syslog/2024/01/12/syslog.20240112.%d.tgz.fernet" % hour for hour in (12, 13, 14)]

ALL = Choice()


class Site:
    """A host with three archives in each of two stores, ``near`` and ``far``. Each log has the line 'needle HOUR'."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(folder)
        self.near = folder / "mount1" / "near"
        self.far = folder / "mount2" / "far"
        self.warnings: t.List[str] = []

    def holdings(self, *stores: str, **options: t.Any) -> Holdings:
        written = [store_options("file", name=name, path=str(getattr(self, name))) for name in stores or ("near", "far")]
        return Holdings(written, "web1", "syslog", str(self.host.keyring), **options)

    def search(self, *holdings: Holdings, choice: Choice = ALL, pattern: str = "needle", **wanted: t.Any) -> t.List[Found]:
        results = search_stores(holdings or [self.holdings()], choice, Wanted(pattern, **wanted), warn=self.warnings.append)
        return list(results)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("site")
    site = Site(folder)
    for store in (site.near, site.far):
        store.parent.mkdir()
    site.host.stores = [{"type": "file", "name": name, "path": str(getattr(site, name))} for name in ("near", "far")]
    site.host.write_logs(12, 13, 14)
    for hour in (12, 13, 14):
        with open(site.host.logs / ("syslog.20240112.%d" % hour), "a", encoding="utf-8") as log:
            log.write("\nneedle %d\nlast\n" % hour)
    site.host.run()
    return folder


@pytest.fixture
def site(template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    shutil.copytree(template, tmp_path / "site")
    (tmp_path / "ciphertext").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "ciphertext"))
    return Site(tmp_path / "site")


def damage(path: pathlib.Path) -> None:
    """Flip a bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def lines_of(found: t.Iterable[Found]) -> t.List[str]:
    return [line.text.decode() for part in found for line in part.lines]


def ends_of(found: t.Iterable[Found]) -> t.List[str]:
    """The archives that were searched to their end."""
    return [part.key for part in found if part.member is None and part.error is None]


def test_all_archives_are_searched_oldest_first(site: Site) -> None:
    found = site.search()
    assert lines_of(found) == ["needle 12", "needle 13", "needle 14"]
    assert [part.key for part in found if part.lines] == ends_of(found) == KEYS
    assert {(part.host, part.job, part.store) for part in found} == {("web1", "syslog", "near")}
    assert found[0].member is not None
    assert found[0].member.endswith("/syslog.20240112.12")
    assert site.warnings == []


def test_only_the_archives_of_the_span_are_fetched(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = watch_get(monkeypatch)
    found = site.search(choice=Choice(start=at("2024-01-12 13:00"), end=at("2024-01-12 14:00")))
    assert lines_of(found) == ["needle 13"]
    assert fetched == [KEYS[1]]


def watch_get(monkeypatch: pytest.MonkeyPatch) -> t.List[str]:
    """The keys of archives that are fetched from now on."""
    fetched: t.List[str] = []
    get = FileStore.get

    def watching(store: FileStore, key: str, sink: t.Any, *arguments: t.Any, **options: t.Any) -> None:
        if not key.endswith(".manifest.json"):
            fetched.append(key)
        get(store, key, sink, *arguments, **options)

    monkeypatch.setattr(FileStore, "get", watching)
    return fetched


def test_a_search_ends_after_the_last_match_that_is_wanted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = watch_get(monkeypatch)
    found = site.search(most=1, context=1)
    assert lines_of(found)[-1] == "needle 12"
    assert sum(part.matched for part in found) == 1
    assert KEYS[2] not in fetched
    assert ends_of(found) == []


def test_matches_are_counted_for_each_log(site: Site) -> None:
    found = site.search(only_count=True, pattern="needle|last")
    assert [(part.key, part.matched) for part in found if part.member] == [(key, 2) for key in KEYS]
    assert [part.matched for part in site.search(only_count=True, pattern="needle|last", most=3) if part.member] == [2, 1]


@pytest.mark.parametrize("where", ["archive", "manifest"])
def test_a_damaged_archive_is_taken_from_the_next_store_or_reported(site: Site, where: str) -> None:
    key = KEYS[1] if where == "archive" else manifest_key(KEYS[1])
    damage(site.near / key)
    found = site.search()
    assert lines_of(found) == ["needle 12", "needle 13", "needle 14"]
    assert [part.store for part in found if part.lines] == ["near", "far", "near"]
    damage(site.far / key)
    found = site.search()
    assert sorted(lines_of(found)) == ["needle 12", "needle 14"]
    assert [(part.key, type(part.error)) for part in found if part.error] == [(KEYS[1], IntegrityError)]


def test_a_token_of_another_archive_is_not_searched_as_this_one(site: Site) -> None:
    """Both have a signature by the same key."""
    shutil.copy(site.near / KEYS[0], site.near / KEYS[1])
    found = site.search(site.holdings("near"))
    assert lines_of(found) == ["needle 12", "needle 14"]
    (failed,) = [part for part in found if part.error]
    assert failed.key == KEYS[1]


def test_without_its_key_an_archive_is_reported(site: Site) -> None:
    for key in site.host.keyring.glob("*.key"):
        key.unlink()
    found = site.search()
    assert [type(part.error) for part in found] == [KeyMissingError] * 3


def test_if_the_stores_fail_the_rest_is_left_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: t.List[str] = []
    get = FileStore.get

    def failing(store: FileStore, key: str, sink: t.Any, *arguments: t.Any, **options: t.Any) -> None:
        if not key.endswith(".manifest.json") and key != KEYS[0]:
            asked.append(key)
            raise StoreUnavailableError("it does not answer", store.location(key))
        get(store, key, sink, *arguments, **options)

    monkeypatch.setattr(FileStore, "get", failing)
    found = site.search(site.holdings("near"))
    assert lines_of(found) == ["needle 12"]
    assert [(part.key, type(part.error)) for part in found if part.error] == [(KEYS[1], StoreUnavailableError)]
    assert asked == [KEYS[1]]


def test_a_store_that_cannot_be_listed_is_an_error_at_the_end(site: Site) -> None:
    shutil.rmtree(site.near.parent)
    assert lines_of(site.search()) == ["needle 12", "needle 13", "needle 14"]
    assert len(site.warnings) == 1
    results = search_stores([site.holdings("near"), site.holdings("far")], Choice(), Wanted("needle"))
    seen: t.List[Found] = []
    with pytest.raises(StoreError):
        seen.extend(results)
    assert lines_of(seen) == ["needle 12", "needle 13", "needle 14"]


def test_an_empty_range_is_an_error(site: Site) -> None:
    with pytest.raises(ArchiveNotFoundError):
        site.search(choice=Choice(start=at("2030-01-01 00:00")))


def test_an_empty_range_is_the_error_of_a_store_that_could_have_an_archive(site: Site) -> None:
    shutil.rmtree(site.near.parent)
    with pytest.raises(StoreError, match="near"):
        site.search(choice=Choice(start=at("2030-01-01 00:00")))


def test_a_pattern_is_checked_before_any_store_is_asked(site: Site) -> None:
    shutil.rmtree(site.near.parent)
    with pytest.raises(ConfigError, match="regular expression"):
        site.search(site.holdings("near"), pattern="(")


def test_no_log_is_written_to_a_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only files are without a name, and hold what the stores hold."""
    opened: t.List[t.Any] = []
    make = tempfile.TemporaryFile

    def watching(*arguments: t.Any, **options: t.Any) -> t.Any:
        opened.append(make(*arguments, **options))
        return open(os.dup(opened[-1].fileno()), "w+b")

    monkeypatch.setattr(tempfile, "TemporaryFile", watching)
    before = {path: path.stat().st_mtime_ns for path in site.near.parent.parent.rglob("*")}
    assert len(lines_of(site.search())) == 3
    held = [os.pread(file.fileno(), 1 << 20, 0) for file in opened]
    assert held == [(site.near / key).read_bytes() for key in KEYS]
    assert os.listdir(os.environ["TMPDIR"]) == []
    assert {path: path.stat().st_mtime_ns for path in site.near.parent.parent.rglob("*")} == before


def test_an_unencrypted_archive_is_refused_unless_it_is_expected(site: Site) -> None:
    shutil.rmtree(site.near)
    site.host.stores = [{"type": "file", "name": "near", "path": str(site.near)}]
    site.host.state = site.host.folder / "another-catalog"
    site.host.run(encryption={"format": "none"})
    found = site.search(site.holdings("near"))
    assert lines_of(found) == []
    assert all(isinstance(part.error, IntegrityError) for part in found)
    assert lines_of(site.search(site.holdings("near", unencrypted=True))) == ["needle 12", "needle 13", "needle 14"]


def test_a_search_that_is_left_ends_its_threads(site: Site) -> None:
    before = threading.active_count()
    results = search_stores([site.holdings()], Choice(), Wanted("needle"))
    assert next(results).matched == 1
    results.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(60)
    assert threading.active_count() == before
