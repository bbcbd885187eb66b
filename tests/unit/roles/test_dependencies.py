# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role dependencies installs, against requirements.txt and the job document."""

from __future__ import annotations

import pathlib
import re
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
    assert set(uses) <= {*job_spec.NOTIFY["type"]["choices"], "web"} and "web" in job_spec.JOB
    assert sorted(variables["_dependencies_needed_by"]) == sorted(kinds + uses + sinks)
    assert "intersect(%r)" % sorted(uses) in loaded("defaults/main.yml")["dependencies_uses"]
    named = {library for libraries in variables["_dependencies_needed_by"].values() for library in libraries}
    assert named | {"cryptography"} | set(variables["_dependencies_optional"]) == set(variables["_dependencies_least"])


@pytest.mark.parametrize("family", ["Debian", "RedHat"])
def test_a_distribution_has_a_package_for_each_that_is_needed(family: str) -> None:
    least, optional = (loaded("vars/main.yml")["_dependencies_" + name] for name in ("least", "optional"))
    assert set(loaded("vars/%s.yml" % family)["_dependencies_packages"]) == set(least) - set(optional)
