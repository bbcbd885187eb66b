# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log file of recaps, rotated by size. Several jobs may share it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import typing as t

from ...base import durable
from ...base.units import parse_size
from .base import News, ReceiverError


def deliver(target: t.Mapping[str, t.Any], news: News) -> None:
    """Append the recaps, each as a line of JSON, or as people read them."""
    lines = [json.dumps(recap) for recap in news.recaps] if target["format"] == "json" else [news.text()]
    try:
        append(target["path"], "".join(line + "\n" for line in lines).encode("utf-8"), parse_size(target["max_size"]), target["keep"])
    except OSError as error:
        raise ReceiverError("%s cannot be written (%s)" % (target["path"], error.strerror)) from error


def append(path: str, data: bytes, max_size: int, keep: int) -> None:
    """Append whole or not at all, and rotate first where the file would become larger than ``max_size``."""
    while True:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            # Whoever holds the lock of the file that has the name may write and rename, and nobody else.
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not _is(path, fd):
                continue
            size = os.fstat(fd).st_size
            if size and size + len(data) > max_size:
                _rotate(path, keep)
                continue
            _write(fd, size, data)
            return
        finally:
            os.close(fd)


def _is(path: str, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _rotate(path: str, keep: int) -> None:
    for number in range(keep - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            os.rename("%s.%d" % (path, number), "%s.%d" % (path, number + 1))
    os.rename(path, path + ".1")


def _write(fd: int, size: int, data: bytes) -> None:
    # What others have left unfinished is ended first, so that this line can be read.
    if size and os.pread(fd, 1, size - 1) != b"\n":
        data = b"\n" + data
    try:
        durable.write_all(fd, data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            os.ftruncate(fd, size)
        raise
