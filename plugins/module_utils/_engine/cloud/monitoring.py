# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cloud audit sets up in CloudWatch: log groups and retention, metric filters, alarms, a dashboard. Pure: nothing is sent here."""

from __future__ import annotations

import json
import typing as t

from ..base.errors import ConfigError
from .logs import check_retention
from .metrics import ARCHIVED_BYTES, HOST, JOB, SUCCESSFUL_RUNS, dimension, dimensions
from .trail_filters import FINDINGS, Finding

HOUR = 3600
DAY = 24 * HOUR
MARK = "Managed by infra_ops.log_archive (%s)."
"""The beginning of the description of every alarm. Only alarms with it are ever removed."""
BAND = 2
"""Standard deviations from the expected size, above and below."""

Body = t.Dict[str, t.Any]


class WatchedJob(t.NamedTuple):
    """A job that must succeed. hours: without a successful run, until the alarm."""

    host: str
    job: str
    hours: int = 26


class Settings(t.NamedTuple):
    """What is wanted. name: begins the names of all resources. retention: by log group, days, or None for ever.

    run_log_group: of the receiver cloudwatch; it is created. trail_log_group: of CloudTrail; it must exist. actions: ARNs for alarms.
    """

    name: str
    namespace: str
    run_log_group: t.Optional[str] = None
    trail_log_group: t.Optional[str] = None
    retention: t.Mapping[str, t.Optional[int]] = {}
    jobs: t.Sequence[WatchedJob] = ()
    actions: t.Sequence[str] = ()
    dashboard: bool = True


class Wanted(t.NamedTuple):
    """The resources, as the requests of boto3 that make them. filters, alarms: by name. dashboard: its body."""

    filters: t.Dict[str, Body]
    alarms: t.Dict[str, Body]
    dashboard: t.Optional[Body]


def wanted(settings: Settings, region: str) -> Wanted:
    """The resources for these settings. Raises ConfigError for what CloudWatch does not allow."""
    for group, days in settings.retention.items():
        check_retention(days, group)
    filters, alarms = {}, {}
    for job in settings.jobs:
        for alarm in (_missing_run(settings, job), _archived_bytes(settings, job)):
            if alarm["AlarmName"] in alarms:
                raise ConfigError("the job is given twice", "%s on %s" % (job.job, job.host), "Remove one of them from jobs")
            alarms[alarm["AlarmName"]] = alarm
    if settings.trail_log_group:
        for finding in FINDINGS:
            made = _filter(settings, settings.trail_log_group, finding)
            filters[made["filterName"]] = made
            alarms[made["filterName"]] = _finding(settings, finding)
    for alarm in alarms.values():
        check_alarm(alarm)
    return Wanted(filters, alarms, _dashboard(settings, region) if settings.dashboard else None)


