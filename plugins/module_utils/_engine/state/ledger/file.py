# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger of a job on its host: files in the folder ``state``.

=======================  ================================================================================================
``<job>.ledger``         the entries, one line each; only ever appended to
``<job>.ledger.head``    where it ends (``chain.Head`` and the size in bytes): what lies beyond it was never acknowledged
``<job>.ledger.key``     0600; the Ed25519 private key, as 64 hexadecimal digits
=======================  ================================================================================================

An append writes its lines, then the head, each to the disk. If it is cut in between, the next one keeps the whole lines beyond the head
and drops the rest. So a run that is killed, or a full disk, leaves a chain that goes on; a file that ends before its head was cut by
somebody else. The caller of an append holds the lock of the job.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
import typing as t

from ...archive.naming import names_of
from ...base.beneath import open_guarded
from ...base.durable import write_all, write_atomically
from ...base.errors import DiskFullError, LogArchiveError
from ...base.units import format_utc
from ..folders import held, is_anothers
from . import chain, parts
from .chain import BROKEN, BrokenLedgerError, Chain, Contents, Entry, Head
from .parts import name_of

if t.TYPE_CHECKING:
    from ...config.document import JobDocument
    from ...crypto.signing import Signer

New = t.Tuple[str, chain.Payload]
"""The op and the payload of an entry that is to be appended."""

_CHUNK = 1 << 20


def exists(state: str, job: str) -> bool:
    """Whether the job has a ledger, or a part of one."""
    return any(os.path.lexists(os.path.join(state, name_of(job, part))) for part in ("", ".head"))


def ledger_of(document: JobDocument) -> Ledger:
    """The ledger of a job: under an earlier name, if the job was renamed and has not run since."""
    state, names = document["state"], names_of(document)
    # While it gets the new name, only one of the two has all parts.
    whole = [name for name in names if all(os.path.lexists(os.path.join(state, name_of(name, part))) for part in ("", ".head"))]
    parts_of_one = [name for name in names if exists(state, name)]
    return Ledger(state, [*whole, *parts_of_one, names[0]][0])


