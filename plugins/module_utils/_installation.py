# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine as a host has it installed, for the modules host_command and host_look."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import stat
import typing as t

from . import _engine
from ._engine.base import durable

PACKAGE = "log_archive"
MANUAL = "log-archive.1"
"""The manual page, beside the package."""
LAUNCHER = """\
#!{interpreter} -IXutf8
# Managed by Ansible (infra_ops.log_archive): changes here are overwritten
import os
import sys

# The folder of the version, not the link to it: a run in progress keeps its version when another one is installed.
sys.path.insert(0, os.path.dirname(os.path.realpath({package!r})))

from log_archive.cli.launch import launch

launch()
"""
PROBE = "import sys; print(sys.implementation.cache_tag if sys.version_info >= (3, 9) else 'old')"


def lines_of(version: str, launcher: str, files: t.Mapping[str, bytes]) -> t.List[str]:
    """An installation, for a diff."""
    lines = ["%s %s" % (PACKAGE, version), launcher.partition("\n")[0]]
    return lines + ["%s %s" % (hashlib.sha256(data).hexdigest()[:16], name) for name, data in files.items()]


def digest_of(files: t.Mapping[str, bytes]) -> str:
    """The SHA-256, in hex, of the names and the contents of the files of an engine."""
    found = hashlib.sha256()
    for name, data in sorted(files.items()):
        found.update(b"%s\0%s\n" % (os.fsencode(name), hashlib.sha256(data).hexdigest().encode("ascii")))
    return found.hexdigest()


def launcher_of(interpreter: str, package: str) -> str:
    """The text of the command that runs the package with the interpreter."""
    return LAUNCHER.format(interpreter=interpreter, package=package)


class Installation:
    """The installation in ``prefix``: ``bin/log-archive``, and ``lib/log_archive``, a link to ``VERSION-xxxxxxxx/log_archive``.

    Beside the package is the manual page of its version.
    """

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.command = os.path.join(prefix, "bin", "log-archive")
        self.lib = os.path.join(prefix, "lib")
        self.package = os.path.join(self.lib, PACKAGE)

    def current(self) -> t.Optional[str]:
        """The active folder in ``lib``."""
        target = os.readlink(self.package) if os.path.islink(self.package) else ""
        return os.path.dirname(target) or None

    def version(self) -> t.Optional[str]:
        """The active version."""
        current = self.current()
        return current.rpartition("-")[0] if current else None

    def exists(self) -> bool:
        """Whether any part of the installation exists."""
        return os.path.lexists(self.command) or os.path.islink(self.package) or bool(self._folders())

    def lines(self) -> t.List[str]:
        """The active installation, for a diff."""
        if not os.path.isfile(self.command) or not os.path.isdir(self.package):
            return []
        with open(self.command, encoding="utf-8", errors="replace") as file:
            return lines_of(self.version() or "?", file.readline(), self._files())

    def holds(self, digest: str, launcher: str, tag: str) -> bool:
        """Whether exactly the engine with this digest is installed and compiled, and only its owner can change it."""
        if not os.path.isfile(self.command) or not os.path.isdir(self.package):
            return False
        engine = self._files()
        if digest_of(engine) != digest:
            return False
        with open(self.command, "rb") as file:
            if file.read() != os.fsencode(launcher):
                return False
        folder = os.path.dirname(os.path.realpath(self.package))
        modes = {self.command: 0o755, folder: 0o755, os.path.join(folder, MANUAL): 0o644}
        if not os.path.isfile(os.path.join(folder, MANUAL)):
            return False
        for name in engine:
            path = os.path.join(self.package, name)
            compiled = os.path.join(os.path.dirname(path), "__pycache__")
            compiled_file = os.path.join(compiled, "%s.%s.pyc" % (os.path.basename(name)[: -len(".py")], tag))
            if not os.path.isfile(compiled_file):
                return False
            modes.update({path: 0o644, os.path.dirname(path): 0o755, compiled: 0o755, compiled_file: 0o644})
        return all(_is(path, mode) for path, mode in modes.items())

    def _files(self) -> t.Dict[str, bytes]:
        found = {}
        for folder, _folders, names in os.walk(self.package):
            for name in names:
                if os.path.basename(folder) != "__pycache__":
                    path = os.path.join(folder, name)
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, self.package)] = file.read()
        return dict(sorted(found.items()))

    def _folders(self) -> t.List[str]:
        """The folders in ``lib`` that this module created."""
        names = os.listdir(self.lib) if os.path.isdir(self.lib) else []
        return [name for name in names if re.fullmatch(r"[0-9][0-9A-Za-z.+_-]*-[0-9a-f]{8}", name)]

    def install(self, engine: t.Mapping[str, bytes], launcher: str, compiling: t.Callable[[str], bytes]) -> None:
        """Install these files. The version that was active stays beside them, for runs in progress.

        compiling: compiles the package in the folder that it is given, and returns the manual page.
        """
        umask = os.umask(0o022)
        try:
            os.makedirs(self.lib, exist_ok=True)
            os.makedirs(os.path.dirname(self.command), exist_ok=True)
            with self._alone():
                self._remove_folders(self.current())
                name = "%s-%s" % (_engine.__version__, os.urandom(4).hex())
                folder = os.path.join(self.lib, name)
                try:
                    for path, data in engine.items():
                        _write(os.path.join(folder, PACKAGE, path), data)
                    _write(os.path.join(folder, MANUAL), compiling(folder))
                    link = os.path.join(folder, "link")
                    os.symlink(os.path.join(name, PACKAGE), link)
                    os.rename(link, self.package)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                durable.fsync_folder(self.lib)
                durable.write_atomically(self.command, os.fsencode(launcher), 0o755)
        finally:
            os.umask(umask)

    def remove(self) -> None:
        """Remove the installation, and its parent folders if they are empty."""
        for path in (self.command, self.package):
            if os.path.lexists(path) and (path == self.command or os.path.islink(path)):
                os.unlink(path)
        self._remove_folders(None)
        for folder in (os.path.dirname(self.command), self.lib, self.prefix):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def _remove_folders(self, but: t.Optional[str]) -> None:
        for name in self._folders():
            if name != but:
                shutil.rmtree(os.path.join(self.lib, name))

    @contextlib.contextmanager
    def _alone(self) -> t.Iterator[None]:
        fd = os.open(self.lib, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _write(path: str, data: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        durable.write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def _is(path: str, mode: int) -> bool:
    there = os.stat(path)
    return there.st_uid == os.geteuid() and stat.S_IMODE(there.st_mode) == mode
