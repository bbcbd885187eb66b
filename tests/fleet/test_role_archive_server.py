# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role archive_server on real hosts: two archive servers (without and with systemd), an append-only host web1 and an ordinary one db1.

The tests of this file use the hosts one after the other, in this order.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import typing as t
from datetime import datetime, timedelta, timezone

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreDeniedError, StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory, send as shipping
from fleet.roles import Snapshot, difference, snapshot
from lab.openssh import new_key
from rigs.command import program
from rigs.stores import new_store

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROLE = "infra_ops.log_archive.archive_server"
SSH = "/etc/log-archive/ssh"
BASE = "/srv/log-archive"
SEAL = "/usr/local/sbin/log-archive-seal"
SUFFIX = ".tgz.fernet"
MANIFEST = ".manifest.json"

ENROL = {"name": "Enrol", "ansible.builtin.include_role": {"name": ROLE, "tasks_from": "enrol"}}
USER = {
    "name": "Make the user who sends",
    "ansible.builtin.user": {"name": "log-archive", "system": True, "create_home": False, "state": "{{ archive_server_state }}"},
}
SERVERS = {"name": "Servers", "hosts": "servers", "gather_facts": False, "roles": [ROLE]}
PRESENT = [SERVERS, {"name": "Hosts", "hosts": "senders", "gather_facts": False, "tasks": [USER, ENROL]}]
ABSENT = [{"name": "Hosts", "hosts": "senders", "gather_facts": False, "tasks": [ENROL, USER]}, SERVERS]


def job(append_only: bool) -> dict[str, t.Any]:
    store = {
        "type": "sftp",
        "name": "server",
        "host": "{{ hostvars['store1'].ansible_host }}",
        "user": "{{ inventory_hostname | infra_ops.log_archive.sftp_account }}",
        "path": "/archive",
        "private_key_file": SSH + "/id_ed25519",
        "private_key_passphrase": "told to nobody",
        "known_hosts_file": SSH + "/known_hosts",
        "append_only": append_only,
    }
    retention = {"keep_within": "30d", "max_delete_share": 1.0}
    return {"syslog": {"select": {"paths": ["/var/log"]}, "stores": [store], "retention": retention}}


class Played(t.NamedTuple):
    """How a play ended: its return code, what it printed, and by host the number of tasks that changed something."""

    code: int
    output: str
    changed: dict[str, int]


