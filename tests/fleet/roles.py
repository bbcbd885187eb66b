# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles played on one host, and what a host looks like before and after."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import re
import stat
import tempfile
import typing as t
from datetime import datetime, timedelta, timezone

# What changes with every login, what useradd keeps of the state before, what systemd leaves when a host is switched off hard, its journal.
IGNORED = re.compile(
    r"/(root/\.ansible|home/[^/]+/\.(ansible|sudo_as_admin_successful)|var/log/(lastlog|wtmp|btmp)|var/lib/sudo"
    r"|var/tmp/systemd-private-[^/]+|var/log/journal"
    r"|etc/(passwd|group|shadow|gshadow|subuid|subgid)-"
    r"|etc/\.pwd\.lock)(/|$)"
)
# What a host needs to encrypt and to send to an SFTP store.
SFTP_PROJECTS = ("cryptography", "cffi", "pycparser", "paramiko", "bcrypt", "pynacl", "invoke")
# What it needs to send to an S3 store, too, and what makes it faster.
S3_PROJECTS = ("boto3", "botocore", "jmespath", "s3transfer", "python_dateutil", "six", "urllib3")
OPTIONAL_PROJECTS = ("isal", "pybase64")
SSH = "/etc/log-archive/ssh"
# The store of a host on archive1, as inventories state it.
SFTP_STORE = {
    "type": "sftp",
    "host": "{{ hostvars['archive1'].ansible_host }}",
    "user": "{{ inventory_hostname | infra_ops.log_archive.sftp_account }}",
    "path": "/archive",
    "private_key_file": SSH + "/id_ed25519",
    "known_hosts_file": SSH + "/known_hosts",
}
PLACES = ("etc", "home", "opt", "root", "srv", "tmp", "usr/local", "var")
Snapshot = t.Dict[str, t.Tuple[t.Any, ...]]
# By path, inode, size and times; the kernel alone sets the time of change, so a file that has all of them still has its content.
_digests: t.Dict[t.Tuple[t.Any, ...], str] = {}


def hour(ago: int) -> str:
    """The name of the log of a past hour."""
    return (datetime.now(timezone.utc) - timedelta(hours=ago)).strftime("app.%Y%m%d.%H")


class Played(t.NamedTuple):
    """How a play ended: its return code, all that it printed, and how many tasks changed something."""

    code: int
    output: str
    changed: int


def play(host: t.Any, roles: t.Sequence[str], *arguments: t.Any, user: str = "root", **variables: t.Any) -> Played:
    """Play roles of this collection on a host; ``variables`` win over everything. A login other than root uses sudo.

    roles: their names; 'NAME/FILE' plays one file of its tasks.
    """
    folder = pathlib.Path(host.fleet.folder)
    tasks = []
    for role in roles:
        name, _slash, file = role.partition("/")
        which = {"name": "infra_ops.log_archive." + name, "tasks_from": file or "main"}
        tasks.append({"name": "Play %s" % role, "ansible.builtin.include_role": which})
    book = [{"name": "Roles", "hosts": host.name, "gather_facts": False, "become": user != "root", "tasks": tasks}]
    (folder / "roles.yml").write_text(json.dumps(book), encoding="utf-8")
    (folder / "roles.variables.json").write_text(json.dumps(variables), encoding="utf-8")
    done = host.fleet.playbook(
        folder / "roles.yml", "-e", "@%s" % (folder / "roles.variables.json"), *arguments, inventory=host.fleet.inventory(user=user)
    )
    found = re.search(r"^%s .*changed=(\d+)" % re.escape(host.name), done.stdout, re.MULTILINE)
    return Played(done.returncode, done.stdout + done.stderr, int(found[1]) if found else -1)


def succeed(*arguments: t.Any, **options: t.Any) -> Played:
    """``play`` that must end well."""
    played = play(*arguments, **options)
    assert played.code == 0, played.output
    return played


def wheels(host: t.Any, *projects: str) -> str:
    """A folder on the controller with the wheels of these projects only: copying all of them to a host takes its time."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="wheels-", dir=host.fleet.folder))
    for path in pathlib.Path(host.fleet.wheelhouse).glob("*.whl"):
        if path.name.split("-")[0].lower() in projects:
            (folder / path.name).write_bytes(path.read_bytes())
    return str(folder)


def snapshot(host: t.Any) -> Snapshot:
    """Every file of a host that is no program: its kind, mode, owner, group and content."""
    found: Snapshot = {}
    root = os.fspath(host.path("/"))
    for place in PLACES:
        for folder, folders, files in os.walk(os.path.join(root, place)):
            for name in folders + files:
                path = os.path.join(folder, name)
                inside = path[len(root.rstrip("/")) :]
                if IGNORED.match(inside):
                    continue
                about = os.lstat(path)
                content: t.Optional[str] = None
                if stat.S_ISREG(about.st_mode):
                    content = _digest(path, about)
                elif stat.S_ISLNK(about.st_mode):
                    content = os.readlink(path)
                found[inside] = (oct(about.st_mode), about.st_uid, about.st_gid, content)
    return found


def _digest(path: str, about: os.stat_result) -> str:
    known = (path, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    if known not in _digests:
        with open(path, "rb") as file:
            _digests[known] = hashlib.sha256(file.read()).hexdigest()
    return _digests[known]


def difference(before: Snapshot, after: Snapshot) -> t.Set[str]:
    """The paths that came, went or changed."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def as_user(host: t.Any, user: str, *argv: str, **options: t.Any) -> t.Any:
    """Run a command on the host as one of its users, in a new login; returns the process, also if it failed."""
    return host.run(["runuser", "--user", user, "--", *argv], check=False, cwd="/", **options)
