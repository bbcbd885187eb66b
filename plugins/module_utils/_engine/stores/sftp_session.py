# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One SFTP session: the operations of SFTP version 3 and of the extensions that an archive needs.

paramiko's own SFTP client is not used because it drops information that an archive needs: the server's extensions, its limits, the
code of an error, and the answer to CLOSE (which carries ENOSPC). Sources of the formats: draft-ietf-secsh-filexfer-02 (SFTP 3),
OpenSSH's PROTOCOL (``*@openssh.com``), draft-ietf-secsh-filexfer-extensions-00 (check-file).
"""

from __future__ import annotations

import collections
import struct
import time
import typing as t

from ..base.errors import IntegrityError, StoreUnavailableError
from ..base.watch import MIN_RATE
from . import sftp_lanes, sftp_packets as packets
from .base import MOST_OBJECTS, listing_too_large
from .sftp_lanes import Lane
from .sftp_login import Login
from .sftp_packets import Attributes, PacketChannel, Status, expect, pack_bytes, pack_text

Result = t.TypeVar("Result")

WINDOW = 4 * 1024 * 1024
"""Bytes of one file that are requested or sent and not yet answered."""

_NAME_SIZE = 100  # bytes of an entry in a listing, about
_PIECE_UNKNOWN = 32 * 1024  # the limit that every server must accept (draft-02, section 3)
_PIECE_MOST = 255 * 1024  # OpenSSH's own limit, less than its packets of 256 KiB


class Session:
    """An SFTP session with its own SSH connection. Paths are those of the server. Not for use by several threads.

    Requests raise Status if the server refuses, StoreUnavailableError if it does not answer within the login's timeout,
    StoreDeniedError if the login or the host key is refused.

    extensions: name -> data, as the server announced them; max_read, max_write: bytes per request.
    """

    def __init__(self, login: Login) -> None:
        self._channel = PacketChannel(login)
        self._connection = self._channel.connection
        self.extensions = self._channel.extensions
        self.max_read = self.max_write = _PIECE_UNKNOWN
        try:
            if "limits@openssh.com" in self.extensions:
                self.max_read, self.max_write = _ask_limits(self._channel)
            self._connection.socket.prompt = False
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def is_usable(self) -> bool:
        """Whether the connection is up and nothing unanswered is left on it."""
        return self._channel.is_usable()

    # -- names --------------------------------------------------------------------------------------------------------

    def lstat(self, path: str) -> Attributes:
        """Attributes of the path itself; a symlink is not followed."""
        return self._channel.request(packets.LSTAT, pack_text(path), packets.ATTRS).attributes()

    def stat(self, path: str) -> Attributes:
        """Attributes of the path's target."""
        return self._channel.request(packets.STAT, pack_text(path), packets.ATTRS).attributes()

    def fstat(self, handle: bytes) -> Attributes:
        """Attributes of an open file."""
        return self._channel.request(packets.FSTAT, pack_bytes(handle), packets.ATTRS).attributes()

    def find(self, path: str, follow: bool = False) -> t.Optional[Attributes]:
        """Attributes of a path, or None if it does not exist. follow: a symlink."""
        try:
            return self.stat(path) if follow else self.lstat(path)
        except Status as status:
            if status.code != packets.NO_SUCH_FILE:
                raise
            return None

    def realpath(self, path: str) -> str:
        """The path, absolute."""
        reader = self._channel.request(packets.REALPATH, pack_text(path), packets.NAME)
        reader.u32()
        return reader.text()

    def scan(self, path: str, wanted: t.Optional[t.Callable[[str], bool]] = None) -> t.List[t.Tuple[str, Attributes]]:
        """Names in a folder, without '.' and '..', with their attributes (symlinks are not followed). wanted: by name, which ones."""
        handle = self._channel.request(packets.OPENDIR, pack_text(path), packets.HANDLE).handle()
        entries = _read_folder(self._channel, handle, path, wanted)
        self.close_file(handle)
        return entries

    def make_folder(self, path: str, mode: int) -> None:
        """mkdir(2)."""
        self._channel.request(packets.MKDIR, pack_text(path) + struct.pack(">II", 4, mode))

    def remove(self, path: str) -> None:
        """unlink(2)."""
        self._channel.request(packets.REMOVE, pack_text(path))

    def remove_if_there(self, path: str) -> None:
        """unlink(2), if the path exists."""
        try:
            self.remove(path)
        except Status as status:
            if status.code != packets.NO_SUCH_FILE:
                raise

    def remove_folder(self, path: str) -> None:
        """rmdir(2)."""
        self._channel.request(packets.RMDIR, pack_text(path))

    def rename(self, old: str, new: str) -> t.Optional[Attributes]:
        """SFTP's own rename, which must not replace an existing ``new``; returns the attributes of ``new`` afterwards, None if unknown."""
        numbers = self._channel.ask([(packets.RENAME, pack_text(old) + pack_text(new)), (packets.LSTAT, pack_text(new))])
        renamed, found = self._channel.answers(numbers)
        expect(*renamed, packets.STATUS)
        return found[1].attributes() if found[0] == packets.ATTRS else None

    def replace(self, old: str, new: str) -> None:
        """rename(2), which replaces (posix-rename@openssh.com)."""
        self._channel.request(packets.EXTENDED, pack_text("posix-rename@openssh.com") + pack_text(old) + pack_text(new))

    def free_bytes(self, path: str) -> t.Optional[int]:
        """Bytes free to us on the file system of ``path`` (statvfs@openssh.com); None if the server does not support it.

        Status only if the path does not exist. Some servers announce the extension and refuse each request.
        """
        if "statvfs@openssh.com" not in self.extensions:
            return None
        try:
            reader = self._channel.request(packets.EXTENDED, pack_text("statvfs@openssh.com") + pack_text(path), packets.EXTENDED_REPLY)
        except Status as status:
            if status.code == packets.NO_SUCH_FILE:
                raise
            return None
        _block, fragment, _blocks, _free, available = (reader.u64() for _index in range(5))
        return fragment * available

    # -- files --------------------------------------------------------------------------------------------------------

    def open_file(self, path: str, flags: int, mode: t.Optional[int] = None) -> bytes:
        """Open with FLAG_* and, to create it, ``mode``; return the handle."""
        return self._channel.open_file(path, flags, mode)

    def close_file(self, handle: bytes) -> None:
        """Close a file that was read, or a folder."""
        self._channel.request(packets.CLOSE, pack_bytes(handle))

    def finish_file(self, handle: bytes, size: int, meanwhile: t.Callable[[], Result]) -> Result:
        """fsync(2), if the server supports it, and close; Status if the server could not keep the bytes that were written.

        size: of the file, for the time that it may take. meanwhile: called while the server is at it, and must not use this session for
        other requests; what it returns is returned.
        """
        # Not both at once: a server that carries out several requests at a time could close the file before it syncs it.
        closing = (packets.CLOSE, pack_bytes(handle))
        syncing = (packets.EXTENDED, pack_text("fsync@openssh.com") + pack_bytes(handle))
        first, *rest = [syncing, closing] if "fsync@openssh.com" in self.extensions else [closing]
        numbers = self._channel.ask([first])
        result = meanwhile()
        for kind, reader in self._channel.answers(numbers, self._channel.seconds_for(size)):
            expect(kind, reader, packets.STATUS)
        for kind, body in rest:
            self._channel.request(kind, body, seconds=self._channel.seconds_for(size))
        return result

    def lanes(self, handle: bytes, path: str, size: int) -> t.ContextManager[t.List[Lane]]:
        """The lanes on which to write so many bytes to the file that is open as ``handle``: more than one if the server is far."""
        count = sftp_lanes.wanted(size, self._channel.round_trip)
        return sftp_lanes.opened(Lane(self._channel, handle), path, count)

    def read_file(self, handle: bytes, size: int, start: int = 0) -> t.Iterator[memoryview]:
        """The bytes of the file from ``start`` to ``size``, in order, requested WINDOW bytes ahead. IntegrityError if the file is shorter.

        The session cannot be used for anything else until the iterator is exhausted; if it is left earlier, is_usable() is false.
        """
        channel = self._channel
        order: t.Deque[int] = collections.deque()
        asked: t.Dict[int, t.Tuple[int, int]] = {}
        arrived: t.Dict[int, memoryview] = {}
        position = start
        left = channel.login.timeout

        def ask(offset: int, count: int) -> int:
            number = channel.next_number()
            channel.send_packet(struct.pack(">BI", packets.READ, number) + pack_bytes(handle) + struct.pack(">QI", offset, count))
            asked[number] = (offset, count)
            return number

        while position < size or order:
            with self._connection.deadline(channel.login.timeout, left):
                while position < size and len(order) * self.max_read < WINDOW:
                    count = min(self.max_read, size - position)
                    order.append(ask(position, count))
                    position += count
                number, kind, reader = channel.answer()
                try:
                    expect(kind, reader, packets.DATA)
                except Status as status:
                    if status.code != packets.EOF:
                        raise
                    raise IntegrityError("the file on the server is shorter than expected") from status
                data = reader.string()
                if number not in asked or len(data) > asked[number][1]:
                    raise channel.not_sftp()
                offset, count = asked.pop(number)
                arrived[number] = data
                if not data:
                    raise StoreUnavailableError("the server returned no bytes for a read request", channel.login.address)
                if len(data) < count:
                    again = ask(offset + len(data), count - len(data))
                    order.insert(order.index(number) + 1, again)
                left = self._connection.socket.left()
            while order and order[0] in arrived:
                yield arrived.pop(order.popleft())

    # -- digests ------------------------------------------------------------------------------------------------------

    def check_file(self, path: str, size: int) -> t.Optional[t.Tuple[str, str]]:
        """(algorithm, hex digest) of a file as the server computes it by check-file-name; None if the server does not support it.

        Requested in any case: ProFTPD supports it and does not announce it.
        """
        request = pack_text("check-file-name") + pack_text(path) + pack_text("sha256,md5") + struct.pack(">QQI", 0, 0, 0)
        try:
            reader = self._channel.request(packets.EXTENDED, request, packets.EXTENDED_REPLY, self._channel.seconds_for(size))
        except Status as status:
            if status.code == packets.NO_SUCH_FILE:
                raise
            return None
        algorithm = reader.text()
        # ProFTPD repeats the name of the extension before the algorithm, as the draft's text does and its example does not.
        if algorithm.startswith("check-file"):
            algorithm = reader.text()
        return algorithm.lower(), bytes(reader.rest()).hex()

    def run(self, command: str, size: int) -> t.Optional[str]:
        """The output of a command on the server; None if there is no shell or the command fails. size: bytes that it will read."""
        return self._connection.run(command, self._channel.seconds_for(size))


