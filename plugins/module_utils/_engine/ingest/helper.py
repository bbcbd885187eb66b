# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second process that stores every other batch of a large backlog: Python runs one thread at a time.

It gets the lines of a batch and the position to move, parses the lines, and stores rows and position over its own connection when it is
told to. It opens no log. If it dies, hangs or fails, the sink has its batch or does not have it, and the position with it: the pump reads
the position again and goes on without it. It ends at the end of its input, so also when the other process dies.

The lines are in a file in memory that both have open (``memfd_create``), in one of two places: so this process writes the next ones while
the other one still stores those before. The messages are ``marshal`` data behind their length (both processes are the same Python):
https://docs.python.org/3/library/marshal.html.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import select
import signal
import struct
import sys
import typing as t

from ..base.errors import LogArchiveError
from .checkpoint import Batch, Gap, Generation, Place, Stored, stored_of
from .reading import parsed_parts
from .records.parser import LineParser
from .sinks import base
from .sinks.base import SinkError, SinkFullError
from .sinks.opening import open_sink
from .tail.lines import Block, Long

if t.TYPE_CHECKING:
    import subprocess

    from ..config.stream_document import SinkOptions, StreamDocument
    from .source import Read

LENGTH = struct.Struct("=Q")
STORE = None
"""The message that has the process store what it was sent."""
DONE, FAILED = "done", "failed"
"""How an answer begins. If the sink failed, it begins with the name of the error."""
FORMAT = 2
"""Of ``marshal``: the later ones look up each object among those before it, which takes twice as long."""
PATIENCE = 60.0
"""Seconds without a byte after which the process counts as hanging: it stores a batch within tenths of one, unless the sink waits."""
PLACE = 1 << 26
"""Bytes between the two places for lines: many times those of a batch. What is not written takes no memory; ``ulimit -f`` counts it."""


class HelperError(Exception):
    """The other process cannot be used any more. Nothing is lost: what it did not store is read again."""


class Helper:
    """The process, as the one that uses it sees it. options: of the sink.

    Its constructor and every method raise HelperError; after an error of a method, call ``close``.
    """

    def __init__(self, document: StreamDocument, options: SinkOptions) -> None:
        import subprocess

        try:
            self._lines = os.memfd_create("lines", os.MFD_CLOEXEC)
        except (AttributeError, OSError) as error:
            raise HelperError("no file in memory can be made: %s" % error) from error
        self._place = 0
        code = "import sys; sys.path[:] = %r; from %s import serve; serve(%d)" % (sys.path, __name__, self._lines)
        # The last argument is for people who look at the list of processes.
        command = [sys.executable, "-I", "-X", "utf8", "-c", code, "helper of the stream %s" % document["name"]]
        try:
            self._process: subprocess.Popen[bytes] = subprocess.Popen(
                command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[self._lines]
            )
        except (OSError, ValueError) as error:
            os.close(self._lines)
            raise HelperError("it cannot be started: %s" % error) from error
        self._input, self._output = (t.cast("t.IO[bytes]", pipe).fileno() for pipe in (self._process.stdin, self._process.stdout))
        for pipe in (self._input, self._output):
            os.set_blocking(pipe, False)
        self._is_ready = False
        try:
            self._send((document, options))
        except HelperError:
            self.close()
            raise

    @property
    def is_ready(self) -> bool:
        """Whether it has started. It takes a moment, in which this process goes on without it."""
        if not self._is_ready and select.select([self._output], [], [], 0)[0]:
            self._receive(PATIENCE)
            self._is_ready = True
        return self._is_ready

    def send(self, reading: Read) -> None:
        """Send lines, which the process parses once it has stored those before. Then call ``store`` and ``receive``."""
        batch, piece = reading.batch, reading.piece
        given = batch.before, _plain(batch.generation), [tuple(gap) for gap in batch.gaps]
        blocks, at = [], self._place
        with self._failures():
            for block in piece.blocks:
                size = len(block.data)
                if os.pwrite(self._lines, block.data, at) != size:
                    raise OSError("no memory is left for the lines")
                blocks.append((block.offset, at, size))
                at += size
        self._place = PLACE - self._place
        self._send((*given, reading.first_line, piece.lines, [tuple(each) for each in piece.long], blocks))

    def store(self) -> None:
        """Tell the process to store what it was sent: everything before that is stored."""
        with contextlib.suppress(HelperError):
            # ``receive`` meets the same failure.
            self._send(STORE)

    def receive(self, batch: Batch, patience: float) -> Stored:
        """What became of the batch that was sent. patience: in seconds. Raises what the sink raised there: SinkError or SinkFullError."""
        kind, found = self._receive(patience)
        if kind != DONE:
            raise getattr(base, kind)(*found)
        generation, rows, rejected, first_rejected = found
        return Stored(_generation_of(generation), rows, rejected, first_rejected, batch.gaps)

    def close(self) -> None:
        """End the process. What it was sent and has not returned is lost."""
        os.close(self._lines)
        self._process.kill()
        with self._process:
            pass

    def _receive(self, patience: float) -> t.Tuple[str, t.Any]:
        with self._failures():
            kind, found = marshal.loads(self._read(LENGTH.unpack(self._read(LENGTH.size, patience))[0], patience))
        if kind == FAILED:
            raise HelperError("it failed: %s" % found)
        return kind, found

    def _send(self, message: t.Any) -> None:
        with self._failures():
            rest = _framed(message)
            while rest:
                self._wait(self._input, select.POLLOUT, PATIENCE)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[os.write(self._input, rest) :]

    def _read(self, length: int, patience: float) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            self._wait(self._output, select.POLLIN, patience)
            count = os.readv(self._output, [rest])
            if not count:
                raise EOFError
            rest = rest[count:]
        return data

    def _wait(self, pipe: int, event: int, patience: float) -> None:
        poll = select.poll()
        poll.register(pipe, event)
        if not poll.poll(patience * 1000):
            raise TimeoutError("no answer within %d seconds" % patience)

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


