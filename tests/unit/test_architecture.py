# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What docs/architecture.md names is there: rooms, files, types, and the modules and functions that a log passes through."""

from __future__ import annotations

import ast
import pathlib
import re
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = CHECKOUT / "plugins" / "module_utils" / "_engine"
TEXT = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS = sorted(path.name for path in ENGINE.iterdir() if (path / "__init__.py").exists())
TYPES = re.findall(r"^\| (`.*?`.*?) \| `([a-z_/.]+)` \| .* \|$", TEXT.partition("## Types that cross rooms")[2].partition("\n## ")[0], re.M)
NAMES = sorted(name for name in set(re.findall(r"`((?:%s)\.[A-Za-z_.]+)`" % "|".join(ROOMS), TEXT)))


def defined(path: pathlib.Path) -> t.Set[str]:
    """The names that a file, or any file of a folder, defines or imports at its top level, also for types."""
    found: t.Set[str] = set()
    for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                found.add(node.name)
            elif isinstance(node, ast.Assign):
                found.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return found


def test_the_tree_has_each_room_and_no_other() -> None:
    tree = TEXT.partition("## The engine's rooms")[2].partition("```\n")[2].partition("```")[0]
    assert sorted(re.findall(r"^  (\w+)/ ", tree, re.M)) == ROOMS


@pytest.mark.parametrize(("names", "place"), TYPES, ids=[place for _names, place in TYPES])
def test_each_type_is_in_its_file(names: str, place: str) -> None:
    assert set(re.findall(r"`(\w+)`", names)) <= defined(ENGINE / place)


@pytest.mark.parametrize("name", NAMES)
def test_each_name_leads_to_a_file_and_what_it_defines(name: str) -> None:
    parts = name.split(".")
    path = ENGINE
    while parts and (path / parts[0]).is_dir():
        path /= parts.pop(0)
    if parts and (path / (parts[0] + ".py")).exists():
        path = path / (parts.pop(0) + ".py")
    assert path != ENGINE
    assert set(parts) <= defined(path)


def test_each_path_exists() -> None:
    paths = re.findall(r"`([a-z_]+/[A-Za-z_/.]+)`", TEXT)
    assert len(paths) > 40
    tops = (CHECKOUT, ENGINE, CHECKOUT / "tests" / "unit" / "plugins" / "module_utils" / "_engine")
    assert [path for path in paths if "NAME" not in path and not any((top / path).exists() for top in tops)] == []
