# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A time limit for a whole exchange over HTTP.

The timeout of a socket starts again with each byte, so a server that sends one byte a second is never late. A ``Watch`` ends the
connection instead: it shuts the socket down, and the library that waits for it raises its usual error.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import typing as t

MIN_RATE = 1024
"""Bytes per second. A transfer that stays slower than this for the length of one piece, and its timeout, makes no progress."""


class Watch:
    """The time limits of the requests of one exchange, all made by one thread at a time.

    expired: whether a limit ended the exchange; its connections are then useless.
    """

    def __init__(self) -> None:
        self.expired = False
        self._changed = threading.Condition()
        self._deadline: t.Optional[float] = None
        self._closed = False
        # Copies, because TLS and the library replace and close their own.
        self._sockets: t.List[socket.socket] = []
        self._thread: t.Optional[threading.Thread] = None

    @contextlib.contextmanager
    def limit(self, seconds: float) -> t.Iterator[None]:
        """Give the body so long. Connections that ``watched`` classes open or use within it belong to this watch."""
        before = getattr(_current, "watch", None)
        _current.watch = self
        self.allow(seconds)
        try:
            yield
        finally:
            _current.watch = before
            with self._changed:
                self._deadline = None

    def allow(self, seconds: float) -> None:
        """Start the limit again: so many seconds from now."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._guard, name="watch", daemon=True)
                self._thread.start()
            if self._deadline is None or deadline < self._deadline:
                self._changed.notify()
            # The thread finds a later one when the one that it waits for has passed.
            self._deadline = deadline

    def close(self) -> None:
        """Forget the connections. They stay open for the library."""
        with self._changed:
            self._closed = True
            self._changed.notify()
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def add(self, connection: socket.socket) -> None:
        """Watch this connection too."""
        with self._changed:
            if not self._closed:
                self._sockets.append(_copy(connection))
                self._end_late()

    def _guard(self) -> None:
        with self._changed:
            while not self._closed and not self.expired:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and left <= 0:
                    self.expired = True
                    self._end_late()
                    return
                self._changed.wait(left)

    def _end_late(self) -> None:
        if self.expired:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


_current = threading.local()


def moved(seconds: float) -> None:
    """Report progress of the exchange of this thread, if it is watched: the limit starts again."""
    watch: t.Optional[Watch] = getattr(_current, "watch", None)
    if watch is not None:
        watch.allow(seconds)


def watched(classes: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """Classes of urllib3's pools, by scheme, whose connections a ``Watch`` can end, made from a manager's ``pool_classes_by_scheme``."""
    made = {}
    for scheme, pool in classes.items():
        connection = type("Watched" + pool.ConnectionCls.__name__, (_Watched, pool.ConnectionCls), {})
        made[scheme] = type("Watched" + pool.__name__, (pool,), {"ConnectionCls": connection})
    return made


class _Watched:
    """Part of a connection class of urllib3: shows each socket to the watch of its thread."""

    sock: t.Optional[socket.socket]

    def _new_conn(self) -> socket.socket:
        parent: t.Any = super()
        connection: socket.socket = parent._new_conn()
        _show(connection)
        return connection

    def putrequest(self, *arguments: t.Any, **options: t.Any) -> t.Any:
        # A connection that was kept since an earlier request.
        if self.sock is not None:
            _show(self.sock)
        parent: t.Any = super()
        return parent.putrequest(*arguments, **options)


def _show(connection: socket.socket) -> None:
    watch: t.Optional[Watch] = getattr(_current, "watch", None)
    if watch is not None:
        watch.add(connection)


def _copy(connection: socket.socket) -> socket.socket:
    # Not its own dup(): a TLS connection refuses it.
    return socket.socket(connection.family, connection.type, connection.proto, os.dup(connection.fileno()))
