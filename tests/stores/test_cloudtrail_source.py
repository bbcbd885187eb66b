# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A CloudTrail trail as the source of a job."""

from __future__ import annotations

import json
import pathlib
from datetime import timedelta

import pytest
from lab import AwsServer
from rigs import trail as trails
from rigs.trail_host import TrailHost, make_bucket

END = trails.START + timedelta(hours=2)
NOW = END + timedelta(hours=2)
"""Everything that the trail of these tests delivers is of a closed hour."""


@pytest.fixture
def trail() -> trails.Trail:
    made = trails.Trail(hours=2, regions=["eu-west-3", "us-east-1"], logs=1, prefix="logs/all")
    # Digests are chosen by their folder, and so is what is no CloudTrail file.
    made.objects[made.prefix + "AWSLogs/%s/Config/eu-west-3/2026/11/03/x.json.gz" % made.account] = trails.Object(b"config", {})
    return made


@pytest.fixture
def host(tmp_path: pathlib.Path, aws_server: AwsServer, trail: trails.Trail) -> TrailHost:
    make_bucket(aws_server, trail)
    return TrailHost(tmp_path, aws_server, trail)


def test_every_file_of_the_trail_is_archived_unchanged(host: TrailHost, trail: trails.Trail) -> None:
    record = host.archive(NOW)
    # The last digests end with the second hour: they belong to the third.
    assert [one["name"] for one in record["archives"]] == ["trail.20261103T%02d00.tgz.fernet" % hour for hour in (6, 7, 8)]
    found = host.held()
    wanted = {key: one.body for key, one in trail.objects.items() if "/CloudTrail" in key}
    assert {key: data for key, data in found.items() if not key.endswith(".metadata.json")} == wanted
    sidecars = {key: json.loads(data) for key, data in found.items() if key.endswith(".metadata.json")}
    digests = [key for region in trail.regions for key in trail.digests(region)]
    assert sorted(sidecars) == sorted(key + ".metadata.json" for key in digests)
    for key in digests:
        sidecar = sidecars[key + ".metadata.json"]
        assert (sidecar["bucket"], sidecar["key"], sidecar["metadata"]) == (trail.bucket, key, trail.objects[key].metadata)
    assert not list((host.state / "cloudtrail").iterdir())


def test_a_second_run_fetches_nothing(host: TrailHost, trail: trails.Trail, aws_server: AwsServer) -> None:
    host.archive(NOW)
    aws_server.forget_requests()
    record = host.archive(NOW + timedelta(hours=1))
    assert not record["changed"] and record["archives"] == []
    assert not [request for request in aws_server.requests() if request.path.endswith(".gz")]


def test_only_closed_hours_count(host: TrailHost, trail: trails.Trail) -> None:
    record = host.archive(trails.START + timedelta(hours=2, minutes=10))
    assert [one["name"] for one in record["archives"]] == ["trail.20261103T0600.tgz.fernet"]


def test_a_late_file_is_archived_by_a_later_run(host: TrailHost, trail: trails.Trail, aws_server: AwsServer) -> None:
    host.archive(NOW)
    late = trail.add_log(trails.START + timedelta(minutes=50))
    aws_server.client("s3").put_object(Bucket=trail.bucket, Key=late, Body=trail.objects[late].body)
    record = host.archive(NOW + timedelta(hours=1))
    assert [len(one["sources"]) for one in record["archives"]] == [1]
    assert host.held()[late] == trail.objects[late].body


def test_a_lost_state_archives_nothing_twice(host: TrailHost, trail: trails.Trail) -> None:
    import shutil

    host.archive(NOW)
    before = host.held()
    shutil.rmtree(host.state)
    host.archive(NOW)
    assert host.held() == before


def test_accounts_regions_and_folders_can_be_chosen(host: TrailHost, trail: trails.Trail) -> None:
    host.archive(NOW, cloudtrail={"accounts": [trail.account], "regions": ["us-east-1"], "filter": ["logs"]})
    assert sorted(host.held()) == trail.logs_of("us-east-1")


