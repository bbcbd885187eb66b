# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics of logs of AWS, and how they are shown."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import UsageError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import HAVE_STATISTICS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.sinks.opening import open_sink
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.rankings import PROFILES, rank
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.steps import Span
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import rankings
from rigs.aws_logs import ALICE, FLOW_HEADER, SKIPPED, flow, log_file, query, record
from rigs.statistics import store_meanwhile
from rigs.streams import document, given

NOW = datetime(2026, 11, 4, tzinfo=timezone.utc)
ROOT = {"type": "Root", "arn": "arn:aws:iam::123456789012:root"}
FLOWS = [flow(1, bytes=500), flow(2, action="REJECT", dstport=22), flow(3, bytes=1 << 62), flow(4, bytes=1 << 62), SKIPPED]
LOGS = {
    "cloudtrail": log_file(
        [
            record(1),
            record(2, errorCode="AccessDenied", sourceIPAddress="198.51.100.7"),
            record(3, errorCode="NoSuchBucket"),
            record(4, userIdentity=ROOT, eventName="ConsoleLogin", eventType="AwsConsoleSignIn"),
            record(5, userIdentity="<odd>", eventName="<b>\x1b"),
        ]
    ),
    "vpc_flow": "\n".join([FLOW_HEADER, *FLOWS, ""]).encode(),
    "route53_resolver": b"".join(
        json.dumps(each).encode() + b"\n"
        for each in (query(1), query(2, rcode="NXDOMAIN"), query(2, firewall_rule_action="BLOCK", query_name="bad.example."))
    ),
    "route53_public": b"".join(
        b"1.0 2026-11-03T0%d:00:02.130Z Z1 www.example.com A %s UDP FRA6 198.51.100.%d -\n" % (2 + n, (b"NXDOMAIN", b"NOERROR")[n > 0], n)
        for n in range(3)
    ),
}


def stream(folder, profile, **changes):
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "logs" / "aws.log").write_bytes(LOGS[profile])
    return given(folder, follow={"patterns": ["aws.log"]}, parse={"profile": profile}, **changes)


def computed(folder, profile, *span):
    stream(folder, profile)
    wanted = document(folder, follow={"patterns": ["aws.log"]}, parse={"profile": profile})
    assert follower.catch_up(wanted)["exit_code"] == 0
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:
        return rank(sink, "sqlite", profile, Span(*span), NOW)


def ranking(found, name):
    (one,) = [each for each in found["rankings"] if each["name"] == name]
    return [tuple(row.values()) for row in one["rows"]]


def test_who_did_what_from_where_with_denied_calls_and_the_use_of_root(tmp_path):
    found = computed(tmp_path, "cloudtrail")
    assert found["totals"] == {"events": 5, "principals": 2, "addresses": 2, "errors": 2, "denied": 1, "root_events": 1}
    assert (found["since"], found["until"], found["hosts"]) == ("2026-11-03T02:00:01Z", "2026-11-03T02:00:05Z", ["web1"])
    assert ranking(found, "who")[0] == (ALICE, "IAMUser", 3, 1, "2026-11-03T02:00:03Z")
    assert ranking(found, "what")[0] == ("s3.amazonaws.com", "PutBucketPolicy", 3, 1, 1)
    assert ranking(found, "where") == [("198.51.100.20", 4, 0, 2), ("198.51.100.7", 1, 1, 1)]
    assert ranking(found, "denied") == [(ALICE, "s3.amazonaws.com", "PutBucketPolicy", "AccessDenied", 1, "2026-11-03T02:00:02Z")]
    assert ranking(found, "root") == [("s3.amazonaws.com", "ConsoleLogin", "198.51.100.20", 1, "2026-11-03T02:00:04Z")]


def test_top_talkers_rejected_flows_bytes_by_port_and_lost_records(tmp_path):
    found = computed(tmp_path, "vpc_flow")
    # Sizes beyond 1 PiB are mistakes, and count as that.
    assert found["totals"] == {
        "flows": 5, "rejected": 1, "bytes": 2500 + 2 * (1 << 50), "packets": 40, "no_data": 0, "skipped_data": 1,
    }  # fmt: skip
    assert ranking(found, "talkers")[2:] == [("192.0.2.2", 2000, 1), ("192.0.2.1", 500, 1)]
    assert ranking(found, "rejected") == [("192.0.2.2", "198.51.100.9", 22, 6, 1, "2026-11-03T02:00:02Z")]
    assert ranking(found, "ports") == [(443, 6, 500 + 2 * (1 << 50), 3), (22, 6, 2000, 1)]
    assert ranking(found, "skipped") == [("eni-1", 1, "2026-11-03T02:00:00Z")]


