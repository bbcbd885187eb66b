# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode writes nothing: every module, and the dry runs of the command, on a new host with an SFTP store that it does not know yet."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import lab
import pytest
from lab.https import https_server
from rigs.host import COMMAND, ENGINE_PATH, Host

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
MODULES = {path.stem for path in (CHECKOUT / "plugins" / "modules").glob("*.py")}
ON_THE_CONTROLLER = {"command_run", "key_escrow", "ledger_witness", "timed_prompt"}
# tests/integration/test_cloud_modules.py and test_cloudtrail_module.py.
IN_THE_CLOUD = {"cloudtrail_events", "cloudtrail_validate", "cloudwatch_logs", "cloudwatch_monitoring"}
PREFIX = "ansible_collections.infra_ops.log_archive.plugins.modules."


class Site:
    """A host with an SFTP store, whose key it accepts at first sight, and a store with an archive.

    arguments: by module, what would change something outside of check mode.
    """

    def __init__(self, folder: pathlib.Path, server: lab.SftpServer) -> None:
        self.folder = folder
        self.sftp = {
            "type": "sftp", "host": server.host, "port": server.port, "user": server.user, "private_key_file": server.private_key_file,
            "known_hosts_file": str(folder / "home" / "new" / "known_hosts"), "accept_new_host_key": True,
            "path": "check-%s" % folder.name, "attempts": 1,
        }  # fmt: skip
        # The archive in the store comes from another host, which knows the server.
        other = Host(folder / "other", [dict(self.sftp, known_hosts_file=server.known_hosts_file, accept_new_host_key=False)])
        other.write_logs(11, 12)
        assert other.run()["exit_code"] == 0
        self.host = Host(folder / "home", [self.sftp])
        self.host.write_logs(12, 13)
        self.host.write_document(delete_sources=True, notify=[{"type": "log", "path": str(folder / "recaps.jsonl")}])
        self.keyring = str(other.keyring)
        made = folder / "made"
        created = Host(folder / "created", [{"type": "file", "path": str(folder / "created-store")}])
        created.write_logs(10)
        assert created.run()["exit_code"] == 0
        self.packed = next(str(path) for path in (folder / "created-store").rglob("*.fernet"))
        self.log = str(next(iter(self.host.logs.iterdir())))
        self.made = made
        (made / "zip").mkdir(parents=True)
        subprocess.run([sys.executable, "-m", "zipfile", "-c", str(made / "one.zip"), self.log], check=True)

    def arguments(self, url: str, ca_bundle: str) -> t.Dict[str, t.Dict[str, t.Any]]:
        """By module, options with which it would change something outside of check mode."""
        home, absent = str(self.folder / "home"), str(self.folder / "home" / "absent" / "below")
        stream = {
            "name": "s", "follow": {"paths": [home + "/logs"], "patterns": ["syslog.*"]}, "parse": {"profile": "generic"},
            "sinks": [{"type": "sqlite", "path": home + "/new.sqlite"}], "state": absent,
        }  # fmt: skip
        layout = {"paths": [{"path": absent, "state": "directory", "owner": "root", "group": "root", "mode": "0700"}]}
        return {
            "archive_adopt": {"job": self.host.given(), "store": "sftp", "template": "%Y%d%m.tgz", "key_files": []},
            "archive_create": {"sources": [{"path": self.log}], "folder": absent, "job": "j", "keyring": str(self.host.keyring)},
            "archive_drill": {"store": self.sftp, "host": "web1", "keyring": self.keyring, "sample": 1},
            "archive_info": {"store": self.sftp},
            "archive_prune": {"store": self.sftp, "host": "web1", "policy": {"keep_last": 1, "max_delete_share": 1.0}},
            "archive_restore": {"store": self.sftp, "host": "web1", "keyring": self.keyring, "dest": absent, "latest": True},
            "archive_search": {"store": self.sftp, "host": "web1", "keyring": self.keyring, "pattern": "a"},
            "archive_run": {"job": self.host.given(delete_sources=True)},
            "archive_upload": {"store": self.sftp, "archives": [self.packed]},
            "archive_verify": {"store": self.sftp},
            "client_id_reveal": {"keyring": str(self.host.keyring), "tokens": []},
            "fernet_key": {"keyring": absent},
            "host_command": {"interpreter": sys.executable, "prefix": absent},
            "host_layout": layout,
            "host_look": {"layouts": [dict(layout, name="all")], "keyring": absent},
            "job_document": {"folder": absent, "job": self.host.given()},
            "log_ingest": {"stream": stream},
            "log_select": {"paths": [home + "/logs"], "patterns": ["syslog.%Y%m%d.%H"]},
            "recap_notify": {"recaps": [], "notify": [{"type": "log", "path": absent}]},
            "stream_document": {"folder": absent, "stream": stream},
            "web_dump": {"url": url, "ca_bundle": ca_bundle, "dest": absent},
            "zip_extract": {"src": str(self.made / "one.zip"), "dest": absent},
        }


def snapshot(folder: pathlib.Path) -> t.Dict[str, t.Any]:
    """By path, all that a write would change."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path)] = (oct(status.st_mode), status.st_size, status.st_mtime_ns, status.st_ino, content)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, openssh: lab.SftpServer) -> Site:
    return Site(tmp_path_factory.mktemp("checked"), openssh)


def environment(site: Site) -> t.Dict[str, str]:
    # Ansible's own temporary folders come and go.
    temporary, home = site.folder.with_name("temporary"), site.folder / "person"
    for folder in (temporary, home):
        folder.mkdir(exist_ok=True)
    return dict(os.environ, PYTHONPATH=ENGINE_PATH, PYTHONDONTWRITEBYTECODE="1", HOME=str(home), TMPDIR=str(temporary))


@pytest.mark.parametrize("module", sorted(MODULES - ON_THE_CONTROLLER - IN_THE_CLOUD))
def test_a_module_in_check_mode_writes_nothing(module: str, site: Site, tmp_path: pathlib.Path) -> None:
    with https_server(tmp_path) as server:
        server.files["/export.zip"] = (site.made / "one.zip").read_bytes()
        given = site.arguments(server.url(), server.authority.certificate_file)[module]
        env = environment(site)
        before = snapshot(site.folder)
        options = json.dumps({"ANSIBLE_MODULE_ARGS": {**given, "_ansible_check_mode": True, "_ansible_diff": True}})
        done = subprocess.run([sys.executable, "-m", PREFIX + module], input=options, env=env, capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert not result.get("failed"), result["msg"]
    after = snapshot(site.folder)
    assert sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)) == []
    assert os.listdir(env["TMPDIR"]) == []
    assert os.listdir(env["TMPDIR"]) == []


@pytest.mark.parametrize("command", [["run", "syslog", "--dry-run"], ["prune", "syslog", "--dry-run"]])
def test_a_dry_run_writes_nothing(command: t.List[str], site: Site) -> None:
    env = dict(environment(site), LOG_ARCHIVE_CONFIG=str(site.folder / "home" / "jobs"))
    before = snapshot(site.folder)
    done = subprocess.run([*COMMAND, *command], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert snapshot(site.folder) == before


def test_outside_of_check_mode_the_new_host_key_is_noted(site: Site) -> None:
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {"store": site.sftp}})
    command = [sys.executable, "-m", PREFIX + "archive_info"]
    subprocess.run(command, input=given, env=environment(site), check=True, capture_output=True, text=True)
    assert (site.folder / "home" / "new" / "known_hosts").read_text().count("\n") == 1
