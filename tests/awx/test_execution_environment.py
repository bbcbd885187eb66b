# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sample execution environment is accepted by ansible-builder, and the steps of the image's build find what the collection needs.

No base image can be had here, so the steps that its Containerfile names run outside of a container, on the very files of its context.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
import yaml

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DEFINITION = CHECKOUT / "docs" / "execution-environment.yml"
PROGRAMS = pathlib.Path(sys.executable).parent

# One worker builds the context.
pytestmark = pytest.mark.xdist_group("execution_environment")


def requirements(path: pathlib.Path) -> list[str]:
    """The lines of a requirements file that are no comments, in one form."""
    lines = (line.partition(" #")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return sorted(line.replace('"', "'") for line in lines if line and line[0] != "#")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The build context that ansible-builder makes of the definition."""
    tarball = DEFINITION.parent / yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))["additional_build_files"][0]["src"]
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    assert tarball.name == "infra_ops-log_archive-%s.tar.gz" % version
    if not tarball.exists():
        pytest.skip("there is no tarball: make build")
    folder = tmp_path_factory.mktemp("ee") / "context"
    subprocess.run(
        [str(PROGRAMS / "ansible-builder"), "create", "--file", str(DEFINITION), "--context", str(folder)], check=True, cwd=folder.parent
    )
    return folder


@pytest.fixture(scope="module")
def collections(context: pathlib.Path) -> pathlib.Path:
    """The galaxy stage: the context's requirements.yml, installed from the context alone."""
    build = context / "_build"
    target = context.parent / "collections"
    # Without the checkout on Python's path, where ansible-galaxy would find the collection installed already.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env.update(ANSIBLE_HOME=str(context.parent / "ansible"), ANSIBLE_COLLECTIONS_PATH=str(target))
    install = ["collection", "install", "--offline", "-r", "requirements.yml", "--collections-path", str(target)]
    subprocess.run([str(PROGRAMS / "ansible-galaxy"), *install], check=True, cwd=build, env=env)
    return target


def test_the_containerfile_takes_its_base_image_from_an_argument(context: pathlib.Path) -> None:
    lines = (context / "Containerfile").read_text(encoding="utf-8").splitlines()
    assert 'ARG EE_BASE_IMAGE="localhost/base:latest"' in lines
    assert "FROM $EE_BASE_IMAGE AS base" in lines
    assert "RUN ansible-galaxy collection install" in "\n".join(lines).replace("ANSIBLE_GALAXY_DISABLE_GPG_VERIFY=1 ", "")


def test_the_collection_lists_the_requirements_of_the_image(context: pathlib.Path, collections: pathlib.Path) -> None:
    written = {name: context.parent / name for name in ("pip.txt", "bindep.txt")}
    subprocess.run(
        [
            sys.executable,
            str(context / "_build" / "scripts" / "introspect.py"),
            "introspect",
            "--write-pip=%s" % written["pip.txt"],
            "--write-bindep=%s" % written["bindep.txt"],
            str(collections),
        ],
        check=True,
    )
    assert requirements(written["pip.txt"]) == requirements(CHECKOUT / "requirements.txt")
    assert {line.partition(">")[0] for line in requirements(written["pip.txt"])} >= {"cryptography", "boto3", "paramiko"}
    assert requirements(written["bindep.txt"]) == requirements(CHECKOUT / "bindep.txt") != []


def test_the_roles_and_playbooks_are_there_by_their_names(collections: pathlib.Path) -> None:
    installed = collections / "ansible_collections" / "infra_ops" / "log_archive"
    assert (installed / "plugins" / "modules" / "archive_run.py").is_file()
    assert {path.name for path in (CHECKOUT / "playbooks").glob("*.yml")} <= {path.name for path in (installed / "playbooks").glob("*.yml")}


def test_the_installed_collection_makes_the_same_environment(collections_path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    installed = collections_path / "ansible_collections" / "infra_ops" / "log_archive"
    definition = installed / "docs" / "execution-environment-installed.yml"
    sample, own = (yaml.safe_load(path.read_text(encoding="utf-8")) for path in (DEFINITION, definition))
    for each in (sample, own):
        del each["dependencies"]["galaxy"], each["additional_build_files"]
    assert own == sample
    context = tmp_path / "context"
    subprocess.run(
        [str(PROGRAMS / "ansible-builder"), "create", "--file", str(definition), "--context", str(context)], check=True, cwd=tmp_path
    )
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env.update(ANSIBLE_HOME=str(tmp_path / "ansible"), ANSIBLE_COLLECTIONS_PATH=str(tmp_path / "to"))
    install = ["collection", "install", "--offline", "-r", "requirements.yml", "--collections-path", str(tmp_path / "to")]
    subprocess.run([str(PROGRAMS / "ansible-galaxy"), *install], check=True, cwd=context / "_build", env=env)
    assert (tmp_path / "to/ansible_collections/infra_ops/log_archive/meta/execution-environment.yml").is_file()
