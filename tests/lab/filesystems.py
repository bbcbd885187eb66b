# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small real file system that can be filled up, and the paths of a file system that is seen from outside."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import typing as t

from .processes import Unavailable, need_program

# As in Linux.
MOST_LINKS = 40


def path_inside(root: t.Union[str, os.PathLike[str]], path: t.Union[str, os.PathLike[str]]) -> str:
    """The path on this machine of what a process with the root folder ``root`` calls ``path``, which need not exist.

    Links are followed as that process follows them, the last one too: an absolute one, or '..', never leads out of ``root``.
    """
    waiting = os.fspath(path).split("/")[::-1]
    found: t.List[str] = []
    links = 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            del found[-1:]
        elif name not in ("", "."):
            found.append(name)
            here = os.path.join(root, *found)
            if os.path.islink(here):
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
                target = os.readlink(here)
                found = [] if target.startswith("/") else found[:-1]
                waiting += target.split("/")[::-1]
    return os.path.join(root, *found)


@contextlib.contextmanager
def small_filesystem(folder: t.Union[str, os.PathLike[str]], size: int, inodes: t.Optional[int] = None) -> t.Iterator[str]:
    """Mount a tmpfs of ``size`` bytes (rounded up to pages), and of ``inodes`` files where given, at ``folder``; needs root.

    Yields the folder's path; unmounts when the context ends.
    """
    if os.geteuid() != 0:
        raise Unavailable("mounting a small file system needs root")
    folder = os.path.abspath(os.fspath(folder))
    os.makedirs(folder, exist_ok=True)
    # Without a mode everyone could write to it, and the state and the spool of a job would be refused there.
    options = "mode=0700,size=%d" % size + (",nr_inodes=%d" % inodes if inodes else "")
    mount = need_program("mount", "mount")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable("a tmpfs cannot be mounted here: %s" % done.stderr.strip())
    try:
        yield folder
    finally:
        # Lazy: a killed process under test may be about to vanish and still hold a file.
        subprocess.run([need_program("umount", "mount"), "--lazy", folder], check=True)
