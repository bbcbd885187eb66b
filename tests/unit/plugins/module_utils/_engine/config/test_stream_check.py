# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stream document is checked: every mistake is named; every option is there afterwards."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, NoJobsError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.sink_spec import uses_tls
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from rigs.streams import given

SERVER = {"type": "postgresql", "database": "logs", "user": "follower"}


def problems(tmp_path, **changes) -> list:
    with pytest.raises(ConfigError) as caught:
        normalise_stream(given(tmp_path, **changes))
    return caught.value.problems


def test_defaults(tmp_path) -> None:
    least = {"name": "app", "follow": {"paths": ["/var/log/app"], "patterns": ["app.log"]}, "sinks": [{"type": "sqlite", "path": "/db"}]}
    document = normalise_stream(least)
    assert document["parse"]["profile"] == "generic"
    assert document["follow"] == {
        "journal": None,
        "paths": ["/var/log/app"],
        "patterns": ["app.log"],
        "rotated": [],
        "recurse": False,
        "backups": None,
        "poll": "1",
    }
    assert {name: value for name, value in document["sinks"][0].items() if value is not None} == {
        "type": "sqlite",
        "name": "sqlite",
        "path": "/db",
        "host": "localhost",
        "outbox": "100M",
        "timeout": "60",
    }
    assert document["transform"] is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"follow": {"patterns": []}}, "follow.patterns: is missing"),
        ({"follow": {"patterns": ["a/b"]}}, "follow.patterns[0]: must be the name of a file without '/', not 'a/b'"),
        ({"follow": {"rotated": ["sftpgo.log"]}}, "follow.rotated: 'sftpgo.log' is also in patterns"),
        ({"sinks": [{**SERVER, "host": "db.example.com", "tls": False}]}, "sinks[0].tls: must be one of verify, none, not false"),
        ({"follow": {"poll": 0}}, "follow.poll: must be at least 0.05s"),
        ({"parse": {"timezone": "Mars"}}, "parse.timezone: "),
        ({"parse": {"time_format": "rfc"}}, "parse.time_format: must be iso"),
        ({"parse": {"max_line": "1G"}}, "parse.max_line: must be from 1024 bytes to 64 MiB"),
        ({"page": {"path": "/p", "every": "10m"}, "parse": {"profile": "generic"}}, "page: the profile generic has no statistics"),
        ({"page": {"path": "/p", "every": "0.5"}}, "page.every: must be at least 1s"),
        ({"page": {}}, "page.path: is missing"),
        (
            {"page": {"path": "/p", "every": "1m"}, "sinks": [{"type": "sqlite", "path": "/d", "table": "t", "columns": {"c": "row_id"}}]},
            "page: it is made from the first sink, which fills the table t",
        ),
        ({"transform": {"encrypt": ["username"]}}, "transform.keyring: is missing"),
        ({"transform": {"encrypt": ["time"], "keyring": "/k"}}, "transform.encrypt: the time (time) cannot be encrypted"),
        ({"transform": {"rename": {"a": "b", "c": "b"}}}, "transform.rename: two fields are renamed to 'b'"),
        ({"transform": {"rename": {"a": 1}}}, "transform.rename: must be an object of texts; 'a' is a number"),
        ({"transform": {"rename": {"a": ""}}}, "transform.rename: must be an object of texts; 'a' is empty"),
        ({"transform": {"rename": {"time": "when"}}}, "transform.rename: renames the time (time), so set parse.time_field to its new name"),
        (
            {"transform": {"rename": {"sender": "s"}}},
            "transform.rename: the profile sftpgo chooses the table of a line by the field sender",
        ),
        ({"transform": {"keep": ["username"]}}, "transform.keep: the profile sftpgo chooses the table of a line by the field sender; add"),
        (
            {"transform": {"encrypt": ["sender"], "keyring": "/k"}},
            "transform.encrypt: the profile sftpgo chooses the table of a line by the field sender, so it cannot be encrypted",
        ),
        (
            {"transform": {"encrypt": ["size_bytes"], "keyring": "/k"}},
            "transform.encrypt: a token of size_bytes does not fit into the column size_bytes, which is of the type integer",
        ),
        (
            {"transform": {"encrypt": ["remote_addr"], "keyring": "/k"}},
            "transform.encrypt: a token of remote_addr does not fit into the column client_ip, which takes 64 characters; drop the field",
        ),
        (
            {"transform": {"encrypt": ["usernam"], "keyring": "/k"}},
            "transform.encrypt: the profile sftpgo has no field 'usernam'; did you mean 'username'?",
        ),
        ({"transform": {"keep": ["sender", "user_name"]}}, "transform.keep: the profile sftpgo has no field 'user_name'; did you mean"),
        ({"transform": {"rename": "a"}}, "transform.rename: must be an object of texts, not text"),
        ({"sinks": [{"type": "sqlite"}]}, "sinks[0].path: is missing; a sink of type sqlite requires it"),
        ({"sinks": [{"type": "sqlite", "path": path} for path in ("/a", "/b")]}, "sinks[1].name: two sinks are named 'sqlite'"),
        (
            {"sinks": [{"type": "sqlite", "path": "/a"}, {"type": "sqlite", "name": "b", "path": "/x/../a-wal"}]},
            "sinks[1].path: two sinks have the same file",
        ),
        ({"sinks": [SERVER, {**SERVER, "name": "b", "host": "127.0.0.1", "port": 5432}]}, "sinks[1].database: is also that of sinks[0]"),
        (
            {"sinks": [{**SERVER, "type": "mysql"}, {**SERVER, "type": "mariadb", "table": "t", "columns": {"c": "row_id"}}]},
            "sinks[1].database: is also that of sinks[0]",
        ),
        ({"sinks": [{"type": "sqlite", "path": "/a"}], "page": {"path": "/a"}}, "page.path: is a file of sinks[0].path; choose another"),
        ({"sinks": [{"type": "sqlite", "path": "/a"}], "log": "/a-wal"}, "log: is a file of sinks[0].path; choose another"),
        ({"page": {"path": "/www/a"}, "notify": [{"type": "log", "path": "/www//a"}]}, "notify[0].path: is a file of page.path; choose"),
        ({"page": {"path": "/s/sftpgo.stream.lock"}, "state": "/s"}, "state: is a file of page.path; choose another name"),
        ({"follow": {"paths": ["/logs"], "rotated": ["*.jsonl"]}, "log": "/logs/e.jsonl"}, "log: the stream would follow its own file"),
        (
            {"follow": {"paths": ["/logs"], "rotated": ["n.*"]}, "notify": [{"type": "log", "path": "/logs/n.log"}]},
            "notify[0].path: the stream would follow its own file",
        ),
        (
            {"follow": {"paths": ["/s"], "rotated": ["*"]}, "state": "/s"},
            "state: the stream would follow its own file /s/sftpgo.stream.lock",
        ),
        ({"follow": {"paths": ["logs"]}}, "follow.paths[0]: must be an absolute path, not 'logs'"),
        ({"follow": {"paths": "/logs"}}, "follow.paths: must be a list, not text"),
        ({"sinks": [{"type": "sqlite", "path": "a"}]}, "sinks[0].path: must be an absolute path, not 'a'"),
        ({"follow": {"patterns": ["a-%Y.log"]}}, "follow.patterns[0]: 'a-%Y.log' is a glob, in which '%Y' has no meaning"),
        ({"follow": {"rotated": ["{a,b}.log"]}}, "follow.rotated[0]: '{a,b}.log' is a glob, in which '{a,b}' has no meaning"),
        ({"follow": {"poll": "2d"}}, "follow.poll: must be at most 1d"),
        ({"page": {"path": "/p", "every": "99w"}}, "page.every: must be at most 1d"),
        ({"page": {"path": "/p/"}}, "page.path: must be a file, not a folder"),
        ({"parse": {"time_format": "%H:%M"}}, "parse.time_format: '%H:%M' has no year"),
        ({"parse": {"time_format": "%Q"}}, "parse.time_format: '%Q' cannot be used: 'Q' is a bad directive"),
        ({"parse": {"time_format": "%Y%"}}, "parse.time_format: '%Y%' cannot be used: "),
        (
            {"sinks": [{"type": "sqlite", "path": "/a"}, {"type": "opensearch", "path": "/a"}]},
            "sinks[1].path: two sinks have the same file",
        ),
        ({"sinks": [{"type": "opensearch"}]}, "sinks[0].path: is missing; a sink of type opensearch requires it"),
        ({"sinks": [{"type": "opensearch", "path": "/a", "table": "t"}]}, "sinks[0].table: "),
        (
            {"sinks": [{"type": "opensearch", "path": "/a", "prefix": "Logs"}]},
            "sinks[0].prefix: 'Logs' is not allowed",
        ),
        ({"sinks": [{"type": "opensearch", "path": "/a", "delete_after": "90"}]}, "sinks[0].delete_after: '90': the duration has no unit"),
        ({"sinks": [{"type": "opensearch", "path": "/a", "delete_after": "2h"}]}, "sinks[0].delete_after: must be at least 1d"),
        ({"sinks": [{"type": "opensearch", "path": "/a", "user": "u", "api_key": "k"}]}, "sinks[0].api_key: cannot be combined with user"),
        ({"sinks": [{"type": "sqlite", "path": "/a/"}]}, "sinks[0].path: must be a file, not a folder"),
        (
            {"follow": {"paths": ["/logs"], "patterns": ["*"]}, "sinks": [{"type": "sqlite", "path": "/logs/db"}]},
            "sinks[0].path: the stream would follow its own file /logs/db; choose another folder, or other patterns",
        ),
        (
            {"follow": {"paths": ["/logs/"], "patterns": ["*wal"]}, "sinks": [{"type": "sqlite", "path": "/logs/../logs/db"}]},
            "sinks[0].path: the stream would follow its own file ",
        ),
        (
            {
                "follow": {"paths": ["/"], "patterns": ["a"], "rotated": ["db*"], "recurse": True},
                "sinks": [{"type": "opensearch", "path": "/logs/db"}],
            },
            "sinks[0].path: the stream would follow its own file /logs/db;",
        ),
        (
            {"follow": {"paths": ["/www"], "patterns": ["*.html"]}, "page": {"path": "/www/page.html", "every": "1m"}},
            "page.path: the stream would follow its own file /www/page.html;",
        ),
    ],
    ids=str,
)
def test_mistakes(tmp_path, changes: dict, problem: str) -> None:
    found = problems(tmp_path, **changes)
    assert len(found) == 1
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    "follow",
    [
        {"paths": ["/logs"], "patterns": ["*.log"]},
        {"paths": ["/"], "patterns": ["*"]},
        {"paths": ["/log"], "patterns": ["*"], "recurse": True},
    ],
    ids=str,
)
def test_a_database_beside_the_logs(tmp_path, follow: dict) -> None:
    normalise_stream(given(tmp_path, follow=follow, sinks=[{"type": "sqlite", "path": "/logs/db"}]))


