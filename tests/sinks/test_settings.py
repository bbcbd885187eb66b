# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database servers with settings that are not the usual ones, and ports at which another server answers."""

from __future__ import annotations

import contextlib
import http.server
import json
import select
import socket
import socketserver
import struct
import threading
import typing as t
from datetime import datetime, timezone

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks import mysql_connection, other_server
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink, schema_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.compute import compute
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.steps import Span
from lab.databases import DATABASE, USER
from rigs.streams import document, upload
from rigs.sums import assert_sums_are_those_of_the_rows
from rigs.turns import InTurns

pytestmark = pytest.mark.xdist_group("databases")

SETTINGS = {
    "mariadb": {
        "sql_mode": "'ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        "character_set_server": "latin1",
        "time_zone": "'+07:00'",
        "autocommit": "0",
        "init_connect": "\"SET autocommit = 0, sql_mode = '', NAMES latin1\"",
        # The keys have no room in it.
        "innodb_default_row_format": "'compact'",
        # The end of the connection after each COMMIT.
        "completion_type": "2",
        "sql_select_limit": "3",
        "sql_safe_updates": "1",
        "unique_checks": "0",
        "tx_isolation": "SERIALIZABLE",
        "wait_timeout": "1",
    },
    "postgresql": {
        "DateStyle": "'German'",
        "TimeZone": "'Asia/Tokyo'",
        "IntervalStyle": "'iso_8601'",
        "default_transaction_isolation": "'serializable'",
        "idle_in_transaction_session_timeout": "'1ms'",
        "statement_timeout": "'1ms'",
        "client_encoding": "'latin1'",
        "bytea_output": "'escape'",
        "standard_conforming_strings": "off",
        "extra_float_digits": "-15",
        "search_path": "'nowhere', 'public'",
    },
}


@pytest.fixture
def odd_server(server) -> t.Iterator[t.Any]:
    """The server with these settings for each new connection of the follower."""
    set_one, reset = {
        "mariadb": ("SET GLOBAL %s = %s;", "SET GLOBAL %s = DEFAULT;"),
        "postgresql": ("ALTER ROLE " + USER + " SET %s = %s;", "ALTER ROLE " + USER + " RESET %s;"),
    }[server.kind]
    settings = SETTINGS[server.kind]
    server.run_sql("".join(set_one % item for item in settings.items()))
    if server.kind == "mariadb":
        server.run_sql("ALTER DATABASE %s CHARACTER SET latin1;" % DATABASE)
    try:
        yield server
    finally:
        # The administrator's connection has them, too.
        server.run_sql("".join(reset % name if name != "init_connect" else "SET GLOBAL init_connect = '';" for name in settings))


def test_settings_of_the_server_change_nothing(tmp_path, odd_server, place, logs, monkeypatch) -> None:
    """Two processes store the lines in turns, so that rows wait in a transaction."""
    name = "/ü \U0001f600 \\ '%s\"/"
    lines = [upload(number, file_path=name + str(number), remote_addr="198.51.100.%d:1" % (number % 100)) for number in range(1000)]
    (logs / "sftpgo.log").write_bytes(b"\n".join([*lines, b"no json \xff\\", upload(1000, username="x" * 300)]) + b"\n")
    wanted = document(tmp_path, sinks=[place.sink])
    in_turns = InTurns(monkeypatch)
    result = in_turns.catch_up(wanted)
    assert (result["rows"], result["rejected"], result["error"], in_turns.reasons) == (1000, 2, None, [])
    assert len(in_turns.stored) >= 2
    again = retry.retry(document(tmp_path, sinks=[place.sink], parse={"long_values": "truncate"}))[0]
    assert (again["stored"], again["rejected"], again["error"]) == (1, 1, None)
    assert (status.of(wanted)[0]["lines"], status.of(wanted)[0]["rejected"]) == (1002, 1)
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        # Two halves, because a server may send no more rows than it is told to.
        found = {row[0]: row[1] for row in sink.select("SELECT size_bytes, file_path FROM sftpgo_transfer")}
        assert found == {**{number: name + str(number) for number in range(1000)}, 1000: "/srv/data/alice/1000.csv"}
        assert sink.rejected(None, 1, 1)[0].rejected.line == b"no json \xff\\"
        assert_sums_are_those_of_the_rows(sink.select)
        assert compute(sink, "one", Span(), datetime(2026, 11, 4, tzinfo=timezone.utc))["totals"]["uploads"] == 1001
    times = place.rows("SELECT DISTINCT time_utc FROM sftpgo_transfer")
    assert [each[0][:23] for each in times] == ["2026-11-03 00:59:58.114"]


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_tables_in_another_schema_of_the_search_path(tmp_path, place, logs, server) -> None:
    wanted = document(tmp_path, sinks=[{**place.sink, "user": "reader"}])
    server.run_sql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN PASSWORD '%s';" % place.sink["password"])
    server.run_sql("CREATE SCHEMA first AUTHORIZATION %s; %s" % (USER, schema_of(wanted["sinks"][0], wanted)))
    try:
        server.run_sql(
            "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO reader; GRANT USAGE ON SCHEMA public, first TO reader;"
        )
        server.run_sql("ALTER ROLE reader SET search_path = first, public;")
        (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
        assert catch_up(wanted)["error"] is None
        assert place.rows("SELECT size_bytes FROM public.sftpgo_transfer") == [["1"]]
        server.run_sql("ALTER ROLE reader SET search_path = nowhere;")
        assert "no schema in the search_path of reader exists" in catch_up(wanted)["error"]
    finally:
        server.run_sql("DROP SCHEMA first; DROP OWNED BY reader; DROP ROLE reader;")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("encoding", "stored"), [("LATIN1", [1, 3]), ("SQL_ASCII", [1, 2, 3])])
