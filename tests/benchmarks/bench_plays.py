# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks beside a play of one ``ansible.builtin.ping`` per host: ``archive`` over 4 hosts with nothing to archive, ``status`` with
its page over 50, or over as many as the environment variable LOG_ARCHIVE_BENCH_HOSTS states, such as 200.

All over local connections, with Ansible's own settings, as whole processes with their children; the figures are seconds of CPU per host.
``fleet`` also prints how they grow from a quarter of the hosts to all of them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import pathlib
import sys
import typing as t

import lab
from _measure import Benchmark, Sides, Target, run
from rigs.command import install
from rigs.host import Host

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

PING = """\
---
- name: Ping
  hosts: all
  gather_facts: false
  tasks:
    - name: Ping
      ansible.builtin.ping:
"""


class Fleet:
    """Hosts on this machine, each with a job that has archived all that there is."""

    def __init__(self, folder: pathlib.Path, count: int) -> None:
        self._program = pathlib.Path(sys.executable).with_name("ansible-playbook")
        if not self._program.exists():
            raise lab.Unavailable("no ansible-playbook beside %s" % sys.executable)
        self._folder = folder
        launcher = install(folder)
        self.hosts = ["web%03d" % number for number in range(count)]
        for name in self.hosts:
            host = Host(folder / name)
            host.write_logs(12, 13, 14)
            host.run(host=name)
            host.write_document(host=name)
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "log_archive_command": str(launcher),
            "log_archive_config": str(folder / "{{ inventory_hostname }}" / "jobs"),
        }
        self._inventory = folder / "inventory.json"
        self._inventory.write_text(json.dumps({"all": {"hosts": dict.fromkeys(self.hosts, {}), "vars": variables}}))
        self._ping = folder / "ping.yml"
        self._ping.write_text(PING)
        # No settings of this machine's or this user's.
        (folder / "ansible.cfg").touch()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        self._environment.update(
            ANSIBLE_CONFIG=str(folder / "ansible.cfg"),
            ANSIBLE_HOME=str(folder / "ansible"),
            ANSIBLE_COLLECTIONS_PATH=str(CHECKOUT / "build" / "collections"),
        )

    def ping(self) -> float:
        """CPU seconds per host of the play of pings."""
        return self.play(str(self._ping))

    def play(self, playbook: str, count: t.Optional[int] = None, variables: str = "") -> float:
        """CPU seconds per host of a playbook. count: only over so many hosts. variables: extra variables."""
        hosts = self.hosts[:count]
        command = [self._program, "--inventory", self._inventory, "--limit", ",".join(hosts), "--extra-vars", variables, playbook]
        return run(command, env=self._environment).cpu / len(hosts)


@contextlib.contextmanager
def archive(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    fleet = Fleet(folder, 1 if quick else 4)
    yield Sides(lambda: fleet.play("infra_ops.log_archive.archive"), fleet.ping)


@contextlib.contextmanager
def status(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    count = int(os.environ.get("LOG_ARCHIVE_BENCH_HOSTS", "50"))
    fleet = Fleet(folder, 1 if quick else count)
    play = functools.partial(fleet.play, "infra_ops.log_archive.status", variables="log_archive_page=%s" % (folder / "fleet.html"))

    def ours() -> float:
        of_each = play()
        if not quick:
            some = count // 4 or 1
            print("fleet: %.3f s per host of %d, %.3f s per host of %d" % (play(some), some, of_each, count), file=sys.stderr)
        return of_each

    yield Sides(ours, fleet.ping)


BENCHMARKS = [Benchmark("archive-play", archive, Target("cost", 1.3)), Benchmark("fleet", status, Target("cost", 1.5))]