def test_a_database_that_a_link_leads_into_the_logs(tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to("logs")
    follow, sinks = {"paths": [str(tmp_path / "logs")], "patterns": ["*"]}, [{"type": "sqlite", "path": str(tmp_path / "link" / "db")}]
    assert "the stream would follow its own file" in problems(tmp_path, follow=follow, sinks=sinks)[0]


@pytest.mark.parametrize(
    "changes",
    [
        {"parse": {"time_format": "%G-W%V-%u %H:%M"}},
        {"parse": {"time_format": "%d/%b/%Y:%H:%M:%S %z"}},
        {"follow": {"patterns": ["100%.log"], "rotated": ["%d0%b0.log", "{a}"]}},
        {"log": "/var/log/e.jsonl", "follow": {"recurse": True, "paths": ["/var/log"]}},
        {"page": {"path": "/p", "every": "1d"}},
        {"sinks": [SERVER, {**SERVER, "name": "b", "port": 5433}, {**SERVER, "name": "c", "database": "other"}]},
        {"transform": {"rename": {"when": "time"}, "keep": ["sender", "job_id"]}},
        {"transform": {"rename": {"user": "username"}, "encrypt": ["username", "file_path", "job_id"], "keyring": "/k"}},
    ],
    ids=str,
)
def test_no_mistakes(tmp_path, changes: dict) -> None:
    normalise_stream(given(tmp_path, **changes))


def test_a_document_on_disk(tmp_path) -> None:
    folder = tmp_path / "streams.d"
    with pytest.raises(NoJobsError, match="there are no stream documents"):
        files.find(str(folder), [], "stream")
    folder.mkdir()
    with pytest.raises(NoJobsError, match="contains no stream document"):
        files.find(str(folder), [], "stream")
    path = folder / "sftpgo.json"
    path.write_text("// a comment\n" + json.dumps(given(tmp_path)))
    assert files.find(str(folder), [], "stream") == [str(path)]
    assert files.load_stream(str(path)) == normalise_stream(given(tmp_path))
    with pytest.raises(ConfigError, match="the stream document does not exist. Known streams: sftpgo"):
        files.find(str(folder), ["other"], "stream")
    path.rename(folder / "other.json")
    with pytest.raises(ConfigError, match="the name of the stream is 'sftpgo', so the file must be named 'sftpgo.json'"):
        files.load_stream(str(folder / "other.json"))


@pytest.mark.parametrize(
    ("sink", "problem"),
    [
        ({"type": "mariadb"}, "sinks[0].database: is missing; a sink of type mariadb requires it"),
        ({**SERVER, "path": "/db"}, "sinks[0].path: a sink of type postgresql does not have this option; it is for sqlite"),
        ({**SERVER, "socket": "/run/s", "tls": "verify"}, "sinks[0].tls: a connection through a socket has no certificate"),
        ({**SERVER, "tls": "none", "ca_bundle": "/ca"}, "sinks[0].ca_bundle: cannot be combined with tls: none"),
        ({**SERVER, "table": "logdata"}, "sinks[0].table: requires columns, and vice versa"),
        ({**SERVER, "table": "a b", "columns": {"a": "level"}}, "sinks[0].table: 'a b' is not allowed"),
        ({**SERVER, "table": "a", "columns": {"a;": "level"}}, "sinks[0].columns: 'a;' is not the name of a column"),
        ({**SERVER, "table": "a", "columns": {"a": "levle"}}, "sinks[0].columns: there is no 'levle' in the profile sftpgo; use one of "),
        ({"type": "sqlite", "path": "/db", "user": "x"}, "sinks[0].user: a sink of type sqlite does not have this option"),
    ],
    ids=str,
)
def test_mistakes_in_servers(tmp_path, sink: dict, problem: str) -> None:
    assert problems(tmp_path, sinks=[sink])[0].startswith(problem)


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("db.example.com", False), ("127.evil.example", False), ("192.0.2.1", False)],
)
def test_a_connection_is_encrypted_unless_the_server_is_on_this_host(host: str, local: bool) -> None:
    assert uses_tls(None, host, None) is not local
    assert not uses_tls(None, host, "/run/mysqld/mysqld.sock")
    assert uses_tls("verify", host, None) and not uses_tls("none", host, None)


def test_a_secret_in_a_document_that_others_can_read(tmp_path) -> None:
    path = tmp_path / "sftpgo.json"
    path.write_text(json.dumps(given(tmp_path, sinks=[{**SERVER, "password": "x"}])))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="the stream document contains a secret, and other users can read it"):
        files.load_stream(str(path))
    path.chmod(0o640)
    assert files.load_stream(str(path))["sinks"][0]["password"] == "x"
