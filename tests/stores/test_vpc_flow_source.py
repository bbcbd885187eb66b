# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""VPC flow logs in a bucket as the source of a job, and a stream that reads what was archived."""

from __future__ import annotations

import contextlib
import pathlib
import sqlite3
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.restore import restore_from_stores
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.stock import Holdings
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.trust import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from lab import AwsServer
from rigs import streams
from rigs.aws_logs import ACCOUNT, FLOW_HEADER, SKIPPED, compressed, flow
from rigs.host import Host

NOW = datetime(2026, 11, 3, 6, tzinfo=timezone.utc)
HIVE = "aws-account-id=%s/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/month=11/day=03/hour=02/" % ACCOUNT
PLAIN = "%s/vpcflowlogs/eu-west-1/2026/11/03/" % ACCOUNT


def name(region: str, moment: str, ending: str = "log.gz") -> str:
    return "%s_vpcflowlogs_%s_fl-0abc_2026%sZ_1a2b3c.%s" % (ACCOUNT, region, moment, ending)


FILES = {
    PLAIN + name("eu-west-1", "1103T0205"): compressed("\n".join([FLOW_HEADER, flow(1), SKIPPED, ""]).encode()),
    PLAIN + "03/" + name("eu-west-1", "1103T0305"): compressed(b"bytes start srcaddr\n5 1793671200 192.0.2.9\n"),
    HIVE + name("us-east-1", "1103T0210"): compressed("\n".join([FLOW_HEADER, flow(2), ""]).encode()),
    HIVE + name("us-east-1", "1103T0210", "log.parquet"): b"PAR1...PAR1",
}
OTHERS = ("%s/CloudTrail/eu-west-1/2026/11/03/x.json.gz" % ACCOUNT, "210987654321x/vpcflowlogs/eu-west-1/2026/11/03/x.log.gz")


class FlowHost(Host):
    """A host with a job that archives flow logs. options: of the server."""

    options: t.Dict[str, t.Any]

    def given(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        flows = {"bucket": "flows", "prefix": "vpc", "lookback": "7d", "retry_delay": "0", **self.options, **changes.pop("vpc_flow", {})}
        document = super().given(**{"name": "flows", **changes})
        del document["select"]
        return {**document, "vpc_flow": flows}

    def archive(self, now: datetime, **changes: t.Any) -> t.Dict[str, t.Any]:
        """A run that must succeed."""
        record = self.run(now, **changes)
        assert record["errors"] == [], record["errors"]
        return record


@pytest.fixture
def host(tmp_path: pathlib.Path, aws_server: AwsServer) -> FlowHost:
    client = aws_server.client("s3")
    client.create_bucket(Bucket="flows", CreateBucketConfiguration={"LocationConstraint": aws_server.region})
    for key, body in {**FILES, **dict.fromkeys(OTHERS, b"other")}.items():
        client.put_object(Bucket="flows", Key="vpc/AWSLogs/" + key, Body=body)
    made = FlowHost(tmp_path)
    made.options = aws_server.options
    return made


def restored(host: FlowHost, folder: pathlib.Path) -> t.Dict[str, bytes]:
    """Every file in the archives, by its key below AWSLogs/."""
    stores = host.document()["stores"]
    for one in restore_from_stores([Holdings(stores, "web1", "flows", str(host.keyring))], Choice(), str(folder)):
        assert one.error is None
    return {str(path).partition("/vpc/AWSLogs/")[2]: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_of_every_layout_are_archived_unchanged_and_a_stream_reads_them(tmp_path, host: FlowHost, aws_server: AwsServer) -> None:
    aws_server.forget_requests()
    record = host.archive(NOW)
    sent = {(each.service, each.method, "object" if each.path.count("/") > 1 else "bucket") for each in aws_server.requests()}
    # s3:ListBucket and s3:GetObject: the policy of docs/cloud.md.
    assert sent == {("s3", "GET", "bucket"), ("s3", "GET", "object")}
    assert [one["name"] for one in record["archives"]] == ["flows.20261103T%02d00.tgz.fernet" % hour for hour in (2, 3)]
    aws_server.forget_requests()
    assert host.archive(NOW + timedelta(hours=1))["archives"] == []
    assert not [request for request in aws_server.requests() if request.path.endswith(".gz")]
    assert restored(host, tmp_path / "logs") == FILES
    follow = {"patterns": ["*.log"], "rotated": ["*_vpcflowlogs_*.log.gz"], "recurse": True}
    result = follower.catch_up(streams.document(tmp_path, follow=follow, parse={"profile": "vpc_flow"}))
    assert result["sinks"][0]["rows"] == 4
    with contextlib.closing(sqlite3.connect(tmp_path / "db.sqlite")) as connection:
        assert connection.execute("SELECT SUM(bytes), SUM(log_status = 'SKIPDATA') FROM vpc_flow_record").fetchone() == (3005, 1)


def test_accounts_and_regions_can_be_chosen(tmp_path, host: FlowHost) -> None:
    host.archive(NOW, vpc_flow={"regions": ["us-east-1"], "accounts": [ACCOUNT]})
    assert sorted(restored(host, tmp_path / "out")) == sorted(key for key in FILES if "us-east-1" in key)
    other = FlowHost(tmp_path / "other")
    other.options = host.options
    assert "has no file of a closed hour" in other.run(NOW, vpc_flow={"accounts": ["210987654321"]})["warnings"][0]


def test_a_file_that_cannot_be_read_does_not_stop_the_others(tmp_path, host: FlowHost, aws_server: AwsServer) -> None:
    key = next(iter(FILES))
    body = "<Error><Code>AccessDenied</Code><Message>as the test wants it</Message></Error>"
    aws_server.answer(403, body, method="GET", path="/flows/vpc/AWSLogs/" + key)
    record = host.run(NOW)
    assert record["exit_code"] == 3
    assert [key in error for error in record["errors"]] == [True]
    assert sorted(restored(host, tmp_path / "out")) == sorted(set(FILES) - {key})