def test_a_database_with_another_encoding(tmp_path, place, logs, server, encoding: str, stored: t.List[int]) -> None:
    server.run_sql("CREATE DATABASE other OWNER %s ENCODING '%s' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;" % (USER, encoding))
    try:
        wanted = document(tmp_path, sinks=[{**place.sink, "database": "other"}], follow={"recurse": True})
        # The last name has more than 255 bytes.
        names = ["ü", "\U0001f600", "é", "\u20ac" * 100]
        (logs / "sftpgo.log").write_bytes(b"".join(upload(number, username=name) + b"\n" for number, name in enumerate(names, 1)))
        result = catch_up(wanted)
        assert (result["rows"], result["rejected"], result["error"]) == (len(stored), 4 - len(stored), None)
        with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
            found = sink.select("SELECT size_bytes, username FROM sftpgo_transfer ORDER BY size_bytes")
            assert [tuple(row) for row in found] == [(number, names[number - 1]) for number in stored]
            assert {each.rejected.reason for each in sink.rejected(None, 9, 9999)} == {"database"}
            assert_sums_are_those_of_the_rows(sink.select)
        # The position has the path.
        (logs / "\u20ac").mkdir()
        (logs / "\u20ac" / "sftpgo.log").write_bytes(upload(9) + b"\n")
        error = catch_up(wanted)["error"]
        if encoding == "LATIN1":
            assert "the encoding of the database cannot represent a character" in error
            assert "Create a database with the encoding UTF8" in error
        else:
            assert error is None
    finally:
        server.run_sql("DROP DATABASE other;")


def test_a_connection_that_ends_while_it_is_idle_is_no_failure(tmp_path, place, logs, server) -> None:
    log = tmp_path / "events.jsonl"
    wanted = document(tmp_path, sinks=[place.sink], log=str(log))
    (logs / "sftpgo.log").write_bytes(upload(0) + b"\n")
    assert catch_up(wanted)["rows"] == 1
    sizes = "SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes"
    ids, kill = {
        "mariadb": ("SELECT id FROM information_schema.processlist WHERE user = '%s'" % USER, "KILL %s"),
        "postgresql": ("SELECT pid FROM pg_stat_activity WHERE usename = '%s'" % USER, "SELECT pg_terminate_backend(%s)"),
    }[server.kind]
    stop = threading.Event()
    running = threading.Thread(target=lambda: follower.follow(wanted, stop))
    running.start()
    try:
        for number in (1, 2, 3):
            if number > 1:
                for (connection,) in place.rows(ids):
                    server.run_sql(kill % connection)
                lab.wait_until(lambda: place.rows(ids) == [], "the server does not end the connection")
            with open(logs / "sftpgo.log", "ab") as file:
                file.write(upload(number) + b"\n")
            lab.wait_until(lambda: len(place.rows(sizes)) == number + 1, "the line does not arrive")  # noqa: B023
    finally:
        stop.set()
        running.join()
    assert place.rows(sizes) == [["0"], ["1"], ["2"], ["3"]]
    assert [json.loads(each)["event"] for each in log.read_text().splitlines()] == ["follow_started", "follow_stopped"]


class Ssh(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        self.request.recv(1000)


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_args: t.Any) -> None:
        """Print nothing."""


@contextlib.contextmanager
def port_of(kind: str, request: pytest.FixtureRequest) -> t.Iterator[int]:
    if kind in ("mariadb", "postgresql"):
        yield request.getfixturevalue(kind).port
        return
    with serving(Ssh if kind == "ssh" else Silent) as port:
        yield port


