# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alarms, filters and the dashboard, within the limits of CloudWatch, which a test server does not know. botocore checks each request."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import monitoring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.monitoring import (
    Settings,
    WatchedJob,
    check_alarm,
    wanted,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud.reconcile import covers
from rigs.aws import answering

TOPIC = "arn:aws:sns:eu-west-3:123456789012:operators"
SETTINGS = Settings("la", "LogArchive", "/runs", "/trail", {"/runs": 90}, [WatchedJob("web1", "syslog")], [TOPIC])
REGION = "eu-west-3"


def test_every_request_is_one_of_the_services_models():
    made = wanted(SETTINGS, REGION)
    with answering("cloudwatch") as answers:
        for alarm in made.alarms.values():
            answers.add("put_metric_alarm", {}, **alarm)
            answers.service.call("put_metric_alarm", **alarm)
    with answering("logs") as answers:
        for body in made.filters.values():
            answers.add("put_metric_filter", {}, **body)
            answers.service.call("put_metric_filter", **body)
    assert len(made.alarms) == 6 and len(made.filters) == 4


def test_the_alarm_on_a_missing_nightly_run():
    alarm = wanted(SETTINGS, REGION).alarms["la-missing-run-web1-syslog"]
    assert (alarm["MetricName"], alarm["Statistic"], alarm["Period"]) == ("SuccessfulRuns", "Sum", 3600)
    assert (alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"], alarm["TreatMissingData"]) == (26, 26, "breaching")
    assert (alarm["ComparisonOperator"], alarm["Threshold"], alarm["AlarmActions"]) == ("LessThanThreshold", 1.0, [TOPIC])
    assert alarm["Dimensions"] == [{"Name": "Host", "Value": "web1"}, {"Name": "Job", "Value": "syslog"}]


def test_the_band_of_archived_bytes():
    alarm = wanted(SETTINGS, REGION).alarms["la-archived-bytes-web1-syslog"]
    data, band = alarm["Metrics"]
    assert data["MetricStat"]["Metric"]["MetricName"] == "ArchivedBytes" and data["MetricStat"]["Period"] == 86400
    assert (band["Expression"], alarm["ThresholdMetricId"]) == ("ANOMALY_DETECTION_BAND(bytes, 2)", "band")
    # An alarm has a metric or metrics, never both.
    assert not {"MetricName", "Period", "Statistic", "Threshold"} & alarm.keys()


ALARM = wanted(SETTINGS, REGION).alarms["la-missing-run-web1-syslog"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"Period": 3600, "EvaluationPeriods": 168}, None),
        ({"Period": 3600, "EvaluationPeriods": 169}, "at most 168 hours, not 169"),
        ({"Period": 86400, "EvaluationPeriods": 7}, None),
        ({"Period": 86400, "EvaluationPeriods": 8}, "at most 168 hours, not 192"),
        ({"Period": 300, "EvaluationPeriods": 288}, None),
        ({"Period": 300, "EvaluationPeriods": 289}, "at most 24 hours, not 24.0833"),
        ({"Period": 10, "EvaluationPeriods": 1}, None),
        ({"Period": 90, "EvaluationPeriods": 1}, "10, 20, 30 or a multiple of 60 seconds, not 90"),
        ({"Period": 0, "EvaluationPeriods": 1}, "multiple of 60 seconds, not 0"),
        ({"EvaluationPeriods": 0}, "at least one period"),
        ({"DatapointsToAlarm": 27}, "more data points than it looks at"),
        ({"AlarmName": "x" * 256}, "more than 255 characters"),
        ({"AlarmActions": [TOPIC] * 6}, "at most 5 actions, not 6"),
    ],
)
def test_the_rules_of_alarms(changes, problem):
    alarm = {**ALARM, "DatapointsToAlarm": 1, **changes}
    if problem is None:
        check_alarm(alarm)
    else:
        with pytest.raises(ConfigError, match=problem):
            check_alarm(alarm)


def test_a_job_that_is_given_twice():
    with pytest.raises(ConfigError, match="syslog on web1: the job is given twice"):
        wanted(SETTINGS._replace(jobs=[WatchedJob("web1", "syslog"), WatchedJob("web1", "syslog", 50)]), REGION)


def test_a_retention_that_does_not_exist():
    with pytest.raises(ConfigError, match="/runs: CloudWatch Logs has no retention of 31 days"):
        wanted(SETTINGS._replace(retention={"/runs": 31}), REGION)


def test_the_dashboard_is_json_with_a_region_in_each_widget():
    body = wanted(SETTINGS, REGION).dashboard
    assert json.loads(json.dumps(body)) == body
    assert {widget["properties"]["region"] for widget in body["widgets"]} == {REGION}
    places = [(widget["x"], widget["y"]) for widget in body["widgets"]]
    assert len(set(places)) == len(places) == 6
    assert wanted(SETTINGS._replace(dashboard=False), REGION).dashboard is None


@pytest.mark.parametrize(
    ("current", "wanted_value", "same"),
    [
        ({"a": 1, "Arn": "x"}, {"a": 1}, True),
        ({"a": 2}, {"a": 1}, False),
        (None, {"a": 1}, False),
        ({}, {"a": []}, True),
        ({"a": ["x"]}, {"a": []}, False),
        ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 1}]}, True),
        ({"a": [{"b": 1}, {"b": 1}]}, {"a": [{"b": 1}]}, False),
        ({"a": "x"}, {"a": {"b": 1}}, False),
    ],
)
def test_what_the_service_adds_is_no_difference(current, wanted_value, same):
    assert covers(current, wanted_value) is same


def test_a_resource_as_text():
    assert monitoring.shown(None) == "" and monitoring.shown({"b": 1, "a": 2}) == '{\n  "a": 2,\n  "b": 1\n}\n'
