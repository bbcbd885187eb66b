# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of the requests that the lab's AWS server gets, in each protocol of AWS."""

from __future__ import annotations

from lab.moto import aws_server


def test_the_record_names_service_and_operation(start_part, tmp_path):
    server = start_part(aws_server(tmp_path))
    server.client("logs").create_log_group(logGroupName="/a")
    server.client("cloudwatch").put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])
    server.client("sts").get_caller_identity()
    server.client("s3").create_bucket(Bucket="b-1", CreateBucketConfiguration={"LocationConstraint": server.region})
    assert [(each.service, each.operation) for each in server.requests()] == [
        ("logs", "CreateLogGroup"),
        ("monitoring", "PutMetricData"),
        ("sts", "GetCallerIdentity"),
        ("s3", ""),
    ]
    assert {(each.key, each.region) for each in server.requests()} == {(server.access_key, server.region)}
    server.reset()
    assert server.requests() == [] and server.client("logs").describe_log_groups()["logGroups"] == []
