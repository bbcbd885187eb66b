# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a stream reports to receivers, and how often; its metrics."""

from __future__ import annotations

import json
import pathlib
import re
import sys
import threading
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import MissingLibraryError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import companions
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, status
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.facts import SinkState
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up, stream_metrics
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.stream_alarms import Alarms
from rigs.streams import document, upload

MAIL = {"type": "mail", "to": ["ops@example.com"]}
LOG = {"type": "log", "path": "/var/log/recap.jsonl"}
DOCS = pathlib.Path(__file__).resolve().parents[6] / "docs"


class Receivers:
    """What each receiver got: (type, title of the outcome, errors, warnings, recovered)."""

    def __init__(self) -> None:
        self.got: t.List[t.Tuple[str, str, int, int, bool]] = []
        self.texts: t.List[str] = []

    def __call__(self, target: t.Any, record: t.Any, recovered: bool) -> None:
        self.got.append((target["type"], record["outcome"], len(record["errors"]), len(record["warnings"]), recovered))
        self.texts += record["errors"] + record["warnings"]


def fine(**counts: int) -> SinkState:
    return SinkState("sqlite", "", 0.0, *(counts.get(name, 0) for name in ("rejected", "gaps", "gap_bytes")))


def down(since: float, text: str = "no answer", failed: bool = False) -> SinkState:
    return SinkState("sqlite", text, since, 0, 0, 0, failed)


def alarms(folder: pathlib.Path, receivers: Receivers, notify: t.Sequence[t.Any] = (MAIL,), **changes: t.Any) -> Alarms:
    return Alarms(document(folder, notify=list(notify), **changes), receivers)


def test_a_sink_that_is_down_is_reported_once_and_so_is_its_end(tmp_path) -> None:
    receivers = Receivers()
    watch = alarms(tmp_path, receivers)
    watch.look([down(1000.0)], now=1000.0)
    watch.look([down(1000.0)], now=1299.0)
    assert receivers.got == []
    watch.look([down(1000.0)], now=1300.0)
    assert receivers.got == [("mail", "failed", 1, 0, False)]
    assert receivers.texts == ["the sink sqlite has been down since 1970-01-01T00:16:40Z, and lines wait: no answer"]
    for minute in range(100):
        watch.look([down(1000.0, "error %d" % minute)], now=1300.0 + 60 * minute)
    # systemd starts it again and again.
    for _each in range(3):
        watch = alarms(tmp_path, receivers)
        watch.look([down(9000.0, failed=True)], now=9000.0)
    assert len(receivers.got) == 1
    watch.look([fine()], now=9001.0)
    assert receivers.got[1:] == [("mail", "the sink sqlite works again", 0, 0, True)]
    watch.look([fine()], now=9002.0)
    assert len(receivers.got) == 2


def test_a_state_folder_that_cannot_be_used_any_more_does_not_end_the_notifications(tmp_path) -> None:
    receivers = Receivers()
    watch = alarms(tmp_path, receivers)
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    warnings = watch.look([down(1000.0, failed=True)], now=1000.0)
    assert [text.partition(str(tmp_path))[0] for text in warnings] == ["cannot record what was reported: "]
    assert receivers.got == [("mail", "failed", 1, 0, False)]


def test_a_short_outage_is_not_reported(tmp_path) -> None:
    receivers = Receivers()
    watch = alarms(tmp_path, receivers)
    watch.look([down(1000.0)], now=1200.0)
    watch.look([fine()], now=1210.0)
    assert receivers.got == []
    watch.look([down(5000.0, failed=True)], now=5000.0)
    assert receivers.got == [("mail", "failed", 1, 0, False)], "what failed for good is reported at once"


def test_gaps_and_rejected_lines_are_collected_for_an_hour(tmp_path) -> None:
    receivers = Receivers()
    watch = alarms(tmp_path, receivers, [MAIL, LOG])
    watch.look([fine(rejected=2, gaps=1, gap_bytes=2048)], now=10_000.0)
    assert receivers.got == [("mail", "failed, lines rejected", 1, 1, False), ("log", "failed, lines rejected", 1, 1, False)]
    assert receivers.texts[0] == "the source lost lines before they were read: 1 gap, 2.0 KiB of known size"
    assert receivers.texts[1].startswith("2 lines were rejected; 'log-archive ingest sftpgo --rejected' tries them again")
    for minute in range(59):
        watch.look([fine(rejected=3 + minute, gaps=2 + minute, gap_bytes=2048)], now=10_060.0 + 60 * minute)
    assert len(receivers.got) == 2
    # Another process counts from 0; what waits is kept.
    again = alarms(tmp_path, receivers, [MAIL, LOG])
    again.look([fine()], now=13_601.0)
    assert len(receivers.got) == 4
    assert receivers.texts[-2:] == [
        "the source lost lines before they were read: 59 gaps",
        "59 lines were rejected; 'log-archive ingest sftpgo --rejected' tries them again once the document is right",
    ]


