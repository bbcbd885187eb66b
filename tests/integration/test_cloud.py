# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""CloudWatch and EventBridge on a server with their APIs: what arrives there, and that nothing is sent anywhere else."""

from __future__ import annotations

import json
import socket
import threading
import time

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws import Access
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws_service import Service
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import export as exports, logs, queries
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.log_events import LogEvent
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import notifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete
from rigs.host import Host

GROUP = "/log-archive/runs"


@pytest.fixture(autouse=True)
def only_the_server(aws_server, monkeypatch):
    """A connection to any other place fails the test; so does a look for credentials in the machine's metadata."""
    allowed = int(aws_server.endpoint_url.rpartition(":")[2])
    connect = socket.socket.connect
    others = []
    # An earlier test may have left a thread that waits for its server.
    older = set(threading.enumerate())

    def checked(self, address):
        if isinstance(address, tuple) and address[1] != allowed and threading.current_thread() not in older - {threading.main_thread()}:
            others.append(address)
            raise ConnectionRefusedError("not the endpoint of the test")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    yield
    assert others == []


@pytest.fixture
def host(tmp_path, monkeypatch):
    monkeypatch.setattr(notifying, "PAUSE", 0.05)
    made = Host(tmp_path / "host")
    made.write_logs(13, 14)
    return made


def target(aws_server, kind, **options):
    return {"type": kind, **aws_server.options, **options}


def operations(aws_server):
    return [(each.service, each.operation) for each in aws_server.requests()]


# -- the receiver cloudwatch ------------------------------------------------------------------------------------------


def test_the_record_of_a_run_is_a_log_event_with_metrics(host, aws_server):
    client = aws_server.client("logs")
    client.create_log_group(logGroupName=GROUP)
    aws_server.forget_requests()
    done = host.run(notify=[target(aws_server, "cloudwatch", log_group=GROUP)])
    assert done["warnings"] == []
    assert operations(aws_server) == [("logs", "PutLogEvents"), ("logs", "CreateLogStream"), ("logs", "PutLogEvents")]
    (stored,) = client.get_log_events(logGroupName=GROUP, logStreamName="web1/syslog")["events"]
    event = json.loads(stored["message"])
    assert (event["job"], event["outcome"], event["SuccessfulRuns"], event["Archives"]) == ("syslog", "done", 1, len(done["archives"]))
    assert event["ArchivedBytes"] == sum(archive["size"] for archive in done["archives"]) > 0
    assert event["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "LogArchive"
    assert abs(stored["timestamp"] - event["_aws"]["Timestamp"]) == 0
    assert lab.moto.SECRET not in stored["message"]
    # The stream is there now.
    aws_server.forget_requests()
    host.write_logs(12)
    assert host.run(notify=[target(aws_server, "cloudwatch", log_group=GROUP)])["warnings"] == []
    assert operations(aws_server) == [("logs", "PutLogEvents")]


def test_without_a_log_group_only_metrics_are_sent(host, aws_server):
    assert host.run(notify=[target(aws_server, "cloudwatch", namespace="Fleet")])["warnings"] == []
    assert operations(aws_server) == [("monitoring", "PutMetricData")]
    listed = aws_server.client("cloudwatch").list_metrics(Namespace="Fleet")["Metrics"]
    assert {each["MetricName"] for each in listed} == {
        "SuccessfulRuns", "Errors", "Warnings", "Archives", "ArchivedBytes", "SourceBytes", "Duration",
    }  # fmt: skip
    assert {(pair["Name"], pair["Value"]) for each in listed for pair in each["Dimensions"]} == {("Host", "web1"), ("Job", "syslog")}


def test_a_failed_run_is_no_good_run(host, aws_server):
    broken = [{"type": "file", "path": str(host.logs / "syslog.20240112.13" / "store"), "attempts": 1}]
    assert host.run(notify=[target(aws_server, "cloudwatch")], stores=broken)["exit_code"] == 3
    data = aws_server.client("cloudwatch").get_metric_statistics(
        Namespace="LogArchive",
        MetricName="SuccessfulRuns",
        Dimensions=[{"Name": "Host", "Value": "web1"}, {"Name": "Job", "Value": "syslog"}],
        StartTime=time.time() - 3600,
        EndTime=time.time() + 3600,
        Period=3600,
        Statistics=["Sum", "SampleCount"],
    )["Datapoints"]
    assert sum(each["Sum"] for each in data) == 0 and sum(each["SampleCount"] for each in data) == 1


def test_a_dry_run_does_not_hide_that_the_real_one_is_missing(aws_server):
    client = aws_server.client("logs")
    client.create_log_group(logGroupName=GROUP)
    aws_server.forget_requests()
    dry = complete({"host": "web1", "job": "syslog", "outcome": "done", "errors": [], "exit_code": 0, "check": True})
    for options in ({}, {"log_group": GROUP}):
        (outcome,) = notifying.send([normalise_receiver(target(aws_server, "cloudwatch", **options))], [dry])
        assert outcome.state == "sent"
    assert {service for service, _operation in operations(aws_server)} == {"logs"}
    (event,) = client.get_log_events(logGroupName=GROUP, logStreamName="web1/syslog")["events"]
    assert json.loads(event["message"])["check"] is True and "_aws" not in event["message"] and "SuccessfulRuns" not in event["message"]


def test_a_missing_group_and_a_refusal_are_warnings_without_secrets(host, aws_server, caplog):
    (warning,) = host.run(notify=[target(aws_server, "cloudwatch", log_group="/missing")])["warnings"]
    assert warning.startswith("notify[0] (cloudwatch): /missing: there is no such log group. Create it, for example with the role")
    aws_server.fail(400, "AccessDeniedException", service="logs")
    host.write_logs(12)
    (warning,) = host.run(notify=[target(aws_server, "cloudwatch", log_group="/missing")])["warnings"]
    assert "AccessDeniedException" in warning and "Check the credentials and what their policy allows" in warning
    assert lab.moto.SECRET not in warning + caplog.text


def test_a_record_that_the_service_drops_is_a_warning(host, aws_server):
    aws_server.client("logs").create_log_group(logGroupName=GROUP)
    aws_server.answer(200, {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}}, service="logs", operation="PutLogEvents")
    (warning,) = host.run(notify=[target(aws_server, "cloudwatch", log_group=GROUP)])["warnings"]
    assert "the record was not stored (more than 2 hours ahead of the clock: [0]); check the clock" in warning


