# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and messages from a store can neither control the terminal nor write lines of their own, in whatever is printed or sent."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import shutil
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import dump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from rigs import forgery
from rigs.holdings import KEYS
from rigs.host import Host, at

pytest.importorskip("cryptography")
EVIL = "\x1b[2Jx\nok      file  99 archive(s) by authenticated\r\x07\u202e\x9b"
FORGED_LINE = "ok      file  99 archive(s)"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    host = Host(tmp_path_factory.mktemp("site"))
    host.write_logs(12, 13, 14)
    host.run()
    return host.folder


@pytest.fixture
def host(template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A store with archives, manifests and other files of hostile names; every text in one of the manifests is hostile too."""
    shutil.copytree(template, tmp_path / "site")
    host = Host(tmp_path / "site")
    host.write_document(retention={"keep_last": 1, "name_template": "%Y%m%d" + EVIL})
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(host.folder / "jobs"))
    day = host.store / "web1" / "syslog" / "2024" / "01" / "12"
    manifest = forgery.read_manifest(host.store, KEYS[0])
    for name, content in {
        EVIL.replace("/", "") + "1": {**manifest, "version": 1, "archive": {**manifest["archive"], "name": EVIL + "1"}},
        EVIL + "2": {**manifest, "host": EVIL, "job": EVIL, "archive": {**manifest["archive"], "name": EVIL + "2"}},
        EVIL + "3": {**manifest, "encryption": {"format": EVIL, "key_id": EVIL}},
        EVIL + "4": {**manifest, "version": 1, "period": {"start": EVIL, "end": EVIL}},
    }.items():
        shutil.copy(host.store / KEYS[0], day / name)
        (day / (name + ".manifest.json")).write_bytes(dump(t.cast(t.Any, content)))
    (day / (EVIL + "5")).write_bytes(b"bare")
    (day / (EVIL + "6.manifest.json")).write_bytes(EVIL.encode())
    (host.store / ("20240110" + EVIL)).write_bytes(b"of another tool")
    return host


COMMANDS = [
    ["list", "--store", "file"],
    ["list"],
    ["verify"],
    ["verify", "--level", "authenticated"],
    ["prune", "--dry-run"],
    ["run", "--all", "--dry-run"],
    ["run", "--all"],
    ["restore", "--since", "2024-01-01", "--to", "TO"],
    ["restore", "--name", EVIL, "--to", "TO"],
    ["status"],
    ["prune"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:3]).replace(EVIL, "EVIL"))
def test_what_a_command_prints(host: Host, command: t.List[str]) -> None:
    output, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(error):
        cli.main([str(host.folder / "to") if word == "TO" else word for word in command])
    for text in (output.getvalue(), error.getvalue()):
        assert all(map(str.isprintable, text.split("\n"))), text
        assert not any(line.startswith(FORGED_LINE) for line in text.splitlines()), text


def test_the_hostile_names_are_shown(host: Host) -> None:
    """Else the test above would prove nothing."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        assert cli.main(["verify"]) == 4
    for number in "23456":
        assert r"\x1b[2Jx\nok      file  99 archive(s) by authenticated\r\x07\u202e\x9b" + number in output.getvalue()


def test_what_a_run_sends_and_logs(host: Host) -> None:
    record = host.run(at("2024-01-12 15:06"), retention={"keep_last": 1, "name_template": "%Y%m%d" + EVIL})
    assert any("\\x1b" in json.dumps(text) or "\x1b" in text for text in record["warnings"])
    message = Message([t.cast(t.Any, record)])
    for text in (message.text(), message.markdown(100_000), message.subject, message.html()):
        assert all(map(str.isprintable, text.split("\n")))
    for text in (message.text(), message.markdown(100_000)):
        assert not any(line.startswith(FORGED_LINE) for line in text.splitlines())
    assert host.events.read_bytes().isascii()
    for line in host.events.read_text().splitlines():
        json.loads(line)
