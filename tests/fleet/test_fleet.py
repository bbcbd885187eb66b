# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole fleet, as an Ansible user has it: from fresh hosts to hosts from which everything was taken off again.

web1 (cron, a virtualenv without internet, both stores; it may only add on the archive server), files1 (systemd, the distribution's
libraries, S3 alone), archive1 (SFTP), and Swift beside the controller. The tests are one story, in this order.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import threading
import typing as t

import lab
import pytest
from fleet.roles import (
    OPTIONAL_PROJECTS,
    S3_PROJECTS,
    SFTP_PROJECTS,
    SFTP_STORE,
    SSH,
    Snapshot,
    as_user,
    difference,
    hour,
    snapshot,
    wheels,
)
from lab.fleet import ADMIN
from rigs import played

TASKS = played.tasks()
CHECK, SITE = played.plays("fleet.md", "site")
MANAGED = ("web1", "files1")
WITH_SFTP = ("web1",)
COMMAND = "/usr/local/bin/log-archive"
LOGS = "/var/log/app"
LIVE = "/var/log/live"
DATABASES = "/srv/streams"
FOLLOWER = "log-archive-follow@%s.service"
OPERATOR = "olga"
# What changes by itself once jobs run each minute: their logs, state and spool; on the server what arrives.
ALIVE = re.compile(r"/var/(log|lib|spool)/log-archive(-server)?(/|$)|/srv/log-archive/[^/]+/(archive/|\.seal$)|/srv/streams/")


# Changes that only a check reports, for a task that it cannot try.
STANDS_FOR = {"Report what would be installed"}
# Changes that only a real run reports, because they follow from others: the parts of an installation, what is done with a key pair or a
# unit once it is there, and a service that reads its new configuration.
FOLLOWS = {
    "Create the virtualenv",
    "Install the libraries",
    "Install optional libraries if there are wheels",
    "Set the owner of the private key",
    "Start the timers, now and at boot",
    "Start the followers, now and at boot",
    "Reload sshd without a service manager",
}


