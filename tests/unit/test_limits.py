# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limits for files, classes and functions (CONTRIBUTING.md), and no circle of imports inside a room of the engine either."""

from __future__ import annotations

import ast
import functools
import graphlib
import pathlib
import typing as t

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = CHECKOUT / "plugins" / "module_utils" / "_engine"
ONE_FILE = CHECKOUT / "roles" / "archive_server" / "files" / "log_archive_seal.py"
"""A server gets this program as one file, and needs no engine for it."""
MOST_LINES_OF_FILE, MOST_LINES_OF_CLASS, MOST_PARAMETERS = 500, 250, 7


@functools.cache
def trees(*folders: pathlib.Path) -> t.Dict[pathlib.Path, ast.Module]:
    """The files below these folders."""
    paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def shipped() -> t.Dict[pathlib.Path, ast.Module]:
    """All that is not a test."""
    return trees(CHECKOUT / "plugins", CHECKOUT / "roles", CHECKOUT / "playbooks", CHECKOUT / "demo")


def parameters(function: t.Union[ast.FunctionDef, ast.AsyncFunctionDef]) -> int:
    names = [each.arg for each in function.args.posonlyargs + function.args.args + function.args.kwonlyargs]
    return len(names) - (bool(names) and names[0] in ("self", "cls"))


def imported(path: pathlib.Path) -> t.Set[pathlib.Path]:
    """The engine's files that a file imports anywhere, also inside functions and for types."""
    found = set()
    for node in ast.walk(trees(ENGINE)[path]):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for name in node.names:
                inside = folder / (name.name + ".py"), folder / name.name / "__init__.py"
                candidates = *inside, folder.with_suffix(".py"), folder / "__init__.py"
                found.add(next(each for each in candidates if each in trees(ENGINE)))
    return found - {path}


def test_no_file_is_too_long() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in shipped()}
    assert len(lines) > 400
    assert [str(path) for path, count in lines.items() if count > MOST_LINES_OF_FILE and path != ONE_FILE] == []


def test_no_class_is_too_long() -> None:
    classes = [(path, node) for path, tree in shipped().items() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert len(classes) > 300
    assert [node.name for _path, node in classes if (node.end_lineno or 0) - node.lineno >= MOST_LINES_OF_CLASS] == []


def test_no_function_has_too_many_parameters() -> None:
    functions = [
        node for tree in shipped().values() for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert len(functions) > 2000
    assert [node.name for node in functions if parameters(node) > MOST_PARAMETERS] == []


def test_no_import_leads_back() -> None:
    graph = {path: imported(path) for path in trees(ENGINE)}
    assert sum(map(len, graph.values())) > 300
    # Raises CycleError, which names the files.
    graphlib.TopologicalSorter(graph).prepare()
