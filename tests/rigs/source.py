# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A writer of logs that rotates in every way, and the simple model of what a follower must have of it.

``written`` counts each line by its number. A line is in ``endangered`` from the moment on at which the source destroyed it, if it was not
stored by then: it may be missing, but then there must be a gap, unless the line came and went between two looks (``seen`` has the others).
gentle: nothing was truncated or removed yet.
"""

from __future__ import annotations

import collections
import gzip
import json
import os
import pathlib
import shutil
import typing as t

TABLES = ("sftpgo_transfer", "sftpgo_command", "sftpgo_login", "sftpgo_failed_login")
"""Where the lines go; each has its number in the column ``extra``."""
PARSE = {"profile": "sftpgo", "timezone": "UTC"}
"""How a stream must parse them."""


def line(number: int, size: int = 0) -> bytes:
    """A line of one of the classes of SFTPGo's log."""
    time = "2026-11-03T%02d:59:58.%03d" % (number // 40 % 24, number % 1000)
    user, address = "user%d" % (number % 3), "198.51.100.%d" % (number % 4)
    common = {"remote_addr": address + ":50412", "username": user, "protocol": "SFTP"}
    sender, fields = (
        ("Upload", {**common, "size_bytes": number}),
        ("Download", {**common, "size_bytes": number}),
        ("Upload", {**common, "size_bytes": number, "error": "quota exceeded"}),
        ("Remove", {**common, "virtual_target_path": ""}),
        ("login", {"ip": address, "username": user, "method": "password"}),
        ("connection_failed", {"client_ip": address, "username": "root", "login_type": "password"}),
    )[number % 6]
    text = json.dumps({"time": time, "sender": sender, **fields, "n": number, "more": "x" * size}, separators=(",", ":"))
    return text.encode() + b"\n"


def stored(select: t.Callable[[str], t.Iterable[t.Sequence[t.Any]]]) -> t.Counter[int]:
    """How often the line of each number is stored. select: executes a SELECT in the sink."""
    found: t.Counter[int] = collections.Counter()
    for table in TABLES:
        for (extra,) in select("SELECT extra FROM " + table):
            found[(json.loads(extra) if isinstance(extra, (str, bytes)) else extra)["n"]] += 1
    return found


class Source:
    """A folder with the live file ``app.log`` and its rotated files. stored: returns how often the sink has the line of each number now."""

    def __init__(self, folder: pathlib.Path, stored: t.Callable[[], t.Counter[int]]) -> None:
        self.folder = folder
        self.live = folder / "app.log"
        self._stored = stored
        self._position = 0
        self._append = True
        self._number = 0
        self._names = 0
        self.written: t.Counter[int] = collections.Counter()
        self.endangered: t.Set[int] = set()
        self.seen: t.Set[int] = set()
        self._in: t.Dict[pathlib.Path, t.List[int]] = {self.live: []}
        self._partial, self._part_of = b"", 0
        self.gentle = True
        folder.mkdir(parents=True, exist_ok=True)
        self.live.touch()

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, count: int, size: int = 0, twice: bool = False) -> None:
        """Append lines; twice: each of them twice, byte for byte."""
        data = b""
        for _each in range(count):
            self._number += 1
            data += line(self._number, size) * (2 if twice else 1)
            self.written[self._number] += 2 if twice else 1
            self._in[self.live] += [self._number]
        self._put(self._partial + data)
        self._partial = b""

    @property
    def numbers(self) -> int:
        """How many different lines were begun."""
        return self._number

    def write_part(self) -> None:
        """Write the first half of a line; the next write completes it."""
        if not self._partial:
            self._number += 1
            text = line(self._number)
            self.written[self._number] += 1
            self._in[self.live] += [self._number]
            self._put(text[:20])
            self._partial, self._part_of = text[20:], self._number

    def complete(self) -> None:
        """Write the rest of a line."""
        self.write(0)

    def use_append(self, append: bool) -> None:
        """Whether the writer has opened its file with O_APPEND."""
        self._append = append
        self._position = self.live.stat().st_size

    def _put(self, data: bytes) -> None:
        if data:
            fd = os.open(self.live, os.O_WRONLY | (os.O_APPEND if self._append else 0))
            try:
                os.pwrite(fd, data, self._position) if not self._append else os.write(fd, data)
            finally:
                os.close(fd)
            self._position += len(data)

    def note_look(self) -> None:
        """The follower looks now: from now on it can know of the whole lines that are there."""
        for numbers in self._in.values():
            self.seen.update(numbers)
        if self._partial:
            self.seen.discard(self._part_of)

    # -- rotating -----------------------------------------------------------------------------------------------------

    def rename(self) -> pathlib.Path:
        """Rotate as lumberjack does: rename, then create."""
        self.complete()
        target = self._new_name()
        self.live.rename(target)
        self._in[target] = self._in[self.live]
        self._start_live()
        return target

    def copytruncate(self) -> pathlib.Path:
        """Rotate as logrotate's copytruncate does. A writer without O_APPEND goes on at its old position."""
        self.gentle = False
        self.complete()
        target = self._new_name()
        shutil.copyfile(self.live, target)
        self._in[target] = self._in[self.live]
        os.truncate(self.live, 0)
        self._in[self.live] = []
        if self._append:
            self._position = 0
        return target

    def truncate(self) -> None:
        """Throw away the content of the live file."""
        self.gentle = False
        self.complete()
        self._endanger(self.live)
        os.truncate(self.live, 0)
        self._in[self.live] = []
        if self._append:
            self._position = 0

    def lose_end(self, share: float) -> None:
        """The live file loses all lines behind a share of those after its first KiB, as in a crash of the host."""
        self.complete()
        data = self.live.read_bytes()
        first = len(data) - len(data.lstrip(b"\0")) + 1024
        ends = [at + 1 for at in range(first, len(data)) if data[at : at + 1] == b"\n"]
        # Not between a line and its twin: the model does not know which one is stored.
        ends = [end for end in ends if data[: end - 1].rpartition(b"\n")[2] != data[end:].partition(b"\n")[0]]
        if not ends:
            return
        self.gentle = False
        end = ends[int(share * (len(ends) - 1))]
        kept = {json.loads(text.lstrip(b"\0"))["n"] for text in data[:end].split(b"\n")[:-1]}
        lost = {json.loads(text.lstrip(b"\0"))["n"] for text in data[end:].split(b"\n")[:-1]}
        self._endanger(self.live, lost)
        # If none of it was read, a follower that was killed cannot know of it.
        self.seen -= lost
        os.truncate(self.live, end)
        self._in[self.live] = [number for number in self._in[self.live] if number in kept]
        if self._append:
            self._position = end

    def compress(self) -> None:
        """Compress the oldest plain rotated file in place: the compressed one grows, then the plain one goes."""
        path = self._pick(compressed=False)
        if path is not None:
            target = path.with_name(path.name + ".gz")
            data = gzip.compress(path.read_bytes())
            target.write_bytes(data[: len(data) // 2])
            target.write_bytes(data)
            path.unlink()
            self._in[target] = self._in.pop(path)

    def remove_oldest(self) -> None:
        """Remove the oldest rotated file, read or not."""
        path = self._pick(compressed=None)
        if path is not None:
            self.gentle = False
            self._endanger(path)
            path.unlink()
            del self._in[path]

    def restore_copy(self) -> None:
        """Put a copy of a rotated file beside it: its lines are not new."""
        path = self._pick(compressed=False)
        if path is not None:
            target = path.with_name(self._new_name().name)
            shutil.copyfile(path, target)
            self._in[target] = self._in[path]

    def move_folder_in(self, count: int) -> None:
        """A whole folder appears, with a live and a rotated file."""
        self._names += 1
        outside = self.folder.parent / "outside"
        outside.mkdir()
        for name in ("app.log", "app-old.log"):
            numbers = list(range(self._number + 1, self._number + 1 + count))
            self._number += count
            (outside / name).write_bytes(b"".join(map(line, numbers)))
            self.written.update(numbers)
            self._in[self.folder / ("moved%d" % self._names) / name] = numbers
        outside.rename(self.folder / ("moved%d" % self._names))

    def _start_live(self) -> None:
        self.live.touch()
        self._in[self.live] = []
        self._position = 0

    def _new_name(self) -> pathlib.Path:
        self._names += 1
        return self.folder / ("app-%03d.log" % self._names)

    def _pick(self, compressed: t.Optional[bool]) -> t.Optional[pathlib.Path]:
        for path in sorted(self._in, key=lambda each: each.name):
            if path.name != "app.log" and compressed in (None, path.suffix == ".gz"):
                return path
        return None

    def _endanger(self, path: pathlib.Path, lost: t.Optional[t.Set[int]] = None) -> None:
        """lost: the numbers of the lines; None: all of the file."""
        elsewhere = {number for other, numbers in self._in.items() if other != path for number in numbers}
        stored = self._stored()
        # Of a line that was written twice, only the first one may be stored yet.
        numbers = set(self._in[path]) if lost is None else lost
        self.endangered |= {number for number in numbers - elsewhere if stored[number] < self.written[number]}
