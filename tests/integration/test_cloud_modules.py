# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules for CloudWatch on a server with its APIs; the policies of docs/cloud.md allow each request that they send, and no more."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import io
import json
import os
import pathlib
import re
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws import Access
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws_service import Service
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import reconcile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.monitoring import Settings, WatchedJob
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import notifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete
from rigs import trail as trails
from rigs.modules import module_args
from rigs.trail_host import make_bucket

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DOCS = (CHECKOUT / "docs" / "cloud.md").read_text(encoding="utf-8")
PREFIX = "ansible_collections.infra_ops.log_archive.plugins.modules."
IAM = {"logs": "logs", "monitoring": "cloudwatch", "events": "events", "sts": "sts"}
"""The prefix of IAM actions, by the name with which requests are signed."""


@pytest.fixture(autouse=True)
def no_credentials_elsewhere(monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


def call(module: str, aws_server: lab.AwsServer, check: bool = False, **options: t.Any) -> t.Dict[str, t.Any]:
    """The result of a module, as with -vvvv and --diff, in this process, which is much faster. No output has the secret."""
    given = {**aws_server.options, "attempts": 1, **options, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_verbosity": 4}
    output, errors = io.StringIO(), io.StringIO()
    with module_args(given), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), pytest.raises(SystemExit):
        importlib.import_module(PREFIX + module).main()
    assert lab.moto.SECRET not in output.getvalue() + errors.getvalue()
    return t.cast("t.Dict[str, t.Any]", json.loads(output.getvalue()))


def actions(aws_server: lab.AwsServer) -> t.Set[str]:
    """The IAM actions of the requests that the server got."""
    return {"%s:%s" % (IAM[each.service], each.operation) for each in aws_server.requests()}


def policy(name: str) -> t.Set[str]:
    """The actions that a policy in the documentation allows."""
    found = re.search(r"<!-- policy: %s -->\n```json\n(.*?)\n```" % name, DOCS, re.DOTALL)
    assert found is not None, name
    allowed: t.Set[str] = set()
    for statement in json.loads(found[1])["Statement"]:
        assert statement["Effect"] == "Allow" and statement["Resource"]
        allowed.update([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    assert not any("*" in action for action in allowed)
    return allowed


def example(name: str) -> t.Any:
    """A JSON example of the documentation."""
    found = re.search(r"<!-- %s -->\n```json\n(.*?)\n```" % name, DOCS, re.DOTALL)
    assert found is not None, name
    return json.loads(found[1])


def ago(**span: float) -> str:
    return (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def opened(name: str, aws_server: lab.AwsServer) -> Service:
    options = aws_server.options
    access = Access(options["region"], options["endpoint_url"], options["access_key_id"], options["secret_access_key"])
    return Service(name, access, attempts=1)


# -- the module cloudwatch_logs ---------------------------------------------------------------------------------------


def test_events_are_put_read_and_exported_and_the_policy_allows_just_that(aws_server: lab.AwsServer) -> None:
    aws_server.client("logs").create_log_group(logGroupName="/g")
    aws_server.client("s3").create_bucket(Bucket="exported", CreateBucketConfiguration={"LocationConstraint": aws_server.region})
    aws_server.forget_requests()
    common: t.Dict[str, t.Any] = {"log_group": "/g"}
    events = [{"text": "second", "time": ago(minutes=5)}, {"text": "first", "time": ago(minutes=10)}, {"text": "now"}]
    put = dict(common, action="put", log_stream="s", events=events)
    checked = call("cloudwatch_logs", aws_server, True, **put)
    assert (checked["changed"], checked["stored"], actions(aws_server)) == (True, 3, {"logs:DescribeLogGroups"})
    done = call("cloudwatch_logs", aws_server, **put)
    assert (done["changed"], done["stored"], done["rejected"]) == (True, 3, [])
    start = ago(hours=1)
    read = call("cloudwatch_logs", aws_server, action="filter", start=start, **common)
    assert [row["message"] for row in read["rows"]] == ["first", "second", "now"] and (read["cut"], read["changed"]) == (False, False)
    cut = call("cloudwatch_logs", aws_server, action="filter", start=start, limit=2, **common)
    assert len(cut["rows"]) == 2 and cut["cut"] and "there may be more than 2 rows" in json.dumps(cut["warnings"])
    # A query ends with a whole second, and moto leaves out what comes after its beginning.
    asked = {"query": "fields @timestamp, @message", "start": start, "end": ago(minutes=-1)}
    query = call("cloudwatch_logs", aws_server, action="query", **asked, **common)
    assert {row["@message"] for row in query["rows"]} == {"first", "second", "now"}
    export = dict(common, action="export", start=start, end=ago(minutes=1), bucket="exported")
    assert call("cloudwatch_logs", aws_server, True, **export)["task_id"] is None
    assert call("cloudwatch_logs", aws_server, **export)["changed"]
    assert not call("cloudwatch_logs", aws_server, **export)["changed"]
    retention = dict(common, action="retention", days=7)
    assert call("cloudwatch_logs", aws_server, True, **retention)["diff"] == {"before": "never expires\n", "after": "7 days\n"}
    assert [call("cloudwatch_logs", aws_server, **retention)["changed"] for _time in range(2)] == [True, False]
    assert call("cloudwatch_logs", aws_server, **dict(retention, days=0))["changed"]
    # moto has no StopQuery; the unit tests show when it is sent.
    assert actions(aws_server) | {"logs:StopQuery"} == policy("cloudwatch_logs")


def test_events_that_are_dropped_fail_the_module_after_the_others_are_stored(aws_server: lab.AwsServer) -> None:
    aws_server.client("logs").create_log_group(logGroupName="/g")
    events = [{"text": "a"}, {"text": "old", "time": ago(days=15)}, {"text": "new", "time": ago(hours=-3)}]
    done = call("cloudwatch_logs", aws_server, action="put", log_group="/g", log_stream="s", events=events)
    assert done["failed"] and (done["stored"], done["error"], done["exit_code"]) == (1, "RejectedEventsError", 3)
    assert done["rejected"] == [
        {"index": 1, "reason": "older than 14 days"},
        {"index": 2, "reason": "more than 2 hours ahead of the clock"},
    ]
    assert "/g: 2 of 3 events were not stored (older than 14 days: [1]; more than" in done["msg"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"action": "retention", "days": 31}, "days: CloudWatch Logs has no retention of 31 days. Use 60, or another of 1, 3"),
        ({"action": "retention", "days": 30, "log_group": "/h"}, "/h: there is no such log group"),
        ({"action": "filter", "start": "yesterday"}, "start: "),
        ({"action": "query", "start": "2024-01-12"}, "action is query but all of the following are missing: query"),
        ({"action": "filter", "start": "2024-01-12", "limit": 20_000}, "limit: must be at most 10000, not 20000"),
        ({"action": "retention", "days": 30, "external_id": "x"}, "external_id: requires role_arn"),
    ],
)
def test_mistakes_are_named(aws_server: lab.AwsServer, options: t.Dict[str, t.Any], message: str) -> None:
    done = call("cloudwatch_logs", aws_server, **{"log_group": "/g", **options})
    assert done["failed"] and message in done["msg"], done["msg"]
    assert actions(aws_server) <= {"logs:DescribeLogGroups"}


def test_a_refusal_says_so(aws_server: lab.AwsServer) -> None:
    aws_server.fail(400, "AccessDeniedException", service="logs")
    done = call("cloudwatch_logs", aws_server, action="retention", log_group="/g", days=7)
    assert (done["failed"], done["reason"]) == (True, "denied")


# -- the module cloudwatch_monitoring ---------------------------------------------------------------------------------

SET_UP: t.Dict[str, t.Any] = {
    "run_log_group": "/runs",
    "trail_log_group": "/trail",
    "retention": [{"log_group": "/runs", "days": 90}, {"log_group": "/hosts/web1", "days": 7}],
    "jobs": [{"host": "web1", "job": "syslog"}],
    "actions": ["arn:aws:sns:eu-west-3:123456789012:operators"],
}


def test_set_up_once_change_and_remove_and_the_policy_allows_just_that(aws_server: lab.AwsServer) -> None:
    client = aws_server.client("logs")
    for name in ("/trail", "/hosts/web1"):
        client.create_log_group(logGroupName=name)
    aws_server.forget_requests()
    checked = call("cloudwatch_monitoring", aws_server, True, **SET_UP)
    assert {each.operation[:3] for each in aws_server.requests()} == {"Des", "Get"}
    first = call("cloudwatch_monitoring", aws_server, **SET_UP)
    assert first["changes"] == checked["changes"] and first["diff"] == checked["diff"] and first["changed"] and checked["changed"]
    assert [(each["kind"], each["state"]) for each in first["changes"]] == (
        [("retention", "changed"), ("log group", "created"), ("retention", "changed")]
        + [("metric filter", "created")] * 4
        + [("alarm", "created")] * 6
        + [("dashboard", "created")]
    )
    second = call("cloudwatch_monitoring", aws_server, **SET_UP)
    assert (second["changed"], second["changes"], second["diff"]) == (False, [], [])
    assert client.describe_log_groups(logGroupNamePrefix="/runs")["logGroups"][0]["retentionInDays"] == 90
    # Another job instead: its alarms, and no more those of the first.
    other = call("cloudwatch_monitoring", aws_server, **dict(SET_UP, jobs=[{"host": "db1", "job": "dumps", "hours": 50}]))
    assert sorted((each["name"], each["state"]) for each in other["changes"]) == [
        ("log-archive-archived-bytes-db1-dumps", "created"),
        ("log-archive-archived-bytes-web1-syslog", "removed"),
        ("log-archive-missing-run-db1-dumps", "created"),
        ("log-archive-missing-run-web1-syslog", "removed"),
    ]
    assert call("cloudwatch_monitoring", aws_server, True, state="absent")["changed"]
    gone = call("cloudwatch_monitoring", aws_server, state="absent")
    assert [each["state"] for each in gone["changes"]] == ["removed"] * 11
    assert not call("cloudwatch_monitoring", aws_server, state="absent")["changed"]
    # What is evidence stays.
    assert {each["logGroupName"] for each in client.describe_log_groups()["logGroups"]} == {"/runs", "/trail", "/hosts/web1"}
    forever = call("cloudwatch_monitoring", aws_server, dashboard=False, retention=[{"log_group": "/hosts/web1", "days": 0}])
    assert [each["kind"] for each in forever["changes"]] == ["retention"]
    assert actions(aws_server) == policy("cloudwatch_monitoring")


def test_a_refusal_in_the_middle_names_what_was_done(aws_server: lab.AwsServer) -> None:
    aws_server.client("logs").create_log_group(logGroupName="/trail")
    aws_server.fail(400, "AccessDeniedException", service="logs", operation="PutMetricFilter")
    done = call("cloudwatch_monitoring", aws_server, run_log_group="/runs", trail_log_group="/trail")
    assert done["failed"] and done["changed"] and done["reason"] == "denied"
    assert [each["kind"] for each in done["changes"]] == ["log group"]


@pytest.fixture
def services(aws_server: lab.AwsServer) -> t.Iterator[t.Tuple[Service, Service]]:
    both = opened("logs", aws_server), opened("cloudwatch", aws_server)
    yield both
    for service in both:
        service.close()


def apply(settings: Settings, services: t.Tuple[Service, Service]) -> t.List[t.Tuple[str, str]]:
    found = reconcile.changes(settings, *services, present=True)
    for change in found:
        change.apply()
    return [(change.kind, change.name) for change in found]


def test_what_somebody_changed_by_hand_is_set_right(aws_server: lab.AwsServer, services: t.Tuple[Service, Service]) -> None:
    aws_server.client("logs").create_log_group(logGroupName="/trail")
    settings = Settings("la", "LogArchive", None, "/trail", jobs=[WatchedJob("web1", "syslog")])
    apply(settings, services)
    cloudwatch = aws_server.client("cloudwatch")
    alarm = cloudwatch.describe_alarms(AlarmNames=["la-missing-run-web1-syslog"])["MetricAlarms"][0]
    assert (alarm["Statistic"], alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == ("Sum", 3600, 26, 26)
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["TreatMissingData"]) == ("LessThanThreshold", 1.0, "breaching")
    names = (
        "AlarmName",
        "AlarmDescription",
        "Namespace",
        "MetricName",
        "Dimensions",
        "Statistic",
        "Period",
        "ComparisonOperator",
        "Threshold",
    )
    cloudwatch.put_metric_alarm(**{name: alarm[name] for name in names}, EvaluationPeriods=1, TreatMissingData="notBreaching")
    cloudwatch.put_dashboard(DashboardName="la", DashboardBody='{"widgets": []}')
    aws_server.client("logs").put_metric_filter(
        logGroupName="/trail",
        filterName="la-root-use",
        filterPattern="nothing",
        metricTransformations=[{"metricName": "RootUse", "metricNamespace": "LogArchive", "metricValue": "1"}],
    )
    wrong = [("metric filter", "la-root-use"), ("alarm", "la-missing-run-web1-syslog"), ("dashboard", "la")]
    assert (apply(settings, services), apply(settings, services)) == (wrong, [])


def test_an_alarm_that_somebody_else_made_is_not_touched(aws_server: lab.AwsServer, services: t.Tuple[Service, Service]) -> None:
    theirs = {"MetricName": "m", "Namespace": "n", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    put = aws_server.client("cloudwatch").put_metric_alarm
    put(AlarmName="la-theirs", ComparisonOperator="LessThanThreshold", **theirs)
    settings = Settings("la", "LogArchive", dashboard=False)
    assert apply(settings, services) == []
    assert reconcile.changes(settings, *services, present=False) == []
    put(AlarmName="la-missing-run-web1-syslog", ComparisonOperator="LessThanThreshold", **theirs)
    with pytest.raises(Exception, match="la-missing-run-web1-syslog: there is an alarm with this name that was not made by this module"):
        reconcile.changes(settings._replace(jobs=[WatchedJob("web1", "syslog")]), *services, present=True)


# -- the receivers' policies, and the example of a rule ---------------------------------------------------------------


def sent(aws_server: lab.AwsServer, kind: str, outcome: t.Mapping[str, t.Any], **options: t.Any) -> None:
    record = complete({"host": "web1", "job": "syslog", "outcome": "done", "errors": [], "exit_code": 0, **outcome})
    (done,) = notifying.send([normalise_receiver({"type": kind, **aws_server.options, **options})], [record])
    assert done.state == "sent", done.error


def test_the_policies_of_the_receivers_allow_just_what_they_send(aws_server: lab.AwsServer) -> None:
    aws_server.client("logs").create_log_group(logGroupName="/g")
    aws_server.forget_requests()
    sent(aws_server, "cloudwatch", {}, log_group="/g")
    sent(aws_server, "cloudwatch", {})
    assert actions(aws_server) == policy("cloudwatch")
    aws_server.forget_requests()
    sent(aws_server, "eventbridge", {})
    assert actions(aws_server) == policy("eventbridge")


def test_the_example_of_a_rule_sends_failed_runs_to_its_target(aws_server: lab.AwsServer) -> None:
    events, queues = aws_server.client("events"), aws_server.client("sqs")
    queue = queues.create_queue(QueueName="operators")["QueueUrl"]
    arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="log-archive-failed", EventPattern=json.dumps(example("rule")))
    # botocore checks the target of the example; moto has no queue of SNS, and does not transform inputs.
    (target,) = example("targets")
    events.put_targets(Rule="log-archive-failed", Targets=[dict(target, Arn=arn)])
    sent(aws_server, "eventbridge", {})
    sent(aws_server, "eventbridge", {"outcome": "failed", "exit_code": 1, "errors": ["the store is down"]})
    (message,) = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    assert "failed" in message["Body"] and "web1" in message["Body"]
    assert "Messages" not in queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)


