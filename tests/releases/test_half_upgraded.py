# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fleet half of which is upgraded: 'make releases', which takes the first version out of the history of this repository.

The host web1 was set up by the first version, with its own playbooks, and web2 by this one. Each controller runs its playbooks over both
hosts: each works, or refuses and names the way out, and nothing is lost or reported as fine if it is not. Then this version upgrades web1,
with the commands of docs/changing.md. The tests are one story, in this order.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import lab
import pytest
from fleet.roles import SFTP_STORE, hour
from rigs import played

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
# The last commit of the first version that landed: its playbook site sets up a host and an archive server.
FIRST = "08256e169aaf7f971d2cda1a512643c067933a1c"
LOGS = "/var/log/app"
LOCAL = "/srv/archives"
KEYRING = "/etc/log-archive/keyring"
DOCUMENT = "/etc/log-archive/jobs.d/app.json"
SPOOL = "/var/spool/log-archive"
OLD, NEW = "web1", "web2"
OTHER_VERSION = "the command log-archive on this host has another version than the controller."


def upgraded(folder: pathlib.Path) -> t.Tuple[pathlib.Path, pathlib.Path]:
    """The paths of the collections of two controllers: one has the first version, and the other was upgraded as the page says."""
    source, packed, first, later = (folder / name for name in ("source", "source.tar", "first", "later"))
    source.mkdir(parents=True)
    argv = ["git", "-C", str(CHECKOUT), "archive", "--output", str(packed), FIRST]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise lab.Unavailable("the history of this repository does not have %s: %s" % (FIRST, done.stderr.strip()))
    galaxy = [str(pathlib.Path(sys.executable).with_name("ansible-galaxy")), "collection"]
    for argv in (
        ["tar", "--extract", "--file", str(packed), "--directory", str(source)],
        [*galaxy, "build", "--output-path", str(folder / "0.1.0"), str(source)],
        [*galaxy, "install", "--offline", "--collections-path", str(first), str(folder / "0.1.0/infra_ops-log_archive-0.1.0.tar.gz")],
        ["cp", "--recursive", str(first), str(later)],
        [*galaxy, "build", "--output-path", str(folder / "new"), str(CHECKOUT)],
    ):
        subprocess.run(argv, check=True, capture_output=True)
    path = "%s:%s" % (pathlib.Path(sys.executable).parent, os.environ["PATH"])
    environment = {**os.environ, "PATH": path, "HOME": str(folder), "ANSIBLE_COLLECTIONS_PATH": str(later)}
    page = played.block("changing.md", "install")
    subprocess.run(["bash", "-ec", page], check=True, capture_output=True, cwd=folder / "new", env=environment)
    return first, later