class Site:
    """The fleet with its inventory, everything that any play printed, and every command line that was seen meanwhile."""

    def __init__(self, fleet: lab.Fleet, escrow: pathlib.Path) -> None:
        self.fleet = fleet
        self.hosts = fleet.hosts
        self.escrow = escrow
        self.s3 = fleet.swift()
        self.bucket = fleet.within(self.s3.make_bucket)
        self.vault_secret = secrets.token_urlsafe(18)
        self.mail_secret = secrets.token_urlsafe(18)
        self.output: t.List[str] = []
        self.command_lines: t.Set[bytes] = set()
        self.reported_by_check: t.Set[t.Tuple[str, str]] = set()
        # Once: an hour may end during the story.
        self.hours = [hour(ago) for ago in range(4)]
        for name in MANAGED:
            host = self.hosts[name]
            host.run(["useradd", "--create-home", "--shell", "/bin/sh", OPERATOR])
            host.run(["install", "-d", "-m", "755", LOGS, LIVE])
            for ago in (3, 2):
                self.write_log(name, ago)
        # Whoever was logged in for the first time has a home that differs from before.
        self.fresh = self.snapshots()
        self.inventory = self.write_inventory()

    def write_log(self, name: str, ago: int) -> str:
        """Write the log of a past hour, readable for the group adm as logs are; return its path."""
        path = "%s/%s" % (LOGS, self.hours[ago])
        text = "".join("%s line %d of %s\n" % (name, number, path) for number in range(200))
        self.hosts[name].run(["install", "-m", "640", "-g", "adm", "/dev/stdin", path], input=text)
        return path

    def write_inventory(self, **retention: t.Any) -> pathlib.Path:
        s3 = {
            "type": "s3",
            "bucket": self.bucket,
            "endpoint_url": self.s3.endpoint_url,
            "region": self.s3.region,
            "addressing_style": "path",
            "access_key_id": self.s3.access_key,
            "secret_access_key": self.s3.secret_key,
        }
        job = {
            "select": {"paths": [LOGS], "patterns": ["app.%Y%m%d.%H"], "period": "hour", "catch_up": "7d"},
            "schedule": {"at": "* * * * *", "spread": "0s"},
            "retention": {"keep_within": "30d", **retention},
        }
        variables = {
            "log_archive_jobs": {"app": job},
            "log_archive_stores": {"sftp": SFTP_STORE, "s3": s3},
            "log_archive_escrow": str(self.escrow),
            # Its folder is that of all tests.
            "log_archive_witness": "%s-witness" % self.escrow,
            "log_archive_escrow_vault_secret": self.vault_secret,
            "dependencies_wheelhouse": wheels(self.hosts["web1"], *SFTP_PROJECTS, *S3_PROJECTS, *OPTIONAL_PROJECTS),
            "permissions_operators": [OPERATOR],
        }
        web1 = {
            "archive_server_append_only": True,
            "log_archive_jobs__host": {"app": {"stores": [{"name": "sftp", "append_only": True}, "s3"]}},
        }
        files1 = {"schedule_type": "systemd", "log_archive_dependencies": "packages"}
        files1["log_archive_jobs__host"] = {"app": {"stores": ["s3"]}}
        mail = {"type": "mail", "to": ["root@localhost"], "server": "localhost", "user": "u", "password": self.mail_secret}
        files1["follow_watchdog"] = "10s"
        files1["log_archive_streams"] = {
            "live": {"follow": {"paths": [LIVE], "patterns": ["live.log"]}, "sinks": ["local"], "notify": [mail]},
            "unit": {"follow": {"journal": {"units": ["writer"]}}, "sinks": [{"name": "local", "path": DATABASES + "/unit.sqlite"}]},
        }
        files1["log_archive_sinks"] = {"local": {"type": "sqlite", "path": DATABASES + "/live.sqlite"}}
        few = wheels(self.hosts["archive1"], "cryptography", "cffi", "pycparser")
        groups = {
            "web": {"hosts": {"web1": web1}},
            "fileserver": {"hosts": {"files1": files1}},
            # The operators are those of the hosts; it needs the libraries of no store.
            "archive_server": {"hosts": {"archive1": {"permissions_operators": [], "dependencies_wheelhouse": few}}},
        }
        return self.fleet.inventory({"all": {"children": groups, "vars": variables}}, user=ADMIN)

    def archive(self) -> t.Dict[str, t.Dict[str, int]]:
        """Play 'archive' until it does not meet a run of cron's, which has the lock and starts each minute."""
        for _attempt in range(3):
            try:
                return self.play("archive")
            except AssertionError:
                if "another run holds the lock" not in self.printed:
                    raise
        return self.play("archive")

    def play(self, name: str, *arguments: str, fine: bool = True, **options: t.Any) -> t.Dict[str, t.Dict[str, int]]:
        """Run a playbook of the collection at -vvv; return the recap's counts by host."""
        with self.watched():
            done = self.fleet.playbook(
                "infra_ops.log_archive." + name, "-vvv", *arguments, **{"inventory": self.inventory, **options}, timeout=lab.patience(300)
            )
        self.printed = done.stdout + done.stderr
        self.output.append(self.printed)
        # For who looks why a test failed.
        (self.fleet.folder / ("play-%02d-%s.log" % (len(self.output), name))).write_text(self.printed, encoding="utf-8")
        assert (done.returncode == 0) == fine, self.printed
        recap = done.stdout.rpartition("PLAY RECAP")[2]
        found = re.findall(r"^(\S+)\s+: (.*)$", recap, re.MULTILINE)
        assert found, self.printed
        return {host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in found}

    def changed(self) -> t.Set[t.Tuple[str, str]]:
        """The tasks of the last play that reported a change, with the host."""
        found = set()
        task = ""
        for line in self.printed.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line[line.index("[") + 1 : line.rindex("]")]
            reported = re.match(r"changed: \[([^] ]+)", line)
            if reported:
                found.add((reported[1], task))
        return found

    @contextlib.contextmanager
    def watched(self) -> t.Iterator[None]:
        """Note the command lines of all processes, those of the hosts among them, for as long as it lasts."""
        over = threading.Event()

        def look() -> None:
            # A process seldom becomes another program later than in its first second: those that are there already are read now and then.
            looks = {pid: 20 for pid in os.listdir("/proc") if pid.isdigit()}
            while not over.wait(0.05):
                looks = {pid: looks.get(pid, 0) + 1 for pid in os.listdir("/proc") if pid.isdigit()}
                for pid, count in looks.items():
                    if count < 20 or count % 100 == 0:
                        # It may be gone before it is read.
                        with contextlib.suppress(OSError), open("/proc/%s/cmdline" % pid, "rb", buffering=0) as stream:
                            self.command_lines.add(stream.read())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def snapshots(self) -> t.Dict[str, Snapshot]:
        return {name: snapshot(host) for name, host in self.hosts.items()}

    def differences(self, before: t.Dict[str, Snapshot]) -> t.Dict[str, t.Set[str]]:
        """By host what changed since, but for what the jobs change by themselves."""
        changed = {
            name: {path for path in difference(before[name], snapshot(host)) if not ALIVE.match(path)} for name, host in self.hosts.items()
        }
        return {name: paths for name, paths in changed.items() if paths}

    def on_s3(self) -> t.Set[str]:
        listed = self.fleet.within(lambda: self.s3.client().list_objects_v2(Bucket=self.bucket))
        return {each["Key"] for each in listed.get("Contents", [])}

    def on_sftp(self, name: str) -> t.Set[str]:
        base = self.hosts["archive1"].path("/srv/log-archive/la-%s/archive" % name)
        return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}

    def arrived(self, name: str, log: str) -> t.Set[str]:
        """The stores that hold the archive and the manifest of this log."""
        stores = {"s3": self.on_s3()}
        if name in WITH_SFTP:
            stores["sftp"] = self.on_sftp(name)
        archive = "/%s.tgz.fernet" % os.path.basename(log)
        ours = {store: [key for key in keys if key.startswith(name + "/app/")] for store, keys in stores.items()}
        return {
            store
            for store, keys in ours.items()
            if all(any(key.endswith(end) for key in keys) for end in (archive, archive + ".manifest.json"))
        }

    def secrets(self) -> t.Dict[str, bytes]:
        """By name every text that must not show anywhere. Call it before 'remove' takes the keys away."""
        found = {"secret of S3": self.s3.secret_key.encode(), "password of the escrow": self.vault_secret.encode()}
        found["password of the mail server"] = self.mail_secret.encode()
        for name in MANAGED:
            for key in self.hosts[name].path("/etc/log-archive/keyring").glob("*.key"):
                found["Fernet key %s of %s" % (key.stem, name)] = key.read_bytes().strip()
        for name in WITH_SFTP:
            lines = self.hosts[name].path(SSH + "/id_ed25519").read_bytes().splitlines()
            # The first line of the Base64 holds the header that all such keys have.
            found["private key of %s" % name] = lines[3]
        return found


