# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder with real journal files, written by systemd-journal-remote."""

from __future__ import annotations

import pathlib
import struct
import subprocess
import typing as t

import pytest

PROGRAM = pathlib.Path("/lib/systemd/systemd-journal-remote")
START = 1_793_800_000_000_000
"""Microseconds since 1970 of the first entry."""

ENTRY = 3
"""The kind of an object in a file: https://systemd.io/JOURNAL_FILE_FORMAT/#objects."""

Value = t.Union[str, bytes]


class Journal:
    """A journal of a machine. Each entry is a microsecond later than the one before."""

    def __init__(self, folder: pathlib.Path) -> None:
        if not PROGRAM.exists():
            pytest.skip("%s is missing" % PROGRAM)
        self.folder = folder
        folder.mkdir(parents=True)
        self.boot = "a" * 32
        self._count = 0

    def write(self, *messages: Value, unit: str = "sftpgo.service", file: str = "system.journal", **fields: Value) -> None:
        """Append an entry for each message. fields: further fields of each."""
        data = b""
        for message in messages:
            self._count += 1
            given = {
                "__REALTIME_TIMESTAMP": str(START + self._count),
                "__MONOTONIC_TIMESTAMP": str(self._count),
                "_BOOT_ID": self.boot,
                "_SYSTEMD_UNIT": unit,
                "MESSAGE": message,
                **fields,
            }
            data += b"".join(field(name, value) for name, value in given.items()) + b"\n"
        subprocess.run([PROGRAM, "--output=%s" % (self.folder / file), "-"], input=data, check=True, capture_output=True)

    def reboot(self) -> None:
        """The next entries are of another boot."""
        self.boot = "%032x" % (int(self.boot, 16) + 1)


def field(name: str, value: Value) -> bytes:
    """A field as journald and systemd-journal-remote take it."""
    data = value.encode() if isinstance(value, str) else value
    if b"\n" in data or any(byte < 32 for byte in data) or not _is_text(data):
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def truncate(file: pathlib.Path) -> None:
    """Cut a file of the journal behind its header."""
    with open(file, "r+b") as stream:
        stream.truncate(100_000)


def spoil(file: pathlib.Path, number: int) -> None:
    """Overwrite an entry within a file of the journal. number: how many entries stay before it."""
    data = file.read_bytes()
    (offset,) = struct.unpack_from("<Q", data, 88)
    (last,) = struct.unpack_from("<Q", data, 136)
    found = []
    while offset <= last:
        kind, size = struct.unpack_from("<B7xQ", data, offset)
        if kind == ENTRY:
            found.append((offset, size))
        offset += (size + 7) // 8 * 8
    offset, size = found[number]
    file.write_bytes(data[:offset] + b"\xff" * size + data[offset + size :])