def _framed(message: t.Any) -> memoryview:
    """A message with its length before it."""
    data = marshal.dumps(message, FORMAT)
    return memoryview(LENGTH.pack(len(data)) + data)


def _plain(generation: Generation) -> t.Tuple[t.Any, ...]:
    """A generation as ``marshal`` takes it."""
    return tuple(generation._replace(place=t.cast(Place, tuple(generation.place))))


def _generation_of(values: t.Sequence[t.Any]) -> Generation:
    """The generation that ``_plain`` made such a tuple of."""
    generation = Generation(*values)
    return generation._replace(place=Place(*generation.place))


def serve(lines: int) -> None:
    """The process itself: parse what standard input has, and store it when that says so, until its end. lines: the file in memory."""
    import gc

    # A signal to the group, such as control-C or the stop of a service, is for the other process, which then ends this one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    gc.set_threshold(50_000)
    with contextlib.suppress(BrokenPipeError, EOFError):
        try:
            document, options = _message()
            parser = LineParser(document)
            with contextlib.closing(open_sink(options, document)) as sink:
                _answer((DONE, None))
                while True:
                    _answer(_served(parser, sink, lines))
        except (BrokenPipeError, EOFError):
            raise
        except Exception as error:
            # Another error than ours may hold a line. The other process reads the same lines, and reports it.
            _answer((FAILED, str(error) if isinstance(error, LogArchiveError) else type(error).__name__))


def _message() -> t.Any:
    return marshal.loads(_input(LENGTH.unpack(_input(LENGTH.size))[0]))


def _input(length: int) -> bytearray:
    data = bytearray(length)
    rest = memoryview(data)
    while rest:
        count = os.readv(0, [rest])
        if not count:
            raise EOFError
        rest = rest[count:]
    return data


def _answer(message: t.Any) -> None:
    rest = _framed(message)
    while rest:
        rest = rest[os.write(1, rest) :]


def _served(parser: LineParser, sink: base.Sink, lines: int) -> t.Tuple[str, t.Tuple[t.Any, ...]]:
    """What ``receive`` gets for the next batch."""
    before, generation, gaps, first_line, single, long, blocks = _message()
    batch = Batch(before, _generation_of(generation), {}, (), [Gap(*gap) for gap in gaps])
    read = (Block(offset, os.pread(lines, length, at)) for offset, at, length in blocks)
    try:
        batch = sink.stage_batch(batch, parsed_parts(parser, first_line, single, [Long(*each) for each in long], read))
        _message()
        stored = stored_of(batch, sink.commit(batch))
    except (SinkError, SinkFullError) as error:
        kind = next(each.__name__ for each in type(error).__mro__ if hasattr(base, each.__name__))
        return kind, (error.message, error.subject, error.hint)
    return DONE, (_plain(stored.generation), stored.rows, stored.rejected, stored.first_rejected)
