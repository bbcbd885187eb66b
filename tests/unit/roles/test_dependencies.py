# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role dependencies installs, against requirements.txt and the job document."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import sink_spec, spec as job_spec

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
ROLE = CHECKOUT / "roles" / "dependencies"


def loaded(name: str) -> t.Dict[str, t.Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


def test_the_least_versions_are_those_of_the_requirements() -> None:
    text = (CHECKOUT / "requirements.txt").read_text(encoding="utf-8")
    assert loaded("vars/main.yml")["_dependencies_least"] == dict(
        re.findall(r"^([a-z0-9-]+)(?:\[[a-z]+\])?>=([0-9.]+)", text, re.MULTILINE)
    )
    assert loaded("vars/main.yml")["_dependencies_extras"] == {
        name: name + extra for name, extra in re.findall(r"^([a-z0-9]+)(\[[a-z]+\])", text, re.MULTILINE)
    }


def test_every_kind_of_store_and_use_has_its_libraries() -> None:
    variables, options = loaded("vars/main.yml"), loaded("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    kinds = options["dependencies_stores"]["choices"]
    uses = options["dependencies_uses"]["choices"]
    sinks = options["dependencies_sinks"]["choices"]
    assert sinks == sink_spec.SINK["type"]["choices"]
    assert kinds == job_spec.STORE["type"]["choices"]
    sources = {"cloudtrail", "vpc_flow", "web"}
    assert set(uses) <= {*job_spec.NOTIFY["type"]["choices"], *sources, "age"} and sources <= set(job_spec.JOB)
    assert sorted(variables["_dependencies_needed_by"]) == sorted(kinds + uses + sinks)
    assert "intersect(%r)" % sorted(uses) in loaded("defaults/main.yml")["dependencies_uses"]
    named = {library for libraries in variables["_dependencies_needed_by"].values() for library in libraries}
    # No job needs Jinja2, but a command of the host: dependencies_versions asks for it.
    others = {"cryptography", "jinja2", *variables["_dependencies_optional"]}
    assert named | others == set(variables["_dependencies_least"])


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_a_distribution_has_a_package_for_each_that_is_needed(family: str) -> None:
    least, optional = (loaded("vars/main.yml")["_dependencies_" + name] for name in ("least", "optional"))
    assert set(loaded("vars/%s.yml" % family)["_dependencies_packages"]) == set(least) - set(optional) - {"pyrage"}, (
        "no distribution has it"
    )


# -- what the packages of a distribution provide ------------------------------------------------------------------------


def offered(folder: pathlib.Path, manager: str, *arguments: str, python: str = sys.executable, **programs: str) -> t.Any:
    """The output of offered.py, as the role runs it. programs: the package managers that it finds, as shell scripts."""
    for name, script in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text("#!/bin/sh\n" + script)
        path.chmod(0o755)
    code = (ROLE / "files/offered.py").read_text(encoding="utf-8")
    environment = dict(os.environ, PATH="%s:%s" % (folder, os.environ["PATH"]))
    done = subprocess.run(
        [python, "-I", "-c", code, manager, "check", *arguments], capture_output=True, text=True, env=environment, check=True
    )
    return json.loads(done.stdout)


PARAMIKO = ("paramiko>=3.2", "python3-paramiko")
BOTO3 = ("boto3>=1.26", "python3-boto3")


def test_packages_that_are_too_old_or_missing_are_lacking(tmp_path: pathlib.Path) -> None:
    dnf = "printf 'python3-paramiko 2.12.0\\n\\npython3-boto3 1.26\\n'"
    assert offered(tmp_path, "dnf", *PARAMIKO, *BOTO3, dnf=dnf)["lacking"] == ["paramiko>=3.2 (python3-paramiko has version 2.12.0)"]
    assert offered(tmp_path, "dnf", *BOTO3, dnf=dnf)["lacking"] == []
    # A manager that knows nothing yet, or that the role does not know.
    assert offered(tmp_path, "dnf", *PARAMIKO, dnf="exit 1")["lacking"] == []
    assert offered(tmp_path, "pacman", *PARAMIKO)["lacking"] == []


def test_what_apt_knows(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("offered", ROLE / "files/offered.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "APT_LISTS", str(tmp_path / "*_Packages"))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    program = tmp_path / "apt-cache"
    lines = ["python3-paramiko:", "  Installed: (none)", "  Candidate: 1:2.12.0+dfsg-2", "python3-boto3:", "  Candidate: (none)"]
    program.write_text("#!/bin/sh\nprintf '%%s\\n' %s" % " ".join("'%s'" % line for line in lines))
    program.chmod(0o755)
    wanted = [PARAMIKO, BOTO3, ("x>=1", "python3-x")]

    def lacking() -> t.List[str]:
        return list(module.lacking(wanted, module.offered_by_apt([package for _requirement, package in wanted])))

    assert lacking() == [], "apt has no lists yet"
    (tmp_path / "debian_Packages").touch()
    assert lacking() == [
        "paramiko>=3.2 (python3-paramiko has version 1:2.12.0+dfsg-2)",
        "boto3>=1.26 (there is no package python3-boto3)",
        "x>=1 (there is no package python3-x)",
    ]
    program.write_text(program.read_text().replace("1:2.12.0", "3.10.0"))
    assert [text.split()[0] for text in lacking()] == ["boto3>=1.26", "x>=1"]


def test_an_interpreter_that_does_not_use_the_packages(tmp_path: pathlib.Path) -> None:
    assert offered(tmp_path, "apt")["used"] is False, "the virtualenv of the tests"
    if os.path.exists("/usr/bin/python3"):
        assert offered(tmp_path, "apt", python="/usr/bin/python3")["used"] is True


# -- the wheels for other hosts -----------------------------------------------------------------------------------------


def wheelhouse(folder: pathlib.Path, *hosts: t.Dict[str, t.Any], check: bool = False) -> t.Any:
    script = CHECKOUT / "playbooks" / "files" / "wheelhouse.py"
    argv = [sys.executable, str(script), str(folder), *["--check"] * check]
    return subprocess.run(argv, input=json.dumps(hosts), capture_output=True, text=True, check=False)


def test_the_wheels_are_for_the_oldest_python_of_a_kind_and_its_markers(tmp_path: pathlib.Path) -> None:
    pytest.importorskip("uv")
    kind = {"release": "python3.9-glibc2.31-x86_64", "optional": []}
    hosts = (
        {**kind, "python": "3.9.10", "requirements": ["pybase64>=1.2"]},
        {**kind, "python": "3.9.2", "requirements": ["botocore>=1.34"]},
    )
    done = wheelhouse(tmp_path, *hosts, check=True)
    assert done.returncode == 0, done.stderr
    versions = dict(version.split("==") for version in json.loads(done.stdout)["made"][kind["release"]])
    # Only Python 3.9 needs the old one, and pip would choose for the Python that runs it.
    assert versions["urllib3"].startswith("1.26.") and {"botocore", "pybase64"} <= set(versions)
    assert list(tmp_path.iterdir()) == []
    other = wheelhouse(tmp_path, {"release": "python3.12-other-riscv64", "python": "3.12.1", "requirements": [], "optional": []})
    assert other.returncode == 1 and "there are no wheels for such hosts" in other.stderr
