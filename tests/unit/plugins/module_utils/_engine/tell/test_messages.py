# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What notifications say: of one run and of many, in each form, whatever names and errors hold."""

from __future__ import annotations

import html.parser

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import messages
from hypothesis import given, strategies as st

NASTY = [
    "@channel",
    "a|b",
    "`c`",
    "<script>alert(1)</script>",
    "&amp;",
    "\udcff\udc80",
    "\x1b[2J",
    "line\nfeed",
    ":tada:",
    "*b*",
    '"',
    "\\",
]


def recap(**changes):
    made = {
        "job": "syslog",
        "host": "web1",
        "check": False,
        "started": "2024-01-12T15:05:00Z",
        "seconds": 1.42,
        "outcome": "done",
        "exit_code": 0,
        "changed": True,
        "steps": {"select": {"state": "done", "errors": 0, "warnings": 0}},
        "archives": [],
        "missing": [],
        "skipped": [],
        "pruned": {},
        "sources_deleted": [],
        "spool": {"archives": 0, "bytes": 0},
        "warnings": [],
        "errors": [],
    }
    made.update(changes)
    return made


def archive(name="syslog.20240112.14.tgz.fernet", **stores):
    stores = stores or {"local": {"state": "verified", "verified_by": "read_back"}}
    return {"name": name, "key": "web1/" + name, "state": "done", "size": 2048, "source_bytes": 4096, "sources": ["/a"], "stores": stores}


FULL = recap(
    outcome="partly done",
    exit_code=3,
    steps={
        "select": {"state": "warning", "errors": 0, "warnings": 1},
        "pack": {"state": "done", "errors": 0, "warnings": 0},
        "store local": {"state": "done", "errors": 0, "warnings": 0},
        "store bucket": {"state": "failed", "errors": 1, "warnings": 0},
        "prune local": {"state": "done", "errors": 0, "warnings": 0},
    },
    archives=[archive(local={"state": "verified", "verified_by": "read_back"}, bucket={"state": "pending", "error": "timed out"})],
    pruned={"local": {"removed": ["web1/old.tgz.fernet"], "bytes_freed": 1024, "kept": 5, "refusals": []}},
    errors=["store bucket: timed out"],
    warnings=["/var/log/x was skipped"],
    skipped=[{"path": "/var/log/x", "reason": "open"}],
)


class Cells(html.parser.HTMLParser):
    """The texts of a page, and the names of its elements."""

    def __init__(self):
        super().__init__()
        self.texts, self.names = [], set()

    def handle_data(self, data):
        self.texts.append(data)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)


def cells_of(page):
    parser = Cells()
    parser.feed(page)
    return parser


def test_all_that_was_asked_for_is_told_in_each_form():
    news = messages.news([FULL])
    wanted = ["web1", "syslog", "partly done", "1.4s", "2024-01-12T15:05:00Z"]
    wanted += ["select", "1 skipped", "pack", "1 archive", "2.0 KiB", "store local", "1 verified by read_back", "store bucket", "1 waiting"]
    wanted += ["prune local", "1 removed", "5 kept", "store bucket: timed out", "/var/log/x was skipped"]
    wanted += ["syslog.20240112.14.tgz.fernet", "web1/old.tgz.fernet"]
    for told in (news.text(), "\n".join(cells_of(news.html()).texts), news.table(16383)):
        assert [each for each in wanted if each not in told] == []
    assert (news.state, news.subject) == ("failed", "[log-archive] web1 syslog: partly done")


def test_a_fleet_is_told_in_one_message_the_worst_first():
    runs = [recap(host="web%d" % number) for number in range(3)]
    runs.append(recap(host="web9", outcome="failed", errors=["no key"], exit_code=1))
    runs.append({"host": "db1", "job": "syslog", "outcome": "unreachable", "errors": ["no route"]})
    runs.append(recap(host="web1", job="auth", warnings=["it was empty"]))
    news = messages.news(runs)
    assert news.subject == "[log-archive] 6 runs on 5 hosts: 2 failed"
    rows = [line.split(" | ")[1:4] for line in news.table(16383).splitlines() if line.startswith("| :")]
    assert rows[:3] == [["`db1`", "`syslog`", "`unreachable`"], ["`web9`", "`syslog`", "`failed`"], ["`web1`", "`auth`", "`done`"]]
    for told in (news.text(), news.html(), news.table(16383)):
        assert "web9 syslog: no key" in told and "db1 syslog: no route" in told and "web1 auth: it was empty" in told