def test_queries_by_name_and_source_failed_and_blocked(tmp_path):
    found = computed(tmp_path, "route53_resolver")
    assert found["totals"] == {"queries": 3, "names": 2, "sources": 2, "failed": 1, "blocked": 1}
    assert ranking(found, "names")[0] == ("example.com.", "A", 2)
    assert ranking(found, "failed") == [("example.com.", "NXDOMAIN", 1, "2026-11-03T02:00:02Z")]
    assert ranking(found, "blocked") == [("bad.example.", "10.0.0.2", 1, "2026-11-03T02:00:02Z")]


def test_queries_of_a_public_zone_by_resolver(tmp_path):
    found = computed(tmp_path, "route53_public")
    assert found["totals"] == {"queries": 3, "names": 1, "resolvers": 3, "zones": 1, "failed": 1}
    assert ranking(found, "failed") == [("www.example.com", "NXDOMAIN", 1, "2026-11-03T02:00:02Z")]
    assert ranking(found, "resolvers")[0] == ("198.51.100.0", 1, 1)


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_trend_adds_up_to_the_totals(tmp_path, profile):
    for by in ("hour", "day", "week"):
        found = computed(tmp_path, profile, None, None, by)
        names = found["trend"][0].keys() - {"start"}
        assert {name: sum(point[name] for point in found["trend"]) for name in names} == {name: found["totals"][name] for name in names}
        assert found["by"] == by and next(iter(found["totals"])) in names


def test_all_figures_are_of_the_same_moment(tmp_path, monkeypatch):
    computed(tmp_path, "cloudtrail")
    wanted = document(tmp_path, follow={"patterns": ["aws.log"]}, parse={"profile": "cloudtrail"})
    with contextlib.closing(open_sink(wanted["sinks"][0], wanted)) as sink:

        def store(number):
            (tmp_path / "logs" / "aws.log").write_bytes(log_file([record(100 + number)]))
            assert follower.catch_up(wanted)["exit_code"] == 0

        store_meanwhile(monkeypatch, sink, store)
        found = rank(sink, "sqlite", "cloudtrail", Span(), NOW)
        assert found["totals"]["events"] == sum(point["events"] for point in found["trend"]) == 5
        assert sum(row["events"] for ranked in found["rankings"] if ranked["name"] == "who" for row in ranked["rows"]) == 5
        assert rank(sink, "sqlite", "cloudtrail", Span(), NOW)["totals"]["events"] > 6


def test_a_trend_has_no_holes(tmp_path):
    since, until = datetime(2026, 11, 3, 1, 30, tzinfo=timezone.utc), datetime(2026, 11, 3, 6, tzinfo=timezone.utc)
    found = computed(tmp_path, "route53_public", since, until)
    assert [(point["start"][11:13], point["queries"], point["failed"]) for point in found["trend"]] == [
        ("01", 0, 0), ("02", 1, 1), ("03", 1, 0), ("04", 1, 0), ("05", 0, 0),
    ]  # fmt: skip
    assert "2026-11-03T02:00:00Z  1        1" in rankings.render_text(found)
    assert "Queries by hour" in rankings.render_page(found)
    assert computed(tmp_path, "route53_public", NOW, NOW)["trend"] == []


def test_a_span_has_its_start_and_not_its_end(tmp_path):
    since, until = (datetime(2026, 11, 3, 2, 0, second, tzinfo=timezone.utc) for second in (2, 4))
    found = computed(tmp_path, "cloudtrail", since, until)
    assert found["totals"]["events"] == 2
    assert (found["since"], found["until"]) == ("2026-11-03T02:00:02Z", "2026-11-03T02:00:04Z")
    with pytest.raises(UsageError, match="is before the start"):
        computed(tmp_path, "cloudtrail", until, since)
    empty = computed(tmp_path, "cloudtrail", NOW, NOW)
    assert rankings.render_text(empty) == "sftpgo: no records"


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_the_command_prints_them_and_writes_a_page(tmp_path, capsys, profile):
    path = tmp_path / "sftpgo.json"
    path.write_text(json.dumps(stream(tmp_path, profile, page={"path": str(tmp_path / "live.html")})))
    assert main(["ingest", str(path)]) == 0
    capsys.readouterr()
    assert main(["stats", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["stats", str(path)]) == 0
    text = capsys.readouterr().out
    assert main(["stats", str(path), "--html", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    for each in found["rankings"]:
        assert (each["title"] in text) == (each["title"] in page) == bool(each["rows"])
    for name, value in found["totals"].items():
        assert 'data-name="%s" data-value="%d"' % (name, value) in page
    assert "<b>\x1b" not in page
    assert "\x1b" not in text
    assert profile in HAVE_STATISTICS