class Site:
    """The fleet, and how it was before and after the first plays."""

    def __init__(self, fleet: t.Any) -> None:
        self.fleet = fleet
        self.server = fleet.hosts["store1"]
        self.timed = fleet.hosts["store2"]
        inside = {
            "children": {
                "archive_server": {"hosts": {"store1": {}}},
                "servers": {"hosts": {"store1": {}, "store2": {}}},
                "senders": {
                    "hosts": {
                        "web1": {"archive_server_append_only": True, "log_archive_jobs": job(True)},
                        "db1": {"log_archive_jobs": job(False)},
                    }
                },
            },
            "vars": {"archive_server_state": "present"},
        }
        self.inventory = fleet.inventory({"all": inside})
        # What the role runner puts there.
        engine = self.server.path("/opt/log-archive/lib/log_archive")
        shutil.copytree(CHECKOUT / "plugins" / "module_utils" / "_engine", engine, ignore=shutil.ignore_patterns("__pycache__"))
        command = self.server.path("/opt/log-archive/bin/log-archive")
        command.parent.mkdir()
        command.write_text(program("/usr/bin/python3", "/opt/log-archive/lib"))
        command.chmod(0o755)
        # The tests seal when they want: each looks at the events of its own call.
        self.server.run(["service", "cron", "stop"])
        # As on RHEL 8.
        config = self.timed.path("/etc/ssh/sshd_config")
        config.write_text(re.sub("(?m)^Include .*\n", "", config.read_text()))
        self.fresh = self.snapshots()
        # One server is enough of it: a play costs seconds.
        self.checked = self.play(PRESENT, "--check", "--diff", "--limit", "!store2")
        self.after_check = self.snapshots()
        self.first = self.play(PRESENT, "-vvv")
        self.second = self.play(PRESENT, "--diff")

    def snapshots(self) -> dict[str, Snapshot]:
        return {name: snapshot(host) for name, host in self.fleet.hosts.items()}

    def play(self, book: t.Any, *arguments: str) -> Played:
        path = pathlib.Path(self.fleet.folder) / "archive_server.yml"
        path.write_text(json.dumps(book), encoding="utf-8")
        done = self.fleet.playbook(path, *arguments, inventory=self.inventory)
        output = done.stdout + done.stderr
        assert "told to nobody" not in output
        changed = {name: int(count) for name, count in re.findall(r"^(\w+) +: ok=.* changed=(\d+)", done.stdout, re.MULTILINE)}
        return Played(done.returncode, output, changed)

    def key(self, host: str) -> str:
        return str(self.fleet.hosts[host].path(SSH + "/id_ed25519"))

    def store(self, host: str, **options: t.Any) -> t.Any:
        """The SFTP store as the jobs of a host have it, with the key and the known hosts that enrolment left there."""
        known_hosts = str(self.fleet.hosts[host].path(SSH + "/known_hosts"))
        ours = {"type": "sftp", "name": "server", "host": self.server.address, "user": "la-" + host, "path": "/archive"}
        ours.update(private_key_file=self.key(host), known_hosts_file=known_hosts, attempts=2, retry_delay=0.1)
        return new_store(**dict(ours, **options))

    def send(self, host: str, start: datetime, data: bytes = b"ciphertext") -> str:
        """Send an archive as a job does; return its key."""
        name = "syslog.%s%s" % (start.strftime("%Y%m%d.%H"), SUFFIX)
        key = "%s/syslog/%s/%s" % (host, start.strftime("%Y/%m/%d"), name)
        path = pathlib.Path(self.fleet.folder) / name
        path.write_bytes(data)
        digests = shipping.digests_of_file(str(path))
        described = {
            "version": 1,
            "host": host,
            "job": "syslog",
            "created": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "archive": {"name": name, "size": digests.size, "md5": digests.md5, "sha256": digests.sha256},
            "tgz": {"size": 1, "sha256": hashlib.sha256(data).hexdigest()},
            "encryption": {"format": "fernet", "key_id": "0" * 16},
            "period": {
                "start": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "end": (start + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
            "sources": [],
        }
        (path.parent / (name + MANIFEST)).write_bytes(manifests.dump(described))

        def put() -> t.Any:
            store = self.store(host)
            try:
                return shipping.send(store, str(path), described, key, SUFFIX)
            finally:
                store.close()

        assert self.fleet.within(put).key == key
        return key

    def ssh(self, host: str, *arguments: str, program: str = "ssh", options: t.Sequence[str] = (), **more: t.Any) -> t.Any:
        """OpenSSH's client with a host's key, from the controller."""
        known_hosts = str(self.fleet.hosts[host].path(SSH + "/known_hosts"))
        strict = ["-oUserKnownHostsFile=" + known_hosts, "-oGlobalKnownHostsFile=/dev/null", "-oStrictHostKeyChecking=yes"]
        common = ["-F", "none", *strict, "-oIdentitiesOnly=yes", "-oBatchMode=yes", "-i", self.key(host)]
        return self.fleet.run([program, *common, *options, *arguments], timeout=lab.patience(20), **more)

    @contextlib.contextmanager
    def attacker(self, host: str) -> t.Iterator[t.Any]:
        """paramiko's SFTP client, logged in with a host's key: what somebody has who took the host over."""
        import paramiko

        with contextlib.ExitStack() as stack:

            def connect() -> t.Any:
                client = stack.enter_context(paramiko.SSHClient())
                client.load_host_keys(str(self.fleet.hosts[host].path(SSH + "/known_hosts")))
                key = paramiko.Ed25519Key.from_private_key_file(self.key(host))
                client.connect(self.server.address, username="la-" + host, pkey=key, allow_agent=False, look_for_keys=False)
                return stack.enter_context(client.open_sftp())

            yield self.fleet.within(connect)

    def seal(self) -> list[dict[str, t.Any]]:
        """What cron does each minute, by its own line; the events that it logs."""
        line = next(line for line in self.server.path("/etc/cron.d/log-archive-server").read_text().splitlines() if SEAL in line)
        before = self.events()
        self.server.run(["sh", "-c", line.split("root ", 1)[1]])
        return self.events()[len(before) :]

    def events(self) -> list[dict[str, t.Any]]:
        log = self.server.path("/var/log/log-archive-server/seal.log")
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def archive(self, host: str, key: str) -> pathlib.Path:
        return self.server.path("%s/la-%s/archive/%s" % (BASE, host, key))


@pytest.fixture(scope="module")
def site(start_part: t.Callable[[t.ContextManager[t.Any]], t.Any], tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), light=("store1", "web1", "db1"), systemd=("store2",))))


