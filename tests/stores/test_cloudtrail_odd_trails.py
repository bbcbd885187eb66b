# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trails that are not all alike: moved, shared, stopped and started again, or with a digest that somebody forged."""

from __future__ import annotations

import collections
import gzip
import json
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import audit_page
from lab import AwsServer
from rigs import trail as trails
from rigs.trail import HOUR, START, Trail
from rigs.trail_case import Case


def found(report: t.Mapping[str, t.Any]) -> t.Dict[str, int]:
    return dict(collections.Counter(finding["word"] for finding in report["findings"]))


def test_a_trail_that_changed_its_prefix(aws_server: AwsServer) -> None:
    trail = Trail(2, logs=1, records=1)
    trail.prefix = "new/"
    for _hour in range(3):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    assert case.words() == {}
    # A digest that is gone is still missed.
    case.delete(next(key for key in trail.digests() if "T10" in key))
    assert case.words() == {"digest_missing": 1, "coverage_hole": 1, "log_unnamed": 1}


def test_a_trail_that_changed_its_bucket(aws_server: AwsServer) -> None:
    trail = Trail(2, logs=1, records=1, bucket="old-logs")
    case = Case(aws_server, trail)
    old = set(trail.objects)
    trail.bucket = "new-logs"
    for _hour in range(3):
        trail.deliver_hour()
    case.client.create_bucket(Bucket="new-logs", CreateBucketConfiguration={"LocationConstraint": aws_server.region})
    for key in trail.objects.keys() - old:
        case.put(key, trail.objects[key].body, trail.objects[key].metadata)
    assert case.words() == {}
    # Somebody who may not read the old bucket is told so, and the new one is validated all the same.
    denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    for key in old:
        aws_server.answer(403, denied, method="GET", path="/old-logs/%s" % key)
    case.delete(trail.logs_in(trail.digests()[-1])[0])
    report = case.validate()
    assert found(report) == {"coverage_hole": 1, "log_missing": 1} and report["exit_code"] == 4
    assert len(report["errors"]) == 1 and "old-logs" in report["errors"][0]["error"]


def test_one_of_two_trails_in_a_bucket(aws_server: AwsServer) -> None:
    trail = Trail(5, logs=1, records=1)
    trail.name, trail._last, trail.end = "second", {}, START
    for _hour in range(5):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    assert case.words() == {}
    # What the other trail delivers is not a finding of this one, and neither is a digest that is gone there. Its log file may be of either.
    assert found(case.validate(trail="audit")) == {}
    case.delete(next(key for key in trail.digests() if "_second_" in key))
    assert found(case.validate(trail="audit")) == {"log_unnamed": 1}
    assert found(case.validate(trail="second")) == {"digest_missing": 1, "coverage_hole": 1, "log_unnamed": 1}


def test_a_digest_that_cannot_be_read_hides_nothing_else_of_its_region(aws_server: AwsServer) -> None:
    case = Case(aws_server, Trail(5, logs=1, records=1))
    key = case.trail.digests()[1]
    moved = "<Error><Code>InvalidObjectState</Code><Message>it must be restored first</Message></Error>"
    aws_server.answer(403, moved, method="GET", path="/%s/%s" % (case.trail.bucket, key))
    case.delete(case.trail.logs_of()[3])
    report = case.validate()
    assert [one["error"] for one in report["errors"]] and key in report["errors"][0]["error"]
    hole = next(one for one in report["findings"] if one["word"] == "coverage_hole")
    assert (hole["start"], hole["end"]) == (trails.stamp(START + HOUR), trails.stamp(START + 2 * HOUR))
    assert found(report) == {"coverage_hole": 1, "log_missing": 1, "log_unnamed": 1} and report["exit_code"] == 4


@pytest.mark.parametrize("bucket", ["of-somebody-else", "no bucket at all"])
def test_a_forged_digest_sends_no_request_elsewhere(aws_server: AwsServer, bucket: str) -> None:
    case = Case(aws_server, Trail(5, logs=1, records=1))
    key = case.trail.digests()[3]
    plain = json.loads(gzip.decompress(case.trail.objects[key].body))
    plain["previousDigestS3Bucket"] = bucket
    case.put(key, gzip.compress(json.dumps(plain).encode()), case.trail.objects[key].metadata)
    aws_server.forget_requests()
    report = case.validate()
    assert report["errors"] == [] and found(report) == {"signature_wrong": 1, "coverage_hole": 1, "log_unnamed": 1}
    assert not [one for one in aws_server.requests() if bucket in one.path]