def test_rejected_lines_alone_are_no_failure(tmp_path) -> None:
    receivers = Receivers()
    alarms(tmp_path, receivers, [MAIL, LOG, dict(MAIL, when=["warning"])]).look([fine(rejected=1)], now=10_000.0)
    assert [got[0] for got in receivers.got] == ["log", "mail"]


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"sinks": {"sqlite": 1}}', b'{"sinks": {}, "waiting": {}, "sent": {}}'])
def test_a_damaged_record_of_what_was_reported_is_made_anew(tmp_path, content) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "sftpgo.stream.alarms.json").write_bytes(content)
    receivers = Receivers()
    assert alarms(tmp_path, receivers).look([down(1.0, failed=True)], now=2.0) == []
    assert len(receivers.got) == 1


def test_a_clock_that_is_set_back_silences_nothing(tmp_path) -> None:
    receivers = Receivers()
    watch = alarms(tmp_path, receivers)
    watch.look([fine(gaps=1)], now=1_000_000.0)
    watch.look([fine(gaps=2)], now=5_000.0)
    watch.look([down(900_000.0)], now=5_000.0)
    watch.look([down(900_000.0)], now=5_301.0)
    assert len(receivers.got) == 3


def test_an_ingest_that_fails_and_one_that_works_again_are_reported_to_a_log(tmp_path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sftpgo.log").write_bytes(upload(1) + b"\n")
    recap = tmp_path / "recap.jsonl"
    prom = tmp_path / "log_archive-stream_sftpgo.prom"
    notify = [{"type": "log", "path": str(recap), "when": ["failure", "recovery"]}, {"type": "textfile", "path": str(tmp_path)}]
    sink = {"type": "sqlite", "path": str(tmp_path / "later" / "db.sqlite")}
    wanted = document(tmp_path, notify=notify, sinks=[sink])
    set_up.STREAMS.add(wanted)
    assert 'log_archive_stream_lines_total{stream="sftpgo",host="web1",sink="sqlite"} 0\n' in prom.read_text()
    for _each in range(2):
        companions.after(wanted, follower.catch_up(wanted, sleep=lambda _seconds: None))
    assert "stream_lines_total" not in prom.read_text() and "stream_sink_up" in prom.read_text()
    (tmp_path / "later").mkdir()
    companions.after(wanted, follower.catch_up(wanted))
    records = [json.loads(line) for line in recap.read_text().splitlines()]
    assert [(record["job"], record["outcome"]) for record in records] == [
        ("stream sftpgo", "failed"),
        ("stream sftpgo", "the sink sqlite works again"),
    ]
    assert 'log_archive_stream_lines_total{stream="sftpgo",host="web1",sink="sqlite"} 1\n' in prom.read_text()
    set_up.STREAMS.remove("sftpgo", [str(tmp_path)])
    assert not prom.exists()


def test_a_follower_that_fails_is_reported_as_it_ends(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    (tmp_path / "logs").mkdir()
    recap = tmp_path / "recap.jsonl"
    sink = {"type": "postgresql", "database": "logs", "user": "follower"}
    wanted = document(tmp_path, notify=[{"type": "log", "path": str(recap)}], sinks=[sink])
    with pytest.raises(MissingLibraryError, match="psycopg"), companions.beside(wanted) as watch:
        follower.follow(wanted, threading.Event(), watch=watch)
    assert json.loads(recap.read_text())["outcome"] == "failed"


def test_the_metrics_are_those_of_the_documentation(tmp_path) -> None:
    wanted = document(tmp_path, follow={"backups": 5})
    text = stream_metrics.render(wanted, [status.blank(wanted, "sqlite")], time.time())
    assert set(re.findall(r"^log_archive_(\w+){", text, re.MULTILINE)) == {
        name for name, _kind, _about in stream_metrics.STREAM_METRICS
    } - {"stream_rotations_left"}
    listed = re.findall(r"^\| `log_archive_(stream_\w+)` \| (\w+) \| (.*) \| (.*) \|$", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert [(name, kind, about) for name, kind, _labels, about in listed] == list(stream_metrics.STREAM_METRICS)
    assert [labels for _name, _kind, labels, _about in listed] == [""] + ["`sink`"] * (len(listed) - 1)
