# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The services of the role follow under a real systemd, with a real journal and a MariaDB. The tests are one story, in this order.

Logs that only root may read go to SQLite (live, with a page), through a socket to MariaDB (central), and, from a file system that is
mounted late, to SQLite with encrypted ids of clients (late). The stream unit follows the journal. Each test compares with what it found,
so that its second try can pass.
"""

from __future__ import annotations

import json
import pathlib
import re
import typing as t

import lab
import pytest
from fleet.roles import as_user, play, succeed
from lab.databases import DATABASE, PASSWORD, USER, DatabaseServer, mariadb_server
from rigs.client_events import event
from rigs.journal import Value, field
from rigs.streams import upload

ROLES = ["permissions", "runner", "follow"]
COMMAND = "/usr/local/bin/log-archive"
PRIVATE, LATE, DATABASES = "/var/log/private", "/mnt/late", "/srv/streams"
PAGE, KEYS = "/var/www/streams/live.html", "/srv/keys"
SOCKET = "/run/database/server.sock"
UNIT = "log-archive-follow@%s.service"
WATCHDOG = 8
# More than a second process is started for, and it lasts long enough for all that happens meanwhile.
BACKLOG = 200_000
MAIL_SECRET = "not-to-be-seen-in-a-journal"

# Sends entries in the native protocol, as sd_journal_send does: https://systemd.io/JOURNAL_NATIVE_PROTOCOL/.
SEND = """
import fcntl, os, socket, struct, sys, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
    sender.connect("/run/systemd/journal/socket")
    for path in sys.argv[1:]:
        data = open(path, "rb").read()
        try:
            sender.send(data)
        except OSError:
            file = os.memfd_create("entry", os.MFD_ALLOW_SEALING)
            os.write(file, data)
            fcntl.fcntl(file, 1033, 15)  # F_ADD_SEALS, all of them
            sender.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", file))])
    # journald asks the kernel for the unit of a process, which must still be there.
    time.sleep(0.5)
