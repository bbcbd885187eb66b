# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP server that answers each request with the bytes that a test gives it: pages, redirects, drips, answers without an end."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
import typing as t

from .processes import HOST

PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><p>Please sign in</p></body></html>\n"

Answer = t.Iterable[bytes]
"""The bytes of an answer, with its status line; sent piece by piece."""


class Request(t.NamedTuple):
    """What a client asked: method, path with its query, body."""

    method: str
    path: str
    body: bytes


class OddServer:
    """Listens on 127.0.0.1. requests: all that clients asked, in order. connections: those that are open."""

    def __init__(self, answer: t.Callable[[Request], Answer], context: t.Optional[ssl.SSLContext]) -> None:
        self.requests: t.List[Request] = []
        self.host = HOST
        self._answer = answer
        self._context = context
        self._listener = socket.create_server((HOST, 0))
        self.port = t.cast(int, self._listener.getsockname()[1])
        self._open: t.Set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint_url(self) -> str:
        """The URL of the server."""
        return "http%s://%s:%d" % ("s" if self._context else "", "localhost" if self._context else HOST, self.port)

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in list(self._open):
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
            self._open.add(client)
            with client:
                try:
                    while self._exchange(client):
                        pass
                finally:
                    self._open.discard(client)

    def _exchange(self, client: socket.socket) -> bool:
        """One request and its answer; False if the client has gone."""
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client.makefile("rb") as stream:
            first = stream.readline().split()
            if len(first) < 2:
                return False
            headers = {}
            for line in iter(stream.readline, b"\r\n"):
                name, _colon, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            if headers.get("expect", "").lower() == "100-continue":
                client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = stream.read(int(headers.get("content-length", 0)))
        request = Request(first[0].decode(), first[1].decode(), body)
        self.requests.append(request)
        for piece in self._answer(request):
            client.sendall(piece)
        return True


def answer(status: str, body: bytes = b"", content_type: t.Optional[str] = None, **headers: str) -> t.List[bytes]:
    """A whole answer. status: such as '200 OK'; '_' in the names of headers stands for '-'."""
    lines = ["HTTP/1.1 " + status, "Content-Length: %d" % len(body)]
    lines += ["Content-Type: " + content_type] if content_type else []
    lines += ["%s: %s" % (name.replace("_", "-"), value) for name, value in headers.items()]
    return ["".join(line + "\r\n" for line in [*lines, ""]).encode(), body]


def without_body(request: Request, pieces: t.Sequence[bytes]) -> t.Sequence[bytes]:
    """The answer, without its body if it is one to HEAD."""
    return pieces[:1] if request.method == "HEAD" else pieces


def drip(data: bytes, seconds: float = 1.0, fast: int = 0) -> Answer:
    """The data one byte in so many seconds, after ``fast`` bytes at once; then spaces for ever."""
    yield data[:fast]
    for at in range(fast, len(data)):
        yield data[at : at + 1]
        time.sleep(seconds)
    while True:
        yield b" "
        time.sleep(seconds)


@contextlib.contextmanager
def odd_server(serve: t.Callable[[Request], Answer], context: t.Optional[ssl.SSLContext] = None) -> t.Iterator[OddServer]:
    """Run the server until the context ends. serve: makes each answer. context: for TLS."""
    server = OddServer(serve, context)
    try:
        yield server
    finally:
        server.close()


class SlowReader:
    """A server that answers 404 to HEAD, and reads any other request one byte in so many seconds, without an answer."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._listener = socket.socket()
        # A small window, so that little of a request waits in the kernel.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind((HOST, 0))
        self._listener.listen(8)
        self.endpoint_url = "http://%s:%d" % self._listener.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._read, args=(self._listener.accept()[0],), daemon=True).start()

    def _read(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            while client.recv(5, socket.MSG_PEEK) == b"HEAD ":
                request = b""
                while not request.endswith(b"\r\n\r\n"):
                    request += client.recv(1)
                client.sendall(answer("404 Not Found")[0])
            while client.recv(1):
                time.sleep(self._seconds)


@contextlib.contextmanager
def slow_reader(seconds: float = 0.05) -> t.Iterator[SlowReader]:
    """Run a SlowReader until the context ends."""
    server = SlowReader(seconds)
    try:
        yield server
    finally:
        server.close()
