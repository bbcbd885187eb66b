# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that no table takes: each database stores and rejects the same ones, and the lines around them arrive."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.files import load_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.tables import BOOLEAN, INTEGER, JSON, PROFILES
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from lab.databases import DATABASE, USER
from rigs import aws_logs, client_events
from rigs.host import ENGINE_PATH
from rigs.streams import document, given, line, upload
from rigs.sums import assert_sums_are_those_of_the_rows, text_of

pytestmark = pytest.mark.xdist_group("databases")

Case = t.Tuple[bytes, str]
"""A line, and the reason for which it is rejected, "" if it is stored."""
CONTROLS = "tab\t new\nline \r \\N \\ %s {} 'quotes\" ` ; -- \x01\x1f\x7f \x85\u2028\ufeff\ufffe\uffff\U0010ffff \U0001f600 ü  "
DIGITS = 10_000


def json_lines(good: t.Dict[str, t.Any], time: str, text: str, limit: int, integer: str = "") -> t.List[Case]:
    """Odd lines that begin as a good one. time, text, integer: the names of its fields of these kinds. limit: characters of the text."""

    def raw(value: str, field: str = "new") -> bytes:
        """A line with a value as it is written here."""
        return line(**{name: item for name, item in good.items() if name != field})[:-1] + (',"%s":%s}' % (field, value)).encode()

    def changed(**changes: t.Any) -> bytes:
        return line(**{name: value for name, value in {**good, **changes}.items() if value is not ...})

    sound = line(**good)
    texts: t.List[Case] = [
        (b"panic: runtime error", "not_json"),
        (sound[:-3], "not_json"),
        (sound + sound, "not_json"),
        (b"[1]", "not_object"),
        (b'"text"', "not_object"),
        (b"null", "not_object"),
        (b"\0" * 5 + sound, ""),
        (raw('"a\0b"'), "not_json"),
        (raw('"\\u0000"'), "bad_text"),
        (sound[:-1] + b',"\\u0000":1}', "bad_text"),
        (raw('"\\ud800"', text), "bad_text"),
        (raw('"\\ud83d\\ude00"', text), ""),
        (raw('"x"').replace(b"x", b"\xff"), "not_utf8"),
        (raw('"x"').replace(b'"x"', b'"\xed\xa0\x80"'), "not_utf8"),
        (raw('"x"').replace(b'"x"', b'"\xc0\x80"'), "not_utf8"),
        (sound.decode().encode("utf-16"), "not_utf8"),
        (b"\xef\xbb\xbf" + sound, ""),
        (sound + b"\r", ""),
        (b"  " + sound + b" \t", ""),
        (changed(**{text: CONTROLS[:limit]}), ""),
        (changed(**{text: CONTROLS[-limit:]}), ""),
        (changed(**{CONTROLS: CONTROLS}), ""),
        (changed(**{text: "\U0001f600" * limit}), ""),
        (changed(**{text: "\U0001f600" * (limit + 1)}), "long_value"),
        (changed(**{text: "alice "}), ""),
        (changed(**{text: ""}), ""),
        (changed(**{text: 5}), "bad_type"),
        (changed(**{text: {"a": 1}}), "bad_type"),
        (changed(new="x" * 200_000), "too_long"),
        (raw('{"a":' * 70 + "1" + "}" * 70), "not_json"),
        (sound[:-1] + b',"new":1,"new":2}', ""),
    ]
    numbers: t.List[Case] = [
        (raw("9223372036854775807"), ""),
        (raw("9223372036854775808"), "bad_number"),
        (raw("-9223372036854775809"), "bad_number"),
        (raw("1e400"), "bad_number"),
        (raw("-1e400"), "bad_number"),
        (raw("1e308"), ""),
        (raw("-0.0"), ""),
        (raw("9" * DIGITS), "bad_number"),
        (raw("NaN"), "not_json"),
        (raw("[1,2.5,null,true]"), ""),
    ]
    if integer:
        numbers += [
            (raw("9223372036854775807", integer), ""),
            (raw("-9223372036854775808", integer), ""),
            (raw("9223372036854775808", integer), "bad_number"),
            (raw("1.0", integer), "bad_type"),
            (raw("1e3", integer), "bad_type"),
            (raw("true", integer), "bad_type"),
            (raw('"1"', integer), "bad_type"),
            (raw("null", integer), ""),
        ]
    times: t.List[Case] = [
        (changed(**{time: value}), reason)
        for value, reason in (
            (..., "bad_time"),
            (None, "bad_time"),
            ("", "bad_time"),
            (1793671200, "bad_time"),
            ("yesterday", "bad_time"),
            ("0999-12-31T23:59:59", "bad_time"),
            ("1969-12-31T00:00:00Z", "bad_time"),
            ("1970-01-02T00:00:00Z", ""),
            ("9998-12-30T23:59:59.999999Z", ""),
            ("9999-12-31T23:59:59Z", "bad_time"),
            ("10000-01-01T00:00:00Z", "bad_time"),
            ("2026-02-30T00:00:00Z", "bad_time"),
            ("2028-02-29T24:00:00Z", "bad_time"),
            ("2028-02-29T12:00:00Z", ""),
            ("2016-12-31T23:59:60Z", ""),
            ("2016-12-31T12:59:60Z", "bad_time"),
            ("2026-11-03T01:59:58.123456789+05:30", ""),
            ("2026-11-03T01:59:58.114" + "0" * 50, "bad_time"),
        )
    ]
    return [*texts, *numbers, *times]


