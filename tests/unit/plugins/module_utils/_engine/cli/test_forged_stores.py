# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``verify``, ``status`` and ``restore`` when a store does not have what the catalog records: exit code 4, and the archive is named."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import walk
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from rigs import forgery
from rigs.host import Host, at, files_below

pytest.importorskip("cryptography")
DAYS = ["web1/syslog/2024/01/%s/syslog.202401%s.12.tgz.fernet" % (day, day) for day in ("11", "12", "13")]


class Called(t.NamedTuple):
    code: int
    output: str
    error: str


def call(*arguments: str) -> Called:
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        code = cli.main(arguments)
    return Called(code, output.getvalue(), error.getvalue())


def rows(*arguments: str) -> t.Any:
    return json.loads(call(*arguments, "--json").output)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    host = Host(tmp_path_factory.mktemp("site"))
    for day in ("11", "12", "13"):
        (host.logs / ("syslog.202401%s.12" % day)).write_bytes(os.urandom(500) * 3)
    assert host.run(at("2024-01-13 15:05"), select={"catch_up": "7d"})["exit_code"] == 0
    return host.folder


@pytest.fixture
def host(template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    shutil.copytree(template, tmp_path / "site")
    host = Host(tmp_path / "site")
    host.write_document(select={"catch_up": "7d"})
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(host.folder / "jobs"))
    return host


