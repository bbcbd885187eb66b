# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small real file system that can be filled up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import typing as t

from .processes import Unavailable, need_program


@contextlib.contextmanager
def small_filesystem(folder: t.Union[str, os.PathLike[str]], size: int, inodes: t.Optional[int] = None) -> t.Iterator[str]:
    """Mount a tmpfs of ``size`` bytes (rounded up to pages), and of ``inodes`` files where given, at ``folder``; needs root.

    Yields the folder's path; unmounts when the context ends.
    """
    if os.geteuid() != 0:
        raise Unavailable("mounting a small file system needs root")
    folder = os.path.abspath(os.fspath(folder))
    os.makedirs(folder, exist_ok=True)
    options = "size=%d" % size + (",nr_inodes=%d" % inodes if inodes else "")
    mount = need_program("mount", "mount")
    done = subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable("a tmpfs cannot be mounted here: %s" % done.stderr.strip())
    try:
        yield folder
    finally:
        # Lazy: a killed process under test may be about to vanish and still hold a file.
        subprocess.run([need_program("umount", "mount"), "--lazy", folder], check=True)
