# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another user of the host, who exchanges two names of theirs as fast as the kernel allows."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401 - another user may not be able to read the library of this Python
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
import traceback
import typing as t

import lab

OTHER_USER = 65534

_PROGRAM = """
import ctypes, os, sys
os.setuid(int(sys.argv[1]))
libc = ctypes.CDLL(None, use_errno=True)
at_cwd, exchange = -100, 2
one, other = os.fsencode(sys.argv[2]), os.fsencode(sys.argv[3])
print(libc.renameat2(at_cwd, one, at_cwd, other, exchange), flush=True)
for _turn in range(5_000_000):
    libc.renameat2(at_cwd, one, at_cwd, other, exchange)
"""


def can_swap() -> bool:
    """Whether this process may act as another user, on a system that can exchange two names."""
    return os.geteuid() == 0 and hasattr(ctypes.CDLL(None), "renameat2")


@contextlib.contextmanager
def swapping(one: pathlib.Path, other: pathlib.Path) -> t.Iterator[None]:
    """While the context lasts another user exchanges these two names, in a folder of that user."""
    arguments = [sys.executable, "-c", _PROGRAM, str(OTHER_USER), str(one), str(other)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "0\n", "the two names cannot be exchanged on this file system"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def turns(least: int, seen: t.Callable[[], t.Any]) -> t.Iterator[int]:
    """Count at least so many turns, and go on until something was ``seen``: the other user may get no processor for a while."""
    began = time.monotonic()
    for turn in itertools.count():
        if turn >= least and (seen() or lab.overdue(began, 30)):
            return
        yield turn


def unprivileged(call: t.Callable[[], t.Any]) -> t.Any:
    """Run ``call`` in a child that has given up root; return what it returns (JSON)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(OTHER_USER)
                os.setuid(OTHER_USER)
            text = json.dumps(call())
        except BaseException:
            text = json.dumps({"error": traceback.format_exc()})
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        returned = json.loads(answer.read())
    os.waitpid(child, 0)
    assert not (isinstance(returned, dict) and "error" in returned), returned["error"]
    return returned


def opened_to_all(folder: pathlib.Path) -> pathlib.Path:
    """The folder, which other users can now reach."""
    for each in [folder, *folder.parents]:
        mode = each.stat().st_mode
        if not mode & 0o001:
            each.chmod(mode | 0o111)
    return folder


def listed_by_all(folder: pathlib.Path) -> pathlib.Path:
    """The folder, which other users can now reach and list."""
    opened_to_all(folder).chmod(0o755)
    return folder


def others_folder(path: pathlib.Path) -> pathlib.Path:
    """A new folder of the other user."""
    path.mkdir()
    os.chown(path, OTHER_USER, OTHER_USER)
    return path
