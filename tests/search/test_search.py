# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sinks elasticsearch and opensearch with real servers: each document once, whatever happens on the way."""

from __future__ import annotations

import collections
import contextlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import client_ids
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, retry, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.search import sink
from lab.https import Authority
from lab.search import API_KEY, PASSWORD, USER, SearchNode, nginx
from rigs.client_events import ID, document, event, given
from rigs.host import COMMAND, ENGINE_PATH
from rigs.storm import Storm, rage

# One node at a time on this machine.
pytestmark = pytest.mark.xdist_group("search")
LONG = os.environ.get("LOG_ARCHIVE_STORM") == "long"
"""'make storm-search': 100 kills, and another seed each time unless LOG_ARCHIVE_SEED names one."""
CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = CHECKOUT / "docs" / "dashboards" / "client-events.ndjson"
SEED = int(os.environ.get("LOG_ARCHIVE_SEED", "0")) or (int.from_bytes(os.urandom(4), "big") if LONG else 20261103)


def write(logs: pathlib.Path, numbers: t.Iterable[int], name: str = "app.log", month: str = "2021-04", **fields: t.Any) -> None:
    with open(logs / name, "ab") as file:
        file.write(b"".join(event(month + "-15T12:00:00", ID=str(number), **fields) + b"\n" for number in numbers))


def wanted(folder: pathlib.Path, node: SearchNode, sink: t.Optional[t.Dict[str, t.Any]] = None, **changes: t.Any) -> t.Any:
    return document(folder, sinks=[node.sink(folder, **(sink or {}))], **changes)


def catch_up(made: t.Any) -> t.Any:
    return follower.catch_up(made, sleep=lambda seconds: time.sleep(seconds / 20))["sinks"][0]


def ids(node: SearchNode, pattern: str = "events-*") -> t.Counter[str]:
    return collections.Counter(hit["_source"]["event_id"] for hit in node.documents(pattern))


def expected(numbers: t.Iterable[int]) -> t.Counter[str]:
    return collections.Counter(map(str, numbers))


def test_each_event_is_in_the_index_of_its_month_and_kind(tmp_path, logs, node) -> None:
    lines = [
        event("2021-04-30T23:59:59", CLIENTID=ID, log_level="ERROR"),
        event("2021-05-01T00:00:00", **{"CLIENT ID": ID}),
        event("2021-04-10T10:00:00.123456", ID="1", details={"a": [1, "x"]}),
        event("2021-04-10T10:00:00.123456", ID="1", details={"a": {"b": 2}}),
    ]
    (logs / "logs_Apr_2021.txt").write_bytes(b"".join(line + b"\n" for line in lines))
    made = wanted(tmp_path, node, client_ids={"deterministic": True})
    assert follower.catch_up(made, check=True)["sinks"][0]["rows"] == 4
    assert not (tmp_path / "outbox.sqlite").exists()
    result = catch_up(made)
    assert (result["rows"], result["rejected"], result["error"]) == (4, 0, None)
    # An old file after a younger one.
    (logs / "logs_Dec_2020.txt").write_bytes(event("2020-12-31T23:59:59", CLIENT_ID=ID) + b"\n")
    assert catch_up(made)["rows"] == 1
    assert catch_up(made)["lines"] == 0
    found = {hit["_index"]: hit["_source"] for hit in node.documents("events-*")}
    assert sorted(found) == ["events-data-2021.04", "events-error-2020.12", "events-error-2021.04", "events-error-2021.05"]
    keys = client_ids.keys_of(str(tmp_path / "keys"))
    for index, key in (("error-2020.12", "2020_December"), ("error-2021.04", "2021_April"), ("error-2021.05", "2021_May")):
        source = found["events-" + index]
        assert (source["client_key"], client_ids.reveal(keys, source["client_id"])) == (key, (key, ID))
    # A search for the client, as a person who has the token does it.
    query = {"query": {"term": {"client_id": found["events-error-2021.04"]["client_id"]}}}
    assert node.call("POST", "/events-error-*/_search", query)["hits"]["total"]["value"] == 1
    assert sorted(node.call("GET", "/_index_template?filter_path=index_templates.name")["index_templates"], key=str) == [
        {"name": "events-data"}, {"name": "events-error"},
    ]  # fmt: skip
    mapping = node.call("GET", "/events-error-2021.04/_mapping")["events-error-2021.04"]["mappings"]
    assert (mapping["dynamic"], mapping["properties"]["client_id"]) == ("strict", {"type": "keyword"})
    assert mapping["properties"]["@timestamp"] == {"type": "date"}
    # Nothing on the way had the id as plaintext.
    for path in tmp_path.rglob("*"):
        assert path.parent == logs or path.is_dir() or ID.encode() not in path.read_bytes()
    assert ID not in json.dumps(node.documents("events-*"))