CHANGES: t.Dict[str, t.Callable[[pathlib.Path], None]] = {
    "removed": lambda store: forgery.remove(store, DAYS[0]),
    "only the archive removed": lambda store: (store / DAYS[0]).unlink(),
    "only the manifest removed": lambda store: (store / (DAYS[0] + ".manifest.json")).unlink(),
    "replaced by the archive of another day": lambda store: forgery.copy(store, DAYS[1], DAYS[0]),
    "the token of another day": lambda store: (store / DAYS[0]).write_bytes((store / DAYS[1]).read_bytes() + b"AAAA") and None,
    "the manifest of another day": lambda store: forgery.copy(store, DAYS[1], DAYS[0], archive=False),
    "the HMAC stripped": lambda store: forgery.downgrade(store, DAYS[0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_is_an_error_that_names_the_archive(host: Host, change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "SETTLED", 0)
    assert call("status", "--max-age", "9999d").code == 0, "from now on it is known what was right"
    CHANGES[change](host.store)
    for command in (["verify", "--level", "size"], ["verify"], ["status", "--max-age", "9999d"]):
        called = call(*command)
        assert (called.code, DAYS[0] in called.output) == (4, True), (command, called)
        assert DAYS[1] not in called.output and DAYS[2] not in called.output
    restored = call("restore", "--since", "2024-01-01", "--to", str(host.folder / "to"))
    assert restored.code == 4 and DAYS[0] in restored.error
    assert [name[-11:] for name in files_below(host.folder / "to")] == ["20240112.12", "20240113.12"]


def test_what_a_store_has_is_not_listed_as_if_it_were_all(host: Host) -> None:
    forgery.copy(host.store, DAYS[1], DAYS[0], archive=False)
    called = call("list", "--store", "file")
    assert (called.code, "1 archive(s) are damaged and not listed: " in called.error, DAYS[0] in called.error) == (4, True, True), called
    assert [day in called.output for day in DAYS] == [False, True, True]
    *listed, failed = json.loads(call("list", "--store", "file", "--json").output)
    assert ([row["key"] for row in listed], failed["job"], failed["error"]["kind"]) == (DAYS[1:], "syslog", "integrity")


def test_an_intact_store_is_fine(host: Host) -> None:
    assert call("status", "--max-age", "9999d").code == 0
    for level in ("size", "read_back", "authenticated"):
        called = call("verify", "--level", level)
        assert called == Called(0, "ok      file  3 archive(s) by %s\n" % level, "")
    assert {row["authenticated"] for row in rows("verify")} == {True}


def test_a_token_of_the_same_size_is_seen_by_verify(host: Host) -> None:
    data = (host.store / DAYS[1]).read_bytes()
    (host.store / DAYS[0]).write_bytes(data[: (host.store / DAYS[0]).stat().st_size].ljust((host.store / DAYS[0]).stat().st_size, b"A"))
    assert call("verify").code == 4


@pytest.mark.parametrize("lost", [False, True])
def test_an_older_state_that_was_put_there_as_the_newest_is_not_restored(host: Host, lost: bool) -> None:
    """Its HMAC is right: the host has made it, for another revision."""
    log = host.logs / "growing.log"
    for text in ("one", "one two"):
        log.write_text(text)
        os.utime(log, (1705060000, 1705060000 + len(text)))
        host.run(name="growing", select={"patterns": ["growing.log"], "period": "none"})
    (first,) = (path for path in host.store.rglob("growing.log.tgz.fernet"))
    for suffix in ("", ".manifest.json"):
        shutil.copy(str(first) + suffix, str(first).replace(".tgz.fernet", ".r9.tgz.fernet") + suffix)
    host.write_document(name="growing", select={"patterns": ["growing.log"], "period": "none"})
    if lost:
        host.state.rename(host.folder / "lost")
    else:
        assert call("status", "growing").code == 4
    called = call("verify", "growing")
    assert called.code == 4 and "r9.tgz.fernet: it is a copy of " in called.output
    assert call("restore", "growing", "--since", "2024-01-01", "--to", str(host.folder / "to")).code == 4
    assert (host.folder / "to" / str(log)[1:]).read_text() == "one two"


def test_only_the_range_is_compared(host: Host) -> None:
    forgery.remove(host.store, DAYS[0])
    assert call("verify", "--since", "2024-01-12").code == 0
    assert call("verify", "--until", "2024-01-12").code == 4


def test_what_retention_would_remove_may_be_gone(host: Host) -> None:
    """Somebody else may prune: the server of an append-only store, or a rule of a bucket."""
    host.write_document(retention={"keep_last": 2}, select={"catch_up": "7d"})
    forgery.remove(host.store, DAYS[0])
    assert (call("verify").code, call("status", "--max-age", "9999d").code) == (0, 0)
    forgery.remove(host.store, DAYS[1])
    assert (call("verify").code, call("status", "--max-age", "9999d").code) == (4, 4)


def test_a_store_that_cannot_be_listed_is_no_finding(host: Host) -> None:
    host.stores = [{"type": "file", "path": str(host.folder / "mount" / "store")}]
    host.write_document(select={"catch_up": "7d"})
    (row,) = rows("status", "--max-age", "9999d")
    assert (row["exit_code"], row["findings"], list(row["unreachable"])) == (1, [], ["file"])
    assert "store file" in call("status").output


def test_the_failed_archives_are_in_the_json_of_a_restore(host: Host) -> None:
    forgery.remove(host.store, DAYS[0])
    found = rows("restore", "--since", "2024-01-01", "--to", str(host.folder / "to"))
    assert [(row["archive"], row["state"]) for row in found] == [(DAYS[1], "written"), (DAYS[2], "written"), (DAYS[0], "failed")]
    assert found[2]["path"] is None and "was removed" in found[2]["error"]


def test_an_archive_that_is_not_encrypted_is_an_error_of_a_job_that_encrypts(host: Host) -> None:
    forgery.downgrade(host.store, DAYS[0], encryption={"format": "none", "key_id": None})
    host.state.rename(host.folder / "lost")
    called = call("verify", "--level", "read_back")
    assert called.code == 4 and "not encrypted" in called.output


def test_archives_without_an_hmac_are_counted(host: Host) -> None:
    forgery.downgrade(host.store, DAYS[0])
    host.state.rename(host.folder / "lost")
    called = call("verify", "--level", "authenticated")
    assert called.code == 0
    assert called.output.splitlines()[:2] == ["ok      file  2 archive(s) by authenticated", "ok      file  1 archive(s) by read_back"]
    assert "1 archive(s) are not authenticated" in called.output
    assert "1 archive(s) are not authenticated" in call("restore", "--since", "2024-01-01", "--to", str(host.folder / "to")).output
