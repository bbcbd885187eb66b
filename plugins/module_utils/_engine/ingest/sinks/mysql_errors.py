# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an error of a MySQL or MariaDB server means. Messages of the server can hold values, so only their number and our words are shown.

Numbers: https://mariadb.com/kb/en/mariadb-error-codes/, https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html.
"""

from __future__ import annotations

import typing as t

from .base import SLOW, ConflictError, RowRefusedError, SinkDeniedError, SinkError, SinkFullError, SinkUnavailableError, named_in, other_key
from .server import read_only

if t.TYPE_CHECKING:
    from .sql import SqlSink

DUPLICATE = 1062
OUR_KEYS = ("PRIMARY", "public_id", "")
"""Unique keys of our tables, and of a message that does not name it."""
FULL = (3, 1021, 1030, 1114, 1041)
"""A disk or table without room."""
NO_TLS = 2026
NO_TLS_HINT = "Set up TLS on the server, or set tls to none"
WANTS_TLS = 3159
LOGIN = (1045, 1251, 1275, 1524, 1698, 1820, 1862, 2049, 2059, 3118, 4151)
"""The password is wrong or has expired, the account is locked, or it logs in in a way that PyMySQL does not know."""
HOST = (1129, 1130)
"""The server takes no connection from this host: after many failures, or at all."""
NO_DATABASE = (1044, 1049)
RIGHTS = (1142, 1143, 1227, 1370)
NO_DEFAULT = 1364
REFUSED = (1172, 1242, 1292, 1300, 1365, 1369, 1411, 1416, 1526, 1644, 1690, 1748, 3140, 3156, 3819, 4025)
"""A column, a check, a trigger, a view or a partition of the table does not take a row, and PyMySQL does not know that."""
ALTERED = (1054, 1146, 1286, 1906, 3105, NO_DEFAULT)
"""A table or a column is not there, or is not what it was, or is calculated by the server."""
READ_ONLY = (1290, 1792, 1836)
BINARY_LOG = 1665
PASSING = {
    1040: "all connections of the server are in use",
    1184: "the server ended the connection; its init_connect may have failed",
    1203: "the user has all the connections that it may have",
    1205: SLOW,
    1213: "a deadlock with another connection",
    1226: "the user has used up one of its limits for an hour, or its connections",
    1969: SLOW,
    3024: SLOW,
}
"""Errors that may pass, and what they mean."""
CLIENT = range(2000, 3000)
"""Errors of the connection, which come from the client's side."""
TOO_LARGE = 1153
"""A statement larger than max_allowed_packet."""
NOT_ALLOWED = (1148, 3948, 4166)
"""LOAD DATA LOCAL is switched off in the server, or in a proxy before it."""


class LoadNotAllowedError(SinkError):
    """The server does not take LOAD DATA LOCAL."""


def sink_error(error: Exception, errors: t.Any, sink: SqlSink, user: t.Optional[str]) -> Exception:
    """An error of PyMySQL, of the socket or of the encoding as one of ours. errors: PyMySQL's classes."""
    name = sink.name
    # The number of an OSError is one of the system.
    number = error.args[0] if isinstance(error, errors.MySQLError) and error.args and isinstance(error.args[0], int) else 0
    message = str(error.args[1]) if len(error.args) > 1 else ""
    if number == TOO_LARGE:
        return RowRefusedError("the row does not fit into max_allowed_packet of the server (error %d)" % number, name)
    if isinstance(error, (UnicodeEncodeError, errors.DataError)) or number in REFUSED:
        # The end of the message, which no value can imitate.
        column = named_in(r"for column (?:[`'\w.]*\.)?[`']?(\w+)[`']? at row \d+\Z", message, " of the column %s", "")
        return RowRefusedError("the database refuses a value%s (error %d)" % (column, number), name)
    if isinstance(error, errors.IntegrityError):
        if number == DUPLICATE:
            # The end of the message, in any language.
            key = named_in(r"'(?:[^']*\.)?([^'.]+)'\Z", message, "%s", "")
            if key not in OUR_KEYS:
                return other_key(key, name)
            return ConflictError("another process stored the same position", name)
        return RowRefusedError("the database refuses a row (error %d)" % number, name)
    if number in NOT_ALLOWED:
        return LoadNotAllowedError("the server does not allow LOAD DATA LOCAL (error %d)" % number, name)
    if number in FULL:
        return SinkFullError("the database cannot be written (error %d)" % number, name, "Free some space; nothing is lost")
    denied = _denied(error, number, message, name, user)
    if denied is not None:
        return denied
    if number == NO_DEFAULT:
        altered = sink.not_filled(named_in(r"Field '(\w+)'", message, "%s", ""))
        if altered is not None:
            return altered
    if number in ALTERED or isinstance(error, (errors.ProgrammingError, errors.NotSupportedError)):
        return sink.altered(named_in(r"(?:Table|column) '([\w.]+)'", message, ": %s", ""), number)
    if number in READ_ONLY:
        return read_only(number, name)
    if number == BINARY_LOG:
        hint = "Set its binlog_format to ROW or MIXED"
        return SinkError("the server cannot write the rows to its binary log (error %d)" % number, name, hint)
    if number and number not in CLIENT:
        why = PASSING.get(number, "")
        return SinkUnavailableError("the database cannot store lines now (%serror %d)" % (why and why + ", ", number), name)
    return SinkUnavailableError("the database cannot be reached (%s)" % _why_not(error, number, message), name)


def _denied(error: Exception, number: int, message: str, name: str, user: t.Optional[str]) -> t.Optional[SinkError]:
    """The error of a connection that the server or this side refuses, or of a right that the user lacks."""
    refused = _tls_problem(error)
    if refused or number == NO_TLS:
        hint = "Renew the certificate of the server, or trust it with 'ca_bundle'" if refused else NO_TLS_HINT
        return SinkDeniedError("no verified TLS connection can be made (%s)" % (refused or "the server does not support TLS"), name, hint)
    if number == WANTS_TLS:
        return SinkDeniedError("the server requires an encrypted connection (error %d)" % number, name, "Set tls to verify")
    if number in LOGIN:
        # MariaDB reports a user without TLS, where it is required, as it does a wrong password.
        hint = "Check user and password; the password may have expired, the account may be locked, and it may require TLS"
        return SinkDeniedError("the server refuses the user %s (error %d)" % (user, number), name, hint)
    if number in HOST:
        hint = "Create the user for the address of this host; after many failed connections also run FLUSH HOSTS"
        return SinkDeniedError("the server accepts no connection from this host (error %d)" % number, name, hint)
    if number in NO_DATABASE:
        hint = "Create the database, and grant the user SELECT, INSERT and UPDATE on it"
        return SinkDeniedError("the database does not exist, or the user %s has no right to it (error %d)" % (user, number), name, hint)
    if number in RIGHTS:
        what = named_in(r"(\w+) command denied .* for table [`']?([\w.`]+)", message, "the right %s on %s", "a right on a table")
        hint = "Grant SELECT, INSERT and UPDATE on all tables of the stream"
        return SinkDeniedError("the user %s lacks %s (error %d)" % (user, what, number), name, hint)
    return None


def _why_not(error: Exception, number: int, message: str) -> str:
    # PyMySQL wraps why no connection was made.
    cause = getattr(error, "original_exception", None) or error
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "it does not answer in time" if "timed out" in message + str(cause) else "error %d" % number


def _tls_problem(error: Exception) -> str:
    """Why the certificate of the server was refused, "" if that is not the error."""
    import ssl

    cause = getattr(error, "original_exception", None) or error
    return "its certificate is not accepted: %s" % cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else ""