def test_the_dashboard_asks_for_what_the_indices_have(tmp_path, logs, node) -> None:
    (logs / "a.log").write_bytes(
        b"".join(event("2021-04-1%dT12:00:00" % day, CLIENTID=ID, thread="t%d" % (day % 2)) + b"\n" for day in range(4))
    )
    assert catch_up(wanted(tmp_path, node))["error"] is None
    node.call("POST", "/events-*/_refresh")
    objects = {each["id"]: each for each in map(json.loads, DASHBOARD.read_text().splitlines())}
    charts = [each for each in objects.values() if each["type"] == "visualization"]
    assert len(charts) == 2
    for each in objects.values():
        assert all(objects[reference["id"]]["type"] == reference["type"] for reference in each["references"])
    pattern = next(each for each in objects.values() if each["type"] == "index-pattern")["attributes"]["title"]
    for chart in charts:
        _count, histogram, terms = json.loads(chart["attributes"]["visState"])["aggs"]
        over_time = {"date_histogram": {"field": histogram["params"]["field"], "fixed_interval": "1d"}}
        parts = {"terms": {"field": terms["params"]["field"], "size": 10}}
        answer = node.call("POST", "/%s/_search?size=0" % pattern, {"aggs": {"days": {**over_time, "aggs": {"parts": parts}}}})
        days = [day for day in answer["aggregations"]["days"]["buckets"] if day["parts"]["buckets"]]
        assert [day["parts"]["buckets"][0]["doc_count"] for day in days] == [1, 1, 1, 1]


@pytest.mark.parametrize("running_node", ["opensearch"], indirect=True)
def test_the_demo(tmp_path, node, capsys, monkeypatch) -> None:
    specification = importlib.util.spec_from_file_location("demo_search", CHECKOUT / "demo" / "search.py")
    assert specification is not None and specification.loader is not None
    demo = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(demo)
    monkeypatch.setattr(demo, "LINES", 600)
    demo.show(tmp_path, node)
    shown = capsys.readouterr().out
    assert "1200 lines, 1200 documents, each once:" in shown
    assert "events-error-2021.05" in shown


def test_a_lost_answer_and_a_lost_outbox_send_nothing_twice(tmp_path, logs, node, new_proxy) -> None:
    write(logs, range(1500))
    proxy = new_proxy(node)
    made = wanted(tmp_path, node, {"port": proxy.port})
    catch_up(wanted(tmp_path, node, {"prefix": "warm"}, name="warm", state=str(tmp_path / "other")))
    (tmp_path / "outbox.sqlite").unlink()
    # The server gets each bulk request whole, and its answer is cut.
    proxy.cut_after(down=3000, times=3)
    assert catch_up(made)["error"] is None
    assert ids(node) == expected(range(1500))
    (tmp_path / "outbox.sqlite").unlink()
    result = catch_up(made)
    assert (result["rows"], result["error"]) == (1500, None)
    assert ids(node) == expected(range(1500))


def test_what_the_mapping_refuses_is_rejected_and_the_rest_goes_on(tmp_path, logs, node) -> None:
    node.call("PUT", "/events-data-2021.04", {"mappings": {"properties": {"event_id": {"type": "long"}}}})
    write(logs, ["1", "secret value", "2"])
    write(logs, [4], month="2021-05")
    made = wanted(tmp_path, node)
    result = catch_up(made)
    assert (result["rows"], result["rejected"], result["error"]) == (3, 1, None)
    assert ids(node) == expected([1, 2, 4])
    row = status.of(made)[0]
    assert (row["rejected"], row["exit_code"], row["waiting"]) == (1, 3, 0)
    assert retry.retry(made)[0]["rejected"] == 1
    node.call("DELETE", "/events-data-2021.04")
    node.call("PUT", "/events-data-2021.04")
    done = retry.retry(made)[0]
    assert (done["tried"], done["stored"], done["rejected"], done["error"]) == (1, 1, 0, None)
    assert ids(node) == collections.Counter(["secret value", "4"])
    assert status.of(made)[0]["rejected"] == 0


