# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second process that parses most of the lines of a large backlog: Python runs one thread at a time.

It gets lines, puts their rows and sums into staging tables in files, and returns how many rows they are and which lines are rejected. It
opens neither a log nor the database, so nothing is lost with it: if it dies, hangs or fails, the pump reads the lines again without it.
It ends at the end of its input, so also when the other process dies.

A message is ``marshal`` data behind its length (both processes are the same Python): https://docs.python.org/3/library/marshal.html.
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import select
import signal
import struct
import sys
import typing as t

from ..checkpoint import Staged
from ..records.parser import LineParser
from ..records.tables import with_generation
from .sums import sums_of_rows

if t.TYPE_CHECKING:
    import subprocess

    from ...config.stream_document import StreamDocument
    from ..records.sftpgo_fast import Line
    from .staging import Staging

LENGTH = struct.Struct("=Q")
FORMAT = 2
"""Of ``marshal``: the later ones look up each object among those before it, which takes twice as long."""
PATIENCE = 60
"""Seconds without a byte after which the process counts as hanging: a batch takes it a few hundredths of one."""
PIPE = 1 << 20
"""Bytes that a pipe holds, if the system allows it: about as many as a message."""
SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ, which has a name in Python from 3.10 on."""


class HelperError(Exception):
    """The process that helps to parse a backlog cannot be used any more. Nothing is lost: what it was sent is read again."""


class Part(t.NamedTuple):
    """What the process did. refused: the offset, the reason and the detail of each line that is rejected."""

    staged: t.List[Staged]
    refused: t.List[t.Tuple[int, str, str]]


class Helper:
    """The process, as the one that uses it sees it. staging: its staging tables; the other process makes them, this one attaches them.

    Its constructor and every method raise HelperError; after an error of a method, call ``close``.
    """

    def __init__(self, document: StreamDocument, staging: Staging, has_sums: bool) -> None:
        import subprocess

        code = "import sys; sys.path[:] = %r; from %s import serve; serve()" % (sys.path, __name__)
        # The last argument is for people who look at the list of processes.
        command = [sys.executable, "-I", "-X", "utf8", "-c", code, "helper of the stream %s" % document["name"]]
        self._staging = staging
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except (OSError, ValueError) as error:
            raise HelperError("it cannot be started: %s" % error) from error
        self._input, self._output = (t.cast("t.IO[bytes]", pipe).fileno() for pipe in (self._process.stdin, self._process.stdout))
        for pipe in (self._input, self._output):
            os.set_blocking(pipe, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, SET_PIPE_SIZE, PIPE)
        self._is_ready = False
        try:
            self._send((document, staging.tables, staging.paths, has_sums))
        except HelperError:
            self.close()
            raise

    @property
    def is_ready(self) -> bool:
        """Whether it has started. It takes a moment, in which this process goes on without it."""
        if not self._is_ready and select.select([self._output], [], [], 0)[0]:
            self._receive()
            self._is_ready = True
        return self._is_ready

    def send(self, generation: int, first_line: bytes, lines: t.Sequence[Line]) -> None:
        """Have lines parsed. first_line: of their file. Then call ``receive``, before the next lines are sent."""
        self._send((generation, self._staging.turn(), first_line, lines))

    def receive(self) -> Part:
        """What became of the lines."""
        staged, refused = self._receive()
        return Part([Staged(*each) for each in staged], refused)

    def close(self) -> None:
        """End the process. What it was sent and has not returned is lost."""
        self._process.kill()
        with self._process:
            pass

    def _receive(self) -> t.Any:
        with self._failures():
            found = marshal.loads(self._read(LENGTH.unpack(self._read(LENGTH.size))[0]))
        if found is None:
            raise HelperError("it failed")
        return found

    def _send(self, message: t.Any) -> None:
        with self._failures():
            data = marshal.dumps(message, FORMAT)
            rest = memoryview(LENGTH.pack(len(data)) + data)
            while rest:
                self._wait(self._input, select.POLLOUT)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._input, rest) :]

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            self._wait(self._output, select.POLLIN)
            count = os.readv(self._output, [rest])
            if not count:
                raise EOFError
            rest = rest[count:]
        return data

    def _wait(self, pipe: int, event: int) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(PATIENCE * 1000):
            raise TimeoutError("no answer within %d seconds" % PATIENCE)

    @contextlib.contextmanager
    def _failures(self) -> t.Iterator[None]:
        try:
            yield
        except (EOFError, BrokenPipeError):
            with contextlib.suppress(Exception):
                self._process.wait(5)
            raise HelperError("it ended with status %s" % self._process.returncode) from None
        except (OSError, ValueError) as error:
            raise HelperError(str(error)) from error


def serve() -> None:
    """The process itself: parse what standard input has, until its end."""
    import gc

    from .staging import Staging

    # A signal to the group, such as control-C or the stop of a service, is for the other process, which then ends this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(50_000)
    with open(0, "rb", closefd=False) as source, contextlib.suppress(BrokenPipeError):
        document, tables, paths, has_sums = marshal.loads(_message(source))
        parser = LineParser(document)
        staging = Staging(tables, paths)
        staging.open()
        _answer(True)
        while True:
            request = _message(source)
            if not request:
                return
            _answer(_parsed(parser, staging, has_sums, *marshal.loads(request)))


def _message(source: t.IO[bytes]) -> bytes:
    head = source.read(LENGTH.size)
    return source.read(LENGTH.unpack(head)[0]) if len(head) == LENGTH.size else b""


def _answer(message: t.Any) -> None:
    data = marshal.dumps(message, FORMAT)
    rest = memoryview(LENGTH.pack(len(data)) + data)
    while rest:
        rest = rest[os.write(1, rest) :]


def _parsed(
    parser: LineParser, staging: Staging, has_sums: bool, generation: int, turn: int, first_line: bytes, lines: t.Sequence[Line]
) -> t.Optional[t.Tuple[t.Any, ...]]:
    """What ``receive`` gets. None if it fails: the other process parses these lines, too, and reports why."""
    try:
        parser.begin(first_line)
        rows, refused = parser.parse_lines(lines)
        staged = [staging.fill(turn, name, with_generation(generation, given)) for name, given in rows.items()]
        for table, added in sums_of_rows(generation, rows) if has_sums else ():
            staged.append(staging.fill(turn, table.name, added)._replace(rows=0))
    except Exception:
        return None
    return list(map(tuple, staged)), [(offset, error.reason, error.detail) for (offset, _line), error in refused]