@pytest.fixture(scope="module")
def site(fleet_factory: t.Callable[..., lab.Fleet], tmp_path_factory: pytest.TempPathFactory) -> Site:
    fleet = fleet_factory(light=("web1", "archive1"), systemd=("files1",))
    return Site(fleet, tmp_path_factory.mktemp("escrow"))


def test_a_check_of_fresh_hosts_changes_nothing(site: Site) -> None:
    recap = site.play(*CHECK)
    assert site.differences(site.fresh) == {}
    assert list(site.escrow.iterdir()) == []
    assert all(recap[name]["changed"] > 0 and recap[name]["failed"] == 0 for name in site.hosts)
    site.reported_by_check = site.changed()


def test_site_does_what_the_check_reported(site: Site) -> None:
    recap = site.play(*SITE)
    assert all(counts["failed"] == counts["unreachable"] == 0 for counts in recap.values())
    reported, done = site.reported_by_check, site.changed()
    assert {task.rpartition(" : ")[2] for _host, task in reported - done} == STANDS_FOR
    assert {task.rpartition(" : ")[2] for _host, task in done - reported} == FOLLOWS
    assert {host for host, _task in reported} == {host for host, _task in done} == set(site.hosts)


def test_a_second_site_changes_nothing(site: Site) -> None:
    before = site.snapshots()
    recap = site.play("site", "--diff")
    assert {name: counts["changed"] for name, counts in recap.items()} == dict.fromkeys(site.hosts, 0)
    assert site.differences(before) == {}
    # No role is applied: each would be more tasks than that.
    assert all(recap[name]["ok"] + recap[name]["skipped"] <= 13 for name in MANAGED), recap


