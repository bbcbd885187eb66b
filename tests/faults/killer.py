# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a job in forked children that kill themselves with SIGKILL at a chosen step. A program that reads its orders from standard input.

A step is what may change the world: just before a function in C is called that is not one of Python's own types (a system call,
SQLite, a library), and the begin and end of each function of a network store. The first and the second time that a run comes by each
place in the engine count, in order. Everything is imported before the fork, so that a child costs milliseconds.

One JSON object per line: {document, now, only_prune} and one of count (the steps), kill_at (a step's number), after (seconds, by the
parent) or none of these (to the end). The answer, a line too: {killed, steps, recap, error}.
"""

from __future__ import annotations

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
PURE = ("builtins", "time", "_json", "_hashlib", "_struct", "re", "_sre", "itertools", "collections", "binascii", "zlib", "datetime")


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
        owner = argument.__self__
        module = owner.__name__ if isinstance(owner, type(sys)) else type(owner).__module__
        return module not in PURE or argument is open


def child(wanted: t.Dict[str, t.Any], answer: int) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job

    steps = Steps(wanted.get("kill_at"))
    result: t.Dict[str, t.Any] = {"recap": None, "error": None}
    now = datetime.fromisoformat(wanted["now"])
    if wanted.get("kill_at") is not None or wanted.get("count"):
        sys.setprofile(steps)
    try:
        result["recap"] = job.prune(wanted["document"], now=now) if wanted.get("only_prune") else job.run(wanted["document"], now=now)
    except Exception as error:
        result["error"] = repr(error)
    sys.setprofile(None)
    result["steps"] = steps.count
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
