# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Entries of the journal, by the program journalctl: each host with a journal has it; the Python binding of libsystemd has no wheels."""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import os
import time
import typing as t
from datetime import datetime, timedelta, timezone

from . import damage
from .export import Entry, entries

if t.TYPE_CHECKING:
    import subprocess

    from ...config.stream_document import JournalOptions

PROGRAM = ("journalctl", "--no-pager", "--output=export")
FOLDERS = ("/var/log/journal", "/run/log/journal")
FILES = (".journal", ".journal~")
"""How the names of files end: journald adds the tilde if it finds a file damaged."""
SETTLED = 0.5
"""Seconds since a file of the journal was last renamed, made or removed: a listing meanwhile can lack a file."""
LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""By PRIORITY: syslog(3)."""
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

Signature = t.FrozenSet[t.Tuple[str, int, int]]


class JournalError(Exception):
    """The journal cannot be read. The text is for people."""


class Reading:
    """A run of journalctl; iterate to get its entries. At the end it raises JournalError if the program failed."""

    def __init__(self, arguments: t.Sequence[str], most: int, wanted: t.Callable[[str], bool]) -> None:
        import subprocess
        import tempfile

        # Not a pipe: nobody reads it while the program runs.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0", **damage.LOGGING},
            )
        except OSError as error:
            self._errors.close()
            raise JournalError("cannot run journalctl: %s" % error.strerror) from None
        if self._process.stdout is None:
            raise AssertionError("the output is a pipe")
        self._entries = entries(t.cast(t.BinaryIO, self._process.stdout), most, wanted)
        self.warning = ""

    def __iter__(self) -> Reading:
        return self

    def __next__(self) -> Entry:
        for entry in self._entries:
            return entry
        code = self._process.wait()
        self.warning = damage.warning_in(self._printed())
        if code:
            raise JournalError("journalctl failed: %s" % (self.warning or "status %d" % code))
        raise StopIteration

    def damaged(self) -> t.Set[str]:
        """The archived files that the program could not read to their end, of those that it has come to."""
        return damage.files_in(self._printed())

    def _printed(self) -> str:
        # Not the position of the stream, at which the program writes.
        return os.pread(self._errors.fileno(), damage.MOST, 0).decode("utf-8", "surrogateescape")

    def close(self) -> None:
        """End the program."""
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


class Journal:
    """The journal of this host, or of a folder. most: bytes of an entry that are kept."""

    def __init__(self, options: JournalOptions, most: int) -> None:
        self._options = options
        self._most = most
        self._command = [*PROGRAM, *(["--directory=" + options["directory"]] if options["directory"] else [])]
        self._matches = ["_SYSTEMD_UNIT=" + unit_name(unit) for unit in options["units"]]
        self._whole = options["lines"] == "entry"

    def after(self, cursor: t.Optional[str]) -> Reading:
        """The entries of the units from this one on, with it."""
        start = [] if cursor is None else ["--cursor=" + cursor]
        return Reading([*self._command, *start, *self._matches], self._most, self._is_wanted)

    def first_from(self, sequence: str, number: int, files: t.Sequence[str]) -> t.Optional[Entry]:
        """The first entry of the units in these files, which have the same numbering, from this number on."""
        start = "--cursor=s=%s;i=%x" % (sequence, number)
        try:
            return self._first_of([*PROGRAM, *("--file=" + glob.escape(path) for path in files), start, *self._matches])
        except JournalError:
            # One of them is damaged. Nothing can be found in that one.
            if len(files) == 1:
                return None
            found = (self.first_from(sequence, number, [path]) for path in files)
            return min(filter(None, found), key=lambda entry: entry.number, default=None)

    def newest(self) -> t.Optional[Entry]:
        """The newest entry of any unit."""
        return self._first("--lines=1")

    def holds(self, cursor: str) -> bool:
        """Whether the journal still has the entry with this cursor. If it has, it has all later ones: the oldest are removed first."""
        found = self._first("--cursor=" + cursor, "--lines=1")
        return found is not None and cursor.startswith("s=%s;i=%x;" % (found.sequence, found.number))

    def _first(self, *arguments: str) -> t.Optional[Entry]:
        return self._first_of([*self._command, *arguments])

    def _first_of(self, command: t.Sequence[str]) -> t.Optional[Entry]:
        reading = Reading(command, 0, lambda _name: False)
        try:
            return next(reading, None)
        finally:
            reading.close()

    def signature(self) -> t.Tuple[Signature, bool]:
        """What changes if an entry is added, and whether the files are settled, so that no listing lacks one."""
        found = set()
        newest = 0.0
        roots = (self._options["directory"],) if self._options["directory"] else FOLDERS
        for root in roots:
            with contextlib.suppress(OSError):
                for folder in [root, *(each.path for each in os.scandir(root) if each.is_dir(follow_symlinks=False))]:
                    newest = max(newest, os.stat(folder).st_mtime)
                    for each in os.scandir(folder):
                        if each.name.endswith(FILES):
                            status = each.stat(follow_symlinks=False)
                            found.add((each.path, status.st_mtime_ns, status.st_size))
        return frozenset(found), abs(time.time() - newest) >= SETTLED

    def line(self, entry: Entry) -> t.Tuple[bytes, int]:
        """The line of an entry, and its whole length: longer if the line is cut."""
        if self._whole:
            data = _as_object(entry)
            missing = sum(field.length - len(field.value) for field in entry.fields)
            return data, len(data) + missing
        for field in entry.fields:
            if field.name == "MESSAGE":
                return field.value, field.length
        return b"", 0

    def _is_wanted(self, name: str) -> bool:
        return self._whole or name == "MESSAGE"


def files_of(signature: Signature) -> t.FrozenSet[str]:
    """The files of the journal."""
    return frozenset(path for path, _modified, _size in signature)


def unit_name(unit: str) -> str:
    """The full name of a unit."""
    return unit if "." in unit else unit + ".service"


def _as_object(entry: Entry) -> bytes:
    """An entry as a JSON object: ``time``, ``level`` and ``message``, and all fields under their own names, as ``journalctl -o json``."""
    found: t.Dict[str, t.Any] = {"time": (_EPOCH + timedelta(microseconds=entry.realtime)).isoformat(timespec="microseconds")}
    for name, group in itertools.groupby(sorted(entry.fields, key=lambda field: field.name), key=lambda field: field.name):
        values = [_as_json(field.value) for field in group]
        value = values[0] if len(values) == 1 else values
        if name == "PRIORITY" and isinstance(value, str) and value.isdigit() and int(value) < len(LEVELS):
            found["level"] = LEVELS[int(value)]
        elif name == "MESSAGE":
            found["message"] = value
        else:
            found[name] = value
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _as_json(value: bytes) -> t.Union[str, t.List[int]]:
    """A text; bytes that are none as numbers."""
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return list(value)
    return list(value) if "\0" in text else text