NOW = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)


# -- what the plays do ------------------------------------------------------------------------------------------------


def test_check_mode_on_fresh_hosts_changes_nothing_and_tells_what_comes(site: Site) -> None:
    assert site.checked.code == 0, site.checked.output
    for name, before in site.fresh.items():
        assert difference(before, site.after_check[name]) == set()
        if name != "store2":
            assert site.checked.changed[name] > 0
    assert "ForceCommand internal-sftp" in site.checked.output


def test_a_second_run_changes_nothing(site: Site) -> None:
    assert site.first.code == 0, site.first.output
    assert site.second.code == 0, site.second.output
    assert site.second.changed == {"store1": 0, "store2": 0, "web1": 0, "db1": 0}, site.second.output


def test_the_account(site: Site) -> None:
    user = site.server.run(["getent", "passwd", "la-web1"]).stdout.strip().split(":")
    assert user[6] == "/usr/sbin/nologin"
    assert site.server.run(["getent", "shadow", "la-web1"]).stdout.split(":")[1] == "*"
    assert site.server.run(["id", "-nG", "la-web1"]).stdout.split() == ["la-web1", "log-archive-sftp"]
    keys = site.server.path("/etc/ssh/log-archive/la-web1").read_text()
    assert keys == "restrict %s\n" % site.fleet.hosts["web1"].path(SSH + "/id_ed25519.pub").read_text().strip()


def test_the_host_s_files(site: Site) -> None:
    host = site.fleet.hosts["web1"]
    listed = host.run(["stat", "-c", "%n %U:%G %a", SSH, *[SSH + "/" + name for name in ("id_ed25519", "known_hosts")]]).stdout
    assert listed.splitlines() == [
        SSH + " root:log-archive 750",
        SSH + "/id_ed25519 log-archive:log-archive 600",
        SSH + "/known_hosts root:log-archive 640",
    ]
    keys = {" ".join(line.split()[1:]) for line in host.path(SSH + "/known_hosts").read_text().splitlines() if line[0] != "#"}
    assert keys == set(site.server.host_keys)


def test_timers_where_systemd_runs(site: Site) -> None:
    timers = site.timed.run(["systemctl", "list-timers", "--no-pager", "log-archive-server-*"]).stdout
    assert "log-archive-server-seal.timer" in timers
    assert "log-archive-server-prune.timer" in timers
    site.timed.run(["systemctl", "start", "log-archive-server-seal.service", "log-archive-server-prune.service"])
    assert not site.timed.path("/etc/cron.d/log-archive-server").exists()


def test_a_server_whose_sshd_config_includes_no_other_file(site: Site) -> None:
    assert not site.timed.path("/etc/ssh/sshd_config.d/50-log-archive.conf").exists()
    config = site.timed.path("/etc/ssh/sshd_config").read_text()
    assert config.endswith("Match all\n# END infra_ops.log_archive\n")
    site.timed.run(["sshd", "-t"])


