# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let the runs of ansible-playbook in one test session share the modules that Ansible has packed, and compile these once.

Each run of Ansible packs every module that it uses, together with what the module imports, into a folder of its own. That took a third of
the processor's time in a run with many tasks. Here this folder is a link to one that all runs use: Ansible locks it, because its own
worker processes share it, too.

Python compiles all sources of a packed module in each task, which takes longer than most modules run. Here the package has the compiled
files beside the sources, for the interpreter of the hosts. One of another version ignores them.

Modules have most of the files that they import in common. Here each file is parsed for its imports, and compiled, once in a session.

Ansible forks a worker process for each task on each host, and each one would import the plugins of its task. Here they are imported before.
"""

from __future__ import annotations

import base64
import functools
import gc
import hashlib
import inspect
import io
import marshal
import os
import shlex
import subprocess
import sys
import typing as t
import zipfile

from ansible import __version__, constants
from ansible.executor import module_common
from ansible.plugins import loader
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: shared_modules
type: aggregate
short_description: Share packed modules between runs
description:
  - For tests. E(LOG_ARCHIVE_SHARED_MODULES) is the folder.
  - E(LOG_ARCHIVE_HOSTS_PYTHON) is the command line of an interpreter as the hosts have it, if that of Ansible is another one.
"""


# The plugins of most tasks.
PLUGINS = {
    loader.action_loader: ("ansible.builtin.normal", "ansible.builtin.command", "ansible.builtin.assert", "ansible.builtin.debug"),
    loader.become_loader: ("ansible.builtin.sudo",),
    loader.connection_loader: ("ansible.builtin.local", "ansible.builtin.ssh"),
    loader.lookup_loader: ("ansible.builtin.file", "ansible.builtin.template", "infra_ops.log_archive.jobs"),
    loader.shell_loader: ("ansible.builtin.sh",),
}
HOSTS_PYTHON = shlex.split(os.environ.get("LOG_ARCHIVE_HOSTS_PYTHON", ""))


def compiled(packed: bytes, folder: str) -> bytes:
    """The package, a zip in Base64, with a compiled file beside each source. The folder keeps these: packages have many in common."""
    made = io.BytesIO(base64.b64decode(packed))
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        sources = {name: package.read(name) for name in package.namelist() if name.endswith(".py")}
        paths = {name: os.path.join(folder, name_of("compiled", HOSTS_PYTHON, name, source)) for name, source in sources.items()}
        missing = {name: sources[name] for name, path in paths.items() if not os.path.exists(path)}
        new = compile_all(missing) if missing else {}
        for name, path in paths.items():
            package.writestr(name + "c", kept(path, functools.partial(new.__getitem__, name)))
    return base64.b64encode(made.getvalue())


def compile_all(sources: t.Dict[str, bytes]) -> t.Dict[str, bytes]:
    """What the Python of the hosts makes of these sources, by their names."""
    if not HOSTS_PYTHON:
        return compile_here(sources)
    program = "from __future__ import annotations\nimport marshal, sys\n%s\nmarshal.dump(compile_here(marshal.load(sys.stdin.buffer)), %s)"
    command = [*HOSTS_PYTHON, "-I", "-c", program % (inspect.getsource(compile_here), "sys.stdout.buffer")]
    done = subprocess.run(command, input=marshal.dumps(sources, 2), stdout=subprocess.PIPE, check=True)
    return t.cast(t.Dict[str, bytes], marshal.loads(done.stdout))


def compile_here(sources: t.Dict[str, bytes]) -> t.Dict[str, bytes]:
    """What this Python makes of them. It uses that without a look at a source (PEP 552)."""
    import importlib.util
    import marshal

    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8)
    return {name: head + marshal.dumps(compile(source, name, "exec", dont_inherit=True)) for name, source in sources.items()}


def kept(path: str, make: t.Callable[[], bytes]) -> bytes:
    """What the file holds; if there is none, what ``make`` returns is written to it."""
    if not os.path.exists(path):
        with open("%s.%d" % (path, os.getpid()), "wb") as file:
            file.write(make())
        os.rename(file.name, path)
    with open(path, "rb") as file:
        return file.read()


def name_of(*parts: t.Any) -> str:
    """The name of the file for what these determine."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def share_imports(folder: str) -> None:
    """Let Ansible parse a file for its imports once for all modules, and locate it once for each module."""
    finder, locator = module_common.ModuleDepFinder, module_common.CollectionModuleUtilLocator
    find, parse, locate = finder.__init__, module_common._compile_module_ast, locator._find_module
    # Newer versions give it the source.
    takes_tree = "tree" in inspect.signature(find).parameters
    located: t.Dict[t.Tuple[str, ...], t.Tuple[bool, t.Any, bool]] = {}

    def parse_later(name: str, source: t.Any) -> t.Any:
        return source if name.startswith(("ansible_collections.", "ansible.module_utils")) else parse(name, source)

    def imports(self: t.Any, name: str, source: t.Any, *is_package: bool, **options: bool) -> None:
        # Ansible reads more than the imports of the module itself, for which it does not state whether it is a package.
        if (not is_package and not options) or not isinstance(source, (str, bytes)):
            find(self, name, source, *is_package, **options)
            return

        def make() -> bytes:
            find(self, name, parse(name, source) if takes_tree else source, *is_package, **options)
            return marshal.dumps({name: value for name, value in vars(self).items() if isinstance(value, set)})

        described = name_of("imports", name, is_package, options, source if isinstance(source, bytes) else source.encode())
        vars(self).update(marshal.loads(kept(os.path.join(folder, described), make)))

    def locate_once(self: t.Any, names: t.Sequence[str]) -> bool:
        key = tuple(names)
        if key not in located:
            located[key] = (locate(self, names), self.source_code, self.is_package)
        found, self.source_code, self.is_package = located[key]
        return found

    if takes_tree:
        module_common._compile_module_ast = parse_later
    finder.__init__, locator._find_module = imports, locate_once


class CallbackModule(CallbackBase):
    """Makes the link before the first task, and lets Ansible store compiled modules there."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "shared_modules"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook: t.Any) -> None:
        # Ansible knows a packed module by its name alone.
        belongs_to = name_of(__version__, constants.COLLECTIONS_PATHS, HOSTS_PYTHON)[:16]
        shared = os.path.join(os.environ["LOG_ARCHIVE_SHARED_MODULES"], belongs_to)
        files = os.path.join(os.environ["LOG_ARCHIVE_SHARED_MODULES"], "files-" + name_of(__version__, sys.version)[:16])
        for folder in (shared, files):
            os.makedirs(folder, exist_ok=True)
        os.symlink(shared, os.path.join(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache"))
        # The worker processes that pack modules are copies of this one.
        store = module_common._CachedModule.dump

        def dump(module: t.Any, path: str) -> None:
            # The worker that packs a module is the first that sends it.
            object.__setattr__(module, "zip_data", compiled(module.zip_data, files))
            store(module, path)

        module_common._CachedModule.dump = dump
        share_imports(files)
        for plugins, names in PLUGINS.items():
            for name in names:
                plugins.get(name, class_only=True)
        # Nor do they look for garbage in what they have of this one.
        gc.freeze()
