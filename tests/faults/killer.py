# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a job in forked children that kill themselves with SIGKILL at a chosen step. A program that reads its orders from standard input.

A step is what may change the world: just before a function in C is called that is not one of Python's own types (a system call,
SQLite, a library), and the begin and end of each function of a network store. A call that only reads, or changes this process alone, is
no step: a run that is killed just after it leaves what one leaves that is killed just before it. The first and the second time that a run
comes by each place in the engine count, in order. Everything is imported before the fork, so that a child costs milliseconds.

One JSON object per line: {document, now, only_prune} and one of count (the steps), kill_at (a step's number), after (seconds, by the
parent), watch (a folder) or none of these (to the end). The answer, a line too: {killed, steps, recap, error}, and with watch also
{watched, missed}: how many calls that are no steps were watched, and which of them have changed the folder.
"""

from __future__ import annotations

import collections
import json
import os
import signal
import sys
import time
import typing as t
from datetime import datetime

from rigs import service_tables

OCCURRENCES = 2
NETWORK = ("sftp", "s3")
"""How the names of the files of network stores begin."""
LAZY = (
    "boto3.s3.transfer", "cryptography.hazmat.primitives.asymmetric.ed25519", "cryptography.hazmat.primitives.ciphers",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.hazmat.primitives.serialization", "encodings.ascii", "encodings.idna",
    "isal.igzip", "paramiko", "pybase64",
)  # fmt: skip
"""What others' code and the engine import when they first need it."""
PURE = (
    "_bisect", "_hashlib", "_json", "_sre", "_stat", "_struct", "_thread", "binascii", "builtins", "collections",
    "cryptography.hazmat.bindings._rust.openssl.ciphers", "cryptography.hazmat.bindings._rust.openssl.ed25519", "datetime",
    "isal.isal_zlib", "isal_zlib", "itertools", "re", "time", "zlib",
)  # fmt: skip
WITHOUT_EFFECT = frozenset(
    "posix." + name
    for name in (
        "access", "close", "cpu_count", "dup", "fstat", "fsync", "getegid", "geteuid", "getpid", "listdir", "lstat", "posix_fadvise",
        "pread", "read", "readlink", "scandir", "stat", "statvfs", "urandom",
        "DirEntry.is_dir", "DirEntry.is_file", "DirEntry.stat", "ScandirIterator.__exit__",
    )
) | frozenset(
    "_io." + name
    for name in (
        "BufferedReader.__exit__", "BufferedReader.fileno", "BufferedReader.read", "BufferedReader.seek", "BufferedWriter.fileno",
        "FileIO.__exit__", "FileIO.read", "FileIO.readinto", "FileIO.seek",
    )
)  # fmt: skip
"""Calls that only read, or change no more than this process. What was written stays when the process is killed, with fsync and without.

test_kill.py watches that they leave the folder of a host as it was.
"""


class Steps:
    """A profile function that counts steps and dies at one of them."""

    def __init__(self, kill_at: t.Optional[int]) -> None:
        self.count = 0
        self._kill_at = kill_at
        self._seen: t.Dict[t.Tuple[t.Any, int, str], int] = {}

    def __call__(self, frame: t.Any, event: str, argument: t.Any) -> None:
        code = frame.f_code
        if "_engine" not in code.co_filename or not self._counts(code.co_filename, event, argument):
            return
        step = (code, frame.f_lineno, event)
        seen = self._seen.get(step, 0)
        if seen == OCCURRENCES:
            return
        self._seen[step] = seen + 1
        self.count += 1
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    @staticmethod
    def _counts(file: str, event: str, argument: t.Any) -> bool:
        if event in ("call", "return"):
            return os.path.basename(file).startswith(NETWORK)
        if event != "c_call":
            return False
        module = module_of(argument)
        return argument is open or (module not in PURE and "%s.%s" % (module, argument.__qualname__) not in WITHOUT_EFFECT)


def module_of(function: t.Any) -> str:
    """Where a function in C, or the type that it is a method of, is from."""
    owner = function.__self__
    return t.cast(str, owner.__name__ if isinstance(owner, type(sys)) else type(owner).__module__)


class Watch(Steps):
    """Counts, and looks whether a folder changes by a call that is no step, again the first and the second time at each place."""

    def __init__(self, folder: str) -> None:
        super().__init__(None)
        self.watched = 0
        self.missed: t.List[str] = []
        self._folder = folder
        self._places: t.Counter[t.Tuple[t.Any, int]] = collections.Counter()
        self._before: t.Optional[t.Tuple[str, t.Dict[str, t.Tuple[int, ...]]]] = None
        """The call that is under way, and what was in the folder before it."""

    def __call__(self, frame: t.Any, event: str, argument: t.Any) -> None:
        super().__call__(frame, event, argument)
        if "_engine" not in frame.f_code.co_filename or event != "c_call" or module_of(argument) in PURE:
            return
        if self._before is not None and entries(self._folder) != self._before[1]:
            self.missed.append(self._before[0])
        self._before = None
        place = (frame.f_code, frame.f_lineno)
        if not self._counts(frame.f_code.co_filename, event, argument) and self._places[place] < OCCURRENCES:
            self._places[place] += 1
            self.watched += 1
            self._before = ("%s.%s" % (module_of(argument), argument.__qualname__), entries(self._folder))


def entries(folder: str) -> t.Dict[str, t.Tuple[int, ...]]:
    """What is in a folder, by path: inode, mode, links, size, time of the last change."""
    found = {}
    for path, folders, files in os.walk(folder):
        for name in folders + files:
            entry = os.path.join(path, name)
            told = os.lstat(entry)
            found[entry] = (told.st_ino, told.st_mode, told.st_nlink, told.st_size, told.st_mtime_ns)
    return found


def child(wanted: t.Dict[str, t.Any], answer: int) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job

    steps = Watch(wanted["watch"]) if wanted.get("watch") else Steps(wanted.get("kill_at"))
    result: t.Dict[str, t.Any] = {"recap": None, "error": None}
    now = datetime.fromisoformat(wanted["now"])
    if wanted.get("kill_at") is not None or wanted.get("count") or wanted.get("watch"):
        sys.setprofile(steps)
    try:
        result["recap"] = job.prune(wanted["document"], now=now) if wanted.get("only_prune") else job.run(wanted["document"], now=now)
    except Exception as error:
        result["error"] = repr(error)
    sys.setprofile(None)
    result["steps"] = steps.count
    if isinstance(steps, Watch):
        result.update(watched=steps.watched, missed=steps.missed)
    os.write(answer, json.dumps(result).encode())


def run(wanted: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            child(wanted, writer)
        finally:
            os._exit(0)
    os.close(writer)
    if wanted.get("after") is not None:
        time.sleep(wanted["after"])
        os.kill(pid, signal.SIGKILL)
    data = b""
    while True:
        piece = os.read(reader, 1 << 20)
        if not piece:
            break
        data += piece
    os.close(reader)
    _pid, status = os.waitpid(pid, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return dict({"recap": None, "error": None, "steps": None}, **(json.loads(data) if data else {}), killed=killed)


def preload() -> None:
    """Import what any run imports, and read botocore's tables of services."""
    import importlib
    import pkgutil

    import boto3
    from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine

    service_tables.share()
    for name in LAZY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(_engine.__path__, _engine.__name__ + "."):
        importlib.import_module(module.name)
    boto3.client("s3", region_name="us-east-1")


def main() -> None:
    preload()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