class Half:
    """The hosts, and the playbooks of both versions with one inventory."""

    def __init__(self, fleet: lab.Fleet, folder: pathlib.Path) -> None:
        self.fleet = fleet
        self.hosts = fleet.hosts
        self.first, self.later = upgraded(folder / "collections")
        self.folder = folder
        self.hours = [hour(ago) for ago in range(7)]
        self.logs: t.Dict[str, bytes] = {}
        job = {
            "select": {"paths": [LOGS], "patterns": ["app.%Y%m%d.%H"], "period": "hour", "catch_up": "7d"},
            # Only the plays run it.
            "schedule": {"at": "04:00 daily", "spread": "0s"},
            "retention": {"keep_within": "30d", "keep_last": 3},
        }
        variables = {
            "log_archive_jobs": {"app": job},
            "log_archive_stores": {"sftp": SFTP_STORE, "local": {"type": "file", "path": LOCAL}},
            "log_archive_escrow": str(folder / "escrow"),
            "log_archive_witness": str(folder / "witness"),
            "log_archive_escrow_vault_secret": "correct horse battery staple",
            "dependencies_wheelhouse": str(fleet.wheelhouse),
        }
        groups = {"archive_server": {"hosts": {"archive1": {}}}}
        self.inventory = fleet.inventory({"all": {"children": groups, "vars": variables}})

    def write(self, host: str, *ago: int) -> None:
        """Write the logs of past hours."""
        for each in ago:
            name = self.hours[each]
            text = "".join("%s line %d of %s\n" % (host, number, name) for number in range(200))
            self.hosts[host].run(["install", "-D", "-m", "640", "-g", "adm", "/dev/stdin", "%s/%s" % (LOGS, name)], input=text)
            self.logs["%s:%s" % (host, name)] = text.encode()

    def play(self, playbook: str, *arguments: str, first: bool = False) -> Played:
        """Run a playbook of this version, or of the first one."""
        collections = self.first if first else self.later
        done = self.fleet.playbook("infra_ops.log_archive." + playbook, *arguments, inventory=self.inventory, collections=collections)
        recap = done.stdout.rpartition("PLAY RECAP")[2]
        counts = {
            host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", line)}
            for host, line in re.findall(r"^(\S+)\s+: (.*)$", recap, re.MULTILINE)
        }
        return Played(done.returncode, counts, done.stdout + done.stderr)

    def fill_spool(self) -> None:
        """Let the first version archive what is new on the old host while its local store is not a folder: that waits in the spool."""
        host = self.hosts[OLD]
        waiting = len(list(host.path(SPOOL).rglob("*.fernet")))
        host.run(["sh", "-c", "mv %s %s.away && touch %s" % (LOCAL, LOCAL, LOCAL)])
        refused = self.play("archive", "--limit", OLD, first=True)
        assert refused.failed() == {OLD}, refused.output
        host.run(["sh", "-c", "rm %s && mv %s.away %s" % (LOCAL, LOCAL, LOCAL)])
        assert len(list(host.path(SPOOL).rglob("*.fernet"))) == waiting + 1

    def document(self, host: str) -> t.Dict[str, t.Any]:
        """The job document of a host, below its line of comment."""
        return dict(json.loads(self.hosts[host].path(DOCUMENT).read_text(encoding="utf-8").partition("\n")[2]))

    def command(self, host: str, *arguments: str) -> t.Any:
        return json.loads(self.hosts[host].run(["/usr/local/bin/log-archive", *arguments, "--json"], check=False).stdout)

    def kept(self, host: str) -> t.Dict[str, bytes]:
        """The keys of a host, its archives in both stores and in the spool, and the copies of its keys, by path."""
        places = [self.hosts[host].path(KEYRING), self.hosts[host].path("%s/%s" % (LOCAL, host)), self.hosts[host].path(SPOOL)]
        places += [self.hosts["archive1"].path("/srv/log-archive/la-%s/archive/%s" % (host, host)), self.folder / "escrow" / host]
        return {
            str(path): path.read_bytes()
            for place in places
            for path in place.rglob("*")
            if path.is_file() and path.name.endswith((".key", ".fernet", ".manifest.json", ".vault", ".yml"))
        }


class Played(t.NamedTuple):
    """How a play ended: its return code, the recap's counts by host, and all that it printed."""

    code: int
    counts: t.Dict[str, t.Dict[str, int]]
    output: str

    def failed(self) -> t.Set[str]:
        """The hosts that failed."""
        return {host for host, counts in self.counts.items() if counts["failed"] or counts["unreachable"]}

    @property
    def words(self) -> str:
        return " ".join(self.output.split())


