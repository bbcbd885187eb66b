# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection of PyMySQL that finds out early that a statement is too large, or that the server is of another kind."""

from __future__ import annotations

import select
import socket
import typing as t

from .mysql_errors import TOO_LARGE
from .other_server import MYSQL, kind_of, server_at, wrong_server

FIRST = 3.0
"""Seconds after which a server that has said nothing is looked at. MySQL and MariaDB speak first, unless they look up a name before."""


def connect(pymysql: t.Any, address: t.Union[str, t.Tuple[str, int]], timeout: int, name: str, **given: t.Any) -> t.Any:
    """A connection. address: the path of a socket, or host and port. name: of the sink.

    Raises SinkError if another kind of server answers; PyMySQL's errors, OSError.
    """
    if isinstance(address, str):
        connection = limited(pymysql)(unix_socket=address, connect_timeout=timeout, defer_connect=True, **given)
        connection.connect()
        return connection
    host, port = address
    connection = limited(pymysql)(host=host, port=port, connect_timeout=timeout, defer_connect=True, **given)
    made = socket.create_connection(address, timeout)
    try:
        _check_greeting(made, address, timeout, name)
    except BaseException:
        made.close()
        raise
    made.settimeout(None)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.connect(made)
    return connection


def _check_greeting(made: socket.socket, address: t.Tuple[str, int], timeout: int, name: str) -> None:
    poll = select.poll()
    poll.register(made, select.POLLIN)
    if poll.poll(min(FIRST, timeout) * 1000):
        greeting = made.recv(16, socket.MSG_PEEK)
        found = kind_of(greeting) if greeting else ""
    else:
        found = server_at(*address)
    if found not in ("", MYSQL):
        raise wrong_server(found, name, MYSQL)


def limited(pymysql: t.Any) -> t.Any:
    """The class of connections that refuse a statement larger than ``most_bytes``.

    The server reports such a statement, if at all, with the end of the connection, which looks like a failure that may pass.
    """

    class Limited(pymysql.connections.Connection):  # type: ignore[misc]
        """A connection with this limit, once it is set."""

        most_bytes: t.Optional[int] = None

        def query(self, sql: t.Union[str, bytes], unbuffered: bool = False) -> int:
            """Execute a statement."""
            data = sql.encode(self.encoding, "surrogateescape") if isinstance(sql, str) else sql
            if self.most_bytes is not None and len(data) >= self.most_bytes:
                raise pymysql.err.DataError(TOO_LARGE, "the statement is too large")
            return int(super().query(data, unbuffered))

    return Limited