def test_cron_and_the_timer_fire_the_jobs(site: Site) -> None:
    expected = {name: {"s3", "sftp"} if name in WITH_SFTP else {"s3"} for name in MANAGED}

    def arrived() -> t.Dict[str, t.Set[str]]:
        return {name: site.arrived(name, site.hours[3]) & site.arrived(name, site.hours[2]) for name in MANAGED}

    def reported() -> t.Set[str]:
        # A run writes its result after the archives arrived.
        return {name for name in MANAGED if "app" in site.hosts[name].path("/var/log/log-archive/app.log").read_text(encoding="utf-8")}

    with site.watched():
        lab.wait_until(lambda: arrived() == expected, arrived, 130, pause=0.5)
        lab.wait_until(lambda: reported() == set(MANAGED), reported, 60, pause=0.5)
    assert not site.hosts["files1"].path("/etc/cron.d/log-archive").exists()


READ_STREAMS = """
import json, sqlite3, sys
query = "SELECT message FROM generic_line"
stored = [sqlite3.connect("file:%s?mode=ro" % path, uri=True).execute(query).fetchall() for path in sys.argv[1:]]
print(json.dumps([[int(row[0]) for row in rows] for rows in stored]))
"""


class Streams:
    """The streams of a host with systemd."""

    def __init__(self, host: lab.Host) -> None:
        self.host = host
        self.written = 0

    def write(self, lines: int) -> None:
        """Write lines to the log, and as many to the journal."""
        texts = []
        for _each in range(lines):
            self.written += 1
            texts.append('{"time": "2026-11-03T01:59:58Z", "message": "%d"}' % self.written)
        text = "".join(each + "\n" for each in texts)
        self.host.run(["sh", "-c", "cat >> %s/live.log" % LIVE], input=text)
        # journald asks the kernel for the unit of a process, which must still be there.
        self.host.run(
            ["systemd-run", "--quiet", "--wait", "--collect", "--unit=writer", "sh", "-c", "printf '%s' \"$1\"; sleep 0.5", "sh", text]
        )

    def stored(self) -> t.List[t.List[int]]:
        """The messages in the database of each stream.

        They are read on the host: its locks do not reach this process, and SQLite would remove the log of a database that seems unused.
        """
        paths = ["%s/%s.sqlite" % (DATABASES, name) for name in ("live", "unit")]
        done = self.host.run(["python3", "-c", READ_STREAMS, *paths], check=False)
        return json.loads(done.stdout) if done.returncode == 0 else []

    def wait(self) -> None:
        """Return once both streams have each line once."""
        expected = [list(range(1, self.written + 1))] * 2
        lab.wait_until(lambda: list(map(sorted, self.stored())) == expected, self.stored, 60, pause=0.5)

    def unit(self, name: str, what: str) -> str:
        return self.host.run(["systemctl", "show", "--property=" + what, "--value", FOLLOWER % name]).stdout.strip()


