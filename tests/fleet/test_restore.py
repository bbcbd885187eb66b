# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host is lost: its logs come back from the archive server with the copies of its keys, or an error says why they cannot.

At the end the host is back. Its job is renamed and its store is moved with the commands of docs/changing.md, and it is retired with its
archives.
"""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import re
import subprocess
import typing as t

import lab
import pytest
import yaml
from fleet.roles import SFTP_STORE
from rigs import played

ESCROW_SECRET = "correct horse battery staple"
LINES = "a line of the hour\n"


class Lost(t.NamedTuple):
    """A fleet with the host web1, which has archived its logs and is now switched off."""

    fleet: lab.Fleet
    inventory: pathlib.Path
    escrow: pathlib.Path
    keys: t.List[str]

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.fleet.playbook("infra_ops.log_archive." + playbook, *arguments, inventory=self.inventory)

    @property
    def authorized(self) -> str:
        return self.fleet.hosts["archive1"].path("/etc/ssh/log-archive/la-web1").read_text(encoding="ascii")


@pytest.fixture(scope="module")
def lost(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> Lost:
    folder = tmp_path_factory.mktemp("lost")
    fleet: lab.Fleet = start_part(lab.fleet(folder / "fleet", light=("web1", "archive1"), libraries=True))
    stores = {
        "local": {"type": "file", "path": "/var/backups/log-archive"},
        "server": SFTP_STORE,
    }
    variables = {
        "log_archive_escrow": str(folder / "escrow"),
        "log_archive_escrow_vault_secret": ESCROW_SECRET,
        "log_archive_stores": stores,
        "log_archive_jobs": {
            # Archives under another name, and nothing in the range that is restored.
            "cluster": {"host": "cluster1", "select": {"paths": ["/var/log/events"], "patterns": ["cluster.%Y%m%d"]}},
            "syslog": {"select": {"paths": ["/var/log/events"], "patterns": ["syslog.%Y%m%d.%H"]}},
        },
    }
    inventory = fleet.inventory({"all": {"children": {"archive_server": {"hosts": {"archive1": {}}}}, "vars": variables}})
    logs = fleet.hosts["web1"].path("/var/log/events")
    logs.mkdir(parents=True)
    for hour in range(3):
        (logs / datetime.datetime(2024, 1, 12, 12 + hour).strftime("syslog.%Y%m%d.%H")).write_text(LINES, encoding="ascii")
    (logs / "cluster.20240114").write_text(LINES, encoding="ascii")
    made = Lost(fleet, inventory, folder / "escrow", [])
    for playbook in ("site", "archive"):
        done = made.play(playbook)
        assert done.returncode == 0, done.stdout
    keyring = fleet.hosts["web1"].path("/etc/log-archive/keyring")
    made.keys.extend(path.read_text(encoding="ascii").strip() for path in keyring.glob("*.key"))
    refused = made.play("remove", "--limit", "web1", "-e", "log_archive_escrow=")
    assert "could never be opened again" in refused.stdout
    assert "changed=0" in refused.stdout, "it refuses before anything is changed"
    fleet.hosts["web1"].stop()
    return made


def restore(lost: Lost, to: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Restore the first two hours to the controller."""
    wanted = {"restore_host": "web1", "restore_on": "localhost", "start": "2024-01-12", "end": "2024-01-12T14:00Z", "restore_to": to}
    return lost.play("restore", "-e", " ".join("log_archive_%s=%s" % item for item in wanted.items()), *arguments)


def test_its_logs_are_restored_and_no_access_stays(lost: Lost, tmp_path: pathlib.Path) -> None:
    before = lost.authorized
    done = restore(lost, tmp_path / "restored", "-vvv")
    assert done.returncode == 0, done.stdout
    files = sorted(path for path in (tmp_path / "restored").rglob("*") if path.is_file())
    assert [path.name for path in files] == ["syslog.20240112.12", "syslog.20240112.13"]
    assert {path.read_text(encoding="ascii") for path in files} == {LINES}
    assert "restrict,expiry-time=" in done.stdout, "the key expires even if the play is killed"
    assert lost.authorized == before
    workspaces = set(re.findall(r"/[\w./-]*/log-archive-restore-\w+", done.stdout))
    assert workspaces and not [path for path in workspaces if os.path.exists(path)]
    assert lost.keys
    for secret in [*lost.keys, ESCROW_SECRET]:
        assert secret not in done.stdout + done.stderr
    again = restore(lost, tmp_path / "restored")
    assert again.returncode == 0
    assert again.stdout.count("changed=0") == 2, again.stdout