def flows() -> t.List[Case]:
    """Odd lines of a flow log with a line of names."""
    made: t.List[t.Tuple[t.Union[str, bytes], str]] = [
        ("no flow", "field_count"),
        (aws_logs.flow() + " more", "field_count"),
        (aws_logs.flow(bytes=(1 << 63) - 1), ""),
        (aws_logs.flow(bytes=1 << 63), "bad_number"),
        (aws_logs.flow(bytes="9" * DIGITS), "bad_number"),
        (aws_logs.flow(bytes="1e3"), "bad_type"),
        (aws_logs.flow(bytes="-5"), "bad_type"),
        (aws_logs.flow(bytes="\u0661"), "bad_type"),
        (aws_logs.flow(start="-"), ""),
        (aws_logs.flow(start="-", end="-"), "bad_time"),
        (aws_logs.flow(start="99999999999999"), "bad_time"),
        (aws_logs.flow(start="yesterday"), "bad_time"),
        (aws_logs.flow(action="x" * 65), "long_value"),
        (aws_logs.flow(action="\U0001f600" * 64), ""),
        (aws_logs.flow(action="a\0b"), "bad_text"),
        (aws_logs.flow(action="\\N"), ""),
        (aws_logs.flow().encode() + b"\xff", "not_utf8"),
        (aws_logs.flow() + "\r", ""),
        (aws_logs.flow(action="x" * 200_000), "too_long"),
    ]
    return [(each.encode() if isinstance(each, str) else each, reason) for each, reason in made]


def public_queries() -> t.List[Case]:
    good = "1.0 2026-11-03T02:00:01.130Z Z1 www.example.com A NXDOMAIN UDP FRA6 198.51.100.7 -"
    made: t.List[t.Tuple[t.Union[str, bytes], str]] = [
        ("no query", "field_count"),
        ("", "field_count"),
        (good + " more values", ""),
        (good.replace("2026-11-03", "2026-02-30"), "bad_time"),
        (good.replace("2026-11-03T02:00:01.130Z", "-"), "bad_time"),
        (good.replace("FRA6", "x" * 65), "long_value"),
        (good.replace("FRA6", "\U0001f600" * 64), ""),
        (good.replace("www", "w\0w"), "bad_text"),
        (good.replace("www", "\\N\\t'%s"), ""),
        (good.encode().replace(b"www", b"\xff"), "not_utf8"),
        ("\ufeff" + good + "\r", ""),
        (good.replace("www", "x" * 200_000), "too_long"),
    ]
    return [(each.encode() if isinstance(each, str) else each, reason) for each, reason in made]