def check_alarm(alarm: t.Mapping[str, t.Any]) -> None:
    """Raise ConfigError for an alarm that CloudWatch refuses: test servers take every one.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
    """
    stats = [query["MetricStat"] for query in alarm.get("Metrics", ()) if "MetricStat" in query]
    period = alarm["Period"] if "Period" in alarm else max(stat["Period"] for stat in stats)
    count, name = alarm["EvaluationPeriods"], alarm["AlarmName"]
    if not 1 <= len(name) <= 255:
        raise ConfigError("the name of the alarm has more than 255 characters", name, "Shorten the names of host and job")
    if period not in (10, 20, 30) and (period <= 0 or period % 60):
        raise ConfigError("the period of an alarm must be 10, 20, 30 or a multiple of 60 seconds, not %d" % period, name)
    longest = DAY if period < HOUR else 7 * DAY
    if count < 1 or period * count > longest:
        hours = "must look back at least one period, and at most %d hours, not %g" % (longest // HOUR, period * count / HOUR)
        raise ConfigError("the alarm %s" % hours, name)
    if not 1 <= alarm.get("DatapointsToAlarm", count) <= count:
        raise ConfigError("the alarm needs more data points than it looks at", name)
    if len(alarm["AlarmActions"]) > 5:
        raise ConfigError("an alarm has at most 5 actions, not %d" % len(alarm["AlarmActions"]), name, "Use one SNS topic for several")


def _common(settings: Settings, name: str, about: str) -> Body:
    return {
        "AlarmName": "%s-%s" % (settings.name, name),
        "AlarmDescription": "%s %s" % (MARK % settings.name, about),
        "ActionsEnabled": True,
        "AlarmActions": list(settings.actions),
        "OKActions": list(settings.actions),
    }


def _missing_run(settings: Settings, job: WatchedJob) -> Body:
    """In alarm if the last hours had no successful run. An hour without data counts as an hour without a successful run."""
    host, name = dimension(job.host), dimension(job.job)
    return {
        **_common(settings, "missing-run-%s-%s" % (host, name), "%s on %s had no successful run for %d hours." % (name, host, job.hours)),
        "Namespace": settings.namespace,
        "MetricName": SUCCESSFUL_RUNS,
        "Dimensions": dimensions(job.host, job.job),
        "Statistic": "Sum",
        "Period": HOUR,
        "EvaluationPeriods": job.hours,
        "DatapointsToAlarm": job.hours,
        "Threshold": 1.0,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }


def _archived_bytes(settings: Settings, job: WatchedJob) -> Body:
    """In alarm if a day's archives are much larger or smaller than those of the days before. A missing run has an alarm for itself."""
    host, name = dimension(job.host), dimension(job.job)
    metric = {"Namespace": settings.namespace, "MetricName": ARCHIVED_BYTES, "Dimensions": dimensions(job.host, job.job)}
    return {
        **_common(settings, "archived-bytes-%s-%s" % (host, name), "The archives of %s on %s have an unusual size." % (name, host)),
        "Metrics": [
            {"Id": "bytes", "MetricStat": {"Metric": metric, "Period": DAY, "Stat": "Sum"}, "ReturnData": True},
            {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(bytes, %d)" % BAND, "Label": "expected", "ReturnData": True},
        ],
        "ThresholdMetricId": "band",
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
        "TreatMissingData": "ignore",
    }


def _filter(settings: Settings, group: str, finding: Finding) -> Body:
    change = {"metricName": finding.metric, "metricNamespace": settings.namespace, "metricValue": "1", "defaultValue": 0.0}
    name = "%s-%s" % (settings.name, finding.name)
    return {"logGroupName": group, "filterName": name, "filterPattern": finding.pattern, "metricTransformations": [change]}


def _finding(settings: Settings, finding: Finding) -> Body:
    return {
        **_common(settings, finding.name, finding.about),
        "Namespace": settings.namespace,
        "MetricName": finding.metric,
        "Dimensions": [],
        "Statistic": "Sum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }


# -- the dashboard ----------------------------------------------------------------------------------------------------


def _dashboard(settings: Settings, region: str) -> Body:
    """The body of a dashboard: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html"""
    shown = [
        ("Successful runs by day", _search(settings, SUCCESSFUL_RUNS, DAY)),
        ("Archived bytes by day", _search(settings, ARCHIVED_BYTES, DAY)),
        ("Errors", _search(settings, "Errors", HOUR)),
        ("Longest run, in seconds", _search(settings, "Duration", HOUR, "Maximum")),
    ]
    widgets: t.List[Body] = [_graph(title, metrics, region) for title, metrics in shown]
    if settings.trail_log_group:
        metrics = [[settings.namespace, finding.metric, {"stat": "Sum", "period": 300}] for finding in FINDINGS]
        widgets.append(_graph("Findings in the trail", metrics, region))
    if settings.run_log_group:
        query = "SOURCE '%s' | fields started, host, job, outcome | filter exit_code != 0 | sort @timestamp desc | limit 50"
        properties = {"title": "Runs that failed", "query": query % settings.run_log_group, "region": region, "view": "table"}
        widgets.append({"type": "log", "properties": properties})
    for place, widget in enumerate(widgets):
        widget.update(x=12 * (place % 2), y=6 * (place // 2), width=12, height=6)
    return {"widgets": widgets}


def _search(settings: Settings, metric: str, period: int, statistic: str = "Sum") -> t.List[t.Any]:
    """All hosts and jobs, those that come later too."""
    found = "SEARCH('{%s,%s,%s} MetricName=\"%s\"', '%s', %d)" % (settings.namespace, HOST, JOB, metric, statistic, period)
    return [[{"expression": found, "id": "e1"}]]


def _graph(title: str, metrics: t.List[t.Any], region: str) -> Body:
    properties = {"title": title, "metrics": metrics, "region": region, "view": "timeSeries"}
    return {"type": "metric", "properties": properties}


def shown(body: t.Optional[Body]) -> str:
    """A resource as text, for a diff."""
    return "" if body is None else json.dumps(body, indent=2, sort_keys=True) + "\n"