@pytest.mark.parametrize(
    ("base", "line", "why"),
    [
        ("/tmp/archives", "", "/tmp on store1 must belong to root, and no other user may have write access to it"),
        ("/srv/other", "Nonsense yes", "Bad configuration option: Nonsense"),
    ],
)
def test_what_would_lock_people_out_is_refused_and_changes_nothing_of_sshd(site: Site, base: str, line: str, why: str) -> None:
    config = site.server.path("/etc/ssh/sshd_config")
    text = config.read_text()
    config.write_text(text + line)
    before = site.server.path("/etc/ssh/sshd_config.d/50-log-archive.conf").read_text()
    try:
        played = site.play([SERVERS], "--limit", "store1", "-e", "archive_server_base=" + base)
    finally:
        config.write_text(text)
        site.server.run(["rm", "-rf", base])
    assert played.code == 2
    assert why in " ".join(played.output.split())
    assert site.server.path("/etc/ssh/sshd_config.d/50-log-archive.conf").read_text() == before
    assert "Reload" not in played.output


# -- what an account can do -------------------------------------------------------------------------------------------


def test_no_command_no_terminal(site: Site) -> None:
    target = "la-web1@" + site.server.address
    done = site.ssh("web1", target, "id; echo x > /archive/made", input="")
    assert "uid=" not in done.stdout
    assert site.server.run(["find", BASE, "-name", "made"]).stdout == ""
    done = site.ssh("web1", "-tt", target, input="")
    assert "PTY allocation request failed" in done.stderr
    done = site.ssh("web1", __file__, target + ":/archive/made", program="scp", options=["-O"])
    assert done.returncode != 0
    assert site.server.run(["find", BASE, "-name", "made"]).stdout == ""


