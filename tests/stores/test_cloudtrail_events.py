# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive audit events`` from archives, the bucket of a trail, and the event history."""

from __future__ import annotations

import json
import pathlib
import typing as t
from datetime import timedelta

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
from lab import AwsServer
from rigs import trail as trails
from rigs.aws_logs import compressed, log_file, record
from rigs.trail_host import TrailHost, make_bucket

NOW = trails.START + timedelta(hours=6)
SINCE = "2026-11-03T00:00Z"


@pytest.fixture
def trail() -> trails.Trail:
    return trails.Trail(hours=2, regions=["eu-west-3", "us-east-1"], logs=2)


@pytest.fixture
def host(tmp_path: pathlib.Path, aws_server: AwsServer, trail: trails.Trail) -> TrailHost:
    make_bucket(aws_server, trail)
    return TrailHost(tmp_path, aws_server, trail)


class Shown(t.NamedTuple):
    """What the command printed: events as JSON, and errors."""

    events: t.List[t.Dict[str, t.Any]]
    errors: str


@pytest.fixture
def show(host: TrailHost, capsys: pytest.CaptureFixture[str]) -> t.Callable[..., Shown]:
    def run(*arguments: str, code: int = 0, **cloudtrail: t.Any) -> Shown:
        path = host.folder / "trail.json"
        path.write_text(json.dumps(host.given(cloudtrail=cloudtrail)))
        path.chmod(0o600)
        capsys.readouterr()
        returned = main(["audit", "events", str(path), "--format", "jsonl", *arguments])
        printed = capsys.readouterr()
        assert returned == code, printed.err
        assert host.cloudtrail["secret_access_key"] not in printed.out + printed.err
        return Shown([json.loads(line) for line in printed.out.splitlines()], printed.err)

    return run


def ids(trail: trails.Trail) -> t.List[str]:
    """The ids of all events, by the key of their log."""
    import gzip

    logs = [key for region in trail.regions for key in trail.logs_of(region)]
    return [each["eventID"] for key in logs for each in json.loads(gzip.decompress(trail.objects[key].body))["Records"]]


def ids_of(shown: Shown) -> t.List[str]:
    return [event["event_id"] for event in shown.events]


def test_the_archives_have_the_events_of_the_bucket(host: TrailHost, trail: trails.Trail, show: t.Any, aws_server: AwsServer) -> None:
    assert ids_of(show("--from", "bucket", "--since", SINCE)) == ids(trail)
    host.archive(NOW)
    aws_server.reset()
    assert sorted(ids_of(show())) == sorted(ids(trail))
    late = show("--since", "2026-11-03T07:00Z", "--region", "us-east-1").events
    assert {event["region"] for event in late} == {"us-east-1"}
    assert late and all(event["time"] >= "2026-11-03T07:00" for event in late)
    assert len(show("--until", "2026-11-03T07:00Z").events) + len(show("--since", "2026-11-03T07:00Z").events) == len(ids(trail))
    assert not aws_server.requests()


def test_bad_files_of_the_bucket_do_not_end_the_others(trail: trails.Trail, show: t.Any, aws_server: AwsServer) -> None:
    client = aws_server.client("s3")
    first = trail.folder("CloudTrail", "eu-west-3", trails.START) + "%s_CloudTrail_eu-west-3_20261103T0601Z_" % trail.account
    bad = {"bomb": compressed(b'{"Records":[{"a":"' + bytes(20 << 20)), "no_json": b"no json", "odd": compressed(log_file([record(1), 7]))}
    for name, body in bad.items():
        client.put_object(Bucket=trail.bucket, Key="%s%s.json.gz" % (first, name.replace("_", "")), Body=body)
    refused = trail.logs_of("eu-west-3")[-1]
    aws_server.answer(403, _error("AccessDenied"), method="GET", path="/%s/%s" % (trail.bucket, refused))
    shown = show("--from", "bucket", "--since", SINCE, code=3)
    assert len(shown.events) == len(ids(trail)) + 1 - trail.records
    for problem in ("a record has more than", "is not a log file of CloudTrail", "record 2 is not an object", refused):
        assert problem in shown.errors
    assert len(shown.errors.splitlines()) == 4


def test_expired_credentials_end_the_command_at_once(show: t.Any, aws_server: AwsServer) -> None:
    aws_server.answer(400, _error("ExpiredToken"), service="s3")
    shown = show("--from", "bucket", code=1)
    assert "the temporary credentials have expired" in shown.errors.lower()
    aws_server.reset_answers()
    aws_server.fail(400, "ExpiredTokenException", operation="LookupEvents")
    shown = show("--from", "history", code=1, regions=["eu-west-3", "us-east-1"])
    assert "the temporary credentials have expired" in shown.errors.lower()
    assert len([request for request in aws_server.requests() if request.operation == "LookupEvents"]) == 1


def _page(*numbers: int, token: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    answer: t.Dict[str, t.Any] = {"Events": [{"CloudTrailEvent": json.dumps(record(number))} for number in numbers]}
    return {**answer, "NextToken": token} if token else answer


def test_the_event_history_of_each_region(show: t.Any, aws_server: AwsServer) -> None:
    answer = {"service": "cloudtrail", "operation": "LookupEvents", "times": 1}
    aws_server.fail(400, "AccessDeniedException", region="ap-south-1", operation="LookupEvents")
    aws_server.fail(400, "ThrottlingException", **{**answer, "region": "eu-west-3"})
    for page in (_page(1, token="more"), _page(2), _page()):
        aws_server.answer(200, page, region="eu-west-3", **answer)
    for page in (_page(3), _page()):
        aws_server.answer(200, page, region="us-east-1", **answer)
    shown = show("--from", "history", "--since", SINCE, code=3, regions=["ap-south-1", "eu-west-3", "us-east-1"])
    assert ids_of(shown) == [record(number)["eventID"] for number in (1, 2, 3)]
    (error,) = shown.errors.splitlines()
    assert "cloudtrail in ap-south-1" in error and "AccessDenied" in error
    assert "no events of the class data" in show("--from", "history", "--class", "data", code=2).errors


def _error(code: str) -> str:
    return "<Error><Code>%s</Code><Message>as the test wants it</Message></Error>" % code
