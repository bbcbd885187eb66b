# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents that Ansible has written into a folder."""

from __future__ import annotations

import os
import stat
import typing as t

HEADER = "// Managed by Ansible (infra_ops.log_archive): changes here are overwritten\n"
MARK = b"// Managed by Ansible (infra_ops.log_archive)"


def others(folder: str, kept: t.Sequence[str]) -> t.List[str]:
    """The documents in a folder that Ansible has written, but for those to keep. A folder that is not there has none."""
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    paths = [os.path.join(folder, name) for name in names if name.endswith(".json")]
    return [path for path in paths if path not in kept and _is_of_ansible(path)]


def _is_of_ansible(path: str) -> bool:
    """Whether the first line of a regular file states it. No link is followed: operators may write to the folder."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return False
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        return file.readline(len(HEADER) + 1).startswith(MARK)
