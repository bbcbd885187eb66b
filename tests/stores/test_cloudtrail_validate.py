# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trail is validated in its bucket. What aws-cli finds in the same bucket is found here, and what it passes over is found, too."""

from __future__ import annotations

import collections
import gzip
import re
import typing as t
from datetime import timedelta

import pytest
from lab import AwsServer
from rigs import trail as trails
from rigs.aws_cli import AwsCli, aws_cli
from rigs.trail import HOUR, START, Trail
from rigs.trail_case import END, HOURS, Case

PASSED: t.Tuple[int, t.Set[str]] = (0, set())


@pytest.fixture
def case(aws_server: AwsServer) -> Case:
    return Case(aws_server, Trail(HOURS, logs=1, records=1))


@pytest.fixture(scope="module")
def aws(start_part: t.Any, _moto: AwsServer) -> AwsCli:
    return t.cast(AwsCli, start_part(aws_cli(_moto)))


def oracle(aws: AwsCli, trail: Trail) -> t.Tuple[int, t.Set[str]]:
    """The exit code of aws-cli for the time of the trail, and the keys that it reports as invalid."""
    code, text = aws(
        "cloudtrail",
        "validate-logs",
        "--trail-arn",
        trail.arn,
        "--s3-bucket",
        trail.bucket,
        "--start-time",
        trails.stamp(START),
        "--end-time",
        trails.stamp(trail.end),
    )
    assert "Results requested" in text, text
    return code, set(re.findall(r"file\ts3://%s/(\S+)\tINVALID" % trail.bucket, text))


def test_a_whole_trail_has_no_finding(case: Case, aws: AwsCli) -> None:
    assert oracle(aws, case.trail) == PASSED
    report = case.validate()
    assert report["findings"] == [] and report["exit_code"] == 0
    assert (report["digests"], report["valid_digests"], report["logs"], report["valid_logs"]) == (HOURS, HOURS, HOURS, HOURS)
    assert report["chains"][0]["verified_until"] == trails.stamp(END)


def test_damaged_log_files_are_found_as_by_aws_cli(case: Case, aws: AwsCli) -> None:
    deleted, changed, no_gzip, cut_off, longer = case.trail.logs_of()
    body = case.trail.objects[cut_off].body
    case.delete(deleted)
    case.put(changed, gzip.compress(b"{}"))
    case.put(no_gzip, b"{}")
    case.put(cut_off, body[:-9])
    case.put(longer, case.trail.objects[longer].body + b"more")
    code, invalid = oracle(aws, case.trail)
    # A log file is whole to aws-cli if only the checksum at its end is gone.
    assert (code, invalid) == (1, {deleted, changed, no_gzip, longer})
    report = case.validate()
    assert {one["subject"].partition(case.trail.bucket + "/")[2]: one["word"] for one in report["findings"]} == {
        deleted: "log_missing",
        changed: "log_changed",
        no_gzip: "log_unreadable",
        cut_off: "log_unreadable",
        longer: "log_unreadable",
    }
    assert (report["valid_logs"], report["exit_code"]) == (0, 4)


def test_damaged_digests_are_found_as_by_aws_cli(aws_server: AwsServer, aws: AwsCli) -> None:
    case = Case(aws_server, Trail(13, logs=1, records=1))
    trail, keys = case.trail, case.trail.digests()
    deleted, unsigned, changed, no_digest, no_gzip, moved = damaged = keys[1::2]
    case.delete(deleted)
    case.put(unsigned, trail.objects[unsigned].body)
    plain = gzip.decompress(trail.objects[changed].body)
    case.put(changed, gzip.compress(plain.replace(b'"logFiles"', b' "logFiles"')), trail.objects[changed].metadata)
    case.put(no_digest, gzip.compress(b"[]"), trail.objects[no_digest].metadata)
    case.put(no_gzip, b"{}", trail.objects[no_gzip].metadata)
    case.put(moved, trail.objects[keys[0]].body, trail.objects[keys[0]].metadata)
    assert oracle(aws, trail) == (1, set(damaged))
    report = case.validate(until=trail.end, now=trail.end + 2 * HOUR)
    found = {one["subject"].partition(trail.bucket + "/")[2]: one["word"] for one in report["findings"] if one["word"] != "coverage_hole"}
    assert {key: found.pop(key) for key in damaged} == {
        deleted: "digest_missing",
        unsigned: "digest_unsigned",
        changed: "signature_wrong",
        no_digest: "digest_unreadable",
        no_gzip: "digest_unreadable",
        moved: "digest_moved",
    }
    # aws-cli does not say that the log files of these hours are not checked.
    assert found == dict.fromkeys(trail.logs_of()[1::2], "log_unnamed")
    holes = [(one["start"], one["end"]) for one in report["findings"] if one["word"] == "coverage_hole"]
    assert holes == [(trails.stamp(START + HOUR * hour), trails.stamp(START + HOUR * (hour + 1))) for hour in range(1, 13, 2)]


def test_a_deleted_tail_is_found(case: Case, aws: AwsCli) -> None:
    case.delete(case.trail.digests()[-1], case.trail.logs_of()[-1])
    assert oracle(aws, case.trail) == PASSED
    # A digest comes within an hour after its own: not earlier is it missing.
    assert case.words(now=END + timedelta(minutes=60)) == {}
    assert case.words(now=END + timedelta(minutes=61)) == {"tail_missing": 1}