def cases_of(profile: str) -> t.Tuple[bytes, t.List[Case]]:
    """A good line and the odd ones."""
    good = {
        "sftpgo": json.loads(upload(1)),
        "generic": {"time": "2026-11-03T01:59:58.114", "level": "info", "message": "x"},
        "client_events": json.loads(client_events.event("2026-11-03T02:00:00", ID="1", CLIENTID="C1")),
        "cloudtrail": aws_logs.record(1),
        "route53_resolver": aws_logs.query(1),
    }
    if profile in ("vpc_flow", "route53_public"):
        cases = flows() if profile == "vpc_flow" else public_queries()
        return (aws_logs.flow() if profile == "vpc_flow" else cases[2][0].decode()).encode(), cases
    time = {"client_events": "timestamp", "cloudtrail": "eventTime", "route53_resolver": "query_timestamp"}.get(profile, "time")
    text, limit, integer = {
        "sftpgo": ("username", 255, "size_bytes"),
        "generic": ("level", 32, ""),
        "client_events": ("log_level", 32, ""),
        "cloudtrail": ("errorCode", 255, ""),
        "route53_resolver": ("region", 64, ""),
    }[profile]
    return line(**good[profile]), json_lines(good[profile], time, text, limit, integer)


def stream(tmp_path: pathlib.Path, profile: str, sink: t.Dict[str, t.Any], **parse: t.Any) -> t.Any:
    changes = {"sinks": [sink], "follow": {"patterns": ["odd.log"]}}
    if profile == "client_events":
        return client_events.document(
            tmp_path, parse=parse, **{**changes, "follow": {**client_events.given(tmp_path)["follow"], "patterns": ["odd.log"]}}
        )
    return document(tmp_path, parse={"profile": profile, "timezone": "UTC", **parse}, **changes)


@contextlib.contextmanager
def opened(wanted: t.Any) -> t.Iterator[t.Any]:
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        yield sink


def catch_up(wanted: t.Any) -> t.Any:
    return follower.catch_up(wanted, sleep=lambda _seconds: None)["sinks"][0]


def stored(sink: t.Any, profile: str) -> t.List[t.List[t.Any]]:
    """All rows with their values as any database returns them. A token differs each time."""
    found: t.List[t.List[t.Any]] = []
    for table in PROFILES[profile]:
        columns = [column for column in table.columns if column.name not in ("client_id", "client_key")]
        names = ", ".join(column.name for column in columns)
        for offset, *values in sink.select("SELECT line_offset, %s FROM %s" % (names, table.name)):
            row = [table.name, offset, text_of(values[0])]
            for column, value in zip(columns[1:], values[1:]):
                assert value is None or isinstance(value, int) == (column.kind in (INTEGER, BOOLEAN))
                row.append(numbers_of(json.loads(value) if isinstance(value, str) else value) if column.kind == JSON else value)
            found.append(row)
    return sorted(found, key=lambda row: row[1])