def test_a_deleted_and_a_read_only_index_wait_and_are_reported(tmp_path, logs, node) -> None:
    made = wanted(tmp_path, node)
    write(logs, [1])
    write(logs, [2], month="2021-05")
    assert catch_up(made)["error"] is None
    node.call("DELETE", "/events-data-2021.04")
    node.call("PUT", "/events-data-2021.05/_settings", {"index.blocks.write": True})
    write(logs, [3])
    write(logs, [4], month="2021-05")
    write(logs, [5], month="2021-06")
    error = catch_up(made)["error"]
    assert "events-data-2021.04: 2 documents wait: the index no longer exists. If it was deleted, restore it" in error
    assert ids(node) == expected([2, 5])
    assert status.of(made)[0]["waiting"] == 2
    node.call("PUT", "/events-data-2021.04")
    error = catch_up(made)["error"]
    assert "events-data-2021.05: 1 documents wait: the server refuses to write (cluster_block_exception)" in error
    node.call("PUT", "/events-data-2021.05/_settings", {"index.blocks.write": False})
    assert catch_up(made)["error"] is None
    assert ids(node) == expected([2, 3, 4, 5])


def test_reading_waits_when_the_outbox_is_full(tmp_path, logs, node, new_proxy) -> None:
    proxy = new_proxy(node)
    made = wanted(tmp_path, node, {"port": proxy.port, "outbox": "100K", "timeout": "20"})
    write(logs, [0])
    assert catch_up(made)["error"] is None
    proxy.cut_after(up=0, times=None)
    write(logs, range(1, 6001), filler="x" * 100)
    result = catch_up(made)
    assert "wait to be sent, and the outbox is full" in result["error"]
    assert "Reading goes on when the server accepts them" in result["error"]
    assert 0 < status.of(made)[0]["waiting"] < 6000
    proxy.cut_after(up=10**12, times=None)
    assert catch_up(made)["error"] is None
    assert ids(node) == expected(range(6001))


def test_a_full_disk_under_outbox_and_state_loses_nothing(tmp_path, logs, node, new_proxy) -> None:
    """First before the first document, then while documents wait, then with a server that is back."""
    with contextlib.ExitStack() as stack:
        try:
            small = pathlib.Path(stack.enter_context(lab.small_filesystem(tmp_path / "small", sink.LEAST_FREE + (16 << 20))))
        except lab.Unavailable as reason:
            pytest.skip(str(reason))
        proxy, filler = new_proxy(node), small / "filler"
        options = {"port": proxy.port, "path": str(small / "outbox.sqlite"), "timeout": "20"}
        made = wanted(tmp_path, node, options, state=str(small / "state"))
        written = 0

        def fill(room: int) -> None:
            with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            os.truncate(filler, max(0, filler.stat().st_size - room))

        def fails_with(text: str) -> None:
            error = catch_up(made)["error"]
            assert text in error
            assert "Free some space; nothing is lost" in error
            assert not ids(node) - expected(range(written))

        def stores_all() -> None:
            filler.unlink()
            assert catch_up(made)["error"] is None
            assert (ids(node), status.of(made)[0]["waiting"]) == (expected(range(written)), 0)

        for room in (1 << 20, 0):
            write(logs, range(written, written + 1500), filler="x" * 1500)
            written += 1500
            fill(room)
            fails_with("the database cannot be written")
            fails_with("the database cannot be written")
            stores_all()
        proxy.refuse()
        write(logs, range(written, written + 1000))
        written += 1000
        assert "the server cannot be reached" in catch_up(made)["error"]
        assert status.of(made)[0]["waiting"] == 1000
        fill(0)
        write(logs, range(written, written + 1000))
        written += 1000
        fails_with("")
        proxy.restore()
        # The server takes documents, and SQLite cannot even remove them.
        fails_with("")
        fails_with("")
        stores_all()


