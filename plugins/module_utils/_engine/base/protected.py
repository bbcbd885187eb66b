# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders that hold keys and settings: no job reads or writes there, whoever wrote its document and whatever link leads there."""

from __future__ import annotations

import os
import re
import typing as t

from .errors import ConfigError

SETTINGS = "/etc/log-archive"
"""The folder of the settings of a host: its job documents, keys and credentials."""

HOST_FILE = "host.json"
"""In that folder: what root has fixed for all job documents of the host (``config.host``)."""

SYMLINKS = "/proc/sys/fs/protected_symlinks"

KEYRING_MARK = "keyring.json"
"""Every keyring has a file of this name."""

SECRET = "it may contain keys or passwords, which are never archived"
_KEY_FILE = re.compile(r"[0-9a-f]{16}\.key", re.ASCII)


def warnings() -> t.List[str]:
    """What in the settings of the kernel makes it easier to redirect paths."""
    try:
        with open(SYMLINKS, "rb") as file:
            value = file.read(16).strip()
    except OSError:
        return []  # No Linux.
    if value != b"0":
        return []
    return [
        "fs.protected_symlinks is 0: in folders that all users can write to, such as /tmp, other users can redirect paths by symbolic"
        " links. Run: sysctl -w fs.protected_symlinks=1, and set it in /etc/sysctl.d"
    ]


def holds_secrets(real: str) -> bool:
    """Whether a file has the name of a key in a keyring, or lies below /etc/log-archive. real: its path without symbolic links.

    Users who may write a job document choose paths, keyring and stores: an archive must not give them the keys.
    """
    return real.startswith(SETTINGS + os.sep) or _KEY_FILE.fullmatch(os.path.basename(real)) is not None


def settings_identity() -> t.Optional[t.Tuple[int, int]]:
    """Device and inode of the folder of the settings; None if there is none."""
    try:
        status = os.stat(SETTINGS)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def refuse_folder(folder: int, status: os.stat_result, settings: t.Optional[t.Tuple[int, int]], path: str, real: str) -> None:
    """Raise ConfigError if the folder (a descriptor, its status and its path) is a keyring or the folder of the settings.

    settings: as ``settings_identity`` returns it. path: how the caller named what lies in it.
    """
    if (status.st_dev, status.st_ino) == settings:
        raise _refused("it lies in %s, which holds keys and settings" % SETTINGS, path)
    try:
        os.lstat(KEYRING_MARK, dir_fd=folder)
    except OSError:
        return  # Also if this user may not look: then the keys in it are out of reach, too.
    raise _refused("it lies in the keyring %s" % ascii(real).strip("'"), path)


def refuse_file(name: str, path: str) -> None:
    """Raise ConfigError if a file has the name of a key."""
    if _KEY_FILE.fullmatch(name):
        raise _refused("a file with the name of a key (%s) is not opened" % name, path)


def _refused(why: str, path: str) -> ConfigError:
    return ConfigError(why, ascii(path).strip("'"), "Choose a path elsewhere")