"""
READ = """
import json, sqlite3, sys
print(json.dumps(sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute(sys.argv[2]).fetchall()))
"""


class Services:
    """The host, what its streams have stored, and the role that sets them up."""

    def __init__(self, host: lab.Host, server: DatabaseServer) -> None:
        self.host = host
        self.server = server
        # Lines by log, events, and entries.
        self.lines = {"live.log": 0, "central.log": 0}
        self.events = 0
        self.sent = 0
        mail = {"type": "mail", "to": ["root@localhost"], "server": "localhost", "user": "u", "password": MAIL_SECRET}
        logs = {"paths": [PRIVATE], "patterns": ["live.log"]}
        central = {
            "type": "mariadb",
            "name": "central",
            "socket": SOCKET,
            "database": DATABASE,
            "user": USER,
            "password": PASSWORD,
            "timeout": "2s",
        }
        self.streams: t.Dict[str, t.Dict[str, t.Any]] = {
            "live": {
                "follow": logs,
                "parse": {"profile": "sftpgo"},
                "sinks": [self.sqlite("live")],
                "page": {"path": PAGE, "every": "5s"},
                "notify": [mail],
            },
            "central": {"follow": {**logs, "patterns": ["central.log"]}, "parse": {"profile": "sftpgo"}, "sinks": [central]},
            "unit": {"follow": {"journal": {"units": ["writer"], "lines": "entry"}}, "sinks": [self.sqlite("unit")]},
            "late": {
                "follow": {"paths": [LATE], "patterns": ["events.log"]},
                "parse": {"profile": "client_events", "timezone": "UTC"},
                "client_ids": {"keyring": KEYS},
                "sinks": [self.sqlite("late")],
            },
        }

    def sqlite(self, name: str) -> t.Dict[str, t.Any]:
        return {"type": "sqlite", "name": "local", "path": "%s/%s.sqlite" % (DATABASES, name)}

    @property
    def variables(self) -> t.Dict[str, t.Any]:
        return {"log_archive_streams": self.streams, "log_archive_read_all_logs": True, "follow_watchdog": "%ds" % WATCHDOG}

    def play(self, *arguments: str, roles: t.Sequence[str] = ("follow",)) -> t.Any:
        return succeed(self.host, roles, *arguments, **self.variables)

    def write_event(self, client_id: str) -> None:
        """Append an event to the log on the file system that is mounted late."""
        self.events += 1
        with open(self.host.path("/srv/late/events.log"), "ab") as stream:
            stream.write(event("2026-11-03T01:59:58Z", client_id=client_id) + b"\n")

    def show(self, name: str, what: str) -> str:
        return self.host.run(["systemctl", "show", "--property=" + what, "--value", UNIT % name]).stdout.strip()

    def control(self, verb: str, name: str) -> None:
        self.host.run(["systemctl", verb, UNIT % name])

    def told(self, name: str) -> str:
        """What the journal has of a service."""
        return self.host.run(["journalctl", "--no-pager", "--unit", UNIT % name]).stdout

    def processes(self, name: str) -> t.List[int]:
        """Those of a service: one, or two while a backlog is stored."""
        found = self.host.run(["pgrep", "--full", "[f]ollow %s --config|[h]elper of the stream %s" % (name, name)], check=False)
        return [int(pid) for pid in found.stdout.split()]

    def write(self, log: str, lines: int, **changes: t.Any) -> None:
        """Append lines that only root can read; size_bytes is the number of each."""
        path = self.host.path("%s/%s" % (PRIVATE, log))
        first = self.lines[log] + 1
        self.lines[log] += lines
        with open(path, "ab") as stream:
            path.chmod(0o600)
            stream.write(b"".join(upload(number, **changes) + b"\n" for number in range(first, first + lines)))

    def send(self, *entries: t.Dict[str, Value]) -> None:
        """Have the unit writer send entries to journald."""
        folder = self.host.path("/srv/entries")
        folder.mkdir(exist_ok=True)
        paths = []
        for entry in entries:
            self.sent += 1
            paths.append("/srv/entries/%d" % self.sent)
            self.host.path(paths[-1]).write_bytes(b"".join(field(name, value) for name, value in entry.items()))
        self.host.run(["systemd-run", "--quiet", "--wait", "--collect", "--unit=writer", "python3", "-c", SEND, *paths])

    def query(self, name: str, statement: str) -> t.List[t.Any]:
        """Rows of a stream's database; [] if it is not there yet. It is read on the host, where its locks are."""
        done = self.host.run(["python3", "-c", READ, "%s/%s.sqlite" % (DATABASES, name), statement], check=False)
        return list(json.loads(done.stdout)) if done.returncode == 0 else []

    def wait(self, seconds: float = 60.0) -> None:
        """Return once the lines of both logs are stored, each once."""
        counted = "SELECT COUNT(*), COUNT(DISTINCT size_bytes) FROM "

        def stored() -> t.List[t.Any]:
            central = self.server.run_sql("%s%s.sftpgo_transfer" % (counted, DATABASE)).split()
            return [self.query("live", counted + "sftpgo_transfer"), [int(count) for count in central]]

        expected = [[[self.lines["live.log"]] * 2], [self.lines["central.log"]] * 2]
        lab.wait_until(lambda: stored() == expected, lambda: "%s, and not %s" % (stored(), expected), seconds, pause=0.5)

    def messages(self) -> t.List[str]:
        return [row[0] for row in self.query("unit", "SELECT message FROM generic_line ORDER BY time_utc, line_offset")]

    def wait_for_messages(self, *texts: str) -> None:
        """Return once the last messages of the journal that are stored are these."""
        lab.wait_until(lambda: self.messages()[-len(texts) :] == list(texts), lambda: self.messages()[-5:])

    def wait_for_events(self) -> None:
        """Return once all events are stored."""
        counted = "SELECT COUNT(*) FROM client_event"
        lab.wait_until(lambda: self.query("late", counted) == [[self.events]], lambda: self.told("late"))

    def gaps(self, name: str) -> t.List[t.Any]:
        return self.query(name, "SELECT kind, detail FROM ingest_gap ORDER BY noticed_at")


@pytest.fixture(scope="module")
def services(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> Services:
    fleet: lab.Fleet = start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), systemd=("web1",), libraries=True))
    host = fleet.hosts["web1"]
    # In the network of the fleet, as it can only be entered there.
    server = fleet.within(lambda: start_part(mariadb_server("--bind-address=0.0.0.0")))
    made = Services(host, server)
    host.run(["install", "-d", "-m", "700", PRIVATE])
    host.run(["install", "-d", "/srv/late", LATE])
    made.write_event("first")
    units = {
        # A socket of the host in front of the server.
        "database.socket": "[Socket]\nListenStream=%s\n[Install]\nWantedBy=sockets.target\n" % SOCKET,
        "database.service": "[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd %s:%d\n" % (fleet.address, server.port),
        # As a network file system, or a volume, that is slow to come.
        "slow.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 5\n",
    }
    for name, text in units.items():
        host.path("/etc/systemd/system/" + name).write_text(text, encoding="ascii")
    options = "bind,nofail,x-systemd.requires=slow.service,x-systemd.after=slow.service"
    host.path("/etc/fstab").write_text("/srv/late %s none %s 0 0\n" % (LATE, options), encoding="ascii")
    host.run(["sh", "-c", "systemctl daemon-reload; systemctl start mnt-late.mount; systemctl enable --now database.socket"])
    made.play(roles=ROLES[:2])
    host.run(["install", "-d", "-o", "log-archive", PAGE.rpartition("/")[0]])
    made.play()
    return made