# -- cloudtrail_events ------------------------------------------------------------------------------------------------


def test_events_come_from_the_bucket_of_a_trail_from_files_and_from_the_history(tmp_path, aws_server):
    trail = trails.Trail(hours=1, regions=["eu-west-3", "us-east-1"], logs=1)
    make_bucket(aws_server, trail)
    before = len(aws_server.requests())
    since = {"since": "2026-11-03"}
    found = call("cloudtrail_events", aws_server, bucket=trail.bucket, filter=since)
    assert len(found["events"]) == 6 and not found["more"] and found["unreadable"] == []
    few = call("cloudtrail_events", aws_server, check=True, bucket=trail.bucket, filter=since, limit=2)
    assert (few["events"], few["more"], few["changed"]) == (found["events"][:2], True, False)
    for key in trail.logs_of("us-east-1"):
        (tmp_path / key.rpartition("/")[2]).write_bytes(trail.objects[key].body)
    (tmp_path / "bad.json.gz").write_bytes(b"bad")
    files = call("cloudtrail_events", aws_server, paths=[str(tmp_path)])
    assert files["events"] == [event for event in found["events"] if event["region"] == "us-east-1"]
    assert len(files["unreadable"]) == 1
    record = json.dumps(trails.record(1, trails.START))
    aws_server.answer(200, {"Events": [{"CloudTrailEvent": record}]}, operation="LookupEvents", times=1)
    aws_server.answer(200, {"Events": []}, operation="LookupEvents")
    assert len(call("cloudtrail_events", aws_server, history=True)["events"]) == 1
    wrong = call("cloudtrail_events", aws_server, history=True, paths=["/x"])
    assert "exactly one place" in wrong["msg"]
    nothing = call("cloudtrail_events", aws_server, paths=[str(tmp_path / "none.json")])
    assert nothing["failed"] and "No such file" in nothing["msg"]
    sent = {action_of(each) for each in aws_server.requests()[before:]}
    assert sent == policy("cloudtrail_events")


def action_of(request: lab.moto.Request) -> str:
    """The IAM action of a request to CloudTrail, or of a reading one to S3."""
    if request.service == "cloudtrail":
        return "cloudtrail:" + request.operation
    assert request.method == "GET"
    return "s3:GetObject" if request.path.count("/") > 1 else "s3:ListBucket"
