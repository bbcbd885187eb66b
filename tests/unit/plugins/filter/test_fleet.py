# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the fleet, from what the command prints."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.filter import fleet_list, fleet_recap, fleet_runs, fleet_status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import errors
from rigs.host import COMMAND


class Host:
    """A folder with logs, a job and the command."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "logs").mkdir(parents=True)
        (folder / "jobs.d").mkdir()

    def job(self, name: str, **options: t.Any) -> None:
        document = {
            "name": name,
            "host": self.folder.name,
            "select": {"paths": [str(self.folder / "logs")], "patterns": [name + ".%Y%m%d"]},
            "encryption": {"format": "none"},
            "stores": [{"type": "file", "name": "local", "path": str(self.folder / "store")}],
            "spool": str(self.folder / "spool"),
            "state": str(self.folder / "state"),
        }
        (self.folder / "jobs.d" / (name + ".json")).write_text(json.dumps(dict(document, **options)), encoding="utf-8")

    def log(self, name: str, size: int) -> None:
        (self.folder / "logs" / name).write_bytes(b"x" * size)

    def result(self, *arguments: str) -> t.Dict[str, t.Any]:
        """What a task registers that runs the command."""
        command = [*COMMAND, *arguments, "--json", "--config", str(self.folder / "jobs.d")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> t.Dict[str, Host]:
    folder = tmp_path_factory.mktemp("fleet")
    hosts = {name: Host(folder / name) for name in ("web1", "web2", "broken", "mistaken")}
    hosts["web1"].log("syslog.20240111", 40000)
    hosts["web1"].job("syslog")
    assert hosts["web1"].result("run", "--all")["rc"] == 0
    # Retention removes the archive that this made.
    hosts["web1"].log("syslog.20240112", 40000)
    hosts["web1"].log("syslog.20240113", 40000)
    hosts["web1"].job("syslog", retention={"keep_last": 2})
    # A store that does not answer, on a port that nobody listens to, and that need not have everything at once.
    sftp = {"type": "sftp", "host": "127.0.0.1", "port": 1, "user": "u", "path": "/p", "password": "s3cr3t", "attempts": 1}
    hosts["web2"].log("syslog.20240112", 1000)
    hosts["web2"].log("auth.20240112", 1000)
    hosts["web2"].job("syslog", select={"paths": [str(folder / "web2" / "nowhere")], "must_exist": True})
    hosts["web2"].job("auth")
    hosts["broken"].log("syslog.20240112", 1000)
    hosts["broken"].job("syslog", stores=[sftp])
    (hosts["broken"].folder / "jobs.d" / "syslog.json").chmod(0o600)
    hosts["mistaken"].job("syslog", retention={"keep_lsat": 1})
    return hosts


@pytest.fixture(scope="module")
def ran(fleet: t.Dict[str, Host]) -> t.Dict[str, t.Any]:
    return {name: host.result("run", "--all") for name, host in fleet.items()}


UNREACHABLE = {"unreachable": True, "msg": "Failed to connect to the host via ssh: Connection refused"}
NO_COMMAND = {
    "failed": True,
    "rc": 2,
    "stdout": "",
    "stderr": "",
    "msg": "[Errno 2] No such file or directory: b'/usr/local/bin/log-archive'",
}


def table(lines: t.List[str]) -> t.List[t.Dict[str, str]]:
    """The table in the lines, by the names of its columns."""
    start = next(number for number, line in enumerate(lines) if line.startswith("HOST"))
    heads = list(re.finditer(r"\S+( \S+)*", lines[start]))
    names, at = [head[0] for head in heads], [head.start() for head in heads]
    return [{name: line[a:b].strip() for name, a, b in zip(names, at, [*at[1:], None])} for line in lines[start + 1 : -1]]


def test_the_list_shows_what_can_be_restored_and_failures_first(fleet: t.Dict[str, Host], ran: t.Dict[str, t.Any]) -> None:
    listing = fleet_list.FilterModule().filters()["fleet_list"]
    of_mistake = fleet["mistaken"].result("list", "--summary")
    asked = {name: fleet[name].result("list", "--summary") for name in ("web2", "web1", "broken")}
    asked = {**asked, "mistaken": of_mistake, "down": UNREACHABLE, "idle": {"no_jobs": True}}
    lines = listing(asked)
    assert [line.split(":")[0] for line in lines if ": " in line and not line.startswith(" ")] == ["down", "mistaken"]
    found = [(row["HOST"], row["JOB"], row["ARCHIVES"], row["STORES"], row["WAITING"]) for row in table(lines)]
    # Retention has removed one of the three archives of web1. What waits for the broken store cannot be restored from a store yet.
    assert found == [("broken", "syslog", "0", "-", "1"), ("web1", "syslog", "2", "local=2", "0"), ("web2", "auth", "1", "local=1", "0")]
    each = {name: fleet[name].result("list") for name in ("web2", "web1", "broken")}
    rows = listing(each, rows=True)
    assert [(row["host"], row["key"].rpartition("/")[2]) for row in rows] == [
        ("web1", "syslog.20240112.tgz"),
        ("web1", "syslog.20240113.tgz"),
        ("web2", "auth.20240112.tgz"),
    ]
    assert listing({**each, "again": each["web1"]}, rows=True) == rows, "a store that two hosts share is listed once"
    text = "\n".join(listing(each))
    assert "local=read_back" in text and "pruned" not in text and text.endswith("of logs")


def test_a_host_on_which_another_run_is_active_is_locked_and_not_failed(fleet: t.Dict[str, Host], ran: t.Dict[str, t.Any]) -> None:
    with durable.lock(str(fleet["web1"].folder / "state" / "syslog.lock"), wait=False):
        locked = fleet["web1"].result("run", "--all")
    lines = fleet_recap.FilterModule().filters()["fleet_recap"]({"web1": locked, "web2": ran["web2"]})
    assert lines[0].startswith("web1: LOCKED: syslog: ") and "another run holds the lock" in lines[0]
    assert [(row["HOST"], row["OUTCOME"]) for row in table(lines)][0] == ("web1", "locked")
    assert lines[-1].startswith("0 hosts ok, 1 failed, 1 locked; ")


def test_the_recap_shows_failures_first_and_counts_everything(ran: t.Dict[str, t.Any]) -> None:
    lines = fleet_recap.FilterModule().filters()["fleet_recap"](
        {**ran, "down": UNREACHABLE, "new": NO_COMMAND, "idle": {"no_jobs": True}, "left": None}
    )
    text = "\n".join(lines)
    assert "s3cr3t" not in text and all("\n" not in line for line in lines)
    head = [line for line in lines[: next(n for n, line in enumerate(lines) if line.startswith("HOST"))] if not line.startswith(" ")]
    assert [line.split(": ")[:2] for line in head] == [
        ["broken", "FAILED"],
        ["down", "UNREACHABLE"],
        ["left", "NOT RUN"],
        ["mistaken", "FAILED"],
        ["new", "FAILED"],
        ["web2", "FAILED"],
    ]
    assert "  - retention.keep_lsat: unknown key; did you mean 'keep_last'?" in [line[2:] for line in lines]
    rows = table(lines)
    assert [(row["HOST"], row["JOB"], row["OUTCOME"]) for row in rows] == [
        ("broken", "syslog", "partly done"),
        ("down", "-", "unreachable"),
        ("left", "-", "not run"),
        ("mistaken", "syslog", "failed"),
        ("new", "-", "failed"),
        ("web2", "syslog", "failed"),
        ("web2", "auth", "done"),
        ("idle", "-", "no jobs"),
        ("web1", "syslog", "done"),
    ]
    web1 = rows[-1]
    out = sum(archive["size"] for archive in json.loads(ran["web1"]["stdout"])[0]["archives"])
    assert (web1["ARCHIVES"], web1["IN"], web1["OUT"]) == ("2", "78.1 KiB", "%d B" % out)
    assert (web1["RATIO"], web1["VERIFIED"], web1["PRUNED"], web1["BACKLOG"]) == ("%.1f" % (80000 / out), "local=read_back", "local=1", "-")
    broken = rows[0]
    assert (broken["VERIFIED"], broken["BACKLOG"][:3]) == ("-", "1 (")
    assert lines[-1].startswith("1 host ok, 4 failed, 1 unreachable, 1 not run, 1 no jobs; 4 archives, 80.1 KiB in, ")
    assert lines[-1].endswith("verified at least by read_back")


def test_the_weakest_level_counts() -> None:
    def archive(**levels: t.Optional[str]) -> t.Dict[str, t.Any]:
        return {"stores": {name: {"state": "verified" if level else "failed", "verified_by": level} for name, level in levels.items()}}

    row = {
        "job": "a",
        "outcome": "done",
        "exit_code": 0,
        "errors": [],
        "archives": [archive(x="read_back", y="size"), archive(x="remote_hash", y=None)],
    }
    lines = fleet_recap.FilterModule().filters()["fleet_recap"]({"web1": {"rc": 0, "stdout": json.dumps([row])}})
    assert table(lines)[0]["VERIFIED"] == "x=remote_hash y=size"
    assert lines[-1] == "1 host ok; 2 archives, 0 B in, 0 B out, ratio -, verified at least by size"


def test_a_dry_run_is_marked(fleet: t.Dict[str, Host], tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path / "web3")
    host.log("syslog.20240112", 2048)
    host.job("syslog")
    row = table(fleet_recap.FilterModule().filters()["fleet_recap"]({"web3": host.result("run", "--all", "--dry-run")}))[0]
    assert (row["OUTCOME"], row["ARCHIVES"], row["IN"], row["OUT"], row["VERIFIED"]) == ("done (dry run)", "1", "2.0 KiB", "0 B", "-")


def test_the_runs_of_all_hosts_come_with_failures_first(ran: t.Dict[str, t.Any]) -> None:
    told = fleet_runs.FilterModule().filters()["fleet_runs"]({**ran, "down": UNREACHABLE, "idle": {"no_jobs": True}})
    assert {run["host"] for run in told} == {*ran, "down"}
    assert [run for run in told if run["host"] == "down"][0]["outcome"] == "unreachable"
    assert told[0]["errors"] and not told[-1]["errors"]


def test_nothing_was_run_anywhere() -> None:
    assert fleet_recap.FilterModule().filters()["fleet_recap"]({})[-1] == "0 hosts ok; 0 archives, 0 B in, 0 B out, ratio -, verified -"


def test_the_status_shows_failures_first(fleet: t.Dict[str, Host], ran: t.Dict[str, t.Any]) -> None:
    results = {name: host.result("status") for name, host in fleet.items()}
    lines = fleet_status.FilterModule().filters()["fleet_status"]({**results, "down": UNREACHABLE, "idle": {"no_jobs": True}})
    assert [line.split(": ")[:2] for line in lines if ": " in line and not line.startswith(" ")][:2] == [
        ["down", "UNREACHABLE"],
        ["mistaken", "FAILED"],
    ]
    assert "did you mean" in "\n".join(lines)
    rows = table(lines)
    assert "mistake" in rows[2].pop("STATE")
    assert [(row["HOST"], row["JOB"], row.get("STATE")) for row in rows] == [
        ("down", "-", "unreachable"),
        ("idle", "-", "no jobs"),
        ("mistaken", "syslog", None),
        ("web2", "syslog", "the last run failed"),
        ("broken", "syslog", "archives wait for a store"),
        ("web1", "syslog", "fine"),
        ("web2", "auth", "fine"),
    ]
    web1 = rows[-2]
    assert web1["LAST SUCCESS"].endswith("Z") and web1["VERIFIED"] == "local=read_back" and web1["BACKLOG"] == "-"
    assert rows[4]["BACKLOG"] == "sftp=1"
    assert lines[-1].startswith("2 hosts ok, 2 failed, 1 unreachable, 1 no jobs; ")


def test_the_status_shows_streams(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a host with a stream and no job; one line of its log is rejected, and another stream has a mistake."""
    host = Host(tmp_path / "sftp1")
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(tmp_path / "streams.d"))
    (tmp_path / "streams.d").mkdir()
    (tmp_path / "streams.d" / "bad.json").write_text("{}")
    document = {
        "name": "app",
        "host": "sftp1",
        "follow": {"paths": [str(tmp_path / "sftp1" / "logs")], "patterns": ["app.log"]},
        "sinks": [{"type": "sqlite", "path": str(tmp_path / "app.sqlite")}],
        "state": str(tmp_path / "state"),
    }
    path = tmp_path / "streams.d" / "app.json"
    path.write_text(json.dumps(document))
    (tmp_path / "sftp1" / "logs" / "app.log").write_text('{"time": "2026-11-03T01:59:58Z"}\nno JSON\n')
    subprocess.run([*COMMAND, "ingest", str(path)], check=True, capture_output=True)
    result = host.result("status")
    lines = fleet_status.FilterModule().filters()["fleet_status"]({"sftp1": result, "web1": {"no_jobs": True}})
    table = [re.split(r"\s{2,}", line) for line in lines]
    assert ["HOST", "STREAM", "SINK", "STATE", "LINES", "LAG", "REJECTED", "GAPS"] in table
    assert table[-2] == ["sftp1", "app", "sqlite", "lines were rejected", "2", "-", "1", "0"]
    assert table[-3][:3] == ["sftp1", "bad", "-"]
    found = errors(result)
    assert [text.partition(": ")[0] for text in found] == ["stream app", "stream bad"] and "lines were rejected" in found[0]


def test_the_status_shows_what_is_left_of_jobs_without_a_document(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path / "web1")
    host.job("syslog")
    spool = host.folder / "spool"
    waits = spool / "web1" / "old" / "2024"
    waits.mkdir(parents=True)
    (waits / "a.tgz").write_text("x")
    result = host.result("status")
    lines = fleet_status.FilterModule().filters()["fleet_status"]({"web1": result})
    text = "no document names this job: 1 archive(s), 1 B, wait in %s" % spool
    assert lines[-2] == "web1: orphan old: %s" % text
    assert [row["JOB"] for row in table(lines[:-1])] == ["syslog"]
    assert "old: %s" % text in errors(result)
