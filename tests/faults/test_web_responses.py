# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A web server that answers anything: a download ends with the file, or with an error that has a reason."""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
import threading
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import web
from hypothesis import given, settings, strategies
from lab.https import NAME, Authority

pytest.importorskip("urllib3")


class Responder:
    """A TLS server on 127.0.0.1 that sends ``response`` to each request, as it is, and closes."""

    def __init__(self, authority: Authority) -> None:
        self.ca = authority.certificate_file
        self.response = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*authority.issue("server", [NAME]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = "https://%s:%d/x.zip" % (NAME, self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as client:
                    request = b""
                    while not request.endswith(b"\r\n\r\n"):
                        piece = client.recv(65536)
                        if not piece:
                            raise ConnectionResetError("the client has gone")
                        request += piece
                    client.sendall(self.response)
            except OSError:
                continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def fetch(self, response: bytes) -> t.Optional[str]:
        """None if the response is taken for a file, else the error."""
        self.response = response
        options = normalise_web({"url": self.url, "ca_bundle": self.ca, "attempts": 1, "timeout": 30, "timezone": "UTC", "max_size": "1M"})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "to")
            try:
                web.fetch(options, path)
            except LogArchiveError as error:
                assert not os.path.exists(path)
                return str(error)
            assert os.path.getsize(path) > 0
            return None


@pytest.fixture(scope="module")
def responder(tmp_path_factory):
    server = Responder(Authority(tmp_path_factory.mktemp("ca")))
    yield server
    server.close()


def answer(status: int, headers: t.Sequence[t.Tuple[bytes, bytes]], body: bytes = b"PK\3\4") -> bytes:
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    return b"HTTP/1.1 %d Reason\r\n%s\r\n%s" % (status, lines, body)


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        (200, b"Content-Length", b"9" * 5000),
        (200, b"Content-Length", b"9" * 19),
        (302, b"Location", b"https://[::1"),
        (302, b"Location", b"https://h:99999999999/"),
        (302, b"Location", b"https://\xff\xfe/"),
        (302, b"Location", b"https://a\x00b/\x01"),
        (302, b"Location", b"https://" + b"a" * 60000),
        (302, b"Location", b"//@:/"),
    ],
)
def test_headers_that_are_no_number_or_no_url(responder, status, name, value):
    assert responder.fetch(answer(status, [(name, value)])) is not None


def test_a_good_response_is_a_file(responder):
    assert responder.fetch(answer(200, [(b"Content-Length", b"4")])) is None


NAMES = [
    b"Content-Length",
    b"Location",
    b"Transfer-Encoding",
    b"Content-Encoding",
    b"ETag",
    b"Last-Modified",
    b"Content-Type",
    b"Connection",
]
VALUES = [
    b"",
    b"-1",
    b"4, 5",
    b"4, 4",
    b"0x4",
    b"chunked",
    b"gzip",
    b"/x.zip",
    b"https://",
    b"https:///",
    b"\xc2\xb2",
    b"9" * 400,
    b"close",
]


@given(
    strategies.sampled_from([200, 204, 206, 301, 302, 304, 307, 401, 407, 500, 99, 1000]),
    strategies.lists(
        strategies.tuples(strategies.sampled_from(NAMES), strategies.sampled_from(VALUES) | strategies.binary(max_size=12)), max_size=4
    ),
    strategies.sampled_from([b"PK\3\4", b"", b"4\r\nPK\3\4\r\n0\r\n\r\n", b"ffffffffffffffffffff\r\nPK", b"-1\r\nPK\r\n", b"x"]),
)
@settings(max_examples=150, deadline=None)
def test_any_headers(responder, status, headers, body):
    responder.fetch(answer(status, headers, body))


@given(strategies.binary(max_size=60))
@settings(max_examples=50, deadline=None)
def test_any_bytes(responder, response):
    assert responder.fetch(response) is not None
