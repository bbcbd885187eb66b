# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A keyring with one key per month: the file ``2021_April.key`` has the key of what happened in April 2021.

The folder is a keyring as ``keyring`` describes it, so that the escrow and ``log-archive key`` work with it. ``2021_April.key`` is a
symbolic link to ``<id>.key``. It stays when that key is taken out of use, and so names the key that is missing. A file with the text of
a key works too: its key is imported under its id.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..base.durable import fsync_folder, lock
from ..base.errors import KeyMissingError, KeyringError
from . import keyring

NAMES = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_FILE = re.compile(r"(\d{4})_(%s)\.key" % "|".join(NAMES), re.ASCII)
_MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])", re.ASCII)
_LOCK = ".months.lock"


def name_of(month: str) -> str:
    """The name of the key of a month ("2021-04"): "2021_April". Raises KeyringError."""
    if not _MONTH.fullmatch(month):
        raise KeyringError("not a month: %s" % ascii(month), hint="Write the year and the month, such as 2021-04")
    return "%s_%s" % (month[:4], NAMES[int(month[5:]) - 1])


def month_of(name: str) -> t.Optional[str]:
    """The month of the name of a key: "2021-04"; None if it is not such a name."""
    match = _FILE.fullmatch(name + ".key")
    return "%s-%02d" % (match[1], NAMES.index(match[2]) + 1) if match else None


def load(folder: str, month: str) -> keyring.Key:
    """The key of a month. Raises KeyMissingError that names it; KeyringError."""
    key = find(folder, month)
    if key is None:
        held = ", ".join(name_of(each) for each in months(folder))
        raise KeyMissingError(
            "the key %s is needed, but it is not in the keyring (%s)" % (name_of(month), "it holds %s" % held if held else "it holds none"),
            folder,
            "Restore it from the escrow, or copy the file %s.key into the keyring" % name_of(month),
        )
    return key


def load_or_create(folder: str, month: str) -> keyring.Key:
    """The key of a month, which is created if the month never had one. A key that was taken away is never replaced by another one."""
    key = find_if_any(folder, month)
    if key is not None:
        return key
    keyring.ensure_folder(folder)
    try:
        with lock(os.path.join(folder, _LOCK), wait=True):
            key = find(folder, month)
            if key is None:
                key = keyring.add(folder, keyring.generate_key())
                # The key is on the disk before its name is.
                os.symlink(key.id + ".key", _path(folder, month))
                fsync_folder(folder)
            return key
    except OSError as error:
        raise KeyringError("cannot create the key %s: %s" % (name_of(month), error.strerror), folder) from error


def months(folder: str) -> t.List[str]:
    """The months that have a key or had one, oldest first."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise KeyringError("cannot read the keyring: %s" % error.strerror, folder) from error
    return sorted(filter(None, (month_of(name[: -len(".key")]) for name in names if name.endswith(".key"))))


def _path(folder: str, month: str) -> str:
    return os.path.join(folder, name_of(month) + ".key")


def find_if_any(folder: str, month: str) -> t.Optional[keyring.Key]:
    """As ``find``, also in a keyring that does not exist yet. Raises KeyringError if it cannot be created."""
    if os.path.lexists(folder):
        return find(folder, month)
    if not os.path.isdir(os.path.dirname(os.path.abspath(folder))):
        raise KeyringError("the keyring cannot be created, because its parent folder does not exist", folder, "Create that folder first")
    return None


def find(folder: str, month: str) -> t.Optional[keyring.Key]:
    """The key of a month; None if the month never had one. Raises KeyMissingError if its key was taken away, KeyringError."""
    path = _path(folder, month)
    keyring.check_folder(folder)
    try:
        target = os.readlink(path)
    except FileNotFoundError:
        return None
    except OSError:
        # A file that another program wrote.
        return keyring.add(folder, keyring.read_private_key(path))
    id = target[: -len(".key")]
    if not target.endswith(".key") or not keyring.is_key_id(id):
        raise KeyringError("the file is a link that does not lead to a key of this keyring", path, "Remove it, or restore the key")
    try:
        return keyring.load(folder, id)
    except KeyMissingError as error:
        raise KeyMissingError("%s (the key of %s)" % (error.message, name_of(month)), folder, error.hint) from None
