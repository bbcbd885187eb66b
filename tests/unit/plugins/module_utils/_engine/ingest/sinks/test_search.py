# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent to search servers: documents, templates, and the requests for retention, for which the servers of the lab lack plugins."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import threading
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, pump, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.parser import LineParser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.tables import GENERIC, PROFILES, TRANSFER
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.search import documents, retention, server, sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.tail import matching
from rigs.client_events import document as events, event
from rigs.streams import document, upload


def test_a_row_becomes_a_document_without_what_is_null(tmp_path, monkeypatch) -> None:
    _table, values = LineParser(document(tmp_path)).parse(upload(7, virtual_path='a"b\\ü', new={"field": 1}))
    for _with_and_without in range(2):
        made = documents.Documents("sftp", TRANSFER, "sftpgo", "web1").of_rows("public", [(42, *values)])[0]
        assert made[:3] == (42, "sftp-transfer-2026.11", "public-42")
        source = json.loads(made.source)
        assert (source["@timestamp"], source["time_text"]) == ("2026-11-03T00:59:58.114000Z", "2026-11-03T01:59:58.114")
        assert (source["size_bytes"], source["virtual_path"], source["extra"]) == (7, 'a"b\\ü', {"new": {"field": 1}})
        assert (source["stream"], source["host"]) == ("sftpgo", "web1")
        assert "error" not in source
        monkeypatch.setitem(__import__("sys").modules, "msgspec", None)


def test_every_field_of_every_profile_has_a_mapping() -> None:
    for tables in PROFILES.values():
        made = documents.templates("p", tables, {"a": 1})
        assert len({pattern for template in made.values() for pattern in template["index_patterns"]}) == len(made)
        for table in tables:
            for kind in documents.kinds_of(table):
                template = made["p-" + kind]["template"]
                assert template["mappings"]["dynamic"] == "strict"
                assert len(template["mappings"]["properties"]) == len(table.columns) + 2
    assert documents.templates("p", [GENERIC], {})["p-line"]["template"]["mappings"]["properties"]["extra"]["dynamic"] is True


def test_the_end_of_a_month() -> None:
    assert documents.end_of_month("p-data-2021.04") == 1619827200
    assert documents.end_of_month("p-data-2020.12") == 1609459200


@pytest.mark.parametrize(
    ("item", "what", "reason"),
    [
        ({"status": 201}, server.DONE, ""),
        (
            {"status": 409, "error": {"type": "version_conflict_engine_exception", "reason": "[1]: document already exists"}},
            server.DONE,
            "",
        ),
        ({"status": 429, "error": {"type": "rejected_execution_exception"}}, server.WAIT, "rejected_execution_exception"),
        ({"status": 503, "error": {"type": "unavailable_shards_exception"}}, server.WAIT, "unavailable_shards_exception"),
        ({"status": 403, "error": {"type": "cluster_block_exception"}}, server.WAIT, "cluster_block_exception"),
        ({"status": 400, "error": {"type": "index_closed_exception"}}, server.WAIT, "index_closed_exception"),
        ({"status": 404, "error": {"type": "index_not_found_exception"}}, server.WAIT, "index_not_found_exception"),
        (
            {
                "status": 400,
                "error": {"type": "mapper_parsing_exception", "reason": "failed to parse field [n] of type [long] in 'secret'"},
            },
            server.REJECT,
            "mapper_parsing_exception (n of type long)",
        ),
        ({"status": 400, "error": {"type": "illegal_argument_exception", "reason": "secret"}}, server.REJECT, "illegal_argument_exception"),
        ({}, server.WAIT, "no status"),
    ],
)
def test_what_an_answer_means(item, what, reason) -> None:
    assert server._outcome(item)[::2] == (what, reason)


FORBIDDEN = "forbidden"