def test_a_busy_service_is_asked_twice(host, aws_server):
    aws_server.fail(400, "ThrottlingException", service="events", times=1)
    assert host.run(notify=[target(aws_server, "eventbridge")])["warnings"] == []
    assert operations(aws_server) == [("events", "PutEvents")] * 2


# -- the receiver eventbridge -----------------------------------------------------------------------------------------


def test_partial_failures_are_sent_again_and_then_reported(aws_server):

    records = [complete({"host": "web%d" % number, "job": "j", "outcome": "done", "errors": []}) for number in range(3)]
    targets = [normalise_receiver(target(aws_server, "eventbridge"))]
    busy = {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
    aws_server.answer(200, {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, busy, {"EventId": "2"}]}, service="events", times=1)
    (outcome,) = notifying.send(targets, records)
    assert (outcome.state, operations(aws_server)) == ("sent", [("events", "PutEvents")] * 2)
    aws_server.reset()
    aws_server.answer(200, {"FailedEntryCount": 1, "Entries": [{"EventId": "1"}, busy, {"EventId": "2"}]}, service="events", times=1)
    aws_server.answer(200, {"FailedEntryCount": 1, "Entries": [busy]}, service="events", times=1)
    (outcome,) = notifying.send(targets, records)
    assert outcome.state == "failed" and "1 of 1 events were not accepted: ThrottlingException (slow down)" in outcome.error
    assert "after a second attempt at these" in outcome.error and "tried twice" not in outcome.error


# -- reading, retention and export ------------------------------------------------------------------------------------


@pytest.fixture
def service(aws_server):
    made = Service(
        "logs",
        Access(
            region=aws_server.region,
            endpoint_url=aws_server.endpoint_url,
            access_key_id=aws_server.access_key,
            secret_access_key=aws_server.secret_key,
        ),
    )
    yield made
    made.close()


def test_events_are_stored_read_back_and_exported(service, aws_server, tmp_path):
    aws_server.client("logs").create_log_group(logGroupName="/g")
    now = int(time.time() * 1000)
    events = [LogEvent(now - 60_000 + number, "line %d" % number, number) for number in range(50)]
    assert logs.put(service, "/g", "s", list(reversed(events))) == logs.Put(50, [])
    found = queries.filtered(service, "/g", "", now - 3_600_000, now, 100, 60)
    assert [row["message"] for row in found.rows] == ["line %d" % number for number in range(50)] and not found.cut
    rows = queries.queried(service, ["/g"], "fields @timestamp, @message", now - 3_600_000, now, 100, 60).rows
    assert {row["@message"] for row in rows} == {"line %d" % number for number in range(50)}
    aws_server.client("s3").create_bucket(Bucket="exported", CreateBucketConfiguration={"LocationConstraint": aws_server.region})
    wanted = exports.Wanted("/g", "exported", "p", now - 3_600_000, now - 1)
    first = exports.export(service, wanted, 60)
    assert first.changed and exports.export(service, wanted, 60) == exports.Export(first.task_id, False)
    keys = [each["Key"] for each in aws_server.client("s3").list_objects_v2(Bucket="exported", Prefix="p/")["Contents"]]
    assert len(keys) == 1 and operations(aws_server).count(("logs", "CreateExportTask")) == 1


def test_retention_is_set_once(service, aws_server):
    aws_server.client("logs").create_log_group(logGroupName="/g")
    for days, changed in ((30, True), (30, False), (None, True), (None, False)):
        assert logs.set_retention(service, logs.need_group(service, "/g"), days) is changed
        assert logs.need_group(service, "/g").retention == days
    with pytest.raises(ConfigError, match="no retention of 31 days"):
        logs.set_retention(service, logs.need_group(service, "/g"), 31)