def test_a_follower_waits_for_a_server_that_was_killed(tmp_path, logs, node) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps(given(tmp_path, sinks=[node.sink(tmp_path)])))
    write(logs, [1])
    env = dict(os.environ, PYTHONPATH=ENGINE_PATH)
    running = subprocess.Popen(
        [*COMMAND, "follow", str(path), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
    )
    log = tmp_path / "events.jsonl"

    def failures(how: str) -> int:
        return log.read_bytes().count(b"sink_%s" % how.encode())

    try:
        wait_for(lambda: len(node.documents("events-*")) == 1)
        node.kill()
        write(logs, [2])
        wait_for(lambda: failures("failed") > failures("recovered"))
        write(logs, [3])
        node.start()
        wait_for(lambda: len(node.documents("events-*")) == 3 and failures("failed") == failures("recovered"))
    finally:
        running.send_signal(signal.SIGTERM)
        out, err = running.communicate(timeout=lab.patience(60))
    told = err.decode().splitlines()
    # On a busy machine also because it did not answer in time, or has no shards yet.
    assert running.returncode == 0 and len(told) == failures("failed") + failures("recovered"), told
    assert all(" is down: " in each for each in told[::2]) and all(each.endswith(" works again") for each in told[1::2]), told
    assert json.loads(out)["sinks"][0]["rows"] == 3
    assert b"connection refused" in log.read_bytes()


def wait_for(condition: t.Callable[[], bool]) -> None:
    def look() -> bool:
        # The server may be down.
        with contextlib.suppress(OSError):
            return condition()
        return False

    lab.wait_until(look, "it did not come to that", 60, pause=0.2)


def test_the_wrong_product_is_named(tmp_path, logs, node) -> None:
    write(logs, [1])
    other = {"opensearch": "elasticsearch", "elasticsearch": "opensearch"}[node.product]
    error = catch_up(wanted(tmp_path, node, {"type": other}))["error"]
    assert {
        "elasticsearch": "the server is not Elasticsearch. If it is OpenSearch, set type to opensearch",
        "opensearch": "the server is Elasticsearch, not OpenSearch. Set type to elasticsearch",
    }[other] in error


def test_tls_and_logins(tmp_path, logs, node, authority, start_part) -> None:
    certificate, key = authority.issue("search", ["localhost"])
    write(logs, [1])
    port = start_part(nginx(tmp_path / "nginx", node.port, certificate, key))
    tls = {"host": "localhost", "port": port, "tls": "verify", "ca_bundle": authority.certificate_file}
    stranger = Authority(tmp_path / "stranger")
    bad: t.List[t.Tuple[t.Dict[str, t.Any], str]] = [
        ({"ca_bundle": stranger.certificate_file}, "its TLS certificate is not accepted"),
        ({"host": "127.0.0.1"}, "its TLS certificate is not accepted"),
        ({"ca_bundle": None}, "its TLS certificate is not accepted"),
        ({}, "the server refuses the user ("),
        ({"user": USER, "password": "wrong"}, "the server refuses the user ("),
        ({"api_key": "d3Jvbmc="}, "the server refuses the user ("),
    ]
    for changes, message in bad:
        error = catch_up(wanted(tmp_path, node, {**tls, **changes}))["error"]
        assert message in error, changes
        assert "wrong" not in error
        assert "d3Jvbmc" not in error
    assert catch_up(wanted(tmp_path, node, {**tls, "user": USER, "password": PASSWORD}))["error"] is None
    write(logs, [2])
    assert catch_up(wanted(tmp_path, node, {**tls, "api_key": API_KEY}))["error"] is None
    assert ids(node) == expected([1, 2])


@pytest.mark.parametrize("running_node", ["opensearch", "elasticsearch"] if LONG else ["opensearch"], indirect=True)
def test_a_storm_in_which_the_server_is_killed_too(quick_path: pathlib.Path, node) -> None:
    def count() -> t.Counter[int]:
        return collections.Counter(hit["_source"]["extra"]["n"] for hit in node.documents("app-*"))

    storm = Storm(kills=100, rate=1000, seed=SEED, server_kills=10) if LONG else Storm(kills=3, rate=300, seed=SEED, server_kills=2)
    # Loading the client library takes as long as a follower of a database lives in such a storm.
    storm = storm._replace(life=1.0)
    outcome = rage(quick_path, storm, node.sink(quick_path), node, count)
    print("seed %d: %d lines, %d before the last catch-up, %d kills" % (SEED, outcome.lines, outcome.early, outcome.kills))
    twice, missing = outcome.stored - outcome.written, outcome.written - outcome.stored
    assert (len(twice), len(missing)) == (0, 0), (SEED, twice.most_common(5), missing.most_common(5))
