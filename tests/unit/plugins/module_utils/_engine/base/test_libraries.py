# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A library that is absent, one that is there and cannot be loaded, and one that makes the work faster."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import libraries
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import MissingLibraryError

BROKEN = {
    "raise ImportError('libodd.so.3: cannot open shared object file')": "ImportError: libodd.so.3: cannot open shared object file",
    "import odd_part_that_is_absent": "ModuleNotFoundError: No module named 'odd_part_that_is_absent'",
    "raise AttributeError('no such part')": "AttributeError: no such part",
    "raise OSError('bad ELF header')": "OSError: bad ELF header",
    "this is no Python": "SyntaxError: ",
    "class PanicException(BaseException): pass\nraise PanicException('no cffi')": "PanicException: no cffi",
}


@pytest.fixture
def install(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], None]:
    """Put a library with this code where Python finds it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    libraries.take_problems()
    return lambda code: (tmp_path / "odd_library.py").write_text(code + "\n", encoding="utf-8") and None


def load() -> t.Any:
    with libraries.needed("Odd-library", "odd stores", module="odd_library", least="2"):
        import odd_library
    return odd_library


def load_faster() -> t.Any:
    with libraries.optional("odd-library", module="odd_library"):
        import odd_library

        return odd_library
    return None


def test_a_library_that_is_absent_is_missing() -> None:
    with pytest.raises(MissingLibraryError) as caught:
        load()
    assert caught.value.message == "the Python library 'Odd-library' is missing, needed for odd stores"
    assert "-m pip install Odd-library>=2'" in str(caught.value)
    assert "(python3-odd-library on Debian)" in str(caught.value)


@pytest.mark.parametrize("code", BROKEN)
def test_a_library_that_cannot_be_loaded_is_reported_with_the_reason(code: str, install: t.Callable[[str], None]) -> None:
    install(code)
    with pytest.raises(MissingLibraryError) as caught:
        load()
    assert "'Odd-library' is installed but cannot be loaded (%s" % BROKEN[code] in caught.value.message
    assert "--force-reinstall Odd-library>=2'" in str(caught.value)


def test_a_faster_library_that_is_absent_is_no_problem() -> None:
    assert load_faster() is None
    assert libraries.take_problems() == []


@pytest.mark.parametrize("code", BROKEN)
def test_a_faster_library_that_cannot_be_loaded_is_reported_once(code: str, install: t.Callable[[str], None]) -> None:
    install(code)
    assert load_faster() is None and load_faster() is None
    (problem,) = libraries.take_problems()
    assert problem.startswith("the Python library 'odd-library' cannot be loaded (%s" % BROKEN[code])
    assert libraries.take_problems() == []


def test_errors_other_than_those_of_the_import_pass() -> None:
    with pytest.raises(KeyboardInterrupt), libraries.optional("odd-library"):
        raise KeyboardInterrupt
    with pytest.raises(SystemExit), libraries.needed("odd-library", "odd stores"):
        raise SystemExit(1)
