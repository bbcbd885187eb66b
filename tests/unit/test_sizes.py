# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine's files, classes and parameter lists stay small. What grows past a limit lacks a noun: see CONTRIBUTING.md."""

from __future__ import annotations

import ast
import pathlib
import typing as t

import pytest

ENGINE = pathlib.Path(__file__).resolve().parents[2] / "plugins" / "module_utils" / "_engine"
LONGEST_FILE = 500
LONGEST_CLASS = 250
MOST_PARAMETERS = 7


def parameters(function: t.Union[ast.FunctionDef, ast.AsyncFunctionDef]) -> t.List[str]:
    """The names of a function's parameters, without those that stand for the object or the class."""
    given = function.args
    names = [each.arg for each in [*given.posonlyargs, *given.args, *given.kwonlyargs]]
    return [name for name in names if name not in ("self", "cls")]


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(ENGINE))) for path in sorted(ENGINE.rglob("*.py"))])
def test_nothing_is_too_large(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    nodes = list(ast.walk(ast.parse(text)))
    classes = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in nodes if isinstance(each, ast.ClassDef)}
    assert {name: lines for name, lines in classes.items() if lines > LONGEST_CLASS} == {}
    functions = {each.name: parameters(each) for each in nodes if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))}
    assert {name: names for name, names in functions.items() if len(names) > MOST_PARAMETERS} == {}
