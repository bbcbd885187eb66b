# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Start the installed command. Its modules are found without Python's own search, which takes a tenth of an idle run.

Python asks each of its finders for each module, and looks for extensions, packages, sources and then compiled files. An installed engine
has the compiled files of PEP 3147, so they are opened at once. They count under the same condition as with Python: they are of this
interpreter, and the source has the modification time and the size that it had when it was compiled. In any other case Python's search
decides.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader
from _imp import _fix_co_filename  # type: ignore[attr-defined]

from ..base import hints as t

if t.TYPE_CHECKING:
    import types

_ENGINE = __name__[: -len("cli.launch")]
_TIMED = bytes(4)
"""The flags of a compiled file that is compared with the modification time of its source."""


def launch() -> t.NoReturn:
    """Run the command and end the process."""
    if not sys.flags.optimize:
        sys.meta_path.insert(0, t.cast("t.Any", Finder))
    from .main import end_with_main

    end_with_main()


class Finder:
    """Finds the compiled modules of the engine."""

    @staticmethod
    def find_spec(name: str, path: t.Optional[t.Sequence[str]] = None, target: t.Any = None) -> t.Optional[ModuleSpec]:
        """The module, or None if Python must search it. path: the folder of its package."""
        if not path or not name.startswith(_ENGINE):
            return None
        base = "%s/%s" % (path[0], name.rpartition(".")[2])
        return _compiled(name, base + ".py") or _compiled(name, base + "/__init__.py", base)


class _Loader(SourceFileLoader):
    """Runs code that is read already."""

    code: types.CodeType

    def get_code(self, fullname: str) -> types.CodeType:
        return self.code


def _compiled(name: str, source: str, package: t.Optional[str] = None) -> t.Optional[ModuleSpec]:
    """The module with this source. package: its folder, if it is a package."""
    folder, _slash, file = source.rpartition("/")
    cached = "%s/__pycache__/%s.%s.pyc" % (folder, file[: -len(".py")], sys.implementation.cache_tag)
    try:
        with open(cached, "rb", buffering=0) as compiled:
            data = compiled.read()
        status = os.stat(source)
        numbers = (int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF)
        if data[:16] != MAGIC_NUMBER + _TIMED + b"".join(number.to_bytes(4, "little") for number in numbers):
            return None
        code = marshal.loads(memoryview(data)[16:])
    except (OSError, EOFError, TypeError, ValueError):
        return None
    # The folder may have another name than when it was compiled; tracebacks show this one.
    _fix_co_filename(code, source)
    loader = _Loader(name, source)
    loader.code = code
    spec = ModuleSpec(name, loader, origin=source, is_package=package is not None)
    if package is not None:
        spec.submodule_search_locations = [package]
    spec.has_location = True
    spec.cached = cached
    return spec