def test_a_dry_run_fetches_and_writes_nothing(host: TrailHost, aws_server: AwsServer) -> None:
    aws_server.forget_requests()
    record = host.run(NOW, check=True)
    assert [one["state"] for one in record["archives"]] == ["would be archived"] * 3
    assert not host.state.exists() and not host.store.exists()
    assert not [request for request in aws_server.requests() if request.path.endswith(".gz")]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(host: TrailHost, trail: trails.Trail, aws_server: AwsServer) -> None:
    short = {"lookback": "1h"}
    host.archive(trails.START + timedelta(minutes=30), cloudtrail=short)
    key = trail.logs_of()[0]
    aws_server.answer(403, _error("InvalidObjectState"), method="GET", path="/%s/%s" % (trail.bucket, key))
    record = host.run(NOW, cloudtrail=short)
    assert record["exit_code"] == 3 and [key in error for error in record["errors"]] == [True]
    assert key not in host.held()
    # The run counts as no success, so a later one looks back far enough, however short the lookback is.
    aws_server.reset_answers()
    host.archive(NOW + timedelta(days=2), cloudtrail=short)
    assert host.held()[key] == trail.objects[key].body


def test_a_key_that_is_no_path_is_skipped_and_reported(host: TrailHost, trail: trails.Trail, aws_server: AwsServer) -> None:
    odd = trail.folder("CloudTrail", trails.REGION, trails.START) + "a/../../b.json.gz"
    aws_server.client("s3").put_object(Bucket=trail.bucket, Key=odd, Body=b"x")
    record = host.run(NOW + timedelta(days=30), cloudtrail={"regions": ["eu-west-3"], "lookback": "90d"})
    assert [(one["path"], one["reason"]) for one in record["skipped"]] == [
        ("s3://%s/%s" % (trail.bucket, odd), "its key cannot be the path of a file")
    ]
    assert record["errors"] == [] and len(host.held()) >= 4


def test_a_run_that_was_cut_off_goes_on_where_it_ended(host: TrailHost, trail: trails.Trail, aws_server: AwsServer) -> None:
    key = sorted(trail.logs_of())[-1]
    aws_server.answer(503, _error("ServiceUnavailable"), method="GET", path="/%s/%s" % (trail.bucket, key))
    record = host.run(NOW, cloudtrail={"attempts": 2})
    assert record["exit_code"] != 0
    assert [one["name"] for one in record["archives"]] == ["trail.20261103T0600.tgz.fernet"]
    aws_server.reset_answers()
    assert len(host.archive(NOW + timedelta(hours=1))["archives"]) == 2


def test_a_trail_of_an_organization(tmp_path: pathlib.Path, aws_server: AwsServer) -> None:
    trail = trails.Trail(hours=1, organization="o-abcdef1234")
    make_bucket(aws_server, trail)
    host = TrailHost(tmp_path, aws_server, trail)
    host.archive(NOW)
    assert trail.logs_of()[0] in host.held()
    other = TrailHost(tmp_path / "other", aws_server, trail)
    record = other.run(NOW, cloudtrail={"organization": None})
    assert "o-abcdef1234" in record["warnings"][0]


def test_mistakes_in_the_options_are_reported_together(host: TrailHost) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError

    wrong = {"bucket": "s3://x/y", "filter": [], "accounts": ["12"], "regions": ["Paris"], "access_key_id": None, "external_id": "x"}
    with pytest.raises(ConfigError) as caught:
        host.document(cloudtrail=wrong)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "cloudtrail.accounts[0]",
        "cloudtrail.regions[0]",
        "cloudtrail.access_key_id",
        "cloudtrail.external_id",
        "cloudtrail.bucket",
        "cloudtrail.filter",
    ]


def _error(code: str) -> str:
    return "<Error><Code>%s</Code><Message>as the test wants it</Message></Error>" % code