def test_hardened_services_reach_all_that_they_need(services: Services) -> None:
    host = services.host
    # A start ends when the follower knows where it is in each sink: nothing waits for it here.
    for name in services.streams:
        assert [services.show(name, what) for what in ("ActiveState", "UnitFileState", "Result")] == ["active", "enabled", "success"]
        assert services.show(name, "StatusText").startswith(("local: ", "central: "))
    services.write("live.log", 3)
    services.write("central.log", 3)
    services.send({"MESSAGE": "hello"})
    services.wait()
    services.wait_for_messages("hello")
    services.wait_for_events()
    assert host.path(KEYS + "/2026_November.key").exists()
    lab.wait_until(host.path(PAGE).exists, "there is no page")
    assert as_user(host, "log-archive", "cat", PRIVATE + "/live.log").returncode != 0
    for name in services.streams:
        score = host.run(["systemd-analyze", "security", "--no-pager", UNIT % name], check=False).stdout
        assert float(re.search(r"exposure level for \S+: ([0-9.]+)", score)[1]) < 2.5, score
    again = services.play("--diff", roles=ROLES)
    assert again.changed == 0, again.output


def test_a_backlog_is_stored_once_through_a_stop_a_kill_and_a_hang(services: Services) -> None:
    host = services.host

    def fall_behind() -> None:
        """A second process is not started for a small rest."""
        services.write("live.log", BACKLOG, file_path="/srv/data/" + "x" * 200)

    def two() -> t.List[int]:
        return lab.wait_until(lambda: len(found := services.processes("live")) == 2 and found, lambda: services.told("live"), pause=0.02)

    def gone(pids: t.List[int]) -> bool:
        return not any(host.run(["test", "-e", "/proc/%d" % pid], check=False).returncode == 0 for pid in pids)

    services.control("stop", "live")
    fall_behind()
    services.control("start", "live")
    both = two()
    services.control("stop", "live")
    assert [services.show("live", what) for what in ("ActiveState", "Result", "ExecMainStatus")] == ["inactive", "success", "0"]
    assert gone(both)
    fall_behind()
    services.control("start", "live")
    both = two()
    host.run(["kill", "-KILL", services.show("live", "MainPID")])
    lab.wait_until(lambda: gone(both), lambda: "one of %s is still there" % both)
    # Before systemd starts it again.
    fall_behind()
    again = two()
    assert not set(both) & set(again) and services.show("live", "NRestarts") == "1"
    host.run(["kill", "-STOP", services.show("live", "MainPID")])
    lab.wait_until(lambda: gone(again), lambda: services.told("live"))
    lab.wait_until(lambda: services.show("live", "NRestarts") == "2", lambda: services.told("live"))
    assert "Watchdog timeout" in services.told("live")
    services.wait(120)
    # The rest took longer than the watchdog on a slow machine, and was no reason for it.
    assert services.show("live", "NRestarts") == "2"
    lab.wait_until(lambda: len(services.processes("live")) == 1, "the second process stays")


def test_a_database_that_hangs_is_waited_for(services: Services) -> None:
    before = len(services.told("central"))
    services.server.daemon.pause()
    try:
        services.write("central.log", 3)
        lab.wait_until(lambda: "central is down: " in services.told("central")[before:], lambda: services.told("central"))
        # A start does not wait for it either.
        services.control("restart", "central")
        assert services.show("central", "StatusText").startswith("central is down: ")
        pid = services.show("central", "MainPID")
        lab.wait_until(
            lambda: float(services.host.run(["ps", "-o", "etimes=", "-p", pid]).stdout) > 2 * WATCHDOG, "it did not last", pause=0.5
        )
        # Neither its watchdog nor anything else started it again.
        assert services.show("central", "MainPID") == pid
    finally:
        services.server.daemon.resume()
    services.wait()
    assert "central works again" in services.told("central")[before:]


