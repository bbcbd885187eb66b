# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders that hold keys and settings: no job reads or writes there, whoever wrote its document and whatever link leads there."""

from __future__ import annotations

import contextlib
import os

from . import hints as t
from .durable import TEMP_PREFIX
from .errors import ConfigError

SETTINGS = "/etc/log-archive"
"""The folder of the settings of a host: its job documents, keys and credentials."""

HOST_FILE = "host.json"
"""In that folder: what root has fixed for all job documents of the host (``config.host``)."""

SYMLINKS = "/proc/sys/fs/protected_symlinks"

KEYRING_MARK = "keyring.json"
"""Every keyring has a file of this name."""

SECRET = "it may contain keys or passwords, which are never archived or followed"
_CREDENTIALS = ("/.ssh/", "/.aws/")
_HEX = frozenset("0123456789abcdef")


def warnings() -> t.List[str]:
    """Kernel settings that make it easier to redirect paths."""
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
    """Whether a file has the name of a key in a keyring, or lies below /etc/log-archive or in a folder .ssh or .aws.

    real: its path without symbolic links. The user that runs the jobs has its credentials for stores in such folders of its home.

    Users who may write a job document choose paths, keyring and stores: an archive must not give them the keys.
    """
    if not real.endswith(".key") and "/." not in real:  # As most files: a run may look at 100,000.
        return real.startswith(SETTINGS + os.sep)
    return real.startswith(SETTINGS + os.sep) or _is_key_name(os.path.basename(real)) or any(each in real for each in _CREDENTIALS)


def is_secret(descriptor: int, path: str) -> bool:
    """Whether an open file ``holds_secrets``, wherever its folder leads since it was found. path: under which it was opened."""
    try:
        real = os.readlink("/proc/self/fd/%d" % descriptor)
    except OSError:
        real = os.path.realpath(path)  # No Linux, or no /proc.
    return holds_secrets(real)


def settings_identity() -> t.Optional[t.Tuple[int, int]]:
    """Device and inode of the folder of the settings; None if there is none."""
    try:
        status = os.stat(SETTINGS)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_protected(folder: int, status: os.stat_result, settings: t.Optional[t.Tuple[int, int]]) -> bool:
    """Whether the folder (a descriptor, its status) is a keyring or the folder of the settings.

    settings: as ``settings_identity`` returns it. If this user may not look into the folder, the keys in it are out of reach, too.
    """
    return (status.st_dev, status.st_ino) == settings or os.access(KEYRING_MARK, os.F_OK, dir_fd=folder)


def refusal(path: str, real: str) -> ConfigError:
    """The error for a path that leads into a folder that ``is_protected``. real: the path of that folder."""
    if os.path.lexists(os.path.join(real, KEYRING_MARK)):
        return _refused("it lies in the keyring %s" % ascii(real).strip("'"), path)
    return _refused("it lies in %s, which holds keys and settings" % SETTINGS, path)


def refuse_folder(folder: int, path: str, settings: t.Optional[t.Tuple[int, int]]) -> None:
    """Raise ConfigError if the folder, a descriptor, holds keys or settings.

    path: of the folder, if the system does not know it. settings: as ``settings_identity`` returns it.
    """
    if is_protected(folder, os.fstat(folder), settings):
        with contextlib.suppress(OSError):  # No Linux, or no /proc.
            path = os.readlink("/proc/self/fd/%d" % folder)
        raise refusal(path, path)


def _is_key_name(name: str) -> bool:
    """Whether a file has the name of a key in a keyring: its id, which is 16 hexadecimal digits, or a month (2021_April), and .key.

    Or that of the key of a ledger, <job>.ledger.key. Or that of one that is being written (``durable.write_atomically``).
    """
    if name.startswith(TEMP_PREFIX) and name.endswith(".part"):
        name = name[len(TEMP_PREFIX) :].rpartition("-")[0]
    if not name.endswith(".key"):
        return False
    # The signing key of a ledger (state/ledger/file.py).
    if ".ledger." in name:
        return True
    return (len(name) == 20 and _HEX.issuperset(name[:16])) or (name[:4].isdigit() and name[4:5] == "_" and name[5:-4].isalpha())


def refuse_file(name: str, path: str) -> None:
    """Raise ConfigError if a file has the name of a key."""
    if _is_key_name(name):
        raise _refused("a file with the name of a key (%s) is not opened" % name, path)


def _refused(why: str, path: str) -> ConfigError:
    return ConfigError(why, ascii(path).strip("'"), "Choose a path elsewhere")
