# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What answers at a port where a database was expected. Otherwise a wrong port looks like a database that hangs, and is waited for."""

from __future__ import annotations

import contextlib
import socket

from .base import SinkError

MYSQL, POSTGRESQL, SSH = "a MySQL or MariaDB server", "a PostgreSQL server", "an SSH server"
PATIENCE = 1.0
"""Seconds to wait for an answer: a server of any kind sends it at once."""
SSL_REQUEST = bytes((0, 0, 0, 8, 4, 210, 22, 47))
"""A question that PostgreSQL answers with one letter: https://www.postgresql.org/docs/current/protocol-message-formats.html."""
HTTP_REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def server_at(host: str, port: int) -> str:
    """What answers there; "" if nothing does."""
    answer = b""
    with contextlib.suppress(OSError):
        # MySQL, SSH and mail servers speak first.
        answer = _answer(host, port, b"", SSL_REQUEST) or _answer(host, port, HTTP_REQUEST)
    return kind_of(answer) if answer else ""


def kind_of(answer: bytes) -> str:
    """What kind of server begins like this."""
    # The length of a packet, its number, and the version of the protocol or the mark of an error.
    if len(answer) > 4 and answer[2:4] == b"\0\0" and answer[4] in (9, 10, 255):
        return MYSQL
    if answer in (b"S", b"N"):
        return POSTGRESQL
    known = {b"SSH-": SSH, b"HTTP": "an HTTP server", b"\x15\x03": "a server that wants TLS at once"}
    return next((kind for start, kind in known.items() if answer.startswith(start)), "another kind of server")


def wrong_server(found: str, name: str, expected: str) -> SinkError:
    """The error of a sink at whose address another kind of server answers. name: of the sink."""
    return SinkError("%s answers at this address, not %s" % (found, expected), name, "Correct 'type', 'host' or 'port'")


def _answer(host: str, port: int, *questions: bytes) -> bytes:
    """The begin of the first answer to one of these questions, asked one after the other in one connection; b"" without an answer."""
    with socket.create_connection((host, port), PATIENCE) as connection:
        for question in questions:
            connection.sendall(question)
            with contextlib.suppress(OSError):
                return connection.recv(16)
    return b""
