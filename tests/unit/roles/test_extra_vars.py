# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers and booleans of roles and playbooks as text: ``-e web_source_port=8443`` and ``-e keys_rotate=false`` give text, not numbers.

Every use of such a variable in an expression converts it, with ``| bool``, ``| int`` or ``| float``. Where it only becomes text (a template
of a file, the option of a module, which converts it) nothing is needed.
"""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest

yaml = pytest.importorskip("yaml")
jinja2 = pytest.importorskip("jinja2")
from jinja2 import nodes  # noqa: E402 - it may be missing

ROOT = pathlib.Path(__file__).resolve().parents[3]
CONVERSIONS = {"bool": ["bool"], "int": ["int"], "float": ["float"]}
BARE = ("when", "that", "until", "failed_when", "changed_when")
ENVIRONMENT = jinja2.Environment(extensions=["jinja2.ext.do"])


def read(path: pathlib.Path) -> t.Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def options() -> t.Dict[str, str]:
    """By name, the type of each option of a role or playbook that is a number or a boolean."""
    found = {}
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry in read(path)["argument_specs"].values():
            found.update({name: option.get("type", "str") for name, option in entry.get("options", {}).items()})
    found.update({name: option["type"] for name, option in read(ROOT / "playbooks/vars/inputs.yml")["_log_archive_inputs"].items()})
    # What an option has as its default is of the same type: dependencies_method is log_archive_dependencies.
    for path in ROOT.glob("roles/*/defaults/main.yml"):
        for name, value in (read(path) or {}).items():
            alias = re.fullmatch(r"\{\{ (\w+) \}\}", str(value))
            if alias and name in found:
                found.setdefault(alias[1], found[name])
    return {name: kind for name, kind in found.items() if kind in CONVERSIONS}


def expressions(value: t.Any, key: str = "") -> t.Iterator[str]:
    """The templates in a document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from expressions(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner, key)
    elif isinstance(value, str):
        yield "{{ (%s) and true }}" % value if key in BARE and "{{" not in value else value


def unconverted(template: str, typed: t.Mapping[str, str]) -> t.Iterator[str]:
    """The names in a template that are used as what they are given as."""

    def walk(node: nodes.Node, above: t.Tuple[nodes.Node, ...]) -> t.Iterator[str]:
        if isinstance(node, nodes.Name) and node.name in typed and not is_converted(node, above):
            yield node.name
        for child in node.iter_child_nodes():
            yield from walk(child, (*above, node))

    def is_converted(name: nodes.Name, above: t.Tuple[nodes.Node, ...]) -> bool:
        value: nodes.Node = name
        for parent in reversed(above):
            if isinstance(parent, nodes.Filter) and parent.node is value:
                if parent.name != "default":
                    return parent.name in CONVERSIONS[typed[name.name]]
            elif isinstance(parent, nodes.Test):
                return parent.name in ("defined", "undefined")
            elif isinstance(parent, (nodes.Output, nodes.Concat)):
                return True
            elif not (isinstance(parent, nodes.CondExpr) and value is not parent.test):
                return False
            value = parent
        raise AssertionError("a name is in a template")

    return walk(ENVIRONMENT.parse(template), ())


def documents() -> t.List[pathlib.Path]:
    folders = ("tasks", "handlers", "vars", "defaults", "templates")
    found = [path for folder in folders for path in ROOT.glob("roles/*/%s/*" % folder)]
    return sorted(found + list(ROOT.glob("playbooks/*.yml")) + list(ROOT.glob("playbooks/tasks/*.yml")))


def templates(path: pathlib.Path) -> t.List[str]:
    return list(expressions(read(path))) if path.suffix == ".yml" else [path.read_text(encoding="utf-8")]


TYPED = options()


# Ansible, unlike Jinja, takes '\\s' in a text as it stands.
@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_use_of_a_number_or_boolean_converts_it(path: pathlib.Path) -> None:
    assert [name for template in templates(path) for name in unconverted(template, TYPED)] == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/vars/*.yml")), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_variable_of_a_role_is_another_name_of_one(path: pathlib.Path) -> None:
    """The test above would not see what becomes of it."""
    assert [name for name, value in (read(path) or {}).items() if re.fullmatch(r"\{\{ (%s) \}\}" % "|".join(TYPED), str(value))] == []


@pytest.mark.parametrize("name", sorted(TYPED))
def test_each_option_is_used(name: str) -> None:
    """Otherwise its name here is wrong, and the tests above prove nothing."""
    assert any(re.search(r"\b%s\b" % name, path.read_text(encoding="utf-8")) for path in documents())


@pytest.mark.parametrize(
    ("template", "is_right"),
    [
        ("{{ port > 0 }}", False),
        ("{{ port | int > 0 }}", True),
        ("{{ port | default(1) | int > 0 }}", True),
        ("{{ port | default(1) > 0 }}", False),
        ("{{ 1 if flag else 2 }}", False),
        ("{{ flag if a is defined else 2 }}", True),
        ("{{ (flag if a is defined else true) and true }}", False),
        ("{{ flag is defined }}", True),
        ("{{ not flag }}", False),
        ("{{ flag | int }}", False),
        ("{{ 'a' ~ port }}: {{ port }}", True),
        ("{{ a | filter(flag) }}", False),
        ("{% if flag %}a{% endif %}", False),
        ("{% if flag | bool %}a{% endif %}", True),
    ],
)
def test_the_check_itself(template: str, is_right: bool) -> None:
    assert (not list(unconverted(template, {"port": "int", "flag": "bool"}))) == is_right
