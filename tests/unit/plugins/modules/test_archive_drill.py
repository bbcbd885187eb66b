# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module archive_drill, in this process, and the filter that makes a drill of a host of its results."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import typing as t

import pytest
import yaml
from ansible_collections.infra_ops.log_archive.plugins.filter.drill_result import FilterModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.drill import SAMPLE
from ansible_collections.infra_ops.log_archive.plugins.modules import archive_drill
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command, drills
from rigs.host import Host
from rigs.modules import module_args
from rigs.recipients import HPKE, identity_file

pytest.importorskip("cryptography")

RESULT = FilterModule().filters()["drill_result"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """Two jobs with archives in one store: one with the keyring, one for a recipient."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    recipient, _path = identity_file(host.folder, HPKE, "identity")
    assert host.run(name="kept", encryption={"recipients": [recipient]})["exit_code"] == 0
    return host


@pytest.fixture
def host(made: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """It with a store of its own, and an empty folder for plaintext."""
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "plain"))
    copy = Host.__new__(Host)
    copy.__dict__.update(vars(made), store=tmp_path / "store")
    shutil.copytree(made.store, copy.store)
    return copy


def drill(site: Host, **given: t.Any) -> t.Dict[str, t.Any]:
    arguments = {"store": {"type": "file", "path": str(site.store)}, "keyring": str(site.keyring), **given}
    out = io.StringIO()
    with module_args(arguments), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        archive_drill.main()
    assert os.listdir(os.environ["TMPDIR"]) == []
    return t.cast("t.Dict[str, t.Any]", json.loads(out.getvalue()))


def test_a_sample_of_each_job_is_restored_by_the_listing_of_the_store(host: Host) -> None:
    identity = host.folder / "identity"
    result = drill(host, sample=2, seed="a", identities=[str(identity)])
    assert (result["changed"], result.get("failed", False)) == (False, False)
    kept, syslog = result["drills"]
    assert [(row["host"], row["job"], row["store"], row["archives"], len(row["tried"])) for row in (kept, syslog)] == [
        ("web1", "kept", "file", 3, 2),
        ("web1", "syslog", "file", 3, 2),
    ]
    assert [one["error"] for row in (kept, syslog) for one in row["tried"]] == [None] * 4
    # Anyone can make an archive for a public key.
    assert ([one["proven"] for one in syslog["tried"]], [one["proven"] for one in kept["tried"]]) == ([True] * 2, [False] * 2)
    again = drill(host, sample=2, seed="a", job="syslog")["drills"]
    assert [one["archive"] for one in again[0]["tried"]] == [one["archive"] for one in syslog["tried"]]


def test_what_is_damaged_fails_and_the_others_are_tried(host: Host) -> None:
    victim, without, _last = sorted((host.store / "web1" / "syslog").rglob("*.fernet"))
    content = bytearray(victim.read_bytes())
    content[-20] ^= 1
    victim.write_bytes(content)
    without.with_name(without.name + ".manifest.json").write_text("{")
    result = drill(host, job="syslog", sample=10)
    assert (result["failed"], result["exit_code"]) == (True, 4)
    (row,) = result["drills"]
    assert row["archives"] == 3 and "1 archive(s) cannot be used, the first: web1/syslog/" in row["error"] and without.name in row["error"]
    assert [pathlib.Path(one["archive"]).name for one in row["tried"] if one["error"]] == [victim.name]
    assert len(row["tried"]) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"sample": 0}, "ConfigError"),
        ({"start": "2030-01-01"}, "ArchiveNotFoundError"),
        ({"names": ["unknown"]}, "ArchiveNotFoundError"),
        ({"folder": "/nonexistent"}, "LogArchiveError"),
        ({"keyring": "/nonexistent"}, "LogArchiveError"),
    ],
    ids=["sample", "range", "name", "folder", "keyring"],
)
def test_what_cannot_be_tried_fails(host: Host, given: t.Dict[str, t.Any], error: str) -> None:
    result = drill(host, job="syslog", **given)
    assert (result["failed"], result["error"]) == (True, error), result


def test_the_results_of_a_host_are_those_of_the_command(host: Host) -> None:
    local, shared, far = ({"type": kind, "name": name} for kind, name in (("file", "local"), ("s3", "shared"), ("sftp", "far")))
    documents = {name: {"name": name, "host": "web1", "stores": [local, shared, far]} for name in ("syslog",)}
    documents["alone"] = {"name": "alone", "host": "web1", "stores": [{"type": "file"}]}
    one = {"ansible_loop_var": "_pair", "_pair": ["syslog", "shared", 0], **drill(host, job="syslog", sample=1)}
    down = {"ansible_loop_var": "_pair", "_pair": ["syslog", "far", 1], "failed": True, "msg": "no route", "exit_code": 1, "drills": []}
    result = RESULT([one, down], documents)
    assert command.errors(result) == ["syslog: store far: no route", "alone: store file: " + drills.NO_STORE]
    shown = "\n".join(t.cast(t.List[str], drills.drilled({"web1": result})))
    assert "syslog: store file: 1 of 3 archives restored, 0 failed" in shown
    assert "syslog: store local: " + drills.NOT_ON_CONTROLLER in shown and "2 failed" in shown
    # What is left out alone is not a failure.
    assert RESULT([one], {"syslog": {**documents["syslog"], "stores": [local, shared]}})["rc"] == 0
    assert RESULT([one], documents, "shared")["rc"] == 0
    assert [RESULT([one], documents, "far", check_mode)["rc"] for check_mode in (False, True)] == [1, 0]


def test_the_default_of_the_sample_is_the_same_everywhere() -> None:
    top = pathlib.Path(__file__).resolve().parents[4]
    inputs, role = (yaml.safe_load((top / path).read_text()) for path in ("playbooks/vars/inputs.yml", "roles/restore/defaults/main.yml"))
    assert yaml.safe_load(archive_drill.DOCUMENTATION)["options"]["sample"]["default"] == SAMPLE == role["restore_sample"]
    assert inputs["_log_archive_inputs"]["log_archive_drill_sample"]["default"] == SAMPLE
    assert "log_archive_drill_sample | default(%d, true)" % SAMPLE in (top / "playbooks" / "drill.yml").read_text()