def test_most_of_the_digests_deleted_is_found(case: Case, aws: AwsCli) -> None:
    case.delete(*case.trail.digests()[2:])
    assert oracle(aws, case.trail) == PASSED
    assert case.words(until=END, now=END + timedelta(hours=3)) == {"tail_missing": 1, "log_unnamed": HOURS - 2}


@pytest.mark.parametrize("logs", [False, True])
def test_all_digests_deleted_is_found(case: Case, aws: AwsCli, logs: bool) -> None:
    case.delete(*case.trail.digests(), *(case.trail.logs_of() if logs else ()))
    assert oracle(aws, case.trail) == PASSED
    words = case.words(now=END + timedelta(hours=3))
    assert words == ({"no_digests": 1} if logs else {"no_digests": 1, "log_unnamed": HOURS})


def test_a_region_that_must_be_there_is_found_missing(case: Case) -> None:
    regions = {"accounts": [case.trail.account], "regions": ["eu-west-3", "us-east-1"]}
    report = case.validate(options=regions)
    assert [(one["word"], one["region"]) for one in report["findings"]] == [("no_digests", "us-east-1")]


def test_a_new_chain_before_which_all_is_deleted_is_found(aws_server: AwsServer, aws: AwsCli) -> None:
    trail = Trail(3, logs=1, records=1)
    for _hour in range(3):
        key = trail.add_log(trail.end + HOUR / 2)
        trail.add_digest([key], trail.end, trail.end + HOUR, restart=_hour == 0)
        trail.end += HOUR
    old = trail.digests()[:3] + trail.logs_of()[:3]
    case = Case(aws_server, trail)
    assert case.words() == {"chain_start_unknown": 1}
    case.delete(*old)
    assert oracle(aws, trail) == PASSED
    # It was accepted before that a chain begins with a digest that is gone now.
    assert case.words() == {"chain_start_unknown": 1}


def test_a_log_that_no_digest_names_is_found(case: Case, aws: AwsCli) -> None:
    key = case.trail.add_log(START + 2.5 * HOUR)
    case.put(key, case.trail.objects[key].body)
    assert oracle(aws, case.trail) == PASSED
    report = case.validate()
    assert [(one["word"], one["subject"]) for one in report["findings"]] == [("log_unnamed", "s3://%s/%s" % (case.trail.bucket, key))]


def test_two_digests_in_a_row_deleted_is_found_whole(case: Case, aws: AwsCli) -> None:
    case.delete(*case.trail.digests()[2:4])
    assert oracle(aws, case.trail) == (1, {case.trail.digests()[3]})
    report = case.validate()
    assert collections.Counter(one["word"] for one in report["findings"]) == {"digest_missing": 1, "coverage_hole": 1, "log_unnamed": 2}
    hole = next(one for one in report["findings"] if one["word"] == "coverage_hole")
    assert (hole["start"], hole["end"]) == (trails.stamp(START + 2 * HOUR), trails.stamp(START + 4 * HOUR))


def test_a_digest_that_was_signed_again_is_found(case: Case, aws: AwsCli) -> None:
    trail, key = case.trail, case.trail.digests()[2]
    # Whoever had the key could replace a digest in the middle: only the next one's hash of it shows that.
    before = trail.objects[trail.digests()[1]]
    trail._last["eu-west-3", False] = (trail.digests()[1], gzip.decompress(before.body), before.metadata["signature"])
    trail.add_digest(trail.logs_in(key), START + 2 * HOUR, START + 3 * HOUR, newestEventTime=None)
    case.put(key, trail.objects[key].body, trail.objects[key].metadata)
    assert oracle(aws, trail) == PASSED
    assert case.words() == {"digest_changed": 1, "coverage_hole": 1, "log_unnamed": 1}


def test_versions_and_delete_markers_are_found(aws_server: AwsServer, aws: AwsCli) -> None:
    case = Case(aws_server, Trail(HOURS, logs=1, records=1), versions=True)
    trail = case.trail
    assert case.words() == {} and oracle(aws, trail) == PASSED
    replaced, returned, deleted = trail.logs_of()[:3]
    case.put(replaced, trail.objects[replaced].body)
    case.delete(returned)
    case.put(returned, trail.objects[returned].body)
    # aws-cli passes over what was put back, whoever did that and why.
    assert oracle(aws, trail) == PASSED
    digest = trail.digests()[3]
    case.delete(digest)
    case.put(digest, trail.objects[digest].body, trail.objects[digest].metadata)
    assert oracle(aws, trail) == PASSED
    # Of the file that was deleted and put back, the older version and the marker are there.
    assert case.words() == {"extra_version": 5}
    case.delete(deleted)
    assert oracle(aws, trail) == (1, {deleted})
    assert case.words() == {"extra_version": 5, "log_missing": 1, "delete_marker": 1}
    found = {one["subject"].rpartition("/")[2]: one["word"] for one in case.validate()["findings"]}
    assert found[deleted.rpartition("/")[2]] == "delete_marker" and found[digest.rpartition("/")[2]] == "extra_version"
