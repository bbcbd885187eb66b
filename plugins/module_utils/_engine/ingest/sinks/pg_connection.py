# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection of psycopg that does not wait for ever for a server that hangs.

The server's own ``statement_timeout`` does not help there, and TCP does not either: the kernel of a host with a hung server still
acknowledges what it gets. psycopg has a limit for connecting only.
"""

from __future__ import annotations

import typing as t

NO_OPTIONS = "unsupported startup parameter"
"""Of the message of a pool, such as PgBouncer, that does not pass on ``options``."""


def connect(psycopg: t.Any, patience: float, **given: t.Any) -> t.Any:
    """A connection that gives up a server that hangs for so many seconds. Raises psycopg's errors."""
    connection_class = limited(psycopg, patience)
    try:
        connection = connection_class.connect(**given)
    except psycopg.OperationalError as error:
        if NO_OPTIONS not in str(error):
            raise
        connection = connection_class.connect(**{**given, "options": None})
    known = connection.info.parameter_status
    if (known("TimeZone"), (known("DateStyle") or "")[:3]) != ("UTC", "ISO"):
        # A pool ignores the options, but keeps these two for each of its clients. Without them times are stored or read wrong.
        connection.execute("SET TimeZone = 'UTC'; SET DateStyle = 'ISO'")
    return connection


def limited(psycopg: t.Any, seconds: float) -> t.Any:
    """The class of connections that raise OperationalError, and are closed, if the server sends or takes nothing for so long."""

    class Limited(psycopg.Connection):  # type: ignore[misc]
        """A connection with this limit."""

        def wait(self, gen: t.Generator[int, int, t.Any], *_args: t.Any, **_options: t.Any) -> t.Any:
            """Run a generator of psycopg, which yields what it waits for and is sent what is ready (1: can read, 2: can write)."""
            import select

            poll = select.poll()
            try:
                wanted = next(gen)
                while True:
                    poll.register(self.pgconn.socket, select.POLLIN * bool(wanted & 1) | select.POLLOUT * bool(wanted & 2))
                    found = poll.poll(seconds * 1000)
                    if not found:
                        # Nothing can be said of the transaction. A ROLLBACK would hang as well.
                        self.pgconn.finish()
                        raise psycopg.OperationalError("the server did not answer within %d seconds" % seconds)
                    event = found[0][1]
                    # An error shows when it is read or written.
                    ready = (wanted & 1 if event & ~select.POLLOUT else 0) | (wanted & 2 if event & ~select.POLLIN else 0)
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

    return Limited
