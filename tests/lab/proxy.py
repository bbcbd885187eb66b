# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A TCP proxy that counts, delays, cuts, refuses and hangs."""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import termios
import threading
import time
import typing as t

from .processes import HOST

PIECE = 65536
TICK = 0.02
"""Seconds after which an idle connection looks whether it shall be cut."""


class _Cut(Exception):
    """This connection shall be reset now."""


class _Pipe:
    """One direction of one connection."""

    def __init__(self, name: str, source: socket.socket, sink: socket.socket) -> None:
        self.name = name
        self.source = source
        self.sink = sink
        self.pending = b""
        self.passed = 0
        self.ended = False


class TcpProxy:
    """Listens on ``host``:``port`` and passes everything on to a target.

    connections, bytes_up (client to target), bytes_down: counted since the start or the last ``reset_counts``. delay: seconds that every
    piece of up to 64 KiB waits before it is passed on.
    """

    def __init__(self, target: t.Tuple[str, int]) -> None:
        self.target = target
        self.host = HOST
        self.port = 0
        self.delay = 0.0
        self.connections = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self._lock = threading.Lock()
        self._cuts: t.Dict[str, t.Tuple[int, t.Optional[int]]] = {}
        self._alive: t.Set[object] = set()
        self._doomed: t.Set[object] = set()
        self._hanging = False
        self._listener: t.Optional[socket.socket] = None
        self._listen()

    # -- what a test asks for -----------------------------------------------------------------------------------------

    def cut_after(self, up: t.Optional[int] = None, down: t.Optional[int] = None, times: t.Optional[int] = 1) -> None:
        """Reset a connection once it has passed on ``up`` bytes from the client, or ``down`` bytes from the target.

        Counted per connection; exactly that many bytes arrive, 0 cuts at once. times: how many connections are cut, None for all.
        """
        with self._lock:
            for name, limit in (("up", up), ("down", down)):
                if limit is not None:
                    self._cuts[name] = (limit, times)

    def cut_now(self) -> int:
        """Reset all connections that are open; return how many."""
        with self._lock:
            self._doomed |= self._alive
            count = len(self._doomed)
        self._wait_for(lambda: not self._doomed)
        return count

    def refuse(self) -> None:
        """Stop listening: new connections are refused; those that are open go on."""
        if self._listener is not None:
            # shutdown wakes the accepting thread; close alone would leave it, and the port, alive.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None

    def hang(self) -> None:
        """Pass nothing on any more; connections are accepted and stay open."""
        self._hanging = True

    def restore(self) -> None:
        """Undo refuse, hang, delay and cuts that have not happened yet."""
        with self._lock:
            self._cuts.clear()
        self.delay = 0.0
        self._hanging = False
        if self._listener is None:
            self._listen()

    def reset_counts(self) -> None:
        """Count from zero again."""
        with self._lock:
            self.connections = self.bytes_up = self.bytes_down = 0

    def close(self) -> None:
        """End everything."""
        self.refuse()
        self.cut_now()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, self.port))
        listener.listen(64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """The whole life of one connection, in one thread that owns both its sockets."""
        me = object()
        with self._lock:
            self._alive.add(me)
        try:
            with client:
                try:
                    target = socket.create_connection(self.target)
                except OSError:
                    _reset_on_close(client)
                    return
                with target:
                    try:
                        self._pass_on(me, client, target)
                    except (_Cut, OSError):
                        # Either we cut it, or one end was reset by its owner: then the other must learn of it.
                        _reset_on_close(client)
                        _reset_on_close(target)
        finally:
            with self._lock:
                self._alive.discard(me)
                self._doomed.discard(me)

    def _pass_on(self, me: object, client: socket.socket, target: socket.socket) -> None:
        for end in (client, target):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            end.setblocking(False)
        pipes = [_Pipe("up", client, target), _Pipe("down", target, client)]
        while not all(pipe.ended for pipe in pipes):
            for pipe in pipes:
                self._cut_where_due(pipe)
            if me in self._doomed:
                raise _Cut
            if self._hanging:
                time.sleep(TICK)
                continue
            sources = [pipe.source for pipe in pipes if not pipe.pending and not pipe.ended]
            sinks = [pipe.sink for pipe in pipes if pipe.pending]
            readable, writable, _errors = select.select(sources, sinks, [], TICK)
            if self._hanging:
                continue
            for pipe in pipes:
                if pipe.source in readable and not pipe.pending:
                    self._read(pipe)
                elif pipe.sink in writable and pipe.pending:
                    self._write(pipe)

    def _read(self, pipe: _Pipe) -> None:
        with self._lock:
            limit = self._cuts[pipe.name][0] if pipe.name in self._cuts else None
        pipe.pending = pipe.source.recv(PIECE if limit is None else max(1, min(PIECE, limit - pipe.passed)))
        if not pipe.pending:
            pipe.ended = True
            pipe.sink.shutdown(socket.SHUT_WR)
        elif self.delay:
            time.sleep(self.delay)

    def _write(self, pipe: _Pipe) -> None:
        sent = pipe.sink.send(pipe.pending)
        pipe.pending = pipe.pending[sent:]
        pipe.passed += sent
        with self._lock:
            if pipe.name == "up":
                self.bytes_up += sent
            else:
                self.bytes_down += sent

    def _cut_where_due(self, pipe: _Pipe) -> None:
        with self._lock:
            if pipe.name not in self._cuts:
                return
            limit, times = self._cuts[pipe.name]
            if pipe.passed < limit:
                return
            if times == 1:
                del self._cuts[pipe.name]
            elif times is not None:
                self._cuts[pipe.name] = (limit, times - 1)
        # A reset throws away what the kernel has not delivered yet.
        self._wait_for(lambda: not _undelivered(pipe.sink))
        raise _Cut

    def _wait_for(self, done: t.Callable[[], bool]) -> None:
        deadline = time.monotonic() + 2
        while not done() and time.monotonic() < deadline:
            time.sleep(0.002)


def _undelivered(connection: socket.socket) -> int:
    """Bytes that were sent and not yet acknowledged by the other end's kernel (Linux)."""
    return t.cast(int, struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0])


def _reset_on_close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def tcp_proxy(target: t.Tuple[str, int]) -> t.Iterator[TcpProxy]:
    """Run a TcpProxy to ``target`` (host, port) until the context ends."""
    proxy = TcpProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
