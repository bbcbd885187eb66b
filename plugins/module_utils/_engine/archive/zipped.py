# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The zip in an archive that an earlier script made: its files, one after the other, as those of a tar."""

from __future__ import annotations

import calendar
import datetime
import tarfile
import typing as t

from ..base.errors import IntegrityError
from ..base.names import plain
from ..base.units import FIRST_SECOND, LAST_SECOND
from ..sources import zips

LIMITS = zips.Limits(size=1 << 60)
"""A search writes nothing, and the disk limits a restore. A member has at most the expansion ratio of any zip."""
MODE = 0o600


class ZipContents:
    """The files in a zip, as ``reading.Contents``. Make it with ``with``. file: seekable. Raises IntegrityError.

    A zip has times without a zone; they are taken for UTC, so that every host reads the same. Its modes are ignored.
    """

    def __init__(self, file: t.BinaryIO, subject: str) -> None:
        self._reading = zips.reading(file, subject, LIMITS)
        self._subject = subject
        self._archive: t.Any = None
        self._pieces: t.Iterator[bytes] = iter(())
        self._rest = b""

    def __enter__(self) -> ZipContents:
        self._archive = self._reading.__enter__()
        return self

    def __exit__(self, *error: t.Any) -> None:
        self._reading.__exit__(*error)

    def members(self) -> t.Iterator[tarfile.TarInfo]:
        infos = zips.chosen_of(self._archive, None, self._subject)
        _refuse_overlaps(infos, self._subject)
        for info in infos:
            member = tarfile.TarInfo(plain(info.filename))
            member.size, member.mode, member.mtime = info.file_size, MODE, _seconds(zips.modified_of(info))
            self._pieces, self._rest = zips.pieces(self._archive, info, LIMITS.size, LIMITS, self._subject), b""
            yield member
            # zipfile compares the CRC-32 at the end, and a member may have more than its header states.
            if self._rest or next(self._pieces, None) is not None:
                raise IntegrityError("the member %s is larger than its header states" % ascii(member.name), self._subject)

    def pieces(self, size: int) -> t.Iterator[memoryview]:
        while size:
            self._rest = self._rest or next(self._pieces, b"")
            piece, self._rest = self._rest[:size], self._rest[size:]
            if not piece:
                return
            size -= len(piece)
            yield memoryview(piece)

    def finish(self) -> None:
        pass


def _refuse_overlaps(infos: t.Sequence[t.Any], subject: str) -> None:
    """No honest program makes a zip with members that share bytes, and it expands without limit."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise IntegrityError("refused: the members of the zip overlap (%s)" % ascii(info.filename), subject)
        end = info.header_offset + info.compress_size


def _seconds(modified: t.Optional[datetime.datetime]) -> int:
    if modified is None:
        return 0
    seconds = calendar.timegm(modified.utctimetuple())
    return seconds if FIRST_SECOND <= seconds <= LAST_SECOND else 0
