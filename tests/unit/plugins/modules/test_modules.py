# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every module; what each does is shown by its integration target."""

from __future__ import annotations

import importlib
import pathlib
import subprocess
import sys
import typing as t

import pytest
import yaml

PREFIX = "ansible_collections.infra_ops.log_archive.plugins.modules."
MODULES = pathlib.Path(__file__).resolve().parents[4] / "plugins" / "modules"
NAMES = sorted(path.stem for path in MODULES.glob("*.py"))

LOADED = """\
import importlib, sys
importlib.import_module(sys.argv[1])
print(sorted({"apprise", "boto3", "botocore", "cryptography", "isal", "paramiko", "pybase64", "yaml", "jinja2"} & set(sys.modules)))
"""


def text_of(name: str, part: str) -> t.Any:
    return yaml.safe_load(getattr(importlib.import_module(PREFIX + name), part))


@pytest.mark.parametrize("name", NAMES)
def test_a_module_loads_no_third_party_library(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", LOADED, PREFIX + name], capture_output=True, text=True, env=_env(), check=False)
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def _env() -> t.Dict[str, str]:
    import os

    return dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_tasks_of_a_play_that_use_the_module(name: str) -> None:
    tasks = text_of(name, "EXAMPLES")
    assert all(task["name"][0].isupper() for task in tasks)
    assert any("infra_ops.log_archive." + name in task for task in tasks)


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_described(name: str) -> None:
    def check(values: t.Mapping[str, t.Any]) -> None:
        for value in values.values():
            assert {"description", "returned", "type"} <= value.keys()
            check(value.get("contains", {}))

    check(text_of(name, "RETURN"))


@pytest.mark.parametrize("name", NAMES)
def test_check_mode_diff_mode_and_idempotency_are_documented(name: str) -> None:
    attributes = text_of(name, "DOCUMENTATION")["attributes"]
    assert attributes.keys() == {"check_mode", "diff_mode", "idempotent"}
    # As ansible.builtin.command, command_run cannot predict what an arbitrary command would change.
    assert attributes["check_mode"]["support"] == ("partial" if name == "command_run" else "full")


@pytest.mark.parametrize("name", NAMES)
def test_no_result_has_a_key_by_which_ansible_means_something_else(name: str) -> None:
    # A task whose result has a true value of "skipped" counts as skipped, and the key is not in what was registered.
    assert not {"skipped", "failed", "unreachable", "ansible_facts", "results", "invocation"} & text_of(name, "RETURN").keys()
