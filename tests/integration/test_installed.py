# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as its tarball installs it: every module is found, documented, and runs from there."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

NAMESPACE = "infra_ops.log_archive"


@pytest.fixture
def ansible(collections_path: pathlib.Path, tmp_path: pathlib.Path) -> t.Callable[..., str]:
    """Call with a program of ansible-core and its arguments for what it prints."""
    program = pathlib.Path(sys.executable).parent
    if not (program / "ansible-doc").exists():
        pytest.skip("no ansible-core beside this interpreter")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env.update(ANSIBLE_COLLECTIONS_PATH=str(collections_path), ANSIBLE_HOME=str(tmp_path / "ansible"), ANSIBLE_NOCOLOR="1")

    def run(name: str, *arguments: str) -> str:
        done = subprocess.run([str(program / name), *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def installed(collections_path: pathlib.Path) -> pathlib.Path:
    return collections_path / "ansible_collections" / "infra_ops" / "log_archive"


def test_every_module_of_the_action_group_is_documented(ansible: t.Callable[..., str], installed: pathlib.Path) -> None:
    group = yaml.safe_load((installed / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["all"]
    documented = json.loads(ansible("ansible-doc", "--json", *("%s.%s" % (NAMESPACE, name) for name in group)))
    assert {name.rpartition(".")[2] for name in documented} == set(group)
    assert set(group) == {path.stem for path in (installed / "plugins" / "modules").glob("*.py")}
    for name, content in documented.items():
        assert {"check_mode", "diff_mode", "idempotent"} <= set(content["doc"]["attributes"]), name
        assert content["examples"] and content["return"], name


def test_a_module_runs_from_the_installed_collection(ansible: t.Callable[..., str], tmp_path: pathlib.Path) -> None:
    (tmp_path / "syslog.20240112.12").write_text("a line\n", encoding="utf-8")
    arguments = {"paths": [str(tmp_path)], "patterns": ["syslog.%Y%m%d.%H"], "period": "none"}
    output = ansible(
        "ansible",
        "localhost",
        "--inventory=localhost,",
        "--connection=local",
        "--extra-vars=ansible_python_interpreter=%s" % sys.executable,
        "--module-name=%s.log_select" % NAMESPACE,
        "--args=%s" % json.dumps(arguments),
    )
    result = json.loads(output.partition("=>")[2])
    assert [pathlib.Path(each["path"]).name for each in result["files"]] == ["syslog.20240112.12"]
