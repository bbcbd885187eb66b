# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The installed command finds its compiled modules without Python's search, and only those that Python would take."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import py_compile
import subprocess
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import launch
from rigs.command import install

NAME = launch._ENGINE + "made_up"


@pytest.fixture
def source(tmp_path: pathlib.Path) -> pathlib.Path:
    """A module of the engine, with its compiled file."""
    path = tmp_path / "made_up.py"
    path.write_text("here = __file__\ndef fail():\n    raise KeyError(here)\n")
    py_compile.compile(str(path), doraise=True)
    return path


def found(source: pathlib.Path) -> bool:
    return launch.Finder.find_spec(NAME, [str(source.parent)]) is not None


def test_a_module_is_as_python_makes_it(source: pathlib.Path) -> None:
    ours = launch.Finder.find_spec(NAME, [str(source.parent)])
    pythons = importlib.util.spec_from_file_location(NAME, source)
    assert ours is not None and ours.loader is not None and pythons is not None
    for name in ("name", "origin", "cached", "parent", "has_location", "submodule_search_locations"):
        assert getattr(ours, name) == getattr(pythons, name), name
    module = importlib.util.module_from_spec(ours)
    ours.loader.exec_module(module)
    assert module.here == module.__file__ == str(source) and module.fail.__code__.co_filename == str(source)


def test_a_package_is_found_and_a_folder_that_was_renamed_is_named_anew(source: pathlib.Path) -> None:
    folder = source.parent / "made_up"
    folder.mkdir()
    os.rename(source, folder / "__init__.py")
    py_compile.compile(str(folder / "__init__.py"), dfile="before/__init__.py", doraise=True)
    spec = launch.Finder.find_spec(NAME, [str(source.parent)])
    assert spec is not None and spec.submodule_search_locations == [str(folder)] and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.fail.__code__.co_filename == str(folder / "__init__.py")


def test_python_decides_about_what_is_not_compiled_as_it_is(source: pathlib.Path) -> None:
    compiled = pathlib.Path(importlib.util.cache_from_source(str(source)))
    whole, times = compiled.read_bytes(), (source.stat().st_atime, source.stat().st_mtime)
    assert found(source)
    for damaged in (b"", whole[:10], whole[:-5], b"\0\0" + whole[2:], whole[:4] + b"\1" + whole[5:]):
        compiled.write_bytes(damaged)
        assert not found(source), damaged[:20]
    compiled.write_bytes(whole)
    os.utime(source, (times[0], times[1] + 5))
    assert not found(source)
    source.write_text("longer = True\n" * 9)
    os.utime(source, times)
    assert not found(source)
    compiled.unlink()
    assert not found(source)


def test_other_modules_are_not_looked_for(source: pathlib.Path) -> None:
    assert launch.Finder.find_spec("made_up", [str(source.parent)]) is None
    assert launch.Finder.find_spec(NAME, None) is None


def test_the_installed_command_uses_it_and_runs_without_compiled_files(tmp_path: pathlib.Path) -> None:
    command = install(tmp_path)
    verbose = [sys.executable, "-IXutf8", "-v", command, "--version"]
    seen = subprocess.run(verbose, capture_output=True, text=True, check=True)
    assert "cli.parser' # <log_archive.cli.launch._Loader" in seen.stderr
    for compiled in (tmp_path / "lib").rglob("*.pyc"):
        compiled.unlink()
    assert subprocess.run([command, "--version"], capture_output=True, text=True, check=True).stdout == seen.stdout
