# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules about imports that import-linter cannot see: where in a file an import stands, and what the modules import."""

from __future__ import annotations

import ast
import pathlib
import sys
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ENGINE = CHECKOUT / "plugins" / "module_utils" / "_engine"
MODULES = CHECKOUT / "plugins" / "modules"

# Slow to import, and an idle run is measured against an empty interpreter.
SLOW = ("asyncio", "concurrent", "dataclasses", "difflib", "http", "inspect", "multiprocessing", "subprocess", "tempfile", "zoneinfo")
SLOW += ("urllib.request",)


class Import(t.NamedTuple):
    """One import statement: ``module`` with its leading dots, ``at_load`` unless it stands in a function."""

    module: str
    line: int
    at_load: bool


def imports_of(path: pathlib.Path) -> t.List[Import]:
    found: t.List[Import] = []

    def visit(node: ast.AST, at_load: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            separator = "" if module.endswith(".") else "."
            found.extend(Import(module + separator + alias.name, node.lineno, at_load) for alias in node.names)
        only_types = isinstance(node, ast.If) and ast.unparse(node.test) in ("t.TYPE_CHECKING", "TYPE_CHECKING")
        inside = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or only_types
        for child in ast.iter_child_nodes(node):
            visit(child, at_load and not inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), True)
    return found


def files(folder: pathlib.Path) -> t.List[t.Any]:
    return [pytest.param(path, id=str(path.relative_to(folder))) for path in sorted(folder.rglob("*.py"))]


def top(module: str) -> str:
    return module.split(".")[0]


@pytest.mark.parametrize("path", files(ENGINE))
def test_the_engine_loads_no_third_party_library_and_nothing_slow(path: pathlib.Path) -> None:
    stdlib = getattr(sys, "stdlib_module_names", None)
    if stdlib is None:
        pytest.skip("this interpreter does not list its own modules (Python 3.9)")
    loaded = [each for each in imports_of(path) if each.at_load and not each.module.startswith(".")]
    wrong = [
        each for each in loaded if top(each.module) not in stdlib or (each.module + ".").startswith(tuple(name + "." for name in SLOW))
    ]
    assert not wrong, "import these inside the functions that need them"


@pytest.mark.parametrize("path", files(ENGINE))
def test_the_engine_imports_itself_by_relative_names_and_only_by_statements(path: pathlib.Path) -> None:
    wrong = [each for each in imports_of(path) if top(each.module) in ("ansible", "ansible_collections", "log_archive", "importlib")]
    assert not wrong, "Ansible ships what import statements name, and a host has the engine under another name"


@pytest.mark.parametrize("path", files(MODULES))
def test_modules_know_the_engine_and_no_library_or_store(path: pathlib.Path) -> None:
    libraries = {"apprise", "boto3", "botocore", "cryptography", "isal", "paramiko", "pybase64"}
    wrong = [each for each in imports_of(path) if top(each.module) in libraries or "_engine.stores" in each.module]
    assert not wrong, "a module is spec, documentation and a few calls; stores are opened by module_utils/_module.py and the engine"


def test_the_rule_sees_where_an_import_stands(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "example.py"
    path.write_text("try:\n    import boto3\nexcept ImportError:\n    boto3 = None\ndef f():\n    from . import a\n    import x.y\n")
    assert imports_of(path) == [Import("boto3", 2, True), Import(".a", 6, False), Import("x.y", 7, False)]


@pytest.mark.parametrize("path", files(ENGINE))
def test_only_base_libraries_decides_what_a_failed_import_means(path: pathlib.Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    caught = [ast.unparse(node.type) for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler) and node.type is not None]
    wrong = [names for names in caught if "ImportError" in names or "ModuleNotFoundError" in names]
    assert not wrong, "import libraries in the contexts of base/libraries: a library that is broken is not one that is missing"


def calls_of(path: pathlib.Path) -> t.List[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


@pytest.mark.parametrize("path", files(ENGINE))
def test_what_is_created_has_a_mode_whatever_the_umask(path: pathlib.Path) -> None:
    """Under a umask of 000 anybody could write to a folder of os.makedirs, which gives its mode to the last one only, or a file of open."""
    wrong = []
    for call in calls_of(path):
        name, arguments = ast.unparse(call.func), [ast.unparse(argument) for argument in call.args]
        writes = name == "open" and len(arguments) > 1 and set("wax") & set(arguments[1])
        opened = ("os.open(", "os.devnull", "_private(", "descriptor")
        if writes and not arguments[0].startswith(opened) and not any(keyword.arg == "opener" for keyword in call.keywords):
            wrong.append(call.lineno)
        if name in ("os.makedirs", "pathlib.Path.mkdir") or (name == "os.mkdir" and len(arguments) < 2):
            wrong.append(call.lineno)
    assert not wrong, "use base/durable: make_folders, new_file, write_atomically"