def test_streams_are_followed_by_services(site: Site) -> None:
    streams = Streams(site.hosts["files1"])
    host = streams.host
    for name in ("live", "unit"):
        assert [streams.unit(name, what) for what in ("Type", "ActiveState", "UnitFileState")] == ["notify", "active", "enabled"]
    streams.write(20)
    streams.wait()
    lab.wait_until(lambda: streams.unit("live", "StatusText") == "local: 20 lines", lambda: streams.unit("live", "StatusText"), 30)
    # A follower that is killed, one that hangs, and one that is asked to end.
    killed, hanging = (int(streams.unit(name, "MainPID")) for name in ("live", "unit"))
    host.run(["kill", "-KILL", str(killed)])
    host.run(["kill", "-STOP", str(hanging)])
    host.run(["journalctl", "--rotate"])
    streams.write(20)
    streams.wait()
    assert {killed, hanging}.isdisjoint({int(streams.unit(name, "MainPID")) for name in ("live", "unit")})
    lab.wait_until(lambda: "watchdog" in host.run(["journalctl", "--unit", FOLLOWER % "unit"]).stdout.lower(), "no word of the watchdog")
    for name in ("live", "unit"):
        host.run(["systemctl", "stop", FOLLOWER % name])
        assert (streams.unit(name, "Result"), streams.unit(name, "ExecMainStatus")) == ("success", "0")
    streams.write(5)
    for name in ("live", "unit"):
        host.run(["systemctl", "start", FOLLOWER % name])
    streams.wait()
    # It cannot write elsewhere, and others cannot read its document.
    score = host.run(["systemd-analyze", "security", "--no-pager", FOLLOWER % "live"], check=False).stdout
    assert float(re.search(r"exposure level for \S+: ([0-9.]+)", score)[1]) < 3.0, score
    assert as_user(host, OPERATOR, "cat", "/etc/log-archive/streams.d/live.json").returncode == 0
    assert as_user(host, "nobody", "cat", "/etc/log-archive/streams.d/live.json").returncode != 0
    assert as_user(host, OPERATOR, "sudo", "-n", COMMAND, "streams").returncode == 0
    # A database that the service may not write to is a failure, also if the document did not change.
    database = DATABASES + "/unit.sqlite"
    owner = host.run(["stat", "--format=%U", database]).stdout.strip()
    host.run(["chown", "root", database])
    host.run(["systemctl", "restart", FOLLOWER % "unit"])
    assert site.play("site", "--limit", "files1", fine=False)["files1"]["failed"] == 1
    assert "unit: local is down: %s: the database cannot be opened: Permission denied" % database in site.printed
    host.run(["chown", owner, database])
    host.run(["systemctl", "restart", FOLLOWER % "unit"])
    assert streams.unit("unit", "StatusText") == "local: 0 lines"


def streams_of(host: lab.Host) -> t.Dict[str, t.Dict[str, t.Any]]:
    """The state of each stream, by its name."""
    rows = json.loads(host.run([COMMAND, "status", "--json"], check=False).stdout)
    return {row["stream"]: row for row in rows if "stream" in row}


def test_status_shows_every_host(site: Site) -> None:
    site.play(*TASKS["show the state of all hosts"][1])
    for name in MANAGED:
        rows = json.loads(site.hosts[name].run([COMMAND, "status", "--json"]).stdout)
        assert [(job["job"], job["archives"], job["state"]) for job in rows if "job" in job] == [("app", 2, "fine")]
        streams = [(row["stream"], row["lines"], row["gaps"], row["state"]) for row in rows if "stream" in row]
        assert streams == ([("live", 45, 0, "fine"), ("unit", 45, 0, "fine")] if name == "files1" else [])
        assert re.search(r"\b%s\b.*\bapp\b" % name, site.printed)


def test_limit_touches_only_that_host(site: Site) -> None:
    before = site.snapshots()
    # Every host would be given another document now.
    site.inventory = site.write_inventory(keep_last=5)
    recap = site.play("site", "--limit", "web1")
    # The host's document, and what the server needs of it to prune for the host.
    assert {name: counts["changed"] for name, counts in recap.items()} == {"web1": 2}
    assert site.differences(before) == {
        "web1": {"/etc/log-archive/jobs.d/app.json"},
        "archive1": {"/etc/log-archive/server.d/web1/app.json"},
    }


def test_operators_run_look_and_edit_and_read_no_key(site: Site) -> None:
    host = site.hosts["web1"]
    document = "/etc/log-archive/jobs.d/app.json"
    before = host.path(document).read_bytes()
    key = host.run(["sh", "-c", "ls /etc/log-archive/keyring/*.key"]).stdout.split()[0]

    def may(*argv: str, **options: t.Any) -> bool:
        return as_user(host, OPERATOR, *argv, **options).returncode == 0

    # Not while a run that cron has started holds the lock.
    run = ["sudo", "-n", COMMAND, "run", "app"]
    code = lab.wait_until(lambda: (done := as_user(host, OPERATOR, *run).returncode) != 5 and [done], "the lock was held all the time")
    assert code == [0] and may("sudo", "-n", COMMAND, "status")
    assert may("tail", "-n", "1", "/var/log/log-archive/app.log")
    assert may("sh", "-c", "cat > " + document, input="not JSON")
    assert not may("sudo", "-n", COMMAND, "check-config")
    assert may("sh", "-c", "cat > " + document, input=before.decode())
    assert may("sudo", "-n", COMMAND, "check-config")
    for forbidden in (
        ["cat", key],
        ["sudo", "-n", "cat", key],
        ["cat", SSH + "/id_ed25519"],
        ["sudo", "-n", COMMAND, "run", "--config", "/tmp/other.json"],
        ["sudo", "-n", COMMAND, "restore", "app"],
        ["sudo", "-n", "sh", "-c", "true"],
        ["touch", COMMAND],
        ["touch", "/opt/log-archive/lib/log_archive/cli.py"],
        ["touch", "/opt/log-archive/venv/bin/python"],
        ["touch", "/etc/cron.d/log-archive"],
        ["touch", "/etc/log-archive/other"],
    ):
        assert not may(*forbidden), forbidden
    # Somebody else may not even look.
    host.run(["useradd", "--no-create-home", "eve"])
    assert as_user(host, "eve", "cat", document).returncode and as_user(host, "eve", "sudo", "-n", COMMAND, "status").returncode
    host.run(["userdel", "eve"])


