# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""'make demo': stopped in the middle, run to its end, run again; in its own folder."""

from __future__ import annotations

import base64
import contextlib
import datetime
import filecmp
import json
import os
import pathlib
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
import typing as t

import lab
import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
RUN = CHECKOUT / "demo" / "run.py"
HOSTS = ("db1", "files1", "web1")
STORES = ("local", "s3", "sftp")

pytestmark = [
    pytest.mark.skipif(not RUN.exists(), reason="the collection's tarball has no demo"),
    # One worker: each would run the whole demo otherwise.
    pytest.mark.xdist_group("demo"),
]


class Demo:
    """A folder in which the demo was run, and what its runs printed."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.outputs: t.List[str] = []
        self.secrets: t.Dict[str, bytes] = {}
        # When its runs began and ended: a day may end meanwhile.
        self.began: t.List[datetime.datetime] = []
        self.ended: t.List[datetime.datetime] = []

    def start(self) -> subprocess.Popen[str]:
        self.began.append(datetime.datetime.now())
        command = [sys.executable, str(CHECKOUT / "tests" / "rigs" / "quick_demo.py"), "--folder", str(self.folder), "-vvv"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, process: subprocess.Popen[str]) -> t.Tuple[int, str]:
        output = process.communicate(timeout=lab.patience(600))[0]
        self.ended.append(datetime.datetime.now())
        self.outputs.append(output)
        self.outputs.append((self.folder / "ansible.log").read_text(encoding="utf-8"))
        self._note_secrets()
        return process.returncode, output

    def run(self) -> t.Tuple[int, str]:
        return self.finish(self.start())

    def results(self, module: str) -> t.List[t.Tuple[str, t.Dict[str, t.Any]]]:
        """What the module returned in the last run: host and result of each item."""
        lines = (self.folder / "state" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines]
        return [(e["host"], e["result"]) for e in events if e["event"] == "item" and e["action"] == "infra_ops.log_archive." + module]

    def processes(self) -> t.List[str]:
        """Command lines of processes that have anything to do with the folder."""
        found = []
        for pid in os.listdir("/proc"):
            if pid.isdigit():
                try:
                    with open("/proc/%s/cmdline" % pid, "rb") as stream:
                        line = stream.read().replace(b"\0", b" ").decode(errors="replace")
                except (FileNotFoundError, ProcessLookupError):
                    continue
                if str(self.folder) in line:
                    found.append(line)
        return found

    def _note_secrets(self) -> None:
        config = (self.folder / "stores" / "s3" / "proxy-server.conf").read_text(encoding="utf-8")
        for key in re.findall(r"user_test_tester = (\S+) ", config):
            self.secrets["S3 secret key %s" % key[:4]] = key.encode()
        private = (self.folder / "stores" / "sftp" / "client_key").read_bytes().split(b"\n")
        self.secrets["private key of the SFTP account"] = private[-3]
        self.secrets["private key of the web server"] = (self.folder / "stores" / "intranet" / "https_key").read_bytes().split(b"\n")[1]
        for host in HOSTS:
            for path in (self.folder / "hosts" / host / "etc" / "log-archive" / "keyring").glob("*"):
                for token in re.findall(rb"[A-Za-z0-9_-]{43}=", path.read_bytes()) if path.is_file() else []:
                    raw = base64.urlsafe_b64decode(token)
                    self.secrets["Fernet key of %s" % host] = token
                    self.secrets["Fernet key of %s in hex" % host] = raw.hex().encode()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Demo:
    request.getfixturevalue("swift")  # Skips, or fails under 'make test', where Swift is not installed.
    pytest.importorskip("asyncssh")
    pytest.importorskip("ansible")
    return Demo(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module")
def stopped(demo: Demo) -> t.Tuple[int, str]:
    """Exit code and output of a run that got Ctrl-C while it archived."""
    process = demo.start()
    deadline = time.monotonic() + lab.patience(300)
    while time.monotonic() < deadline and process.poll() is None:
        if any((demo.folder / "hosts" / host / "var" / "backups" / "log-archive" / host).exists() for host in HOSTS):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    return demo.finish(process)


@pytest.fixture(scope="module")
def whole(demo: Demo, stopped: t.Tuple[int, str]) -> t.Tuple[int, str, t.Dict[str, t.Any]]:
    """Exit code and output of the run after that, and what was in the stores and pruned then."""
    code, output = demo.run()
    facts = {module: demo.results(module) for module in ("archive_run", "archive_info", "archive_restore", "archive_verify")}
    return code, output, facts


@pytest.fixture(scope="module")
def again(demo: Demo, whole: t.Any) -> t.Tuple[int, str]:
    """Exit code and output of one more run, with no hour ended and no log of this machine written to in between."""
    for _attempt in range(3):
        before = _changing(demo)
        code, output = demo.run()
        if before == _changing(demo):
            break
    else:
        pytest.skip("this machine writes to its logs all the time")
    return code, output


def _changing(demo: Demo) -> t.Any:
    """What makes a run find something new: the hour, and the logs that it knows as they are now."""
    logs = {file["path"] for _host, held in demo.results("archive_info") for archive in held["archives"] for file in archive["sources"]}
    states = sorted((path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in logs if os.path.exists(path))
    return datetime.datetime.now(datetime.timezone.utc).hour, states


def test_ctrl_c_stops_everything(demo: Demo, stopped: t.Tuple[int, str]) -> None:
    code, output = stopped
    assert code == 130, output
    assert "Traceback" not in output
    assert demo.processes() == []


def test_a_run_ends_well_and_stops_its_servers(demo: Demo, whole: t.Any) -> None:
    code, output, _facts = whole
    assert code == 0, output
    assert demo.processes() == []


def test_a_deletion_in_a_trail_is_found(demo: Demo, whole: t.Any) -> None:
    report = json.loads((demo.folder / "cloud" / "report.json").read_text(encoding="utf-8"))
    assert {finding["word"] for finding in report[0]["findings"]} == {"log_missing", "log_unnamed", "tail_missing", "tail_rewound"}
    assert "deletions in its bucket found (log_missing, log_unnamed, tail_missing, tail_rewound)" in whole[1]


def test_every_log_is_in_every_store_or_retention_does_not_keep_it_there(demo: Demo, whole: t.Any) -> None:
    facts = whole[2]
    # What no store keeps was not archived.
    left_out = {(host, store): 0 for host in HOSTS for store in STORES}
    for host, result in facts["archive_run"]:
        for store, what in result["recap"]["not_shipped"].items():
            left_out[host, store] += what["archives"]
    held = {(host, result["item"]): result["archives"] for host, result in facts["archive_info"]}
    assert sorted(held) == [(host, store) for host in HOSTS for store in STORES]
    for host in HOSTS:
        logs = sorted((demo.folder / "hosts" / host / "var" / "log" / "hourly").iterdir())
        assert len(logs) >= 26
        with contextlib.closing(
            sqlite3.connect(demo.folder / "hosts" / host / "var" / "lib" / "log-archive" / "catalog.sqlite")
        ) as catalog:
            gone = set(catalog.execute("SELECT store, key FROM copies WHERE state = 'pruned'"))
        anywhere = {source["path"] for store in STORES for archive in held[host, store] for source in archive["sources"]}
        for store in STORES:
            in_store = [source["path"] for archive in held[host, store] for source in archive["sources"]]
            assert len(in_store) == len(set(in_store)), "a log was archived twice"
            names = {key.rpartition("/")[2] for name, key in gone if name == store}
            missing = [log for log in logs if str(log) not in in_store and log.name + ".tgz.fernet" not in names]
            assert anywhere.isdisjoint(map(str, missing)), "%s, %s" % (host, store)
            assert len(missing) <= left_out[host, store]
    assert any(left_out.values())


def test_real_logs_of_this_machine_are_archived(demo: Demo, whole: t.Any) -> None:
    held = [result for host, result in whole[2]["archive_info"] if host == "files1"]
    paths = {source["path"] for result in held for archive in result["archives"] for source in archive["sources"]}
    readable = [
        path
        for path in pathlib.Path("/var/log").glob("*.log")
        if not path.is_symlink()
        and os.access(path, os.R_OK)
        and 0 < path.stat().st_size <= 8 << 20
        # Not one that came, or was empty until, while the demo ran.
        and path.stat().st_mtime < demo.began[1].timestamp()
    ]
    if not readable:
        pytest.skip("this machine has no logs in /var/log that we may read")
    assert {str(path) for path in readable} <= paths


def test_every_copy_was_read_back(whole: t.Any) -> None:
    facts = whole[2]
    held = {(host, result["item"]): result["totals"]["archives"] for host, result in facts["archive_info"]}
    verified = {(host, result["item"]): result["verified"] for host, result in facts["archive_verify"]}
    assert verified == held
    assert {level for _host, result in facts["archive_verify"] for level in result["levels"]} == {"read_back"}


def test_what_is_restored_is_the_log(demo: Demo, whole: t.Any) -> None:
    facts = whole[2]
    count = 0
    for host, result in facts["archive_restore"]:
        folder = demo.folder / "hosts" / host / "var" / "restored" / result["item"]
        for file in result["files"]:
            if "/hourly/" in file["path"]:
                assert filecmp.cmp(file["path"], "/" + os.path.relpath(file["path"], folder), shallow=False)
                count += 1
    # Two hosts keep a day in each store, db1 keeps 18 hours of it in the local one.
    assert count >= 3 * (24 + 24) + 2 * 24 + 18


def test_the_dump_of_today_was_fetched_and_comes_back(demo: Demo, whole: t.Any) -> None:
    _code, output, facts = whole
    # The run that was stopped may have had the dump of the day before.
    possible = {moment.strftime("intranet.%Y%m%d.tgz.fernet") for moment in (*demo.began[:2], *demo.ended[:2])}
    today = {moment.strftime("intranet.%Y%m%d.tgz.fernet") for moment in (demo.began[1], demo.ended[1])}
    for host, result in facts["archive_info"]:
        names = [archive["key"].rpartition("/")[2] for archive in result["archives"] if archive["job"] == "intranet-dump"]
        if host == "files1":
            assert names and set(names) <= possible and names[-1] in today, result["item"]
        else:
            assert names == [], (host, result["item"])
    dump = demo.folder / "stores" / "intranet" / "dump.sql"
    for host, result in facts["archive_restore"]:
        paths = [file["path"] for file in result["files"] if file["path"].endswith("/dump.sql")]
        assert len(paths) == (1 if host == "files1" else 0)
        assert all(filecmp.cmp(path, dump, shallow=False) for path in paths)
    # The run that was stopped may have had it already.
    assert re.search(r"^  fetched +intranet-dump over HTTPS: (.* of today, archived as intranet\.|nothing new$)", output, re.MULTILINE)


def test_another_run_changes_nothing_and_says_so(again: t.Tuple[int, str], demo: Demo) -> None:
    code, output = again
    assert code == 0, output
    assert "Nothing new: 0 changed." in output
    log = (demo.folder / "ansible.log").read_text(encoding="utf-8")
    assert re.findall(r"changed=(\d+)", log) == ["0"] * len(HOSTS)


def test_the_commands_that_it_offers_work_as_they_stand(again: t.Tuple[int, str], demo: Demo) -> None:
    commands = [line.strip() for line in again[1].splitlines() if re.match(r"\s+\S+/log-archive \w+", line)]
    assert len(commands) >= 4
    for command in commands:
        done = subprocess.run(shlex.split(command), capture_output=True, text=True, check=False)
        assert done.returncode == 0, "%s: %s" % (command, done.stderr)
    assert list((demo.folder / "restored-by-hand").rglob("syslog.*"))


def test_the_ledger_names_an_archive_that_was_removed(again: t.Tuple[int, str]) -> None:
    named = r"'log-archive ledger verify' named the archive that was removed \(syslog\S+: gone without a tombstone; exit code 4\)"
    assert re.search(named, again[1])


def test_lines_are_found_in_the_archives(again: t.Tuple[int, str]) -> None:
    assert re.search(r"'log-archive search' found 'Failed password' in [\d,]+ lines of \d+ archived logs", again[1])


def test_a_live_log_is_in_sql_and_on_a_page(again: t.Tuple[int, str], demo: Demo) -> None:
    assert "10,000 lines of a live log in SQL, each exactly once, though the follower was killed" in again[1]
    page = (demo.folder / "stream" / "page.html").read_text(encoding="utf-8")
    with contextlib.closing(sqlite3.connect(demo.folder / "stream" / "sftpgo.sqlite")) as database:
        transfers = database.execute("SELECT COUNT(*) FROM sftpgo_transfer WHERE error IS NULL").fetchone()[0]
    assert 'data-name="transfers" data-value="%d"' % transfers in page


def test_the_page_of_the_fleet_has_every_host(again: t.Tuple[int, str], demo: Demo) -> None:
    shown = re.search(r"Page .*  (\d+) periods verified, 0 missing: (\S+)", again[1])
    assert shown is not None and pathlib.Path(shown[2]).resolve() == (demo.folder / "fleet.html").resolve()
    data = re.search(r'id="data">(.*?)</script>', (demo.folder / "fleet.html").read_text(encoding="utf-8"))
    assert data is not None
    jobs = json.loads(data[1])["jobs"]
    assert {job["h"] for job in jobs} == set(HOSTS)
    assert sum(job["c"].get("verified", 0) for job in jobs) == int(shown[1]) > 70


def test_no_secret_shows_anywhere(again: t.Tuple[int, str], demo: Demo) -> None:
    assert len(demo.secrets) >= 1 + 1 + 1 + 2 * len(HOSTS)
    # Where each is at home, and nowhere else: not in a log, a job document, a catalog, an event.
    homes = {"proxy-server.conf", "client_key", "host_key", "https_key"}
    for path in demo.folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.name not in homes and "keyring" not in path.parts:
            content = path.read_bytes()
            for what, secret in demo.secrets.items():
                assert secret not in content, "%s is in %s" % (what, path)
    for output in demo.outputs:
        for what, secret in demo.secrets.items():
            assert secret.decode() not in output, what


def test_it_says_what_failed_and_where_the_log_is(again: t.Tuple[int, str], demo: Demo) -> None:
    keyrings = [demo.folder / "hosts" / host / "etc" / "log-archive" / "keyring" for host in HOSTS]
    for keyring in keyrings:
        keyring.chmod(0o755)
    try:
        code, output = demo.run()
    finally:
        for keyring in keyrings:
            keyring.chmod(0o700)
    assert code == 1
    for keyring in keyrings:
        assert "chmod 0700 %s" % keyring in output
    assert str(demo.folder / "ansible.log") in output
    assert "Done" not in output and "Nothing new" not in output
    assert demo.processes() == []