def test_no_forwarding(site: Site) -> None:
    target = "la-web1@" + site.server.address
    done = site.ssh("web1", "-W", "127.0.0.1:22", target, input="")
    assert done.returncode == 255
    assert "administratively prohibited" in done.stderr
    done = site.ssh("web1", "-N", "-R", "9922:127.0.0.1:22", target, options=["-oExitOnForwardFailure=yes"])
    assert done.returncode == 255
    assert "remote port forwarding failed" in done.stderr
    client = subprocess.Popen(  # -L listens here and asks the server when somebody connects
        [
            "nsenter",
            "--net=/run/netns/" + site.fleet.namespace,
            "ssh",
            *["-F", "none", "-oUserKnownHostsFile=" + str(site.fleet.hosts["web1"].path(SSH + "/known_hosts")), "-oBatchMode=yes"],
            *["-i", site.key("web1"), "-N", "-L", "127.0.0.1:9923:127.0.0.1:22", target],
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        assert site.fleet.within(lambda: first_bytes("127.0.0.1", 9923)) == b""
    finally:
        client.kill()
        client.wait()


def first_bytes(host: str, port: int) -> bytes:
    """What a server says first, once it listens; nothing where it closes the connection."""
    import socket

    def connected() -> t.Optional[socket.socket]:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection((host, port), timeout=lab.patience(20))
        return None

    with lab.wait_until(connected, "nothing listens on port %d" % port) as client:
        try:
            return client.recv(64)
        except ConnectionResetError:
            return b""


def test_by_its_own_key_only(site: Site) -> None:
    done = site.ssh("db1", "la-web1@" + site.server.address, input="")
    assert (done.returncode, "Permission denied (publickey)." in done.stderr) == (255, True)
    password = ["-oPubkeyAuthentication=no", "-oPreferredAuthentications=password,keyboard-interactive", "-oBatchMode=no"]
    done = site.ssh("web1", "la-web1@" + site.server.address, options=password, input="")
    assert (done.returncode, "Permission denied (publickey)." in done.stderr) == (255, True)


def test_a_host_sees_itself_alone(site: Site) -> None:
    site.send("db1", NOW, b"of db1")
    with site.attacker("web1") as sftp:
        assert set(sftp.listdir("/")) - {".seal"} == {"archive"}
        assert sftp.listdir("/archive") == []
        for path in ("/etc/passwd", "/../../etc/passwd", "/srv/log-archive/la-db1", "/archive/../../la-db1"):
            with pytest.raises(FileNotFoundError):
                sftp.stat(path)
        with pytest.raises(PermissionError):
            sftp.open("/mine", "w")
        site.seal()
        with pytest.raises(PermissionError):
            sftp.listdir("/.seal")
        for request in (
            lambda: sftp.symlink("/etc", "/archive/link"),
            lambda: sftp.chmod("/archive", 0o777),
            lambda: sftp.utime("/archive", (0, 0)),
            lambda: sftp.truncate("/archive", 0),
        ):
            with pytest.raises(PermissionError):
                request()


def test_the_store(site: Site) -> None:
    """put (plain RENAME, fsync, statvfs), list, verify, get, delete, as an ordinary host has them."""
    key = site.send("db1", NOW - timedelta(hours=1), os.urandom(3 << 20))

    def use() -> None:
        store = site.store("db1")
        try:
            held = inventory.read(store, "db1", "syslog").archives
            assert key in [archive.key for archive in held]
            digests = manifests.digests(next(archive.manifest for archive in held if archive.key == key))
            assert store.verify(key, digests, "read_back").level == "read_back"
            with open(pathlib.Path(site.fleet.folder) / "got", "w+b") as file:
                store.get(key, file)
            assert shipping.digests_of_file(str(pathlib.Path(site.fleet.folder) / "got")) == digests
            assert store.free_bytes() > 0
            assert store.delete([key, key + MANIFEST]) == {key: None, key + MANIFEST: None}
        finally:
            store.close()

    site.fleet.within(use)
    assert stat.S_IMODE(site.archive("db1", "").stat().st_mode) == 0o700


# -- append-only ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sealed(site: Site) -> tuple[str, t.Any]:
    """An archive of web1 that is sealed, and a handle that web1 has opened before."""
    key = site.send("web1", NOW)
    with contextlib.ExitStack() as stack:
        sftp = stack.enter_context(site.attacker("web1"))
        handle = sftp.open("/archive/" + key, "r+")
        events = site.seal()
        assert [(event["event"], event["account"], event["path"]) for event in events] == [("sealed", "la-web1", key)]
        handle.write(b"evil")
        handle.flush()
        handle.close()
    return key


def intact(site: Site, key: str) -> None:
    path = site.archive("web1", key)
    assert path.read_bytes() == b"ciphertext"
    assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (0, 0o440)


def test_a_handle_from_before_the_seal_writes_into_nothing(site: Site, sealed: str) -> None:
    intact(site, sealed)


def test_what_is_sealed_can_be_read_and_nothing_else(site: Site, sealed: str) -> None:
    archive = "/archive/" + sealed
    day = os.path.dirname(archive)
    with site.attacker("web1") as sftp:
        assert sftp.open(archive).read() == b"ciphertext"
        with sftp.open(day + "/mine", "w") as file:
            file.write(b"evil")
        for attack in (
            lambda: sftp.remove(archive),
            lambda: sftp.remove(archive + MANIFEST),
            lambda: sftp.open(archive, "w"),
            lambda: sftp.open(archive, "a"),
            lambda: sftp.open(archive, "r+"),
            lambda: sftp.rename(archive, day + "/away"),
            lambda: sftp.posix_rename(archive, day + "/away"),
            lambda: sftp.posix_rename(day + "/mine", archive),
            lambda: sftp.rename(day, day + "x"),
            lambda: sftp.rename("/archive/web1", "/archive/web2"),
            lambda: sftp.rmdir(day),
            lambda: sftp.rename("/archive", "/other"),
            lambda: sftp.chmod(archive, 0o777),
        ):
            with pytest.raises(OSError):  # noqa: PT011 - SFTP 3 has one code for most
                attack()
        sftp.remove(day + "/mine")
    intact(site, sealed)
    site.seal()
    intact(site, sealed)


def test_the_store_cannot_delete_and_goes_on_sending(site: Site, sealed: str) -> None:
    def delete() -> t.Any:
        store = site.store("web1")
        try:
            return store.delete([sealed])
        finally:
            store.close()

    assert site.fleet.within(delete)[sealed] is not None
    second = site.send("web1", NOW - timedelta(hours=1))
    assert [event["path"] for event in site.seal()] == [second]
    assert site.seal() == []


def test_what_the_server_knows_of_a_host_s_jobs(site: Site) -> None:
    folder = site.server.path("/etc/log-archive/server.d")
    assert sorted(path.name for path in folder.iterdir()) == ["web1"]
    text = (folder / "web1" / "syslog.json").read_text()
    document = json.loads("\n".join(line for line in text.splitlines() if not line.startswith("//")))
    assert document["stores"] == [
        {
            "type": "file",
            "name": "server",
            "path": BASE + "/la-web1/archive",
            "retention": {"keep_within": "30d", "max_delete_share": 1.0},
        }
    ]
    assert "told to nobody" not in text
    assert "id_ed25519" not in text


def test_the_server_prunes_for_an_append_only_host(site: Site, sealed: str) -> None:
    old = [site.send("web1", NOW - timedelta(days=days)) for days in (40, 50)]
    kept = site.send("db1", NOW - timedelta(days=40))
    site.seal()
    done = site.server.run(["/usr/local/sbin/log-archive-server-prune"])
    for key in old:
        assert not site.archive("web1", key).exists(), done.stdout
        assert not site.archive("web1", key + MANIFEST).exists()
    intact(site, sealed)
    assert site.archive("db1", kept).exists()
    events = site.server.path("/var/log/log-archive-server/events.jsonl").read_text()
    assert all(key in events for key in old)


def test_a_host_cannot_fill_the_log_of_the_server(site: Site, sealed: str) -> None:
    uploads = 60
    with site.attacker("web1") as sftp:
        folder = "/archive/" + "n" * 200
        sftp.mkdir(folder)
        for number in range(uploads):
            for name, content in (("%d%s%s" % (number, SUFFIX, MANIFEST), b"no manifest"), ("%d%s" % (number, SUFFIX), b"no archive")):
                with sftp.open("%s/%s" % (folder, name), "w") as file:
                    file.write(content)
    events = site.seal()
    assert [event["refused"] for event in events if event["event"] == "not shown"] == [uploads - 50]
    assert len(events) == 51 and max(len(json.dumps(event)) for event in events) < 600
    assert site.seal() == []
    intact(site, sealed)
    site.server.run(["logrotate", "--debug", "/etc/logrotate.d/log-archive-server"])
    assert "maxsize 50M" in site.server.path("/etc/logrotate.d/log-archive-server").read_text()


# -- changes ----------------------------------------------------------------------------------------------------------


def test_a_public_key_that_is_more_than_one_key_is_not_authorized(site: Site) -> None:
    authorized = site.server.path("/etc/ssh/log-archive/la-web1")
    public = site.fleet.hosts["web1"].path(SSH + "/id_ed25519.pub")
    before, key = authorized.read_text(), public.read_text()
    public.write_text(key + "ssh-ed25519 AAAA of-somebody-else\n")
    played = site.play(PRESENT, "--limit", "web1")
    public.write_text(key)
    assert played.code == 2
    assert "web1:/etc/log-archive/ssh/id_ed25519.pub is not one public key in one line" in " ".join(played.output.split())
    assert authorized.read_text() == before


def test_a_changed_host_key_is_refused_until_the_next_run_brings_it(site: Site) -> None:
    old = list(site.server.host_keys)
    for index, kind in enumerate(("ed25519", "ecdsa")):
        site.server.host_keys[index] = new_key(str(site.server.path("/etc/ssh/ssh_host_%s_key" % kind)), "root@store1", kind)
    site.server.run(["sh", "-c", 'kill -HUP "$(cat /run/sshd.pid)"'])
    # The old process may answer once more.
    scan = ["ssh-keyscan", "-T", "60", "-t", "ed25519", site.server.address]
    lab.wait_until(lambda: site.server.host_keys[0] in site.fleet.run(scan).stdout, "sshd does not show its new key")
    site.fleet.forget_connections()
    known = pathlib.Path(site.fleet.known_hosts_file)
    text = known.read_text()
    for before, after in zip(old, site.server.host_keys):
        text = text.replace(before, after)
    known.write_text(text)
    with pytest.raises(StoreDeniedError, match="host key is not the known one"):
        site.send("web1", NOW - timedelta(hours=2))
    other = snapshot(site.fleet.hosts["db1"])
    played = site.play(PRESENT, "--limit", "web1", "--diff")
    assert played.code == 0, played.output
    assert played.changed == {"web1": 1}
    assert difference(other, snapshot(site.fleet.hosts["db1"])) == set()
    site.send("web1", NOW - timedelta(hours=2))
    with pytest.raises(StoreError):
        site.send("db1", NOW - timedelta(hours=2))


# -- a host that no longer uses the server ----------------------------------------------------------------------------


def test_the_account_goes_with_the_last_store_that_uses_it(site: Site) -> None:
    role = {"name": "infra_ops.log_archive.archive_server", "tasks_from": "former"}
    book = [{"name": "Hosts", "hosts": "db1", "gather_facts": False, "tasks": [{"name": "Leave", "ansible.builtin.include_role": role}]}]
    no_jobs = ("-e", '{"log_archive_jobs": {}}')
    before = site.snapshots()

    def unchanged() -> bool:
        after = site.snapshots()
        changed = difference(before["db1"], after["db1"]) | difference(before["store1"], after["store1"])
        return not any(path.startswith(("/etc/", BASE + "/la-db1")) for path in changed)

    assert site.play(book)[::2] == (0, {"db1": 0}) and unchanged()
    checked = site.play(book, "--check", *no_jobs)
    assert checked.code == 0 and checked.changed["db1"] > 0 and unchanged(), checked.output

    known_hosts = site.fleet.hosts["db1"].path(SSH + "/known_hosts")
    text = known_hosts.read_text()
    known_hosts.write_text(text.replace(" store1 ", " store9 "))
    played = site.play(book, *no_jobs)
    assert "WARNING: db1 no longer archives to store9, and the inventory does not have this server" in played.output
    assert played[::2] == (0, {"db1": 0})
    known_hosts.write_text(text)
    assert unchanged()

    gone = site.play(book, *no_jobs)
    assert gone.code == 0, gone.output
    assert site.server.run(["getent", "passwd", "la-db1"], check=False).returncode == 2
    after = site.snapshots()
    assert not site.fleet.hosts["db1"].path(SSH).exists()
    assert not site.server.path("/etc/ssh/log-archive/la-db1").exists()
    archives = {path for path in before["store1"] if path.startswith(BASE + "/la-db1/") and before["store1"][path][3] is not None}
    assert {path: after["store1"][path][1:] for path in archives} == {path: (0, 0, before["store1"][path][3]) for path in archives}
    assert site.play(book, *no_jobs).changed == {"db1": 0}


# -- undo -------------------------------------------------------------------------------------------------------------


def test_undo_leaves_the_archives_and_nothing_else(site: Site, sealed: str) -> None:
    with site.attacker("web1") as sftp:
        played = site.play(ABSENT, "-e", "archive_server_state=absent")
        assert played.code == 0, played.output
        with pytest.raises((OSError, EOFError)):
            sftp.listdir("/")
    after = site.snapshots()
    for name in ("store2", "web1", "db1"):
        assert difference(site.fresh[name], after[name]) == set()
    left = {path for path in difference(site.fresh["store1"], after["store1"]) if "/ssh_host_" not in path}
    assert all(path == BASE or path.startswith(BASE + "/") for path in left), sorted(left)
    assert BASE + "/la-web1/archive/" + sealed in left
    assert {after["store1"][path][1:3] for path in left} == {(0, 0)}
    for host in ("web1", "db1"):
        assert site.server.run(["getent", "passwd", "la-" + host], check=False).returncode == 2
