# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of notifications about one run and about many, in each form, with any names and errors."""

from __future__ import annotations

import html.parser

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import plain
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.recap import MOST_PROBLEMS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.summary import subject
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


def test_each_form_has_the_whole_content():
    message = Message([FULL])
    wanted = ["web1", "syslog", "partly done", "1.4s", "2024-01-12T15:05:00Z"]
    wanted += ["select", "1 skipped", "pack", "1 archive", "2.0 KiB", "store local", "1 verified by read_back", "store bucket", "1 waiting"]
    wanted += ["prune local", "1 removed", "5 kept", "store bucket: timed out", "/var/log/x was skipped"]
    wanted += ["syslog.20240112.14.tgz.fernet", "web1/old.tgz.fernet"]
    for shown in (message.text(), "\n".join(cells_of(message.html()).texts), message.markdown(16383)):
        assert [each for each in wanted if each not in shown] == []
    assert (message.state, message.subject) == ("failed", "[log-archive] web1 syslog: failed (partly done)")


def test_one_message_about_a_fleet_has_the_worst_runs_first():
    runs = [recap(host="web%d" % number) for number in range(3)]
    runs.append(recap(host="web9", outcome="failed", errors=["no key"], exit_code=1))
    runs.append(complete({"host": "db1", "job": "syslog", "outcome": "unreachable", "errors": ["no route"]}))
    runs.append(recap(host="web1", job="auth", warnings=["it was empty"]))
    message = Message(runs)
    assert message.subject == "[log-archive] 6 runs on 5 hosts: 2 failed"
    rows = [line.split(" | ")[1:4] for line in message.markdown(16383).splitlines() if line.startswith("| :")]
    assert rows[:3] == [["`db1`", "`syslog`", "`unreachable`"], ["`web9`", "`syslog`", "`failed`"], ["`web1`", "`auth`", "`done`"]]
    for shown in (message.text(), message.html(), message.markdown(16383)):
        assert "web9 syslog: no key" in shown and "db1 syslog: no route" in shown and "web1 auth: it was empty" in shown


def test_the_form_without_tables_has_the_whole_content():
    text = Message([FULL]).lines()
    lines = text.splitlines()
    assert lines[0] == "web1 syslog: failed (partly done)"
    assert "  " not in text and "STATE" not in text
    wanted = (
        "Host: web1",
        "FAILED store bucket: 1 waiting, 1 error",
        "error: store bucket: timed out",
        "pruned: local: web1/old.tgz.fernet",
    )
    assert [line for line in wanted if line not in lines] == []
    assert any(line.startswith("WARNING syslog.20240112.14.tgz.fernet, 2.0 KiB, ") for line in lines)
    fleet = Message([recap(), recap(host="web2", errors=["no key"])]).lines().splitlines()
    assert fleet[2].startswith("FAILED web2 syslog: ") and fleet[3].startswith("web1 syslog: ")


def test_states():
    assert Message([recap()]).state == "done"
    assert Message([recap(warnings=["x"])]).state == "warning"
    assert Message([recap(), recap(errors=["x"])]).state == "failed"
    assert subject([recap()], recovered=True) == "web1 syslog: done, recovered"


@pytest.mark.parametrize("name", NASTY)
def test_names_and_errors_from_elsewhere_stay_text(name):
    run = recap(
        archives=[archive(name)],
        errors=[name],
        warnings=[name],
        pruned={"local": {"removed": [name], "bytes_freed": 0, "kept": 0, "refusals": []}},
    )
    message = Message([run])
    for shown in (message.text(), message.html(), message.markdown(16383)):
        shown.encode("utf-8")
        assert all(character.isprintable() or character == "\n" for character in shown)
    assert cells_of(message.html()).names == {"html", "head", "meta", "body", "h2", "table", "tr", "th", "td"}
    for line in message.markdown(16383).splitlines():
        assert line.count("`") % 2 == 0
        outside = "".join(line.split("`")[::2])
        assert not any(character in outside for character in "@<*\\")


@given(st.lists(st.text(max_size=200), max_size=200), st.integers(min_value=200, max_value=2000))
def test_a_table_is_never_longer_than_its_limit(errors, limit):
    table = Message([recap(errors=errors)]).markdown(limit)
    assert len(table) <= limit
    assert table.endswith("(cut)") or table.count("- :x:") == min(len(errors), MOST_PROBLEMS + 1)


def test_a_mail_of_thousands_of_archives_stays_a_mail():
    run = recap(archives=[archive("log.%05d.tgz.fernet" % number) for number in range(20_000)])
    message = Message([run])
    for shown in (message.text(), message.html()):
        assert "and 19950 more" in shown and len(shown) < 40_000


def test_the_text_about_a_fleet_has_a_limit_too():
    message = Message([recap(host="web%d" % number, outcome="x" * 300) for number in range(1000)])
    assert len(message.text()) <= plain.LONGEST + 10 and message.text().endswith("\n(cut)\n")


def test_thousands_of_everything_make_a_short_message():
    """The record, and so the JSON output, has all of it."""
    many = ["cannot delete the archived source /var/log/events/%d: Read-only file system" % number for number in range(9969)]
    record = recap(
        outcome="partly done",
        errors=many,
        warnings=many + ["x" * 66_000],
        archives=[archive("a%d" % number) for number in range(5000)],
        pruned={"local": {"removed": many, "failed": {}, "bytes_freed": 1, "kept": 0, "refusals": []}},
        skipped=[{"path": path, "reason": "open"} for path in many],
    )
    for message in (Message([record]), Message([dict(record, host="web%d" % number) for number in range(50)])):
        for shown in (message.text(), message.html(), message.markdown(10**6)):
            assert len(shown) < 80_000
            assert "more; the JSON output lists all" in shown
    assert "and 9949 more" in Message([record]).text()


def test_a_problem_of_66_kilobytes_is_cut():
    assert len(Message([recap(warnings=["x" * 66_000])]).text()) < 5000
