# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics of CloudWatch: as data for PutMetricData, or embedded in a log event.

Formats: https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html and
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html.
"""

from __future__ import annotations

import typing as t

from ..base.aws_service import Service

MOST_DATA = 1000
"""Of one request."""
LONGEST_VALUE = 255
"""Characters of the value of a dimension."""

SUCCESSFUL_RUNS = "SuccessfulRuns"
ARCHIVED_BYTES = "ArchivedBytes"
UNITS = {
    SUCCESSFUL_RUNS: "Count",
    "Errors": "Count",
    "Warnings": "Count",
    "Archives": "Count",
    ARCHIVED_BYTES: "Bytes",
    "SourceBytes": "Bytes",
    "Duration": "Seconds",
}
"""The metrics of a run, and their units. SuccessfulRuns is 1 or 0."""

HOST, JOB = "Host", "Job"


class Sample(t.NamedTuple):
    """The metrics of one run. time: milliseconds since the epoch. values: by the names of UNITS."""

    host: str
    job: str
    time: int
    values: t.Mapping[str, float]


def dimension(text: str) -> str:
    """The text as the value of a dimension, which must be of printable ASCII characters, and not blank."""
    plain = "".join(character if " " <= character <= "~" else "?" for character in text)[:LONGEST_VALUE].strip()
    return plain.lstrip(":") or "-"


def dimensions(host: str, job: str) -> t.List[t.Dict[str, str]]:
    """The dimensions of the metrics of a job on a host."""
    return [{"Name": HOST, "Value": dimension(host)}, {"Name": JOB, "Value": dimension(job)}]


def embedded(namespace: str, sample: Sample) -> t.Dict[str, t.Any]:
    """The members of a log event from which CloudWatch Logs makes the metrics."""
    names = [{"Name": name, "Unit": UNITS[name]} for name in sample.values]
    directive = {"Namespace": namespace, "Dimensions": [[HOST, JOB]], "Metrics": names}
    about = {"Timestamp": sample.time, "CloudWatchMetrics": [directive]}
    return {"_aws": about, HOST: dimension(sample.host), JOB: dimension(sample.job), **sample.values}


def data_of(sample: Sample) -> t.List[t.Dict[str, t.Any]]:
    """The same for PutMetricData."""
    common = {"Dimensions": dimensions(sample.host, sample.job), "Timestamp": sample.time / 1000}
    return [{**common, "MetricName": name, "Value": value, "Unit": UNITS[name]} for name, value in sample.values.items()]


def put(service: Service, namespace: str, samples: t.Sequence[Sample]) -> None:
    """Send the metrics of runs. Raises AwsError."""
    data = [each for sample in samples for each in data_of(sample)]
    for start in range(0, len(data), MOST_DATA):
        service.call("put_metric_data", Namespace=namespace, MetricData=data[start : start + MOST_DATA])