class Ledger:
    """The ledger of a job in the folder ``state``.

    Methods raise BrokenLedgerError if it was changed or cut, DiskFullError, and LogArchiveError if a file cannot be used.
    """

    def __init__(self, state: str, job: str) -> None:
        self._state = state
        self._job = job
        self._head: t.Optional[t.Tuple[Head, int]] = None
        self._signer: t.Optional[Signer] = None

    @property
    def path(self) -> str:
        """The file of the entries."""
        return os.path.join(self._state, name_of(self._job))

    # -- reading ------------------------------------------------------------------------------------------------------

    def head(self) -> t.Optional[Head]:
        """Where the ledger ends; None if there is none. It is compared with the last line, and nothing else is read."""
        with self._folder() as folder:
            found = self._checked_head(folder)
        return None if found is None else found[0]

    def last_line(self) -> t.Optional[bytes]:
        """The line of the last entry; None if there is no ledger. Nothing else is read."""
        with self._folder() as folder:
            found = self._read_head(folder)
            return None if found is None else self._line_before(folder, *found)

    def lines(self, start: int = 0) -> t.Iterator[bytes]:
        """The lines from the entry ``start`` on, up to the head. They are not checked (see ``Chain``)."""
        with self._folder() as folder:
            found = self._checked_head(folder)
            if found is None:
                return
            with parts.opened(folder, self.path) as file:
                left = found[1]
                for seq, line in enumerate(iter(lambda: file.readline(chain.LONGEST_LINE), b"")):
                    left -= len(line)
                    if left < 0:
                        return
                    if seq >= start:
                        yield line

    def replay(self, signatures: bool = False) -> t.Tuple[Contents, Head]:
        """Read the whole ledger, check its chain and its end, and return its content. signatures: check that of every entry."""
        following = Chain(self.path, signatures=signatures)
        contents = Contents()
        for line in self.lines():
            contents.add(following.add(line))
        following.seal()
        head = self.head()
        if head is None or following.head is None:
            raise BrokenLedgerError("the ledger is missing or empty", self.path, BROKEN)
        if following.head != head and not (following.head.ledger == head.ledger and following.head.seq < head.seq):
            raise BrokenLedgerError("the ledger does not end as its head file states", self.path, BROKEN)
        return contents, following.head

    # -- writing ------------------------------------------------------------------------------------------------------

    def recover(self) -> t.Optional[Head]:
        """Complete what an append left that was cut; returns where the ledger ends, None if there is none."""
        with self._folder() as folder, self._failing_clearly():
            self._head = self._recovered(folder)
        return None if self._head is None else self._head[0]

    def begin(self, host: str, after: t.Collection[str] = ()) -> Head:
        """Begin a ledger. after: the ids of those that it replaces. Raises MissingLibraryError without cryptography."""
        with self._folder() as folder, self._failing_clearly():
            self._signer = parts.new_key(folder, self.path + parts.KEY)
            self._head = Head(os.urandom(16).hex(), -1, chain.FIRST_PREV, self._signer.public.hex()), 0
            payload: t.Dict[str, t.Any] = {"host": host, "job": self._job, "key": self._head[0].key}
            if after:
                payload["after"] = sorted(after)
            self._append(folder, [("begin", payload)])
        return self._head[0]

    def append(self, new: t.Sequence[New]) -> t.List[int]:
        """Append entries; returns their numbers. When it returns, they are on the disk."""
        with self._folder() as folder, self._failing_clearly():
            if self._head is None:
                self._head = self._recovered(folder)
            if self._head is None:
                raise BrokenLedgerError("the ledger is missing", self.path, BROKEN)
            first = self._head[0].seq + 1
            self._append(folder, new)
        return list(range(first, first + len(new)))

    def rotate(self) -> Head:
        """Give the ledger a new key, by an entry that the old one signs; the old key is destroyed. Returns the new head."""
        with self._folder() as folder, self._failing_clearly():
            self._head = self._recovered(folder)
            if self._head is None:
                raise LogArchiveError("the job has no ledger yet", self.path, "Its first run that stores an archive begins it")
            signer = parts.new_key(folder, self.path + parts.NEXT_KEY)
            self._append(folder, [("key", {"key": signer.public.hex()})])
            parts.take_next_key(folder, self.path)
            self._signer = None
            return self._head[0]

    def set_aside(self) -> str:
        """Rename the files of the ledger, so that a new one can begin; returns the new path of the entries."""
        mark = ".%s" % time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        with self._folder() as folder, self._failing_clearly():
            for part in ("", ".head", ".key"):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(name_of(self._job, part), name_of(self._job, mark + part), src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        self._head = self._signer = None
        return self.path + mark

    # -- files --------------------------------------------------------------------------------------------------------

    def _folder(self) -> t.ContextManager[int]:
        # Root may look at the ledger of another user, and leaves no trace there.
        return open_guarded(self._state) if is_anothers(self._state) else held(self._state)

    def _read_head(self, folder: int) -> t.Optional[t.Tuple[Head, int]]:
        try:
            with parts.opened(folder, self.path + ".head") as file:
                facts = json.loads(file.read(chain.LONGEST_LINE))
            return Head(*(facts[name] for name in Head._fields)), int(facts["size"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise BrokenLedgerError("the head file of the ledger cannot be read (%s)" % error, self.path + ".head", BROKEN) from None

    def _checked_head(self, folder: int) -> t.Optional[t.Tuple[Head, int]]:
        found = self._read_head(folder)
        if found is None:
            return None
        self._line_before(folder, *found)
        return found

    def _line_before(self, folder: int, head: Head, size: int) -> bytes:
        """The line that ends at ``size``: that of the head."""
        try:
            with parts.opened(folder, self.path) as file:
                there = os.fstat(file.fileno()).st_size
                start = max(0, size - chain.LONGEST_LINE)
                file.seek(start)
                last = file.read(size - start)
        except FileNotFoundError:
            raise BrokenLedgerError("the ledger is missing, but its head file exists", self.path, BROKEN) from None
        if there < size:
            text = "the ledger was cut: it has %d bytes, but its head file states %d (entry %d)"
            raise BrokenLedgerError(text % (there, size, head.seq), self.path, BROKEN)
        line = last[last.rfind(b"\n", 0, -1) + 1 :]
        if chain.sha256_of(line) != head.sha256:
            raise BrokenLedgerError("the last entry of the ledger (%d) was changed" % head.seq, self.path, BROKEN)
        return line

    def _recovered(self, folder: int) -> t.Optional[t.Tuple[Head, int]]:
        found = self._checked_head(folder)
        try:
            file = parts.opened(folder, self.path, os.O_RDWR)
        except FileNotFoundError:
            return None
        with file:
            following = Chain(self.path, None if found is None else found[0])
            good = 0 if found is None else found[1]
            file.seek(good)
            for line in iter(lambda: file.readline(chain.LONGEST_LINE), b""):
                try:
                    following.add(line)
                except BrokenLedgerError:
                    # Half a line, or what a power failure left: nothing was done for it, because the head does not have it.
                    if found is None and good > 0:
                        raise
                    break
                good += len(line)
            if os.fstat(file.fileno()).st_size != good:
                file.truncate(good)
                os.fsync(file.fileno())
        if following.head is None:
            # A run was killed before its first entry was whole. An empty file would be taken for a ledger that somebody emptied.
            os.unlink(name_of(self._job), dir_fd=folder)
            return None
        if found is None or found[1] != good:
            self._write_head(folder, following.head, good)
        return following.head, good

    def _append(self, folder: int, new: t.Sequence[New]) -> None:
        """Write the entries and the head. If that fails, the next call begins with ``_recovered``."""
        head, size = t.cast("t.Tuple[Head, int]", self._head)
        self._head = None
        signer = self._signer = self._signer or parts.load_key(folder, self.path, head.key)
        now = format_utc_now()
        lines = []
        for op, payload in new:
            line = chain.line_of(Entry(head.ledger, head.seq + 1, head.sha256, now, op, payload, ""), signer.sign)
            if len(line) > chain.LONGEST_LINE:
                raise LogArchiveError("an entry has %d bytes; the limit is %d" % (len(line), chain.LONGEST_LINE), self.path)
            head = Head(head.ledger, head.seq + 1, chain.sha256_of(line), payload["key"] if op == "key" else head.key)
            lines.append(line)
        data = b"".join(lines)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(name_of(self._job), flags, 0o600, dir_fd=folder)
        try:
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):  # The next append does it otherwise.
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        self._write_head(folder, head, size + len(data))
        self._head = head, size + len(data)

    def _write_head(self, folder: int, head: Head, size: int) -> None:
        data = chain.canonical(dict(head._asdict(), size=size))
        write_atomically(name_of(self._job, ".head"), data, dir_fd=folder)

    @contextlib.contextmanager
    def _failing_clearly(self) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            self._head = None
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFullError("the ledger cannot be written", self.path, "Free some space; the next run continues") from error
            raise LogArchiveError("the ledger cannot be used: %s" % error.strerror, self.path) from error


def format_utc_now() -> str:
    """The time of an entry."""
    from datetime import datetime, timezone

    return format_utc(datetime.now(timezone.utc))