def numbers_of(value: t.Any) -> t.Any:
    """JSON of which a database may write a large float as an integer."""
    if isinstance(value, dict):
        return {name: numbers_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return list(map(numbers_of, value))
    return float(value) if isinstance(value, int) and abs(value) >= 1 << 63 else value


def rejected(sink: t.Any, profile: str) -> t.List[t.Tuple[t.Any, ...]]:
    columns = "line_offset, bytes, reason, detail" + ("" if profile == "client_events" else ", line")
    rows = sink.select("SELECT %s FROM ingest_rejected WHERE stored_at IS NULL ORDER BY line_offset" % columns)
    return [tuple(bytes(value) if isinstance(value, (bytes, memoryview)) else value for value in row) for row in rows]


@pytest.mark.parametrize("around", [2, 60])
@pytest.mark.parametrize("profile", PROFILES)
def test_odd_lines_end_the_same_way_in_every_database(tmp_path, logs, place, profile: str, around: int) -> None:
    """around: the good lines beside each odd one. Few rows and many arrive in different ways."""
    good, cases = cases_of(profile)
    header = aws_logs.FLOW_HEADER.encode() + b"\n" if profile == "vpc_flow" else b""
    data, expected = header, {}
    for odd, reason in cases:
        start = len(data) + len(odd) - len(odd.lstrip(b"\0"))
        data += odd + b"\n" + (good + b"\n") * (around if odd == cases[0][0] else 1)
        if reason:
            expected[start] = reason
    # The last line is not complete yet.
    (logs / "odd.log").write_bytes(data + good[:20])
    lines = data.count(b"\n") - header.count(b"\n")
    found = []
    for sink in (place.sink, {"type": "sqlite", "path": str(tmp_path / "db.sqlite")}):
        wanted = stream(tmp_path, profile, sink, max_line="100K")
        result = catch_up(wanted)
        assert (result["rows"], result["rejected"], result["error"]) == (lines - len(expected), len(expected), None)
        with opened(wanted) as one:
            bad = rejected(one, profile)
            assert {row[0]: row[2] for row in bad} == expected
            for offset, length, *_why in bad:
                assert data[offset + length : offset + length + 1] == b"\n"
            before = stored(one, profile)
            gaps = [tuple(row) for row in one.select("SELECT line_offset, bytes, kind FROM ingest_gap")]
        mended = stream(tmp_path, profile, sink, max_line="100K", long_values="truncate")
        again = [retry.retry(mended)[0] for _each in range(2)]
        assert [each["error"] for each in again] == [None, None]
        # What is stored once is not tried again.
        assert again[1] == {**again[0], "tried": again[0]["rejected"], "stored": 0}
        assert again[0]["stored"] == list(expected.values()).count("long_value")
        with opened(mended) as one:
            found.append((bad, before, gaps, again, stored(one, profile), rejected(one, profile)))
            if profile == "sftpgo":
                sizes = one.select("SELECT SUM(uploads) FROM sftpgo_hourly")
                assert int(sizes[0][0]) == len(found[-1][4])
        assert catch_up(wanted)["lines"] == 0
    server, sqlite = found
    for part, (mine, theirs) in enumerate(zip(server, sqlite)):
        if part == 3:
            mine, theirs = ([{**each, "sink": ""} for each in given] for given in (mine, theirs))
        assert mine == theirs


def write_long(logs: pathlib.Path, lines: int) -> None:
    """Lines that are rejected unless long values are truncated."""
    (logs / "sftpgo.log").write_bytes(b"".join(upload(number, username="x" * 300) + b"\n" for number in range(lines)))


def assert_each_once(wanted: t.Any, lines: int) -> None:
    with opened(wanted) as sink:
        assert [row[0] for row in sink.select("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")] == [*range(lines)]
        assert sink.rejected(None, 1, 1) == []
        assert_sums_are_those_of_the_rows(sink.select)


TRY_AGAIN = """
import sys
from {0}.config.files import load_stream
from {0}.ingest import retry
retry.LINES = 20
result = retry.retry(load_stream(sys.argv[1]))[0]
assert result["error"] is None, result
print(result["stored"])
""".format(_engine.__name__)


def try_again(path: pathlib.Path) -> subprocess.Popen[str]:
    environment = dict(os.environ, PYTHONPATH=ENGINE_PATH)
    return subprocess.Popen([sys.executable, "-c", TRY_AGAIN, str(path)], env=environment, stdout=subprocess.PIPE, text=True)


def mended(tmp_path: pathlib.Path, place: t.Any) -> pathlib.Path:
    path = tmp_path / "sftpgo.json"
    path.touch(0o600)
    path.write_text(json.dumps(given(tmp_path, sinks=[place.sink], parse={"long_values": "truncate"})))
    return path


def test_rejected_lines_are_stored_once_though_the_command_is_killed(tmp_path, logs, place) -> None:
    lines = 1000
    write_long(logs, lines)
    assert catch_up(document(tmp_path, sinks=[place.sink]))["rejected"] == lines
    path = mended(tmp_path, place)

    def count() -> int:
        return int(place.rows("SELECT COUNT(*) FROM sftpgo_transfer")[0][0])

    for _kill in range(3):
        before = count()
        running = try_again(path)
        lab.wait_until(lambda: count() > before, "no rejected line is stored")  # noqa: B023
        running.kill()
        running.communicate()
    assert 0 < retry.retry(load_stream(str(path)))[0]["stored"] < lines
    assert_each_once(load_stream(str(path)), lines)


def test_two_commands_at_once_store_rejected_lines_once(tmp_path, logs, place) -> None:
    lines = 600
    write_long(logs, lines)
    assert catch_up(document(tmp_path, sinks=[place.sink]))["rejected"] == lines
    path = mended(tmp_path, place)
    running = [try_again(path) for _each in range(2)]
    texts = [each.communicate()[0] for each in running]
    assert [each.returncode for each in running] == [0, 0]
    assert sum(map(int, texts)) == lines
    assert_each_once(load_stream(str(path)), lines)


def test_a_line_of_100_mb_keeps_its_beginning_and_the_others_arrive(tmp_path, logs, place) -> None:
    size = 100 << 20
    with open(logs / "sftpgo.log", "wb") as file:
        file.write(upload(0) + b"\n")
        for _each in range(100):
            file.write(b"\xff" * (1 << 20))
        file.write(b"\n" + upload(1) + b"\n")
    wanted = document(tmp_path, sinks=[place.sink])
    result = catch_up(wanted)
    assert (result["rows"], result["rejected"], result["error"]) == (2, 1, None)
    again = retry.retry(wanted)[0]
    assert (again["tried"], again["cut"], again["error"]) == (0, 1, None)
    with opened(wanted) as sink:
        bad = sink.rejected(None, 1, 1)[0].rejected
    assert (bad.line_offset, bad.length, bad.reason, bad.line) == (len(upload(0)) + 1, size, "too_long", b"\xff" * (1 << 20))


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
@pytest.mark.parametrize("most", [16 << 10, 1 << 20])
def test_a_server_that_takes_small_statements_only(tmp_path, logs, place, server, most: int) -> None:
    """The server ends the connection that sends a larger one."""
    lines = [upload(number) for number in range(200)]
    lines[100] = upload(100, file_path="x" * 2 * most)
    lines[150] = b"'\\" * most
    lines[180] = b"'" * (9 << 20)
    (logs / "sftpgo.log").write_bytes(b"\n".join(lines) + b"\n")
    wanted = document(tmp_path, sinks=[place.sink], parse={"max_line": "8M"})
    server.run_sql("SET GLOBAL net_buffer_length = 16384; SET GLOBAL max_allowed_packet = %d" % most)
    try:
        result = catch_up(wanted)
        assert (result["lines"], result["error"]) == (200, None)
        with opened(wanted) as sink:
            sizes = [row[0] for row in sink.select("SELECT size_bytes FROM sftpgo_transfer ORDER BY size_bytes")]
            bad = {each.rejected.reason: each.rejected for each in sink.rejected(None, 10, 1 << 30)}
            assert_sums_are_those_of_the_rows(sink.select)
        again = retry.retry(wanted)[0]
    finally:
        server.run_sql("SET GLOBAL max_allowed_packet = DEFAULT; SET GLOBAL net_buffer_length = DEFAULT")
    # By LOAD DATA, the server takes a larger value.
    assert sizes in ([*range(150), *range(151, 180), *range(181, 200)], [*range(100), *range(101, 150), *range(151, 180), *range(181, 200)])
    assert {"not_json", "too_long"} <= set(bad) <= {"not_json", "too_long", "database"}
    assert bad["not_json"].length == 2 * most > len(bad["not_json"].line) > most // 8
    assert bad["too_long"].length == 9 << 20
    assert (again["stored"], again["rejected"], again["cut"], again["error"]) == (0, 0, len(bad), None)


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_an_encrypted_line_that_was_cut_does_not_keep_others_from_being_tried(tmp_path, logs, place, server) -> None:
    most = 64 << 10
    lines = [b"x" * most, client_events.event("2026-11-03T02:00:00", CLIENTID="C1", log_level="x" * 40), b"no json"]
    (logs / "odd.log").write_bytes(b"\n".join(lines) + b"\n")
    server.run_sql("SET GLOBAL max_allowed_packet = %d" % most)
    try:
        assert catch_up(stream(tmp_path, "client_events", place.sink))["rejected"] == 3
    finally:
        server.run_sql("SET GLOBAL max_allowed_packet = DEFAULT")
    again = retry.retry(stream(tmp_path, "client_events", place.sink, long_values="truncate"))[0]
    assert (again["stored"], again["rejected"], again["cut"], again["error"]) == (1, 1, 1, None)


COLUMNS: t.Dict[str, t.List[t.Tuple[str, str, str]]] = {
    # A type, what fills it, and what becomes of the three lines: their value, or nothing for a rejected line.
    "mariadb": [
        ("TINYINT UNSIGNED", "size_bytes", "1 2 -"),
        ("TIMESTAMP NULL", "username", "- - -"),
        ("VARCHAR(20) CHARACTER SET latin1", "username", "alice bob -"),
    ],
    "postgresql": [
        ("TEXT", "size_bytes", "1 2 300"),
        ("BOOLEAN", "size_bytes", "t - -"),
        ("JSONB", "username", "- - -"),
    ],
}


@pytest.mark.parametrize(
    ("server", "number"), [(kind, number) for kind in COLUMNS for number in range(len(COLUMNS[kind]))], indirect=["server"]
)
def test_a_column_of_an_existing_table_that_does_not_take_a_value(tmp_path, logs, place, server, number: int) -> None:
    kind, value, expected = COLUMNS[server.kind][number]
    use, owner = ("USE %s; " % DATABASE, "") if server.kind == "mariadb" else ("", "ALTER TABLE logdata OWNER TO %s;" % USER)
    # They arrive as many rows, and those beside a refused one as few.
    more = 60
    server.run_sql("%sCREATE TABLE logdata (a %s, hash VARCHAR(80) PRIMARY KEY); %s" % (use, kind, owner))
    first = [upload(size, username=name) for size, name in ((1, "alice"), (2, "bob"), (300, "\U0001f600 zoe"))]
    (logs / "sftpgo.log").write_bytes(b"".join(each + b"\n" for each in [*first, *[first[0]] * more]))
    wanted = document(tmp_path, sinks=[{**place.sink, "table": "logdata", "columns": {"a": value, "hash": "row_id"}}])
    result = catch_up(wanted)
    values = expected.split(" ")
    wanted_values = sorted([*(each for each in values if each != "-"), *([values[0]] * more if values[0] != "-" else [])])
    assert result["error"] is None
    assert sorted(each[0] for each in place.rows("SELECT a FROM logdata")) == wanted_values
    assert (result["rows"], result["rejected"]) == (len(wanted_values), 3 + more - len(wanted_values))
    reasons = place.rows("SELECT DISTINCT reason FROM ingest_rejected")
    assert reasons == ([["database"]] if result["rejected"] else [])