def test_a_trail_that_was_stopped_and_started_again(aws_server: AwsServer, tmp_path: t.Any) -> None:
    trail = Trail(2, logs=1, records=1)
    again = trail.end + 3 * HOUR
    trail.end, trail._last = again, {}
    for _hour in range(2):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    case.state = tmp_path
    later = {"now": trail.end + HOUR, "until": trail.end}
    assert found(case.validate(**later)) == {"chain_start_unknown": 1, "coverage_hole": 1}
    # Somebody knows when it was started again, and says so.
    assert found(case.validate(**later, since=again, trail_start=again)) == {}
    assert found(case.validate(**later, since=again, trail_start=None)) == {}
    # The other start is still known, and the hole is still one.
    assert found(case.validate(**later, trail_start=None)) == {"coverage_hole": 1}


def test_an_organization_has_a_chain_for_each_account(aws_server: AwsServer) -> None:
    trail = Trail(3, logs=1, records=1, organization="o-abcdef1234")
    trail.account, trail._last, trail.end = "210987654321", {}, START
    for _hour in range(3):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    wanted: t.Dict[str, t.Any] = {"until": trail.end, "now": trail.end + 2 * HOUR}
    report = case.validate(**wanted)
    assert found(report) == {} and [chain["account"] for chain in report["chains"]] == ["123456789012", "210987654321"]
    case.delete(*trail.digests())
    assert [(one["word"], one["account"]) for one in case.validate(**wanted)["findings"]] == [
        ("no_digests", "210987654321"),
        *[("log_unnamed", "210987654321")] * 3,
    ]


def test_an_account_that_may_not_be_listed_does_not_end_the_others(aws_server: AwsServer) -> None:
    trail = Trail(3, logs=1, records=1, regions=["eu-west-3"])
    trail.account, trail._last, trail.end = "210987654321", {}, START
    for _hour in range(3):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    # The policy allows the prefixes of one account only.
    aws_server.answer(403, denied, method="GET", path="/" + trail.bucket, query="AWSLogs%2F210987654321%2F")
    report = case.validate(until=trail.end, now=trail.end + 2 * HOUR)
    assert [one["account"] for one in report["errors"]] == ["210987654321"]
    assert [chain["account"] for chain in report["chains"]] == ["123456789012"] and report["exit_code"] == 3


def test_digests_across_midnight_and_hours_without_a_log_file(aws_server: AwsServer) -> None:
    start = datetime(2026, 11, 3, 22, tzinfo=timezone.utc)
    trail = Trail(2, logs=1, records=1, start=start)
    trail.logs = 0
    for _hour in range(3):
        trail.deliver_hour()
    case = Case(aws_server, trail)
    wanted: t.Dict[str, t.Any] = {"since": start, "trail_start": start, "until": trail.end, "now": trail.end + 2 * HOUR}
    assert found(case.validate(**wanted)) == {}
    # Of the day before midnight nothing is listed: the next day has all that it needs.
    assert found(case.validate(**{**wanted, "since": start + 2 * HOUR + timedelta(seconds=1)})) == {}
    midnight = next(key for key in trail.digests() if "T000000Z" in key)
    case.delete(midnight)
    assert found(case.validate(**wanted)) == {"digest_missing": 1, "coverage_hole": 1, "log_unnamed": 1}


def test_what_a_forged_digest_says_is_shown_without_harm(aws_server: AwsServer) -> None:
    case = Case(aws_server, Trail(5, logs=1, records=1))
    key = case.trail.digests()[2]
    plain = json.loads(gzip.decompress(case.trail.objects[key].body))
    plain["digestS3Object"] = "\x1b[2J<script>\ud800\n"
    case.put(key, gzip.compress(json.dumps(plain).encode()), case.trail.objects[key].metadata)
    report = t.cast(t.Any, case.validate())
    assert found(report)["digest_moved"] == 1
    for text in (audit_page.render([report]), audit_page.as_text([report]), audit_page.as_json([report])):
        assert "\x1b" not in text and text.encode()
    assert "<script" not in audit_page.render([report])