def test_entries_of_every_kind_are_stored(services: Services) -> None:
    long = "m" * 1_000_000
    rejected = "SELECT reason FROM ingest_rejected"
    before = services.query("unit", rejected)
    services.send({"MESSAGE": "two\nlines"}, {"MESSAGE": "blob", "BLOB": b"\0\xff"}, {"MESSAGE": long}, {"MESSAGE": long + long})
    services.wait_for_messages("two\nlines", "blob", long)
    extras = services.query("unit", "SELECT extra FROM generic_line WHERE message = 'blob'")
    assert all(json.loads(extra)["BLOB"] == [0, 255] for (extra,) in extras)
    lab.wait_until(lambda: services.query("unit", rejected) == [*before, ["too_long"]], services.messages)


def test_what_the_journal_lost_is_a_gap(services: Services) -> None:
    host = services.host
    services.control("start", "unit")
    services.send({"MESSAGE": "first"})
    services.wait_for_messages("first")
    before = services.gaps("unit")

    def rotate() -> pathlib.Path:
        """Begin a new file; returns the one before."""
        before = set(host.path("/var/log/journal").glob("*/*@*"))
        host.run(["journalctl", "--sync"])
        host.run(["journalctl", "--rotate"])
        return max(set(host.path("/var/log/journal").glob("*/*@*")) - before)

    def new_gaps() -> t.List[t.Any]:
        return services.gaps("unit")[len(before) :]

    services.send({"MESSAGE": "before a rotation"})
    rotate()
    services.send({"MESSAGE": "after it"})
    services.wait_for_messages("before a rotation", "after it")
    services.control("stop", "unit")
    services.send({"MESSAGE": "before a stop"})
    rotate()
    services.control("start", "unit")
    services.wait_for_messages("before a stop")
    assert new_gaps() == []
    # A file with an entry that was not read is damaged.
    services.control("stop", "unit")
    services.send({"MESSAGE": "lost"})
    damaged = rotate()
    services.send({"MESSAGE": "after the damage"})
    with open(damaged, "r+b") as stream:
        stream.truncate(1 << 20)
    services.control("start", "unit")
    services.wait_for_messages("after the damage")
    # After some minutes the position is at an entry of that file: that it is gone is another gap.
    assert ["damaged", "entries cannot be read in %s" % damaged.name] in new_gaps()
    assert {kind for kind, _detail in new_gaps()} <= {"damaged", "vacuumed"}
    assert re.search(
        r"local: gap in journal: writer at offset \d+: .* \(entries cannot be read in %s\)" % damaged.name, services.told("unit")
    )
    # journald removes one.
    services.control("stop", "unit")
    services.send({"MESSAGE": "removed"})
    rotate()
    services.send({"MESSAGE": "last"})
    for path in host.path("/var/log/journal").glob("*/*@*"):
        path.unlink()
    services.control("start", "unit")
    services.wait_for_messages("last")
    lab.wait_until(lambda: {kind for kind, _detail in new_gaps()} == {"damaged", "vacuumed"}, new_gaps)


def test_services_survive_a_boot_and_wait_for_their_mounts(services: Services) -> None:
    host = services.host
    gaps = services.gaps("unit")
    services.send({"MESSAGE": "before the boot"})
    host.stop()
    host.start()
    lab.wait_until(lambda: all(services.show(name, "ActiveState") == "active" for name in services.streams), "a service is not started", 90)
    services.send({"MESSAGE": "after the boot"})
    services.wait_for_messages("before the boot", "after the boot")
    services.write_event("second")
    services.wait_for_events()
    assert (services.gaps("unit"), services.gaps("late")) == (gaps, [])


def test_a_changed_stream_is_restarted_and_a_removed_one_is_stopped(services: Services) -> None:
    pids = {name: services.show(name, "MainPID") for name in services.streams}
    page = services.streams["live"]["page"]
    page["every"] = "1m" if page["every"] == "5s" else "2m"
    services.streams.pop("central", None)
    checked = services.play("--check", "--diff")
    assert '+    "every": "%s"' % page["every"] in checked.output and PASSWORD not in checked.output
    assert {name: services.show(name, "MainPID") for name in pids} == pids
    played = services.play("--diff")
    assert played.changed == checked.changed > 0
    states = [services.show("central", what) for what in ("ActiveState", "UnitFileState", "LoadState")]
    assert states == ["inactive", "", "not-found"] and not services.processes("central")
    now = {name: services.show(name, "MainPID") for name in services.streams}
    assert {name for name in now if now[name] != pids[name]} == {"live"}
    assert play(services.host, ["follow"], **services.variables).changed == 0
    # Nothing that any of them told has a secret, and each line is for people.
    told = "".join(services.told(name) for name in pids)
    assert PASSWORD not in told and MAIL_SECRET not in told and "Traceback" not in told
