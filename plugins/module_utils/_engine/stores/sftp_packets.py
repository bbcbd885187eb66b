# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packets of SFTP version 3 (draft-ietf-secsh-filexfer-02), and the channel on which requests are numbered and answered."""

from __future__ import annotations

import contextlib
import math
import stat
import struct
import time
import typing as t

from ..base.errors import StoreError
from .sftp_connection import Connection
from .sftp_login import Login

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 15, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST = range(8)
NO_SPACE, QUOTA_EXCEEDED = 14, 15  # of SFTP 5 and later; some servers send them in version 3 too

FLAG_READ, FLAG_WRITE, FLAG_CREATE, FLAG_TRUNCATE, FLAG_EXCLUSIVE = 0x01, 0x02, 0x08, 0x10, 0x20

_PACKET_MOST = 1024 * 1024
_RECEIVE = 4 * 1024 * 1024
_HASH_SPEED = 20e6  # bytes per second; the slowest server that we wait for while it hashes or syncs a file


class Status(Exception):
    """The server refused a request; ``code`` is one of SFTP 3, ``text`` the server's own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__("%s (status %d)" % (text or "no reason given", code))
        self.code = code
        self.text = text


class Attributes(t.NamedTuple):
    """The server's attributes of a file: size in bytes, mode as in stat(2), mtime in seconds; None for one that it did not send."""

    size: t.Optional[int]
    mode: t.Optional[int]
    mtime: t.Optional[int]

    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    def is_file(self) -> bool:
        return self.mode is not None and stat.S_ISREG(self.mode)


def pack_bytes(value: bytes) -> bytes:
    """A string of SSH: its length in four bytes, and its bytes."""
    return struct.pack(">I", len(value)) + value


def pack_text(value: str) -> bytes:
    """A text as a string of SSH."""
    return pack_bytes(value.encode("utf-8", "surrogateescape"))