@pytest.mark.parametrize("store", ["sftp", "s3"])
def test_restore_on_another_host(site: Site, store: str) -> None:
    before = site.snapshots()
    log = "%s/%s" % (LOGS, site.hours[2])
    to = "/srv/restored-" + store
    site.play(
        "restore",
        "-e",
        "log_archive_restore_host=web1 log_archive_restore_on=files1 log_archive_restore_to=%s" % to,
        "-e",
        "log_archive_only_store=%s log_archive_names=%s" % (store, log),
    )
    assert site.hosts["files1"].path(to + log).read_bytes() == site.hosts["web1"].path(log).read_bytes()
    site.hosts["files1"].run(["rm", "-r", to])
    # Neither a key nor the way into the account of the other host stays.
    assert site.differences(before) == {}


def test_restore_on_the_controller(site: Site, tmp_path: pathlib.Path) -> None:
    before = site.snapshots()
    site.play(
        "restore",
        "-e",
        "log_archive_restore_host=web1 log_archive_restore_on=localhost log_archive_restore_to=%s log_archive_start=1970-01-01" % tmp_path,
    )
    for ago in (3, 2):
        log = "%s/%s" % (LOGS, site.hours[ago])
        assert pathlib.Path(str(tmp_path) + log).read_bytes() == site.hosts["web1"].path(log).read_bytes()
    assert site.differences(before) == {}


def test_a_host_that_may_only_add_cannot_lose_its_archives(site: Site) -> None:
    host = site.hosts["web1"]
    sealed = sorted(site.on_sftp("web1"))
    base = site.hosts["archive1"].path("/srv/log-archive/la-web1/archive")
    lab.wait_until(lambda: all((base / each).stat().st_uid == 0 for each in sealed), "not sealed: %s" % sealed, 90, pause=0.5)
    before = {each: (base / each).read_bytes() for each in sealed}
    login = ["sftp", "-b", "-", "-oIdentityFile=%s/id_ed25519" % SSH, "-oUserKnownHostsFile=%s/known_hosts" % SSH]
    login += ["-oStrictHostKeyChecking=yes", "la-web1@" + site.hosts["archive1"].address]

    def try_to(command: str) -> subprocess.CompletedProcess[str]:
        return as_user(host, "log-archive", *login, input=command + "\n")

    assert try_to("ls archive/web1/app").returncode == 0
    for each in sealed:
        for command in ("rm archive/%s", "put /etc/hostname archive/%s", "rename archive/%s archive/elsewhere", "chmod 777 archive/%s"):
            assert try_to(command % each).returncode != 0, command % each
    assert try_to("rename archive/web1 archive/web2").returncode != 0
    assert {each: (base / each).read_bytes() for each in site.on_sftp("web1") if each in before} == before


