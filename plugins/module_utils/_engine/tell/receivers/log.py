# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log file of run records, rotated by size. Several jobs may share it."""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from .base import Receiver, ReceiverError

if t.TYPE_CHECKING:
    from ...config.document import NotifyTarget
    from ..messages import Message


def deliver(target: NotifyTarget, message: Message) -> None:
    """Append the runs: each as a line of JSON, or all as readable text."""
    import json

    from ...base.units import parse_size

    lines = [json.dumps(record) for record in message.records] if target["format"] == "json" else [message.text()]
    path = t.cast(str, target["path"])
    try:
        append(path, "".join(line + "\n" for line in lines).encode("utf-8"), parse_size(target["max_size"]), target["keep"])
    except OSError as error:
        raise ReceiverError("cannot write %s: %s" % (path, error.strerror)) from error


def append(path: str, data: bytes, max_size: int, keep: int) -> None:
    """Append all of the data or nothing. Rotate first if the file would become larger than ``max_size`` bytes.

    Raises OSError, and ConfigError if the file lies in a keyring or among the settings of the host.
    """
    import fcntl

    from ...base.beneath import guarded_parent

    while True:
        with guarded_parent(path) as (folder, name):
            fd = os.open(name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=folder)
            try:
                # Only the process that holds the lock of the file with this name may write or rename.
                fcntl.flock(fd, fcntl.LOCK_EX)
                if not _is_same_file(folder, name, fd):
                    continue
                size = os.fstat(fd).st_size
                if size and size + len(data) > max_size:
                    _rotate(folder, name, keep)
                    continue
                _write(fd, size, data)
                return
            finally:
                os.close(fd)


def _is_same_file(folder: int, name: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.lstat(name, dir_fd=folder), os.fstat(fd))
    except FileNotFoundError:
        return False


def _rotate(folder: int, name: str, keep: int) -> None:
    for number in range(keep - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            os.rename("%s.%d" % (name, number), "%s.%d" % (name, number + 1), src_dir_fd=folder, dst_dir_fd=folder)
    os.rename(name, name + ".1", src_dir_fd=folder, dst_dir_fd=folder)


def _write(fd: int, size: int, data: bytes) -> None:
    from ...base.durable import write_all

    # If another program left an unfinished line, end it first.
    if size and os.pread(fd, 1, size - 1) != b"\n":
        data = b"\n" + data
    try:
        write_all(fd, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            os.ftruncate(fd, size)
        raise


def problems(target: NotifyTarget, log: t.Optional[str]) -> t.List[str]:
    """See ``receivers.problems``."""
    return ["path: is the event log of the job; use a separate file"] if target["path"] == log else []


RECEIVER = Receiver(deliver, problems, is_local=True)