def _read_folder(
    channel: PacketChannel, handle: bytes, path: str, wanted: t.Optional[t.Callable[[str], bool]]
) -> t.List[t.Tuple[str, Attributes]]:
    """The wanted entries of an open folder. StoreError if there are too many of all, or if they come too slowly."""
    entries: t.List[t.Tuple[str, Attributes]] = []
    count = 0
    began = time.monotonic()
    while True:
        try:
            reader = channel.request(packets.READDIR, pack_bytes(handle), packets.NAME)
        except Status as status:
            if status.code != packets.EOF:
                raise
            return entries
        names = list(reader.names())
        if not names:
            return entries  # Some servers end so, and one that only pretends to have more would never end.
        count += len(names)
        entries += [one for one in names if one[0] not in (".", "..") and (wanted is None or wanted(one[0]))]
        if count > MOST_OBJECTS:
            raise listing_too_large(path)
        # Each answer may come within the timeout, and all of them never.
        if time.monotonic() - began > channel.login.timeout + count * _NAME_SIZE / MIN_RATE:
            raise StoreUnavailableError("the server lists too slowly", channel.login.address, "Check the server and the network")


def _ask_limits(channel: PacketChannel) -> t.Tuple[int, int]:
    """The most bytes of one read and of one write."""
    try:
        reader = channel.request(packets.EXTENDED, pack_text("limits@openssh.com"), packets.EXTENDED_REPLY)
    except Status:
        # Announced but refused: keep the limit that every server must accept.
        return _PIECE_UNKNOWN, _PIECE_UNKNOWN
    _packet, most_read, most_write = (reader.u64() for _index in range(3))
    # 0 means that the server has no limit.
    return min(most_read or _PIECE_UNKNOWN, _PIECE_MOST), min(most_write or _PIECE_UNKNOWN, _PIECE_MOST)