class Recorder(http.server.BaseHTTPRequestHandler):
    """Answers as a server with ILM and ISM would, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        made: t.Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        made.requests.append((self.command, self.path, body))
        status, answer = 200, made.answers.get((self.command, path), {})
        if made.denied and answer is not FORBIDDEN:
            status, answer = made.denied, {"error": {"type": "security_exception"}, "status": made.denied}
        elif path == "/_bulk" and answer is not FORBIDDEN:
            blocked = [json.loads(line)["create"]["_index"] in made.blocked for line in body.splitlines()[::2]]
            items = [{"status": 403, "error": {"type": "cluster_block_exception"}} if each else {"status": 201} for each in blocked]
            items = [made.refuses or item for item in items]
            answer = {"errors": any(blocked) or made.refuses is not None, "items": [{"create": item} for item in items]}
        elif path.endswith("/_settings/index.uuid"):
            answer = dict.fromkeys(path.split("/")[1].split(","), {})
        elif answer in (None, FORBIDDEN):
            status, answer = 404 if answer is None else 403, {}
        data = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in (
            ("content-type", "application/json"),
            ("content-length", str(len(data))),
            ("x-elastic-product", "Elasticsearch"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = _answer

    def log_message(self, *_arguments: t.Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def recorder(answers: t.Dict[t.Tuple[str, str], t.Any]) -> t.Iterator[t.Any]:
    made: t.Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    made.requests, made.blocked, made.refuses, made.denied = [], set(), None, 0
    made.answers = {("GET", "/"): {"version": {"distribution": "opensearch"}}, **answers}
    threading.Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


def sent(tmp_path, kind: str, answers: t.Dict[t.Tuple[str, str], t.Any]) -> t.Dict[t.Tuple[str, str], t.Any]:
    (tmp_path / "logs").mkdir(exist_ok=True)
    (tmp_path / "logs" / "a.log").write_bytes(event("2021-04-15T12:00:00", ID="1") + b"\n")
    with recorder(answers) as made:
        options = {"type": kind, "path": str(tmp_path / "box"), "port": made.server_port, "delete_after": "400d"}
        assert follower.catch_up(events(tmp_path, sinks=[options]))["sinks"][0]["error"] is None
        return {(method, path): json.loads(body) for method, path, body in made.requests if method == "PUT"}


def test_retention_by_ilm(tmp_path) -> None:
    pytest.importorskip("elasticsearch")
    requests = sent(tmp_path, "elasticsearch", {})
    policy = requests["PUT", "/_ilm/policy/events-retention"]["policy"]
    assert policy["phases"]["delete"] == {"min_age": "34560000s", "actions": {"delete": {}}}
    template = requests["PUT", "/_index_template/events-data"]["template"]
    assert template["settings"] == {"index.lifecycle.name": "events-retention"}
    assert requests["PUT", "/events-data-2021.04"]["settings"] == {"index.lifecycle.origination_date": 1619827200000}


@pytest.mark.parametrize("is_known", [False, True])
def test_retention_by_ism(tmp_path, is_known) -> None:
    pytest.importorskip("opensearchpy")
    path = "/_plugins/_ism/policies/events-retention"
    old = {"_seq_no": 5, "_primary_term": 2, "policy": retention.ism("events", [], 86400.0)["policy"]}
    requests = sent(tmp_path, "opensearch", {("GET", path): old if is_known else None})
    ((_method, asked), body) = next(item for item in requests.items() if "_ism" in item[0][1])
    assert asked.startswith(path)
    assert ("if_seq_no=5" in asked and "if_primary_term=2" in asked) == is_known
    assert body["policy"]["states"][0]["transitions"] == [{"state_name": "delete", "conditions": {"min_index_age": "34560000s"}}]
    assert body["policy"]["ism_template"][0]["index_patterns"] == ["events-data-*", "events-error-*"]
    assert requests["PUT", "/_index_template/events-data"]["template"]["settings"] == {}


@pytest.mark.parametrize("kind", ["opensearch", "elasticsearch"])
def test_without_the_right_to_put_templates_each_index_gets_its_mapping(tmp_path, kind) -> None:
    pytest.importorskip({"opensearch": "opensearchpy"}.get(kind, kind))
    forbidden = {("PUT", "/_index_template/events-%s" % name): FORBIDDEN for name in ("data", "error")}
    requests = sent(tmp_path, kind, {**forbidden, ("GET", "/"): FORBIDDEN})
    assert requests["PUT", "/events-data-2021.04"]["mappings"]["dynamic"] == "strict"


def test_a_server_that_is_not_there_is_waited_for_and_reading_goes_on(tmp_path) -> None:
    pytest.importorskip("opensearchpy")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes(event("2021-04-15T12:00:00", ID="1") + b"\n")
    made = events(tmp_path, sinks=[{"type": "opensearch", "path": str(tmp_path / "box"), "port": 1, "timeout": "5"}])
    waits: t.List[float] = []
    result = follower.catch_up(made, sleep=waits.append)["sinks"][0]
    assert (result["rows"], bool(waits)) == (1, True)
    assert result["error"] == "localhost:1: the server cannot be reached (connection refused)"


def denied_login(made: t.Any) -> None:
    made.denied = 401


def denied_all(made: t.Any) -> None:
    made.denied = 403


def denied_index(made: t.Any) -> None:
    made.answers["PUT", "/events-data-2021.04"] = FORBIDDEN


def denied_bulk(made: t.Any) -> None:
    made.answers["POST", "/_bulk"] = FORBIDDEN


def denied_documents(made: t.Any) -> None:
    made.refuses = {"status": 403, "error": {"type": "security_exception", "reason": "action [indices:data/write/bulk[s]] is unauthorized"}}


@pytest.mark.parametrize("kind", ["opensearch", "elasticsearch"])
@pytest.mark.parametrize(
    ("deny", "problem"),
    [
        (denied_login, "the server refuses the user ("),
        (denied_all, "the user lacks a right ("),
        (denied_index, "the user lacks a right (PUT /events-data-2021.04: status 403)"),
        (denied_bulk, "the user lacks a right (POST /_bulk: status 403)"),
        (denied_documents, "events-data-2021.04: 1 documents wait: the user lacks the right to write (security_exception). Grant it"),
    ],
    ids=["login", "all", "index", "bulk", "documents"],
)
@pytest.mark.parametrize("before", [0, 1])
def test_lines_wait_in_the_outbox_while_the_server_refuses_the_user(tmp_path, kind, deny, problem, before) -> None:
    """before: lines that were sent before the user lost the right."""
    pytest.importorskip({"opensearch": "opensearchpy"}.get(kind, kind))
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "a.log"

    def write(month: str) -> None:
        with open(log, "ab") as file:
            file.write(event("2021-%s-15T12:00:00" % month, ID="1") + b"\n")

    with recorder({}) as made:
        document = events(tmp_path, sinks=[{"type": kind, "path": str(tmp_path / "box"), "port": made.server_port}])
        if before:
            write("05")
            assert follower.catch_up(document)["sinks"][0]["error"] is None
        answers = dict(made.answers)
        deny(made)
        for waiting in (1, 2):
            write("04")
            result = follower.catch_up(document, sleep=lambda _seconds: None)["sinks"][0]
            assert problem.replace(": 1 documents", ": %d documents" % waiting) in result["error"]
            # The source may remove the file before somebody mends the account.
            assert (result["rows"], status.of(document)[0]["waiting"]) == (1, waiting)
        made.denied, made.refuses, made.answers = 0, None, answers
        asked = len(made.requests)
        assert follower.catch_up(document)["sinks"][0]["error"] is None
        sent = [body for _method, path, body in made.requests[asked:] if path.startswith("/_bulk")]
        assert sum(body.count(b'"create"') for body in sent) == 2
        assert status.of(document)[0]["waiting"] == 0


def test_a_refused_user_is_not_tried_again_at_once(tmp_path) -> None:
    """Each attempt with a wrong password may bring the account nearer to being locked."""
    pytest.importorskip("opensearchpy")
    (tmp_path / "logs").mkdir()
    with recorder({}) as made:
        made.denied = 401
        document = events(tmp_path, sinks=[{"type": "opensearch", "path": str(tmp_path / "box"), "port": made.server_port}])
        with contextlib.closing(pump.Pump(document, document["sinks"][0])) as pumped:
            for number in range(4):
                with open(tmp_path / "logs" / "a.log", "ab") as file:
                    file.write(event("2021-04-15T12:00:00", ID=str(number)) + b"\n")
                pumped.look()
                while pumped.step() or pumped.deliver():
                    pass
            assert (pumped.counts.rows, len(made.requests)) == (4, 1)
            assert pumped.trouble is not None and not pumped.trouble.retryable


def test_documents_that_wait_leave_room_on_the_disk_to_remove_them(tmp_path, monkeypatch) -> None:
    """SQLite cannot even delete on a full disk: then the outbox could not be emptied when the server is back."""
    pytest.importorskip("opensearchpy")
    monkeypatch.setattr(sink, "LEAST_FREE", 1 << 62)
    box = {"type": "opensearch", "path": str(tmp_path / "box"), "port": 1, "timeout": "5"}
    made, live = document(tmp_path, sinks=[box]), tmp_path / "logs" / "sftpgo.log"
    live.parent.mkdir()
    for lines, problem in ((1, "the server cannot be reached"), (2, "1 documents wait to be sent, and the disk has less than")):
        live.write_bytes(b"".join(upload(number) + b"\n" for number in range(lines)))
        result = follower.catch_up(made, sleep=lambda _seconds: None)["sinks"][0]
        assert (problem in result["error"], result["lines"]) == (True, 2 - lines)


def test_documents_that_the_server_refuses_are_events_with_their_number(tmp_path) -> None:
    pytest.importorskip("opensearchpy")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_bytes((event("2021-04-15T12:00:00", ID="1") + b"\n") * 3)
    with recorder({}) as made:
        made.refuses = {"status": 400, "error": {"type": "mapper_parsing_exception"}}
        options = {"type": "opensearch", "path": str(tmp_path / "box"), "port": made.server_port}
        result = follower.catch_up(events(tmp_path, sinks=[options], log=str(tmp_path / "events.jsonl")))["sinks"][0]
    assert (result["rows"], result["rejected"], result["error"]) == (0, 3, None)
    written = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    rejected = [each for each in written if each["event"] == "rejected"]
    assert sum(each["lines"] for each in rejected) == 3
    assert {(each["sink"], each["reason"]) for each in rejected} == {("opensearch", "document")}


def test_a_live_file_that_loses_its_end_is_sent_once(tmp_path, monkeypatch) -> None:
    pytest.importorskip("opensearchpy")
    monkeypatch.setattr(matching, "COPY_SETTLES", 0.1)
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "a.log"

    def append(begin: int, end: int) -> None:
        with open(log, "ab") as file:
            file.write(b"".join(event("2021-04-15T12:00:00", ID="%d" % number) + b"\n" for number in range(begin, end)))

    with recorder({}) as made:
        document = events(tmp_path, sinks=[{"type": "opensearch", "path": str(tmp_path / "box"), "port": made.server_port}])
        append(100, 200)
        assert follower.catch_up(document)["sinks"][0]["rows"] == 100
        os.truncate(log, log.stat().st_size // 100 * 80)
        append(200, 210)
        assert follower.catch_up(document)["sinks"][0]["rows"] == 10
        sent = [json.loads(line) for method, path, body in made.requests if path.startswith("/_bulk") for line in body.splitlines()[::2]]
    assert (len(sent), len({each["create"]["_id"] for each in sent})) == (110, 110)


def test_a_blocked_index_is_tried_again_while_others_work(tmp_path, monkeypatch) -> None:
    pytest.importorskip("opensearchpy")
    monkeypatch.setattr(sink, "FIRST_DELAY", lab.patience(0.2))
    (tmp_path / "logs").mkdir()
    with recorder({}) as made:
        made.blocked.add("events-data-2021.04")
        document = events(tmp_path, sinks=[{"type": "opensearch", "path": str(tmp_path / "box"), "port": made.server_port}])
        with contextlib.closing(pump.Pump(document, document["sinks"][0])) as pumped:

            def sent(month: bytes) -> int:
                return sum(month in body for _method, path, body in made.requests if path.startswith("/_bulk"))

            began = time.monotonic()
            # The documents of the other index are sent each time, those of the blocked one after longer and longer pauses.
            while sent(b"2021.04") < 3 or sent(b"2021.05") < 4:
                assert not lab.overdue(began, 60)
                with open(tmp_path / "logs" / "a.log", "ab") as file:
                    file.write(event("2021-04-15T12:00:00", ID="1") + b"\n" + event("2021-05-15T12:00:00", ID="2") + b"\n")
                pumped.look()
                while pumped.step() or pumped.deliver():
                    pass
            assert "events-data-2021.04" in str(pumped.trouble)
            made.blocked.clear()
            began = time.monotonic()
            while pumped.trouble is not None:
                assert not lab.overdue(began, 60)
                while pumped.step() or pumped.deliver():
                    pass
