# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP proxy that makes a server as far away as its round trip time says, in a process of its own: benchmarks must not share its GIL.

Bytes arrive half a round trip after they were sent, in both directions, at any rate: a line that is long and wide. A connection is there
one round trip after it was asked for.
"""

from __future__ import annotations

import collections
import contextlib
import pathlib
import selectors
import socket
import sys
import time
import typing as t

from .processes import HOST, Daemon, free_port

PIECE = 1 << 18
MOST_UNDER_WAY = 64 << 20
"""Bytes of one direction that the line holds; more wait at the sender."""


class _Line:
    """One direction of a connection. open_at: when the first byte may leave."""

    def __init__(self, source: socket.socket, sink: socket.socket, open_at: float) -> None:
        self.source = source
        self.sink = sink
        self.open_at = open_at
        self.under_way: t.Deque[t.Tuple[float, memoryview]] = collections.deque()
        self.size = 0
        self.ended = False

    def read(self, delay: float) -> None:
        data = self.source.recv(PIECE)
        self.under_way.append((max(time.monotonic(), self.open_at) + delay, memoryview(data)))
        self.size += len(data)
        self.ended = not data

    def write(self, now: float) -> None:
        while self.under_way and self.under_way[0][0] <= now:
            due, data = self.under_way[0]
            if not data:
                self.sink.shutdown(socket.SHUT_WR)
                self.under_way.popleft()
                return
            sent = self.sink.send(data)
            self.size -= sent
            if sent < len(data):
                self.under_way[0] = (due, data[sent:])
                return
            self.under_way.popleft()

    @property
    def is_done(self) -> bool:
        return self.ended and not self.under_way


def serve(port: int, target: int, round_trip: float) -> None:
    """Pass connections to ``port`` on to ``target`` until the process is ended."""
    delay = round_trip / 2
    lines: t.List[_Line] = []
    with socket.create_server((HOST, port), backlog=128) as listener:
        while True:
            now = time.monotonic()
            due = min((line.under_way[0][0] for line in lines if line.under_way), default=now + 60)
            with selectors.DefaultSelector() as selector:
                selector.register(listener, selectors.EVENT_READ)
                wanted: t.Dict[socket.socket, int] = {}
                for line in lines:
                    if not line.ended and line.size < MOST_UNDER_WAY:
                        wanted[line.source] = wanted.get(line.source, 0) | selectors.EVENT_READ
                    if line.under_way and line.under_way[0][0] <= now:
                        wanted[line.sink] = wanted.get(line.sink, 0) | selectors.EVENT_WRITE
                for connection, events in wanted.items():
                    selector.register(connection, events)
                ready = {key.fileobj: events for key, events in selector.select(max(0.0, due - now) if due > now else None)}
            if listener in ready:
                client, _address = listener.accept()
                server = socket.create_connection((HOST, target))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    end.setblocking(False)
                lines += [_Line(client, server, time.monotonic() + round_trip), _Line(server, client, 0.0)]
            for line in lines:
                try:
                    if ready.get(line.source, 0) & selectors.EVENT_READ and not line.ended and line.size < MOST_UNDER_WAY:
                        line.read(delay)
                    line.write(time.monotonic())
                except BlockingIOError:
                    continue
                except OSError:
                    # One end is gone: the other learns of it.
                    for other in lines:
                        if other.source in (line.source, line.sink):
                            other.under_way.clear()
                            other.ended = True
            for line in [line for line in lines if line.is_done]:
                if all(other.is_done for other in lines if other.source is line.sink):
                    pair = [other for other in lines if other.source in (line.source, line.sink)]
                    for other in pair:
                        other.source.close()
                    lines = [other for other in lines if other not in pair]


@contextlib.contextmanager
def delay_proxy(folder: pathlib.Path, target: int, round_trip: float) -> t.Iterator[int]:
    """The port on which a server on this host (its port is ``target``) is ``round_trip`` seconds away."""
    port = free_port()
    argv = [sys.executable, "-m", "lab.delay_proxy", str(port), str(target), str(round_trip)]
    daemon = Daemon(argv, str(folder / "delay-proxy.log"), lambda: _listens(port), {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])})
    daemon.launch()
    try:
        daemon.wait_ready()
        yield port
    finally:
        daemon.stop()


def _listens(port: int) -> bool:
    with socket.create_connection((HOST, port), 1):
        return True


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
