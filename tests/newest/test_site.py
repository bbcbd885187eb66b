# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every playbook of a fleet on one host and an archive server. 'make newest' runs it with the newest ansible-core.

The whole story, with every kind of host and every guard, is tests/fleet/test_fleet.py, which runs with the oldest ansible-core that we
support. Here it counts that each playbook, role and plugin works, and that a second run changes nothing.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

import lab
import pytest
from fleet.roles import SFTP_PROJECTS, SFTP_STORE, difference, snapshot, wheels
from lab.fleet import ADMIN
from rigs import played

LOGS = "/var/log/app"
HOURS = ["app.20240112.%02d" % hour for hour in range(3)]
TASKS = played.tasks()

pytestmark = pytest.mark.xdist_group("newest_site")


class Site:
    """A fleet of web1 and archive1, and its inventory."""

    def __init__(self, fleet: lab.Fleet, escrow: pathlib.Path) -> None:
        self.fleet = fleet
        self.host = fleet.hosts["web1"]
        for name in HOURS:
            self.host.run(["install", "-D", "-m", "640", "-g", "adm", "/dev/stdin", "%s/%s" % (LOGS, name)], input=name * 100)
        self.fresh = snapshot(self.host)
        job = {
            "select": {"paths": [LOGS], "patterns": ["app.%Y%m%d.%H"]},
            "schedule": {"at": "04:00 daily", "spread": "10m"},
            "retention": {"keep_last": 3},
        }
        variables = {
            "log_archive_jobs": {"app": job},
            "log_archive_stores": {"sftp": SFTP_STORE},
            "log_archive_escrow": str(escrow),
            "log_archive_witness": "%s-witness" % escrow,
            "log_archive_escrow_vault_secret": "correct horse battery staple",
            "dependencies_wheelhouse": wheels(self.host, *SFTP_PROJECTS),
        }
        groups = {"web": {"hosts": {"web1": {}}}, "archive_server": {"hosts": {"archive1": {}}}}
        self.inventory = fleet.inventory({"all": {"children": groups, "vars": variables}}, user=ADMIN)

    def play(self, name: str, *arguments: str) -> t.Dict[str, int]:
        """Run a playbook of the collection; return by host how many tasks changed something."""
        done = self.fleet.playbook("infra_ops.log_archive." + name, *arguments, inventory=self.inventory, timeout=lab.patience(300))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "[DEPRECATION WARNING]" not in done.stderr, done.stderr
        return {host: int(count) for host, count in re.findall(r"^(\S+) .*changed=(\d+)", done.stdout, re.MULTILINE)}

    def stored(self) -> t.Set[str]:
        """The names of the logs that the archive server holds an archive of."""
        base = self.fleet.hosts["archive1"].path("/srv/log-archive/la-web1/archive")
        return {path.name.partition(".tgz")[0] for path in base.rglob("*.fernet")}


@pytest.fixture(scope="module")
def site(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> Site:
    fleet = start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), light=("web1", "archive1")))
    return Site(fleet, tmp_path_factory.mktemp("escrow"))


def test_site_then_nothing_to_change(site: Site) -> None:
    assert all(count > 0 for count in site.play("site").values())
    assert site.play("site", "--check", "--diff") == {"web1": 0, "archive1": 0}


def test_archive_status_and_verify(site: Site) -> None:
    assert site.play("archive")["web1"] == 1
    assert site.stored() == set(HOURS)
    site.play("status", "-e", "log_archive_fail_when_bad=true")
    site.play(*TASKS["verify what the stores hold"][0])
    site.play(*TASKS["find what was removed from stores, and ledgers that were cut"][0])
    # A store under another name, in the same place: it is read, and nothing is copied.
    document = site.host.path("/etc/log-archive/jobs.d/app.json")
    before = document.read_text(encoding="utf-8")
    document.write_text(before.replace('"name": "sftp"', '"name": "renamed"'), encoding="utf-8")
    check, sync = TASKS["copy what a store lacks, after it was added, moved or renamed ([changing.md](changing.md))"][:2]
    assert site.play(*check)["web1"] == 1
    assert site.play(*sync)["web1"] == 1
    assert site.play(*check)["web1"] == 0
    document.write_text(before, encoding="utf-8")
    # What is left: the other name of the store, and an account of a host that the inventory does not have. Its archives stay.
    server = site.fleet.hosts["archive1"]
    folder = "/srv/log-archive/la-web9"
    server.run(["useradd", "--system", "--user-group", "--comment", "Log archives of web9", "--home-dir", folder, "la-web9"])
    server.run(["install", "--directory", "--owner=la-web9", "--mode=0700", folder + "/archive"])
    server.run(["runuser", "--user", "la-web9", "--", "touch", folder + "/archive/one.fernet"])
    (command,) = played.plays("changing.md", "former_host")
    left = {"orphans_remove": "app", "only_store": "renamed", "orphans_forget": "true"}
    changed = site.play(*command, "-e", " ".join("log_archive_%s=%s" % item for item in left.items()))
    assert (changed["web1"], changed["archive1"] > 0) == (1, True)
    assert server.run(["id", "la-web9"], check=False).returncode != 0
    assert server.run(["stat", "--format=%U", folder + "/archive/one.fernet"]).stdout.strip() == "root"
    assert site.play("orphans") == {"web1": 0, "archive1": 0}


def test_rotate_and_restore_on_the_controller(site: Site, tmp_path: pathlib.Path) -> None:
    site.play("rotate_keys")
    wanted = {"restore_host": "web1", "restore_on": "localhost", "restore_to": tmp_path, "start": "1970-01-01"}
    site.play("restore", "-e", " ".join("log_archive_%s=%s" % item for item in wanted.items()))
    for name in HOURS:
        assert (tmp_path / LOGS[1:] / name).read_text(encoding="ascii") == name * 100


def test_prune_then_remove(site: Site) -> None:
    document = site.host.path("/etc/log-archive/jobs.d/app.json")
    document.write_text(document.read_text(encoding="utf-8").replace('"keep_last": 3', '"keep_last": 2'), encoding="utf-8")
    assert site.play(*TASKS["show what retention would remove, and why"][0])["web1"] == 1
    assert site.stored() == set(HOURS)
    assert site.play("prune")["web1"] == 1
    kept = site.stored()
    assert kept == set(HOURS[-2:])
    assert site.play("remove")["web1"] > 0
    assert difference(site.fresh, snapshot(site.host)) == set()
    assert site.stored() == kept