@pytest.fixture(scope="module")
def half(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> Half:
    folder = tmp_path_factory.mktemp("half")
    fleet: lab.Fleet = start_part(lab.fleet(folder / "fleet", light=(OLD, NEW, "archive1"), libraries=True))
    made = Half(fleet, folder)
    made.write(OLD, 6, 5, 4)
    made.write(NEW, 6, 5, 4)
    for playbook, limit, of_first in (
        ("site", OLD + ",archive1", True),
        ("archive", OLD, True),
        ("site", NEW + ",archive1", False),
        ("archive", NEW, False),
    ):
        done = made.play(playbook, "--limit", limit, first=of_first)
        assert done.code == 0, done.output
    made.write(OLD, 3)
    made.fill_spool()
    return made


# The playbooks of this version that web1 takes part in, and those that its command does not know.
WORK = {
    "status": [],
    "rotate_keys": ["--check"],
    "remove": ["--check", "-e", "log_archive_remove_spool=true"],
}
REFUSED = {
    "verify": ["-e", "log_archive_level=authenticated"],
    "list": [],
    "prune": ["--check"],
    "sync": ["--check"],
    "orphans": [],
    "audit": [],
    "doctor": [],
    "drill": [],
    "search": ["-e", "log_archive_pattern=line"],
    "adopt": ["--check", "-e", "log_archive_adopt_store=local", "-e", "log_archive_adopt_template=%Y%d%m.tgz"],
}


@pytest.mark.parametrize("playbook", sorted(WORK))
def test_a_playbook_of_this_version_works_on_both(half: Half, playbook: str) -> None:
    before = half.kept(OLD)
    done = half.play(playbook, *WORK[playbook])
    assert (done.code, done.failed()) == (0, set()), done.output
    assert half.kept(OLD) == before
    if playbook == "status":
        assert re.search(r"web1 +app +archives wait for a store .* local=1 +4 \(", done.output), done.output


@pytest.mark.parametrize("playbook", sorted(REFUSED))
def test_a_playbook_of_this_version_names_the_way_out_for_the_old_command(half: Half, playbook: str) -> None:
    before = half.kept(OLD)
    done = half.play(playbook, *REFUSED[playbook])
    assert done.failed() == {OLD}, done.output
    assert OTHER_VERSION in done.words and "run infra_ops.log_archive.site" in done.words, done.output
    assert "Nothing is left" not in done.output
    assert half.kept(OLD) == before


@pytest.mark.parametrize(("of", "to"), [(OLD, OLD), (OLD, NEW), (NEW, OLD), (OLD, "localhost")])
def test_logs_are_restored_from_and_to_each_kind_of_host(half: Half, of: str, to: str) -> None:
    folder = half.folder / "restored" if to == "localhost" else pathlib.Path("/srv/restored-" + of)
    wanted = {"restore_host": of, "restore_on": to, "restore_to": folder, "only_store": "sftp", "start": "1970-01-01"}
    done = half.play("restore", "-e", " ".join("log_archive_%s=%s" % item for item in wanted.items()))
    assert done.code == 0, done.output
    place = folder if to == "localhost" else half.hosts[to].path(folder)
    for name in half.hours[4:7]:
        assert (place / LOGS[1:] / name).read_bytes() == half.logs["%s:%s" % (of, name)]


def test_the_playbooks_of_the_first_version_work_on_both_or_fail(half: Half) -> None:
    before = {host: half.kept(host) for host in (OLD, NEW)}
    half.write(NEW, 3)
    for playbook in ("status", "verify", "archive"):
        shown = half.play(playbook, first=True)
        assert shown.failed() == set(), shown.output
    assert len(list(half.hosts[NEW].path(LOCAL).rglob("*.fernet"))) == 4
    # Its command is called without a word that the later one wants, and its filter does not know the error.
    assert half.play("prune", first=True).code != 0
    # It reads no manifest of this version, and says that there is nothing.
    restored = half.play("restore", "-e", "restore_host=%s restore_to=/srv/restored-first start=1970-01-01" % NEW, first=True)
    assert restored.failed() == {NEW} and "no archive is in this range" in restored.words, restored.output
    for host, kept in before.items():
        # The spool of the old host was sent.
        assert {path for path in kept.items() - half.kept(host).items() if SPOOL not in path[0]} == set(), host
    assert list(half.hosts[OLD].path(SPOOL).rglob("*.fernet")) == []


def test_site_upgrades_the_old_host_with_all_that_it_has(half: Half) -> None:
    # One more archive of the first version waits in the spool.
    half.write(OLD, 2)
    half.fill_spool()
    kept, document = half.kept(OLD), half.document(OLD)
    listed = {row["key"] for row in half.command(OLD, "list")}
    assert len(listed) == 5
    check, one, every = played.plays("changing.md", "upgrade")
    checked = half.play(*check)
    assert checked.code == 0 and checked.counts[OLD]["changed"] > 0, checked.output
    assert half.kept(OLD) == kept
    for command in (one, every, every):
        upgraded = half.play(*command)
        assert upgraded.code == 0, upgraded.output
    assert {host: counts["changed"] for host, counts in upgraded.counts.items()} == dict.fromkeys((OLD, NEW, "archive1"), 0)
    assert kept.items() <= half.kept(OLD).items()
    assert document.items() <= half.document(OLD).items()
    # What waited is sent, and nothing is archived twice.
    archived = half.play("archive")
    assert archived.code == 0, archived.output
    assert list(half.hosts[OLD].path(SPOOL).rglob("*.fernet")) == []
    assert {row["key"] for row in half.command(OLD, "list")} == listed
    assert {path for path, _data in kept.items() - half.kept(OLD).items() if SPOOL not in path} == set()
    for playbook, arguments in (
        ("status", ["-e", "log_archive_fail_when_bad=true"]),
        ("verify", ["-e", "log_archive_level=read_back"]),
        ("audit", []),
        ("orphans", []),
        ("drill", []),
    ):
        done = half.play(playbook, *arguments)
        assert done.code == 0, done.output
