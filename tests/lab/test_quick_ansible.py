# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that shares what other runs have made prints what a run of ansible-playbook alone prints, errors included."""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import typing as t

import pytest
from lab import quick_ansible
from lab.processes import wait_until
from lab.quick_ansible.warm import WarmAnsible

PROGRAM = pathlib.Path(sys.executable).with_name("ansible-playbook")
TEMPLATE = "{% for each in [1, 2] %}{{ account }}\\1{{ each }}\n{% endfor %}"


def tasks(folder: pathlib.Path) -> t.Iterator[t.Dict[str, t.Any]]:
    """Tasks whose templates are right, in two runs, and wrong."""
    yield {"ansible.builtin.assert": {"that": ["account == 'la-web1'", "account is ansible.builtin.match('la')"]}}
    messages = [r"{{ 'a\\1b' | length }}", "{{ lookup('ansible.builtin.template', '%s') }}" % (folder / "text.j2")]
    messages += ["{{ 'a' | no_such }}", "{{ 'a' | infra_ops.log_archive.no_such }}", "{{ 'a' | upper( }}", "{{ nothing.there }}"]
    for message in messages:
        yield {"ansible.builtin.debug": {"msg": message}, "ignore_errors": True}
    yield {"ansible.builtin.debug": {"msg": "{{ account }}"}, "when": "account is no_such"}
    # Modules, one with an environment of its own, and one that ends with an exception.
    shown = {"ansible.builtin.command": "sh -c 'umask; pwd; echo $HOME $LABEL; readlink /proc/self/fd/0; cat'", "register": "shown"}
    for task in (shown, {**shown, "environment": {"LABEL": "own"}}):
        yield task
        yield {"ansible.builtin.debug": {"var": "shown.stdout_lines"}}
    yield {"ansible.builtin.ping": {"data": "crash"}, "ignore_errors": True}
    yield {"infra_ops.log_archive.archive_info": {"no": "such option"}, "ignore_errors": True}


def test_shared_parts_and_a_warm_process_change_nothing(collections_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("no ansible-playbook beside %s" % sys.executable)
    (tmp_path / "text.j2").write_text(TEMPLATE, encoding="utf-8")
    variables = {"account": "{{ 'web1' | infra_ops.log_archive.sftp_account }}"}
    play = {"name": "Play", "hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": list(tasks(tmp_path))}
    (tmp_path / "play.yml").write_text(json.dumps([play], indent=2), encoding="utf-8")
    argv = [str(PROGRAM), "play.yml"]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    alone.update(
        ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_HOME=str(tmp_path / "home"), ANSIBLE_NOCOLOR="1", ANSIBLE_PIPELINING="1"
    )
    expected = subprocess.run(argv, env=alone, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "No filter named 'no_such'" in expected.stderr + expected.stdout and "la-web1" in expected.stdout
    warm = WarmAnsible([], dict(alone, **quick_ansible.environment()), tmp_path / "warm.log")
    try:
        # The second takes what the first compiled.
        runs = [warm.run(argv, str(tmp_path)) for _each in range(2)]
        with pytest.raises(subprocess.TimeoutExpired):
            warm.run(argv, str(tmp_path), timeout=0.01)
    finally:
        warm.close()
    assert [(run.returncode, run.stdout, run.stderr) for run in runs] == 2 * [(expected.returncode, expected.stdout, expected.stderr)]
    assert (tmp_path / "warm.log").read_text(encoding="utf-8") == ""


def test_a_module_on_this_machine_is_forked_too(collections_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("no ansible-playbook beside %s" % sys.executable)
    module = tmp_path / "module"
    look = {"name": "Look", "ansible.builtin.command": {"cmd": "sh -c 'cat /proc/$PPID/cmdline >%s'" % module}}
    play = {"name": "Play", "hosts": "localhost", "gather_facts": False, "tasks": [look]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_HOME=str(tmp_path / "home"), ANSIBLE_PIPELINING="1")
    warm = WarmAnsible([], environment, tmp_path / "warm.log")
    try:
        done = warm.run([str(PROGRAM), "play.yml"], str(tmp_path))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warm.py" in module.read_text(encoding="utf-8")
    finally:
        warm.close()


def test_the_playbook_of_a_process_that_is_killed_is_killed_too(collections_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    if not PROGRAM.exists():
        pytest.skip("no ansible-playbook beside %s" % sys.executable)
    started = tmp_path / "started"
    wait = {"name": "Wait", "ansible.builtin.command": {"cmd": "sh -c 'echo $$ >%s; exec sleep 600'" % started}}
    play = {"name": "Play", "hosts": "localhost", "gather_facts": False, "tasks": [wait]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_HOME=str(tmp_path / "home"))
    warm = WarmAnsible([], environment, tmp_path / "warm.log")
    children = pathlib.Path("/proc/%d/task/%d/children" % (warm.pid, warm.pid))
    try:
        argv = [str(PROGRAM), "play.yml"]
        assert warm.run([str(PROGRAM), "--version"], str(tmp_path)).returncode == 0
        always = children.read_text(encoding="ascii")
        asking = multiprocessing.get_context("fork").Process(target=warm.run, args=(argv, str(tmp_path)))
        asking.start()
        task = wait_until(lambda: started.exists() and started.read_text(encoding="ascii").strip(), "the playbook runs its task")
        asking.kill()
        asking.join()
        os.kill(int(task), signal.SIGKILL)
        assert warm.run([str(PROGRAM), "--syntax-check", "play.yml"], str(tmp_path)).returncode == 0
        wait_until(lambda: children.read_text(encoding="ascii") == always, "the playbook has ended")
    finally:
        warm.close()
