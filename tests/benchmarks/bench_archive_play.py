# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook ``archive`` over 20 hosts with nothing to archive, beside a play of one ``ansible.builtin.ping`` per host.

Both over local connections, with Ansible's own settings, as whole processes; the figures are per host.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import generate_syslog
import lab
from _measure import Benchmark, Sides, Target, run
from rigs.command import install

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
HOSTS = 20

PING = """\
---
- name: Ping
  hosts: all
  gather_facts: false
  tasks:
    - name: Ping
      ansible.builtin.ping:
"""


def set_up(folder: pathlib.Path, host: str, launcher: pathlib.Path) -> None:
    """One host's job, which has archived all that there is."""
    jobs = folder / host / "jobs.d"
    jobs.mkdir(parents=True)
    document = {
        "name": "syslog",
        "host": host,
        "select": {"paths": [str(folder / "logs")], "patterns": ["syslog.%Y%m%d.%H"]},
        "encryption": {"keyring": str(folder / host / "keyring")},
        "stores": [{"type": "file", "path": str(folder / host / "store")}],
        "retention": {"keep_within": "7d"},
        "spool": str(folder / host / "spool"),
        "state": str(folder / host / "state"),
    }
    (jobs / "syslog.json").write_text(json.dumps(document))
    subprocess.run([launcher, "key", "create", "--keyring", folder / host / "keyring"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([launcher, "run", "--config", jobs, "--all"], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    program = pathlib.Path(sys.executable).with_name("ansible-playbook")
    if not program.exists():
        raise lab.Unavailable("no ansible-playbook beside %s" % sys.executable)
    launcher = install(folder)
    (folder / "logs").mkdir()
    generate_syslog.write_hours(str(folder / "logs"), 3, datetime.datetime(2024, 1, 12, 12), lines=200)
    hosts = ["web%02d" % number for number in range(2 if quick else HOSTS)]
    for host in hosts:
        set_up(folder, host, launcher)
    variables = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "log_archive_command": str(launcher),
        "log_archive_config": str(folder / "{{ inventory_hostname }}" / "jobs.d"),
    }
    inventory = folder / "inventory.json"
    inventory.write_text(json.dumps({"all": {"hosts": dict.fromkeys(hosts, {}), "vars": variables}}))
    ping = folder / "ping.yml"
    ping.write_text(PING)
    # No settings of this machine's or this user's.
    (folder / "ansible.cfg").touch()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(
        ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
        ANSIBLE_HOME=str(folder / "ansible"),
        ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / "build" / "collections"),
    )

    def play(playbook: str) -> float:
        return run([program, "--inventory", inventory, playbook], env=environment).seconds / len(hosts)

    yield Sides(lambda: play("infra_ops.log_archive.archive"), lambda: play(str(ping)))


BENCHMARKS = [Benchmark("archive-play", prepare, Target("cost", 2))]