@contextlib.contextmanager
def serving(handler: t.Any) -> t.Iterator[int]:
    with socketserver.ThreadingTCPServer((lab.HOST, 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class Pool(socketserver.BaseRequestHandler):
    """A pool in front of PostgreSQL that refuses ``options``, or ignores them, as PgBouncer does. port: of the server."""

    port: int
    refuses: bool

    def handle(self) -> None:
        (length,) = struct.unpack("!i", self.request.recv(4))
        first = self.request.recv(length - 4)
        fields = first[4:].split(b"\0")
        given = dict(zip(fields[::2], fields[1::2]))
        if given.pop(b"options", None) is not None and self.refuses:
            error = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            self.request.sendall(b"E" + struct.pack("!i", 4 + len(error)) + error)
            return
        first = first[:4] + b"".join(b"%s\0%s\0" % item for item in given.items() if item[0]) + b"\0"
        with socket.create_connection((lab.HOST, self.port)) as server:
            server.sendall(struct.pack("!i", 4 + len(first)) + first)
            ends = {self.request: server, server: self.request}
            while True:
                for end in select.select([*ends], [], [])[0]:
                    piece = end.recv(65536)
                    if not piece:
                        return
                    ends[end].sendall(piece)


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("refuses", [True, False])
def test_a_pool_that_does_not_pass_on_the_options_changes_no_time(tmp_path, place, logs, server, refuses: bool) -> None:
    (logs / "sftpgo.log").write_bytes(b"".join(upload(number) + b"\n" for number in range(60)))
    server.run_sql("ALTER ROLE %s SET TimeZone = 'Asia/Tokyo'; ALTER ROLE %s SET DateStyle = 'German';" % (USER, USER))
    try:
        with serving(type("This", (Pool,), {"port": server.port, "refuses": refuses})) as port:
            wanted = document(tmp_path, sinks=[{**place.sink, "port": port}])
            assert (catch_up(wanted)["rows"], catch_up(wanted)["error"]) == (60, None)
            with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
                (found,) = sink.select("SELECT DISTINCT time_utc FROM sftpgo_transfer")[0]
    finally:
        server.run_sql("ALTER ROLE %s RESET ALL;" % USER)
    assert found == datetime(2026, 11, 3, 0, 59, 58, 114000, tzinfo=timezone.utc)


@pytest.mark.parametrize("tls", ["none", "verify"])
@pytest.mark.parametrize(
    ("kind", "there", "named"),
    [
        ("mariadb", "postgresql", "a PostgreSQL server answers at this address, not a MySQL or MariaDB server"),
        ("mariadb", "http", "an HTTP server answers at this address"),
        ("mariadb", "ssh", "an SSH server answers at this address"),
        ("postgresql", "mariadb", "a MySQL or MariaDB server answers at this address, not a PostgreSQL server"),
        ("postgresql", "http", "an HTTP server answers at this address"),
        ("postgresql", "ssh", "an SSH server answers at this address"),
    ],
)
def test_another_server_at_the_port_is_named_at_once(tmp_path, logs, request, kind: str, there: str, named: str, tls: str) -> None:
    with port_of(there, request) as port:
        sink = {"type": kind, "host": lab.HOST, "port": port, "database": "logs", "user": "u", "password": "p", "tls": tls, "timeout": 600}
        waits: t.List[float] = []
        error = follower.catch_up(document(tmp_path, sinks=[sink]), sleep=waits.append)["sinks"][0]["error"]
    assert named in error
    assert "Correct 'type', 'host' or 'port'" in error
    # It is not tried again.
    assert waits == []


def test_a_port_that_says_nothing_is_tried_twice(tmp_path, logs, monkeypatch) -> None:
    monkeypatch.setattr(follower, "MOST_WAIT", 1.0)
    monkeypatch.setattr(mysql_connection, "FIRST", 0.05)
    monkeypatch.setattr(other_server, "PATIENCE", 0.05)
    waits: t.List[float] = []
    # The kernel takes the connections.
    with socket.create_server((lab.HOST, 0)) as server:
        sink = {"type": "mariadb", "host": lab.HOST, "port": server.getsockname()[1], "database": "d", "user": "u", "timeout": 1}
        error = follower.catch_up(document(tmp_path, sinks=[{**sink, "tls": "none"}]), sleep=waits.append)["sinks"][0]["error"]
    assert "it does not answer in time" in error
    assert len(waits) == 1


@pytest.mark.parametrize("kind", ["elasticsearch", "opensearch"])
@pytest.mark.parametrize(
    ("there", "named"), [("mariadb", "a MySQL or MariaDB server"), ("postgresql", "a PostgreSQL server"), ("ssh", "an SSH")]
)
def test_a_database_at_the_port_of_a_search_server_is_named(tmp_path, logs, request, kind: str, there: str, named: str) -> None:
    with port_of(there, request) as port:
        sink = {"type": kind, "host": lab.HOST, "port": port, "path": str(tmp_path / "outbox.sqlite"), "tls": "none", "timeout": 30}
        (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
        assert named in catch_up(document(tmp_path, sinks=[sink]))["error"]


def catch_up(wanted: t.Any) -> t.Any:
    return follower.catch_up(wanted, sleep=lambda _seconds: None)["sinks"][0]