def test_a_host_and_a_store_that_are_down_do_not_harm_the_others(site: Site) -> None:
    logs = {name: site.write_log(name, 1) for name in ("web1", "files1")}
    site.hosts["files1"].stop()
    # The follower cannot find the last entry that it read any more.
    for folder in site.hosts["files1"].path("/var/log/journal").iterdir():
        shutil.rmtree(folder)
    site.s3.stop()
    recap = site.play("archive", fine=False)
    assert recap["files1"]["unreachable"] + recap["files1"]["failed"] >= 1
    assert "unreachable" in site.printed
    # By this play, or by a run of cron's that it met.
    lab.wait_until(lambda: site.hours[1] in "".join(site.on_sftp("web1")), lambda: site.on_sftp("web1"))
    site.play("status", fine=False)
    site.hosts["files1"].start()
    site.s3.start()
    recap = site.archive()
    assert all(recap[name]["failed"] == recap[name]["unreachable"] == 0 for name in MANAGED)
    assert site.arrived("web1", logs["web1"]) == {"s3", "sftp"}
    assert site.arrived("files1", logs["files1"]) == {"s3"}
    site.play("verify", "-e", "log_archive_level=read_back")
    host = site.hosts["files1"]
    lab.wait_until(lambda: streams_of(host)["unit"]["gaps"], lambda: streams_of(host))
    recap = site.play("status", "-e", "log_archive_fail_when_bad=true", fine=False)
    assert {name: counts["failed"] for name, counts in recap.items() if name in MANAGED} == {"web1": 0, "files1": 1}
    assert '"stream unit: local: the source lost lines, last noticed at ' in site.printed
    for name, log in logs.items():
        site.hosts[name].run(["rm", log])


def test_remove_leaves_no_trace(site: Site) -> None:
    hidden = site.secrets()
    logs = {
        "%s:%s" % (name, path.relative_to(host.root)): path.read_bytes()
        for name, host in site.hosts.items()
        for path in host.path("/var/log").rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    logs["files1:journal"] = site.hosts["files1"].run(["journalctl", "--no-pager", "--output=export"], text=False).stdout
    # Every file that anything on the hosts has written, and where a secret belongs.
    belongs = re.compile(r"etc/log-archive/(keyring|jobs\.d|streams\.d|ssh)/")
    disks = {
        "%s:%s" % (name, path.relative_to(host.folder / "disk")): path.read_bytes()
        for name, host in site.hosts.items()
        for path in (host.folder / "disk").rglob("*")
        if path.is_file() and not path.is_symlink()
    }
    assert any(belongs.match(name.partition(":")[2]) for name in disks)
    kept = {name: site.on_sftp(name) for name in WITH_SFTP}, site.on_s3()

    before = site.snapshots()
    check, remove = played.plays("changing.md", "retire_host")
    assert [remove] == TASKS["remove everything from a host"]
    checked = site.play(*check, "--diff")
    assert checked["web1"]["changed"] > 0
    assert site.differences(before) == {}
    site.play(*remove)
    site.play("remove", "--limit", "files1")
    # The databases of streams stay, and so does their user.
    assert {path.name for path in site.hosts["files1"].path(DATABASES).iterdir()} >= {"live.sqlite", "unit.sqlite"}
    assert "stays, because these belong to it: %s" % DATABASES in site.printed
    site.hosts["files1"].run(["rm", "-r", DATABASES, LIVE + "/live.log"])
    assert site.play("remove", "--limit", "files1")["files1"]["changed"] > 0
    assert {name: paths for name, paths in site.differences(site.fresh).items() if name in MANAGED} == {}
    assert ({name: site.on_sftp(name) for name in WITH_SFTP}, site.on_s3()) == kept
    for name in MANAGED:
        running = site.hosts[name].run(["sh", "-c", "cat /proc/[0-9]*/cmdline; cat /etc/passwd /etc/group"]).stdout
        assert "log-archive" not in running
    assert {name: counts["changed"] for name, counts in site.play("remove").items()} == dict.fromkeys(MANAGED, 0)

    # Secrets: in nothing that was printed, in no command line that was seen, in no log, and on no disk but where they belong.
    seen = {
        **{"output of play %d" % number: text.encode() for number, text in enumerate(site.output, 1)},
        "a command line": b"\n".join(site.command_lines),
        **logs,
        **{str(path): path.read_bytes() for parent in (site.escrow, site.fleet.home) for path in parent.rglob("*") if path.is_file()},
        **{name: content for name, content in disks.items() if not belongs.match(name.partition(":")[2])},
    }
    assert len(hidden) == 6 and all(len(text) > 20 for text in hidden.values())
    assert [(what, where) for what, text in hidden.items() for where, content in seen.items() if text in content] == []
    # The looks at the command lines saw what ran on the hosts.
    assert any(b"log-archive\x00" in line or b"/opt/log-archive" in line for line in site.command_lines)
