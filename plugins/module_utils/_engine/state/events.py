# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The event log: one JSON line per event, without any line of the user's logs and without secrets."""

from __future__ import annotations

import contextlib
import errno
import os

from ..base import hints as t, light
from ..base.beneath import guarded_parent
from ..base.errors import LogArchiveError
from ..base.kept import KeptFolder
from ..base.light import datetime


class EventLog:
    """Appends events to a file; without a path it writes nothing."""

    def __init__(self, path: t.Optional[str], job: str, host: str) -> None:
        self._path = path
        self._name = ""
        self._folder = KeptFolder(os.path.dirname(path or ""), self._parent)
        self._common = {"job": job, "host": host, "pid": os.getpid()}

    def write(self, event: str, **fields: t.Any) -> None:
        """Append one event with these fields. Raises LogArchiveError if it cannot, also because the file lies among keys or settings."""
        if self._path is None:
            return
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = light.dumps(dict({"time": now, "event": event}, **self._common, **fields)) + "\n"
        try:
            # One write in append mode: lines of several runs do not mix. Opened each time, so that a rotated log is followed.
            try:
                descriptor = self._open()
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                self._folder.close()  # Its name has become a symbolic link.
                descriptor = self._open()
            try:
                size = os.fstat(descriptor).st_size
                # A full disk may have cut the last line. End it, so that this one can be read.
                start = b"\n" if size and os.pread(descriptor, 1, size - 1) != b"\n" else b""
                data = start + line.encode("ascii")
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise LogArchiveError("cannot write the event log: %s" % error.strerror, self._path) from error

    @contextlib.contextmanager
    def _parent(self, _folder: str) -> t.Iterator[int]:
        with guarded_parent(t.cast(str, self._path)) as (folder, self._name):
            yield folder

    def _open(self) -> int:
        with self._folder.opened() as folder:
            descriptor = os.open(self._name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=folder)
        if self._name != os.path.basename(t.cast(str, self._path)):
            self._folder.close()  # It is a symbolic link, which may lead elsewhere next time.
        return descriptor
