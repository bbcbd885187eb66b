# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Metrics of CloudWatch: embedded in log events, and for PutMetricData."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cloud import metrics
from rigs.aws import ANY, answering

SAMPLE = metrics.Sample("web1", "syslog", 1_800_000_000_000, {metrics.SUCCESSFUL_RUNS: 1, metrics.ARCHIVED_BYTES: 20})


def test_embedded_metrics_follow_their_specification():
    made = metrics.embedded("LogArchive", SAMPLE)
    (directive,) = made["_aws"]["CloudWatchMetrics"]
    assert made["_aws"]["Timestamp"] == 1_800_000_000_000 and directive["Namespace"] == "LogArchive"
    # Each name in the directive must be a member at the root: a number for a metric, a text for a dimension.
    assert all(isinstance(made[each["Name"]], int) for each in directive["Metrics"])
    assert all(isinstance(made[name], str) for names in directive["Dimensions"] for name in names)
    assert directive["Metrics"] == [{"Name": "SuccessfulRuns", "Unit": "Count"}, {"Name": "ArchivedBytes", "Unit": "Bytes"}]


def test_a_request_has_at_most_1000_data():
    with answering("cloudwatch") as answers:
        for _request in range(2):
            answers.add("put_metric_data", {}, Namespace="n", MetricData=ANY)
        metrics.put(answers.service, "n", [SAMPLE] * 501)
    with answering("cloudwatch") as answers:
        answers.add("put_metric_data", {}, Namespace="n", MetricData=metrics.data_of(SAMPLE))
        metrics.put(answers.service, "n", [SAMPLE])
        metrics.put(answers.service, "n", [])


@pytest.mark.parametrize(
    ("text", "value"),
    [("web1", "web1"), ("w\u00e9b\n1", "w?b?1"), ("", "-"), (" ", "-"), (":a", "a"), ("x" * 300, "x" * 255), ("a\udcff", "a?")],
)
def test_the_value_of_a_dimension_is_printable_ascii(text, value):
    assert metrics.dimension(text) == value