class PacketReader:
    """Reads the fields of a packet, in order; StoreError if the packet is too short."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position

    def left(self) -> int:
        return len(self._data) - self._position

    def _number(self, form: str, size: int) -> int:
        if self.left() < size:
            raise StoreError("the server sent a packet that is too short")
        (value,) = struct.unpack_from(form, self._data, self._position)
        self._position += size
        return t.cast(int, value)

    def u32(self) -> int:
        return self._number(">I", 4)

    def u64(self) -> int:
        return self._number(">Q", 8)

    def string(self) -> memoryview:
        size = self.u32()
        if self.left() < size:
            raise StoreError("the server sent a packet that is too short")
        self._position += size
        return self._data[self._position - size : self._position]

    def handle(self) -> bytes:
        return bytes(self.string())

    def text(self) -> str:
        return bytes(self.string()).decode("utf-8", "surrogateescape")

    def names(self) -> t.Iterator[t.Tuple[str, Attributes]]:
        """The names in a packet NAME, with their attributes; StoreError for one that no file can have."""
        for _index in range(self.u32()):
            name = self.text()
            self.string()
            if not name or "/" in name or "\0" in name:
                raise StoreError("the server lists %s, which is not a file name" % ascii(name))
            yield name, self.attributes()

    def rest(self) -> memoryview:
        return self._data[self._position :]

    def attributes(self) -> Attributes:
        flags = self.u32()
        size = self.u64() if flags & 1 else None
        if flags & 2:
            self.u64()
        mode = self.u32() if flags & 4 else None
        mtime = None
        if flags & 8:
            self.u32()
            mtime = self.u32()
        if flags & 0x80000000:
            for _index in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, mode, mtime)


def expect(kind: int, reader: PacketReader, wanted: int) -> None:
    """Raise Status if the answer is a refusal, StoreError if it is of another kind than ``wanted``."""
    if kind == STATUS:
        code = reader.u32()
        if code != OK or wanted != STATUS:
            raise Status(code, reader.text() if reader.left() else "")
    elif kind != wanted:
        raise StoreError("the server sent a packet of an unexpected type (%d, not %d)" % (kind, wanted))


class PacketChannel:
    """Requests and their answers on the SFTP channel of a connection. Not for use by several threads.

    connection: that of another channel, which is shared; by default a new one. extensions: name -> data, as the server announced them.
    round_trip: the shortest time in seconds in which a request was answered.
    """

    def __init__(self, login: Login, connection: t.Optional[Connection] = None) -> None:
        self.login = login
        self.connection = connection or Connection(login)
        self.round_trip = math.inf
        self._buffer = bytearray()
        self._number = 0
        self._unanswered = 0
        try:
            self._channel = self.connection.open_sftp_channel()
            self.extensions = self._greet()
        except BaseException:
            if connection is None:
                self.connection.close()
            raise

    def close(self) -> None:
        """Close the channel, and not its connection."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.close()

    def is_usable(self) -> bool:
        """Whether the connection is up and nothing unanswered is left on it."""
        return not self._unanswered and self.connection.transport.is_active() and not self._channel.closed

    def request(self, kind: int, body: bytes, wanted: int = STATUS, seconds: t.Optional[float] = None) -> PacketReader:
        """Send one request and return its answer, a packet of the kind ``wanted``; Status if the server refuses it.

        seconds: how long the answer may take, by default the login's timeout.
        """
        began = time.monotonic()
        ((got, reader),) = self.answers(self.ask([(kind, body)]), seconds)
        self.round_trip = min(self.round_trip, time.monotonic() - began)
        expect(got, reader, wanted)
        return reader

    def ask(self, requests: t.Sequence[t.Tuple[int, bytes]]) -> t.List[int]:
        """Send requests, (kind, body), without waiting for an answer; returns their numbers."""
        numbers = [self.next_number() for _request in requests]
        packets = [struct.pack(">BI", kind, number) + body for number, (kind, body) in zip(numbers, requests)]
        with self.connection.deadline(self.login.timeout):
            self._send(b"".join(map(pack_bytes, packets)))
        return numbers

    def answers(self, numbers: t.Sequence[int], seconds: t.Optional[float] = None) -> t.List[t.Tuple[int, PacketReader]]:
        """The answers to these requests, which are all that were asked: the kind of packet and its fields.

        seconds: how long they may take, by default the login's timeout.
        """
        found: t.Dict[int, t.Tuple[int, PacketReader]] = {}
        with self.connection.deadline(seconds or self.login.timeout):
            while len(found) < len(numbers):
                number, kind, reader = self.answer()
                if number not in numbers or number in found:
                    raise self.not_sftp()
                found[number] = (kind, reader)
        return [found[number] for number in numbers]

    def open_file(self, path: str, flags: int, mode: t.Optional[int] = None) -> bytes:
        """Open with FLAG_* and, to create it, ``mode``; return the handle."""
        attributes = struct.pack(">I", 0) if mode is None else struct.pack(">II", 4, mode)
        return self.request(OPEN, pack_text(path) + struct.pack(">I", flags) + attributes, HANDLE).handle()

    def seconds_for(self, size: int) -> float:
        """How long the server may take to hash or sync a file of this size."""
        return self.login.timeout + size / _HASH_SPEED

    def next_number(self) -> int:
        """The number of the next request, which is unanswered from now on."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._unanswered += 1
        return self._number

    def send_packet(self, packet: bytes) -> None:
        """Send a packet; its length goes first."""
        self._send(struct.pack(">I", len(packet)) + packet)

    def send_in_pieces(self, head: bytes, data: bytes) -> None:
        """Send head and data cut at the size of SSH packets, so that nothing is copied twice."""
        most = self._channel.out_max_packet_size - 64
        first = most - len(head)
        self._send(head + data[:first])
        for start in range(first, len(data), most):
            self._send(data[start : start + most])

    def answer(self) -> t.Tuple[int, int, PacketReader]:
        """The next answer: the request's number, the kind of packet, and its fields."""
        packet = self._packet()
        self._unanswered -= 1
        reader = PacketReader(packet, 1)
        return reader.u32(), packet[0], reader

    def _greet(self) -> t.Dict[str, bytes]:
        with self.connection.deadline(self.login.timeout):
            self._send(struct.pack(">IBI", 5, INIT, 3))
            packet = self._packet()
        if packet[0] != VERSION:
            raise self.not_sftp()
        reader = PacketReader(packet, 5)
        extensions = {}
        while reader.left():
            name = reader.text()
            extensions[name] = bytes(reader.string())
        return extensions

    def _send(self, data: bytes) -> None:
        while data:
            sent = self._channel.send(data)
            if not sent:
                raise self.connection.lost()
            data = data[sent:]

    def _packet(self) -> memoryview:
        (size,) = struct.unpack(">I", self._take(4))
        if not 5 <= size <= _PACKET_MOST:
            raise self.not_sftp()
        return memoryview(self._take(size))

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            # Read everything, because paramiko moves the rest of its buffer at each smaller read.
            piece = self._channel.recv(_RECEIVE)
            if not piece:
                raise self.connection.lost()
            self._buffer += piece
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def not_sftp(self) -> StoreError:
        """The error for an answer that does not belong to SFTP. The channel can then no longer be used."""
        self._unanswered += 1
        return StoreError(
            "the server does not speak SFTP version 3",
            self.login.address,
            "Output of a login script breaks SFTP: check the .bashrc of the user on the server",
        )
