# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upload of one file to an SFTP server: to a temporary name, resumed after a disconnect, then renamed without overwriting."""

from __future__ import annotations

import posixpath
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import IntegrityError, LogArchiveError, StoreError, StoreExistsError, StoreFullError, StoreUnavailableError
from ..base.progress import Advance
from . import sftp_lanes, sftp_packets as packets
from .base import ADVANCE, Digests, open_spooled, read_spooled
from .sftp_packets import Status
from .sftp_root import RemoteRoot, not_a_folder
from .sftp_session import WINDOW, Session

if t.TYPE_CHECKING:
    from ..base.beneath import Local

Result = t.TypeVar("Result")

FILE_MODE = 0o600
FOLDER_MODE = 0o700

_GO_BACK = 2 * WINDOW
"""An upload of another process is resumed so far before its end: fewer bytes were not confirmed, so holes can only be there."""


class Upload:
    """The upload of a file to a key. final, temporary: its paths on the server. resume: whether to continue an earlier upload.

    known: bytes from the start that the server has confirmed to an earlier upload that lost its connection, None if there was none.
    confirmed: the same after this one.

    Requests that the server refuses raise Status, except those that write: these raise the error of a store.
    """

    def __init__(self, root: RemoteRoot, key: str, digests: Digests, resume: bool, known: t.Optional[int] = None) -> None:
        self.final = root.path_of(key)
        folder, name = posixpath.split(self.final)
        # 200 of 255 bytes, so that a long name still leaves room for the rest.
        self.temporary = posixpath.join(folder, "%s%s.%s.part" % (TEMP_PREFIX, name[:200], digests.sha256[:16]))
        self._root = root
        self._key = key
        self._digests = digests
        self._resume = resume
        # Over a link that has broken before, little may be on its way: only what is confirmed need not be sent again.
        self._window = WINDOW if known is None else WINDOW // 16
        self._known = known or 0
        self.confirmed = self._known

    def refuse_taken_key(self, session: Session) -> None:
        """Raise StoreExistsError if the key is taken."""
        if session.find(self.final) is not None:
            raise self._taken(session)

    def send(self, session: Session, path: Local, progress: Advance, meanwhile: t.Callable[[], Result]) -> t.Tuple[bool, Result]:
        """Write the local file to the temporary name, complete and synced.

        meanwhile: called while the server syncs the file, which is whole by then. Returns whether an earlier upload was resumed, and
        what ``meanwhile`` returned.
        """
        size = self._digests.size
        handle, offset = self._open(session)
        written = offset

        def count(moved: int, confirmed: int) -> None:
            nonlocal written
            written += moved
            self.confirmed = max(self.confirmed, confirmed)
            progress(moved)

        try:
            with open_spooled(path) as source:
                self._require_room(session, size - offset)
                if offset:
                    progress(offset)
                    source.seek(offset)
                try:
                    with session.lanes(handle, self.temporary, size - offset) as lanes:
                        # With the request beyond it less than _GO_BACK.
                        window = self._window if len(lanes) == 1 else self._window * 7 // 4
                        sftp_lanes.write(
                            lanes, lambda count: read_spooled(source, path, count), offset, size, session.max_write, window, count
                        )
                    result = session.finish_file(handle, size, meanwhile)
                except Status as status:
                    raise self._write_error(session, status, size - written) from status
        except LogArchiveError as error:
            if isinstance(error, StoreUnavailableError):
                error.advanced = self.confirmed - self._known >= ADVANCE
            # When the connection ends, the server closes the handle.
            self._root.close()
            if isinstance(error, StoreFullError):
                # The incomplete archive would keep the disk of the server full.
                self.discard(self._root.session())
            raise
        return offset > 0, result

    def replace(self, session: Session, path: Local, prove: t.Callable[[], t.Any]) -> None:
        """Write the local file, and put it in the place of the final name by posix-rename, which is rename(2). prove: called in between."""
        if "posix-rename@openssh.com" not in session.extensions:
            raise StoreError(
                "the server cannot replace a file atomically: it does not have posix-rename@openssh.com",
                self._root.location(self._key),
                "Use a server with this extension, such as OpenSSH",
            )
        self.send(session, path, lambda count: None, lambda: None)
        try:
            prove()
            self._root.session().replace(self.temporary, self.final)
        except (IntegrityError, Status):
            self.discard(self._root.session())
            raise

    def publish(self, session: Session) -> t.Optional[int]:
        """Give the file its final name, atomically and without replacing another; StoreExistsError if it is taken. Returns its size
        under that name.

        SFTP's own rename is the one that does not replace: OpenSSH makes it of link(2), which refuses an existing name, and unlink(2);
        ProFTPD refuses too. posix-rename replaces silently. It is used only if the server cannot do the other (a file system
        without hard links) and the name is seen to be free.
        """
        try:
            found = session.rename(self.temporary, self.final)
        except Status as status:
            if session.find(self.final) is not None:
                raise self._taken(session) from status
            if "posix-rename@openssh.com" not in session.extensions:
                raise
            session.replace(self.temporary, self.final)
            found = None
        # A server that carries out several requests at a time may have looked before it renamed.
        return session.lstat(self.final).size if found is None or found.size != self._digests.size else found.size

    def discard(self, session: Session) -> None:
        """Remove the temporary file, if there is one and the server allows it. Some accounts may not remove anything; a leftover is
        no archive, and the next upload of the same archive uses it."""
        try:
            session.remove_if_there(self.temporary)
        except Status as status:
            if status.code in (packets.NO_CONNECTION, packets.CONNECTION_LOST):
                raise

    def _taken(self, session: Session) -> StoreExistsError:
        # A run that was killed while it renamed may have left both names (OpenSSH: link, then unlink).
        self.discard(session)
        return StoreExistsError("an object already exists under this name", self._root.location(self._key))

    def _open(self, session: Session) -> t.Tuple[bytes, int]:
        """Open the temporary file for writing; return its handle and the offset from which to send."""
        flags = packets.FLAG_WRITE | packets.FLAG_CREATE | packets.FLAG_EXCLUSIVE
        for _attempt in range(3):
            try:
                return session.open_file(self.temporary, flags, FILE_MODE), 0
            except Status as status:
                if status.code == packets.NO_SUCH_FILE:
                    # A folder is missing: this is the first archive of a day, or 'delete' has just removed the empty folder.
                    _make_folders(session, posixpath.dirname(self.temporary), self._root.location(self._key))
                    continue
                existing = session.find(self.temporary)
                if existing is None:
                    raise
            # Its name contains the SHA-256 of the archive, so it is the beginning of the same archive.
            size = existing.size or 0
            offset = max(size - _GO_BACK, min(size, self._known))
            if self._resume and existing.is_file() and offset > 0 and size <= self._digests.size:
                return session.open_file(self.temporary, packets.FLAG_WRITE), offset
            try:
                session.remove(self.temporary)
            except Status:
                if not existing.is_file():
                    raise
                # The account may not remove; it may still write what it has made.
                return session.open_file(self.temporary, packets.FLAG_WRITE | packets.FLAG_TRUNCATE), 0
        raise StoreUnavailableError("the temporary file or its folder was removed during the upload", self.temporary)

    def _require_room(self, session: Session, need: int) -> None:
        free = session.free_bytes(self.temporary)
        if free is not None and free < need:
            raise self._root.full(self._key, need, free)

    def _write_error(self, session: Session, status: Status, missing: int) -> StoreError:
        """The error for a refused write, sync or close. missing: bytes that the server has not confirmed."""
        known = self._root.error(status, self._key, "write")
        if status.code not in (packets.FAILURE, packets.BAD_MESSAGE) or isinstance(known, StoreFullError):
            return known
        # SFTP 3 has one code for all other failures; ENOSPC is the most likely.
        try:
            free = session.free_bytes(self.temporary)
        except Status:
            free = None
        need = max(missing, 1024 * 1024)
        if free is not None and free < need:
            return self._root.full(self._key, need, free)
        return StoreUnavailableError(
            "the server could not write: %s" % status, self._root.location(self._key), "Check its disk, its quota and its log"
        )


def _make_folders(session: Session, folder: str, location: str) -> None:
    found = session.find(folder, follow=True)
    if found is not None:
        if found.mode is not None and not found.is_folder():
            raise not_a_folder(ascii(folder), location)
        return
    parent = posixpath.dirname(folder)
    if parent not in ("", folder):
        _make_folders(session, parent, location)
    try:
        session.make_folder(folder, FOLDER_MODE)
    except Status:
        # Another run may have created it.
        if session.find(folder, follow=True) is None:
            raise