def test_its_archives_are_tried_and_searched_on_the_controller(lost: Lost) -> None:
    before = lost.authorized
    drilled = lost.play("drill", "--limit", "web1", "-e", "log_archive_drill_on=controller")
    assert drilled.returncode == 0, drilled.stdout
    assert "syslog: store server: 3 of 3 archives restored, 0 failed" in drilled.stdout
    assert "syslog: store local: not tried: a folder of the host" in drilled.stdout
    found = lost.play("search", "--limit", "web1", "-e", "log_archive_pattern='of the hour' log_archive_only_jobs=syslog")
    assert found.returncode == 0, found.stdout
    assert "3 matching lines; 1 host searched, 0 failed" in found.stdout
    assert lost.authorized == before
    for secret in [*lost.keys, ESCROW_SECRET]:
        assert secret not in drilled.stdout + drilled.stderr + found.stdout + found.stderr


def test_without_copies_of_its_keys_the_account_is_not_opened(lost: Lost, tmp_path: pathlib.Path) -> None:
    before = lost.authorized
    done = restore(lost, tmp_path / "restored", "-e", "log_archive_escrow=")
    assert done.returncode != 0
    assert "there is no copy of its keys" in done.stdout
    assert lost.authorized == before
    assert not (tmp_path / "restored").exists()


def test_a_folder_of_the_lost_host_is_no_store_to_restore_from(lost: Lost, tmp_path: pathlib.Path) -> None:
    stores = '{"log_archive_stores": {"local": {"type": "file", "path": "/var/backups/log-archive"}}}'
    done = restore(lost, tmp_path / "restored", "-e", stores)
    assert done.returncode != 0
    assert "a store of type file is a folder of its host" in done.stdout


def test_a_check_opens_no_account(lost: Lost, tmp_path: pathlib.Path) -> None:
    before = lost.authorized
    done = restore(lost, tmp_path / "restored", "--check", "--diff")
    assert done.returncode == 0, done.stdout
    assert "The archive server is asked only in a real run." in done.stdout
    assert "Authorize the key" not in done.stdout
    assert lost.authorized == before
    assert not (tmp_path / "restored").exists()


def test_a_job_is_renamed_and_a_store_moved_as_the_documentation_says(lost: Lost) -> None:
    web1 = lost.fleet.hosts["web1"]
    web1.start()
    tasks = played.tasks()
    inventory = json.loads(lost.inventory.read_text(encoding="utf-8"))
    jobs, stores = (inventory["all"]["vars"][each] for each in ("log_archive_jobs", "log_archive_stores"))
    jobs.pop("syslog", None)
    jobs.update(yaml.safe_load(played.block("changing.md", "rename_inventory"))["log_archive_jobs"])
    stores["second"] = {"type": "file", "path": "/var/backups/second"}
    lost.inventory.write_text(json.dumps(inventory), encoding="utf-8")
    changes = played.plays("changing.md", "changes")
    assert played.plays("changing.md", "rename") == played.plays("changing.md", "move")[:1] == changes[1:2]
    # tests/fleet/test_fleet.py plays the dry run.
    assert changes[:2] == played.plays("fleet.md", "site")
    for command in changes[1:]:
        done = lost.play(*command)
        assert done.returncode == 0, done.stdout
    # What the job will take over is in the table already; the store that was added lacks all of it.
    assert re.search(r"web1 +events +\S.* second=3 +3 \(", done.stdout), done.stdout
    for command in [tasks["archive now"][0], *played.plays("changing.md", "move")[1:], tasks["list what can be restored"][0]]:
        done = lost.play(*command)
        assert done.returncode == 0, done.stdout
    assert re.search(r"web1 +syslog +.* 3 +\S+ \S+ +local=3 second=3 server=3 +0", done.stdout), done.stdout
    moved = sorted(path.name for path in web1.path("/var/backups/second/web1/syslog").rglob("*.fernet"))
    assert moved == sorted(path.name for path in web1.path("/var/backups/log-archive/web1/syslog").rglob("*.fernet"))
    assert len(moved) == 3
    assert not list(web1.path("/var/backups/second/web1/events").rglob("*.fernet")), "nothing was archived again"


def test_a_retired_host_loses_the_archives_of_all_its_jobs_but_only_on_request(lost: Lost) -> None:
    web1, archive1 = lost.fleet.hosts["web1"], lost.fleet.hosts["archive1"]
    local, second = web1.path("/var/backups/log-archive"), web1.path("/var/backups/second")
    server = archive1.path("/srv/log-archive/la-web1")

    def archives() -> t.List[str]:
        return sorted("/".join(path.parts[-6:-4]) for folder in (local, second, server) for path in folder.rglob("*.fernet"))

    assert archives() == 3 * ["cluster1/cluster"] + 9 * ["web1/syslog"]
    refused = lost.play("remove", "-e", "log_archive_remove_archives=true")
    assert refused.returncode != 0
    assert "log_archive_remove_last_copies=true" in refused.stdout
    assert "changed=0" in refused.stdout, "it refuses before anything is changed"
    for arguments in (["--check"], []):
        assert len(archives()) == 12
        wanted = "log_archive_remove_archives=true log_archive_remove_last_copies=true"
        done = lost.play("remove", "-e", wanted, *arguments)
        assert done.returncode == 0, done.stdout
    assert archives() == []
    assert not local.exists() and not second.exists() and not server.exists()
