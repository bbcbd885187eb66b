# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's hosts are hosts: separate, reached by OpenSSH with known keys alone, and they keep their disks."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import typing as t

import lab
import pytest
from lab.fleet import ADMIN, CACHE
from lab.processes import NAMESPACES

# One worker, one fleet.
pytestmark = pytest.mark.xdist_group("lab_fleet")


@pytest.fixture(scope="module")
def fleet(start_part: t.Callable[[t.Any], t.Any], tmp_path_factory: pytest.TempPathFactory) -> lab.Fleet:
    return start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), light=("one", "two"), systemd=("three",)))


@pytest.fixture(params=["one", "three"])
def host(request: pytest.FixtureRequest, fleet: lab.Fleet) -> lab.Host:
    return fleet.hosts[request.param]


def ssh(fleet: lab.Fleet, host: lab.Host, *command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
    return fleet.run(["ssh", *fleet.ssh_options, "-oConnectTimeout=30", "%s@%s" % (user, host.address), *command])


def test_each_host_has_its_own_name_files_processes_and_address(fleet: lab.Fleet) -> None:
    here = socket.gethostname()
    for host in fleet.hosts.values():
        assert ssh(fleet, host, "hostname").stdout == host.name + "\n"
        host.run(["touch", "/etc/written-on-" + host.name])
        assert host.path("/etc/written-on-" + host.name).exists()
        assert host.address in host.run(["ip", "-o", "addr", "show", "eth0"]).stdout
        sleeping = subprocess.Popen(["sleep", "1234567"])
        try:
            assert "1234567" not in host.run(["sh", "-c", "cat /proc/[0-9]*/cmdline"]).stdout
        finally:
            sleeping.kill()
            sleeping.wait()
    assert fleet.hosts["one"].run(["ls", "/etc"]).stdout.count("written-on-") == 1
    assert not pathlib.Path("/etc/written-on-one").exists()
    assert socket.gethostname() == here


def test_a_link_of_a_host_does_not_lead_into_this_machine(fleet: lab.Fleet, tmp_path: pathlib.Path) -> None:
    host = fleet.hosts["one"]
    here = tmp_path / "file"
    here.write_text("of this machine", encoding="ascii")
    host.run(["sh", "-c", 'mkdir -p "$1" && ln -s "$1" /etc/away && ln -s /etc/away/file /srv/link', "sh", str(tmp_path)])
    for path in ("/srv/link", "/etc/away/file", "../../etc/away/file"):
        host.path(path).write_text(path, encoding="ascii")
        assert host.run(["cat", str(here)]).stdout == path
    assert here.read_text(encoding="ascii") == "of this machine"


def test_a_host_reaches_the_others_and_not_the_internet(fleet: lab.Fleet) -> None:
    script = "import socket, sys; print(socket.create_connection((sys.argv[1], 22), timeout=60).recv(4))"
    assert "SSH-" in fleet.hosts["one"].run(["python3", "-c", script, "three"]).stdout
    assert "default" not in fleet.hosts["one"].run(["ip", "route"]).stdout + fleet.hosts["three"].run(["ip", "route"]).stdout


def test_nothing_of_the_distribution_runs_by_the_clock(fleet: lab.Fleet) -> None:
    folders = ["/etc/cron." + each for each in ("d", "hourly", "daily", "weekly", "monthly")]
    for host in fleet.hosts.values():
        assert host.run(["find", *folders, "-type", "f", "-not", "-name", ".placeholder"]).stdout == ""
    three = fleet.hosts["three"]
    three.run(["systemctl", "start", "dpkg-db-backup", "logrotate"])
    assert not three.path("/var/lib/logrotate/status").exists()
    assert not list(three.path("/var/backups").glob("dpkg.*"))


def test_only_the_known_host_key_is_accepted(fleet: lab.Fleet, tmp_path: pathlib.Path) -> None:
    keys = [key for host in fleet.hosts.values() for key in host.host_keys]
    assert len(set(keys)) == len(keys)
    wrong = tmp_path / "known_hosts"
    lines = pathlib.Path(fleet.known_hosts_file).read_text(encoding="ascii")
    wrong.write_text(
        lines.replace(fleet.hosts["one"].host_keys[0].split()[1], fleet.hosts["two"].host_keys[0].split()[1]), encoding="ascii"
    )
    options = [each.replace(fleet.known_hosts_file, str(wrong)) for each in fleet.ssh_options]
    refused = fleet.run(["ssh", *options, "-oHostKeyAlgorithms=ssh-ed25519", "root@" + fleet.hosts["one"].address, "true"])
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_the_login_without_rights_gets_them_by_sudo(fleet: lab.Fleet, host: lab.Host) -> None:
    assert ssh(fleet, host, "cat /etc/shadow", user=ADMIN).returncode == 1
    assert ssh(fleet, host, "sudo -n cat /etc/shadow", user=ADMIN).stdout.startswith("root:")


def test_a_host_that_is_off_is_unreachable_and_comes_back_with_its_disk(fleet: lab.Fleet, host: lab.Host) -> None:
    host.run(["sh", "-c", "echo kept > /var/lib/kept; touch /run/lost"])
    host.stop()
    off = ssh(fleet, host, "true")
    assert off.returncode == 255
    assert "No route to host" in off.stderr or "timed out" in off.stderr
    assert host.path("/var/lib/kept").read_text(encoding="ascii") == "kept\n"
    host.start()
    assert ssh(fleet, host, "cat /var/lib/kept; ls /run").stdout.splitlines()[0] == "kept"
    assert host.run(["test", "-e", "/run/lost"], check=False).returncode == 1


def test_the_first_process(fleet: lab.Fleet) -> None:
    assert fleet.hosts["three"].run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
    state = fleet.hosts["three"].run(["systemctl", "is-system-running", "--wait"], check=False)
    failed = fleet.hosts["three"].run(["systemctl", "--failed", "--plain", "--no-legend"]).stdout
    assert (state.stdout, failed) == ("running\n", "")
    assert fleet.hosts["one"].run(["cat", "/proc/1/comm"]).stdout != "systemd\n"


def test_cron_runs(fleet: lab.Fleet, host: lab.Host) -> None:
    assert "cron" in host.run(["sh", "-c", "cat /proc/[0-9]*/comm"]).stdout.split()


def test_a_service_restarts(fleet: lab.Fleet, host: lab.Host) -> None:
    host.run(["service", "ssh", "restart"])
    host.wait_ready()
    assert ssh(fleet, host, "true").returncode == 0


def test_ansible_manages_the_hosts(fleet: lab.Fleet, tmp_path: pathlib.Path) -> None:
    playbook = tmp_path / "play.yml"
    playbook.write_text(
        textwrap.dedent("""\
            - hosts: all
              become: true
              tasks:
                - ansible.builtin.command: id -un
                  register: who
                  changed_when: false
                - ansible.builtin.assert:
                    that:
                      - who.stdout == "root"
                      - ansible_facts.hostname == inventory_hostname
                      - ansible_facts.service_mgr == wanted
                - ansible.builtin.copy:
                    dest: /etc/by-ansible
                    content: x
                    mode: "0644"
            """),
        encoding="utf-8",
    )
    wanted = {"one": "sysvinit", "two": "sysvinit", "three": "systemd"}
    extra = {"all": {"children": {"lab": {"hosts": {name: {"wanted": value} for name, value in wanted.items()}}}}}
    for changed, user in ((1, ADMIN), (0, "root")):
        done = fleet.playbook(playbook, inventory=fleet.inventory(extra, user=user))
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("changed=%d " % changed) == 3
    assert (fleet.hosts["two"].path("/etc/by-ansible")).read_text(encoding="ascii") == "x"


def test_hosts_reach_the_s3_server_and_do_not_where_it_is_stopped(fleet: lab.Fleet) -> None:
    server = fleet.swift()
    bucket = fleet.within(server.make_bucket)
    fleet.within(lambda: server.client().put_object(Bucket=bucket, Key="key", Body=b"kept"))
    get = ["python3", "-c", "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).status)"]
    get.append(server.endpoint_url + "/healthcheck")
    assert fleet.hosts["one"].run(get).stdout == "200\n"
    server.stop()
    assert "Connection refused" in fleet.hosts["one"].run(get, check=False).stderr
    server.start()
    kept = fleet.within(lambda: server.client().get_object(Bucket=bucket, Key="key"))["Body"]
    assert fleet.within(kept.read) == b"kept"


def test_the_wheelhouse_has_the_libraries_of_the_stores(fleet: lab.Fleet) -> None:
    names = {path.name.split("-")[0].lower() for path in fleet.wheelhouse.glob("*.whl")}
    assert {"cryptography", "boto3", "paramiko", "isal", "pybase64"} <= names


def traces(fleet_id: str, folder: pathlib.Path) -> t.List[str]:
    mounts = [line for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines() if str(folder) in line]
    named = [name for parent in (NAMESPACES, "/run", "/tmp") for name in os.listdir(parent) if name.startswith(fleet_id)]
    return mounts + named + [str(path) for path in folder.glob("hosts/*/disk")]


def test_nothing_stays_after_a_failure(fleet: lab.Fleet, tmp_path: pathlib.Path) -> None:
    with contextlib.suppress(ZeroDivisionError), lab.fleet(tmp_path, light=("one",), systemd=("two",)) as other:
        pids = [host.pid for host in other.hosts.values()]
        assert traces(other.id, tmp_path)
        raise ZeroDivisionError
    assert traces(other.id, tmp_path) == []
    assert [pid for pid in pids if pathlib.Path("/proc/%d/root/etc" % pid).exists()] == []
    assert not (CACHE / "running" / other.id).exists()


OPEN_AND_WAIT = """
import sys, time
import lab
with lab.fleet(sys.argv[1], light=("one",), systemd=("two",)) as fleet:
    print(fleet.id, flush=True)
    time.sleep(600)
"""


def test_a_killed_run_is_taken_away_by_the_next(fleet: lab.Fleet, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "killed"
    env = dict(os.environ, PYTHONPATH=str(pathlib.Path(lab.__file__).parents[1]))
    process = subprocess.Popen([sys.executable, "-c", OPEN_AND_WAIT, str(folder)], stdout=subprocess.PIPE, text=True, env=env)
    assert process.stdout is not None
    killed = process.stdout.readline().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert traces(killed, folder)
    with lab.fleet(tmp_path / "next", light=("one",)) as other:
        assert traces(killed, folder) == []
        assert ssh(other, other.hosts["one"], "true").returncode == 0
    # The one beside it was left alone.
    assert ssh(fleet, fleet.hosts["one"], "true").returncode == 0
