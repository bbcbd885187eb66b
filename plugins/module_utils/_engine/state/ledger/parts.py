# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a ledger in the folder ``state``, and the private key in one of them."""

from __future__ import annotations

import os
import stat
import typing as t

from ...base.beneath import open_file
from ...base.durable import write_atomically
from ...base.errors import LogArchiveError
from .chain import BROKEN, BrokenLedgerError

if t.TYPE_CHECKING:
    from ...crypto.signing import Signer

KEY, NEXT_KEY = ".key", ".next.key"


def name_of(job: str, part: str = "") -> str:
    """The name of a file of the ledger. part: '', '.head', '.sent', KEY or NEXT_KEY."""
    return "%s.ledger%s" % (job, part)


def opened(folder: int, path: str, flags: int = os.O_RDONLY) -> t.BinaryIO:
    """A file in the folder, a descriptor. path: its path, for messages. Raises FileNotFoundError, BrokenLedgerError."""
    descriptor = open_file(folder, os.path.basename(path), flags)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BrokenLedgerError("it is not a file", path, BROKEN)
    return open(descriptor, "r+b" if flags & os.O_RDWR else "rb")


def new_key(folder: int, path: str) -> Signer:
    """Write a new private key to the file. Raises MissingLibraryError without cryptography."""
    from ...crypto.signing import Signer

    secret = os.urandom(32)
    signer = Signer(secret)
    write_atomically(os.path.basename(path), secret.hex().encode("ascii") + b"\n", dir_fd=folder)
    return signer


def load_key(folder: int, path: str, public: str) -> Signer:
    """The private key to the public one (in hex). path: of the ledger. Raises BrokenLedgerError if it is not there."""
    signer = _key(folder, path + KEY)
    if signer is not None and signer.public.hex() == public:
        return signer
    # A rotation may have been cut after its entry.
    signer = _key(folder, path + NEXT_KEY)
    if signer is None or signer.public.hex() != public:
        raise BrokenLedgerError("the private key of the ledger is missing, or is that of another ledger", path + KEY, BROKEN)
    take_next_key(folder, path)
    return signer


def take_next_key(folder: int, path: str) -> None:
    """Put the next key in the place of the key, which is destroyed. path: of the ledger."""
    name = os.path.basename(path)
    os.rename(name + NEXT_KEY, name + KEY, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


def _key(folder: int, path: str) -> t.Optional[Signer]:
    from ...crypto.signing import Signer

    try:
        with opened(folder, path) as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise LogArchiveError("the group or others may read the key of the ledger", path, "Run: chmod 600 %s" % path)
            return Signer(bytes.fromhex(file.read(100).decode("ascii").strip()))
    except FileNotFoundError:
        return None
    except ValueError:
        raise BrokenLedgerError("the private key of the ledger is damaged", path, BROKEN) from None
