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
import time
import typing as t

TABLES = ("sftpgo_transfer", "sftpgo_command", "sftpgo_login", "sftpgo_failed_login")
"""Where the lines go; each has its number in the column ``extra``."""
Step = t.Callable[[], t.Any]
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
        self._read: t.Set[str] = set()
        self.gentle = True
        self._is_new_version = False
        folder.mkdir(parents=True, exist_ok=True)
        self.live.touch()

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, count: int, size: int = 0, twice: bool = False) -> None:
        """Append lines; twice: each of them twice, byte for byte."""
        lines = []
        for _each in range(count):
            self._number += 1
            lines += [line(self._number, size)] * (2 if twice else 1)
            self.written[self._number] += 2 if twice else 1
            self._in[self.live] += [self._number]
        self._put(self._partial + b"".join(lines))
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
        self._is_new_version = False
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
        # Without a look, another file that is shorter is not known to be the log.
        if not ends or self._is_new_version:
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

    def note_read(self, paths: t.Iterable[str]) -> None:
        """Files that the follower has read to their end."""
        self._read = set(paths)

    def remove_read(self) -> None:
        """Remove the oldest rotated file that was read: nothing is lost."""
        read = self._read
        # It may have been compressed since then.
        for path in sorted(self._in, key=lambda each: each.name):
            if path.name != "app.log" and not read.isdisjoint((str(path), str(path).removesuffix(".gz"))):
                path.unlink()
                del self._in[path]
                return

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
            numbers = self._next_numbers(count)
            (outside / name).write_bytes(b"".join(map(line, numbers)))
            self._in[self.folder / ("moved%d" % self._names) / name] = numbers
        outside.rename(self.folder / ("moved%d" % self._names))

    # -- in several steps: ``between`` is called between them -----------------------------------------------------------

    def compress_slowly(self, between: Step) -> None:
        """Compress the oldest plain rotated file in place, beside the plain one."""
        path = self._pick(compressed=False)
        if path is not None:
            target = path.with_name(path.name + ".gz")
            self._grow(target, gzip.compress(path.read_bytes()), between)
            between()
            path.unlink()
            self._in[target] = self._in.pop(path)

    def arrive_compressed(self, between: Step) -> None:
        """A compressed file comes from elsewhere, half of it first. It may count as damaged until the rest is there."""
        self.gentle = False
        numbers = self._next_numbers(12)
        target = self._new_name().with_suffix(".log.gz")
        self._grow(target, gzip.compress(b"".join(map(line, numbers))), between)
        self._in[target] = numbers

    def copytruncate_late(self, between: Step) -> None:
        """Lines are written between the copy and the truncation."""
        self.gentle = False
        self.complete()
        target = self._new_name()
        shutil.copyfile(self.live, target)
        self._in[target] = list(self._in[self.live])
        between()
        self.write(3)
        between()
        self.truncate()

    def link(self, between: Step) -> None:
        """Rotate by a hard link: for a moment the file has both names, and then the live name is missing."""
        self.complete()
        target = self._new_name()
        os.link(self.live, target)
        self._in[target] = self._in[self.live]
        between()
        self.live.unlink()
        between()
        self._start_live()

    def replace(self, between: Step) -> None:
        """An editor or rsync writes a new version, with more lines at its end, and gives it the name of the live file."""
        self.complete()
        numbers = self._next_numbers(2)
        version = self.live.with_name(".app.log.new")
        version.write_bytes(self.live.read_bytes() + b"".join(map(line, numbers)))
        between()
        version.rename(self.live)
        self._in[self.live] += numbers
        self._position = self.live.stat().st_size
        self._is_new_version = True

    def rename_to_folder(self, between: Step) -> None:
        """Rotate into a subfolder, and compress there."""
        path = self.rename()
        target = self.folder / "old" / (path.name + ".gz")
        target.parent.mkdir(exist_ok=True)
        between()
        moved = path.rename(target.with_suffix(""))
        self._in[moved] = self._in.pop(path)
        between()
        target.write_bytes(gzip.compress(moved.read_bytes()))
        moved.unlink()
        self._in[target] = self._in.pop(moved)

    def compress_into_folder(self, between: Step) -> None:
        """Compress the oldest plain rotated file, and move it to a subfolder at once."""
        path = self._pick(compressed=False)
        between()
        if path is not None:
            target = self.folder / "old" / (path.name + ".gz")
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
            self._in[target] = self._in.pop(path)

    def shred(self, between: Step) -> None:
        """Rotate, compress, and overwrite the plain file before it is removed. It may be read ahead just then."""
        self.gentle = False
        path = self.rename()
        between()
        target = path.with_name(path.name + ".gz")
        target.write_bytes(gzip.compress(path.read_bytes()))
        path.write_bytes(b"\x5a" * path.stat().st_size)
        os.truncate(path, 0)
        path.unlink()
        self._in[target] = self._in.pop(path)

    def rename_under_the_writer(self, between: Step) -> None:
        """The writer goes on in the renamed file for a while."""
        target = self.rename()
        between()
        numbers = self._next_numbers(3)
        with open(target, "ab") as file:
            file.write(b"".join(map(line, numbers)))
        self._in[target] += numbers

    def hide_behind_link(self, between: Step) -> None:
        """Another place for the live file, and a symbolic link to it in its old one; and back."""
        self._hide(between, lambda: self.live.symlink_to(self.folder.parent / "hidden"), self.live.unlink)

    def hide_behind_folder(self, between: Step) -> None:
        """The same with a folder."""
        self._hide(between, self.live.mkdir, self.live.rmdir)

    def hide_behind_pipe(self, between: Step) -> None:
        """The same with a named pipe."""
        self._hide(between, lambda: os.mkfifo(self.live), self.live.unlink)

    def _hide(self, between: Step, put: Step, remove: Step) -> None:
        self.gentle = False
        self.complete()
        hidden = self.folder.parent / "hidden"
        self.live.rename(hidden)
        numbers = self._in.pop(self.live)
        put()
        between()
        remove()
        between()
        hidden.rename(self.live)
        self._in[self.live] = numbers

    def decompress(self, between: Step) -> None:
        """Decompress the oldest compressed file, and remove it then."""
        path = self._pick(compressed=True)
        if path is not None and path.with_suffix("") not in self._in:
            target = path.with_suffix("")
            data = gzip.decompress(path.read_bytes())
            # A part of a line is a line after a minute.
            self._grow(target, data, between, data.find(b"\n", len(data) // 2) + 1)
            self._in[target] = self._in[path]
            between()
            path.unlink()
            del self._in[path]

    def shift_names(self, between: Step) -> None:
        """Each rotated file gets the name of the next one, as with numbered backups."""
        paths = [path for path in self._in if path.parent == self.folder and path.name != "app.log"]
        stems = sorted({path.name.split(".")[0] for path in paths})
        for stem, after in zip(reversed(stems), reversed([*stems[1:], self._new_name().stem])):
            for path in paths:
                if path.name.split(".")[0] == stem:
                    target = path.with_name(after + path.name[len(stem) :])
                    path.rename(target)
                    self._in[target] = self._in.pop(path)
            between()

    def rename_folder(self, between: Step) -> None:
        """A folder gets another name, and with it its files."""
        folders = sorted({path.parent for path in self._in} - {self.folder})
        if folders:
            self._names += 1
            target = self.folder / ("moved%d" % self._names)
            folders[0].rename(target)
            for path in [path for path in self._in if path.parent == folders[0]]:
                self._in[target / path.name] = self._in.pop(path)
            between()

    def restore_old(self, between: Step) -> None:
        """A copy of a rotated file, made now, comes back when the file is gone."""
        path = self._pick(compressed=False)
        if path is not None:
            data, numbers = path.read_bytes(), list(self._in[path])
            self.remove_oldest()
            between()
            target = path.with_name(self._new_name().name)
            target.write_bytes(data)
            self._in[target] = numbers

    def change_time(self, between: Step) -> None:
        """The time of the oldest rotated file is one of a clock that was set back, then one of a clock that runs ahead."""
        path = self._pick(compressed=None)
        if path is not None:
            for offset in (-100_000, 100_000):
                moment = time.time() + offset
                os.utime(path, (moment, moment))
                between()

    def _grow(self, path: pathlib.Path, data: bytes, between: Step, half: t.Optional[int] = None) -> None:
        half = len(data) // 2 if half is None else half
        path.write_bytes(data[:half])
        between()
        with open(path, "ab") as file:
            file.write(data[half:])

    def _next_numbers(self, count: int) -> t.List[int]:
        """Numbers of new lines, which are written now."""
        numbers = list(range(self._number + 1, self._number + 1 + count))
        self._number += count
        self.written.update(numbers)
        return numbers

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