def test_states():
    assert messages.news([recap()]).state == "done"
    assert messages.news([recap(warnings=["x"])]).state == "warning"
    assert messages.news([recap(), recap(errors=["x"])]).state == "failed"
    assert messages.subject([recap()], recovered=True) == "web1 syslog: done, recovered"


@pytest.mark.parametrize("name", NASTY)
def test_names_and_errors_from_elsewhere_stay_text(name):
    run = recap(
        archives=[archive(name)],
        errors=[name],
        warnings=[name],
        pruned={"local": {"removed": [name], "bytes_freed": 0, "kept": 0, "refusals": []}},
    )
    news = messages.news([run])
    for told in (news.text(), news.html(), news.table(16383)):
        told.encode("utf-8")
        assert all(character.isprintable() or character == "\n" for character in told)
    assert cells_of(news.html()).names == {"html", "head", "meta", "body", "h2", "table", "tr", "th", "td"}
    for line in news.table(16383).splitlines():
        assert line.count("`") % 2 == 0
        outside = "".join(line.split("`")[::2])
        assert not any(character in outside for character in "@<*\\")


@given(st.lists(st.text(max_size=200), max_size=200), st.integers(min_value=200, max_value=2000))
def test_a_table_is_never_longer_than_its_limit(errors, limit):
    table = messages.news([recap(errors=errors)]).table(limit)
    assert len(table) <= limit
    assert table.endswith("(cut)") or table.count("- :x:") == len(errors)


def test_a_mail_of_thousands_of_archives_stays_a_mail():
    run = recap(archives=[archive("log.%05d.tgz.fernet" % number) for number in range(20_000)])
    news = messages.news([run])
    assert len(news.text()) <= messages.LONGEST + 10 and news.text().endswith("\n(cut)\n")
    assert "and 19800 more" in news.html() and len(news.html()) < 200_000


def test_metrics_are_valid_and_say_what_they_mean():
    parser = pytest.importorskip("prometheus_client.parser")
    status = {
        "last_success": "2024-01-12T14:05:00Z",
        "archives": 7,
        "bytes": 7000,
        "source_bytes": 70000,
        "spool": {"archives": 1, "bytes": 2048},
        "backlog": {"bucket": 1},
        "verified": {"local": "read_back", "bucket": "server_digest"},
        "runs": {0: 10, 3: 2},
        "stores": ["local", "bucket"],
    }
    text = messages.news([FULL], status=lambda: status).metrics()
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation and family.type in ("gauge", "counter")
        for sample in family.samples:
            labels = dict(sample.labels)
            assert (labels.pop("job"), labels.pop("host")) == ("syslog", "web1")
            assert found.setdefault((sample.name[len("log_archive_") :], *labels.values()), sample.value) == sample.value
    assert found == {
        ("last_run_timestamp_seconds",): 1705071900,
        ("last_success_timestamp_seconds",): 1705068300,
        ("last_run_duration_seconds",): 1.42,
        ("last_run_exit_code",): 3,
        ("last_run_errors",): 1,
        ("last_run_warnings",): 1,
        ("last_run_archives",): 1,
        ("last_run_bytes",): 2048,
        ("last_run_source_bytes",): 4096,
        ("runs_total", "0"): 10,
        ("runs_total", "3"): 2,
        ("archives",): 7,
        ("bytes",): 7000,
        ("source_bytes",): 70000,
        ("spool_archives",): 1,
        ("spool_bytes",): 2048,
        ("backlog_archives", "local"): 0,
        ("backlog_archives", "bucket"): 1,
        ("verified_level", "local"): 4,
        ("verified_level", "bucket"): 2,
    }


def test_no_success_yet_is_no_number():
    status = dict.fromkeys(("archives", "bytes", "source_bytes"), 0)
    status.update(last_success=None, spool={"archives": 0, "bytes": 0}, backlog={}, verified={}, runs={1: 1}, stores=[])
    assert "last_success" not in messages.metrics(recap(), status)
