# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of CloudTrail, VPC flow logs and query logs of Route 53 become rows."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records import parser, vpc_flow
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.refused import REASONS
from rigs.aws_logs import ACCOUNT, ALICE, FLOW_HEADER, SKIPPED, flow, query, record
from rigs.streams import document, line


def opened(tmp_path, profile, **parse):
    return parser.LineParser(document(tmp_path, parse={"profile": profile, **parse}))


def row(tmp_path, one, text):
    """The row of a line, by column, without what is NULL."""
    (table,) = parser.PROFILES[one]
    name, values = opened(tmp_path, one).parse(text) if isinstance(text, bytes) else text
    assert name == table.name
    columns = [column.name for column in table.columns]
    assert len(columns) == len(values)
    return {column: value for column, value in zip(columns, values) if value is not None}


def refused(one, text):
    with pytest.raises(parser.Refused) as caught:
        one.parse(text)
    assert caught.value.reason in REASONS
    return caught.value.reason


# -- CloudTrail -------------------------------------------------------------------------------------------------------


def test_a_record_has_the_seven_fields_and_its_id(tmp_path):
    found = row(tmp_path, "cloudtrail", line(**record(7, errorCode="AccessDenied", errorMessage="no")))
    extra = json.loads(found.pop("extra"))
    assert found == {
        "time_utc": "2026-11-03 02:00:07.000000",
        "time_text": "2026-11-03T02:00:07Z",
        "event_id": "00000000-0000-4000-8000-000000000007",
        "service": "s3.amazonaws.com",
        "action": "PutBucketPolicy",
        "region": "eu-west-1",
        "principal": ALICE,
        "principal_type": "IAMUser",
        "account": ACCOUNT,
        "source_ip": "198.51.100.20",
        "response": '{"x":"é"}',
        "error_code": "AccessDenied",
        "error_message": "no",
        "event_class": "management",
        "call_type": "api_call",
        "denied": 1,
        "root": 0,
        "read_only": 0,
        "user_agent": record()["userAgent"],
    }
    # Nothing of the record is lost.
    assert set(extra) == set(record()) - {
        "eventTime", "eventID", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "responseElements", "readOnly", "userAgent",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        ({"type": "Root", "arn": "arn:aws:iam::1:root"}, "arn:aws:iam::1:root"),
        ({"type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/a/b", "principalId": "AROA:b"}, "arn:aws:sts::1:assumed-role/a/b"),
        ({"type": "AWSService", "invokedBy": "cloudtrail.amazonaws.com"}, "cloudtrail.amazonaws.com"),
        ({"type": "AWSAccount", "principalId": "AIDA1", "accountId": "2"}, "AIDA1"),
        ({"type": "AWSAccount", "accountId": "2"}, "2"),
        ({"type": "IAMUser", "accountId": "1", "userName": "HIDDEN_DUE_TO_SECURITY_REASONS"}, "HIDDEN_DUE_TO_SECURITY_REASONS"),
        ({"type": "WebIdentityUser", "principalId": "accounts.example.com:app:1", "userName": "1"}, "accounts.example.com:app:1"),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}, "u-1"),
        ({"type": "New", "arn": 7}, None),
        ({}, None),
        ("odd", None),
        (None, None),
    ],
)
def test_the_principal_of_each_type_of_identity(tmp_path, identity, principal):
    assert row(tmp_path, "cloudtrail", line(**record(userIdentity=identity))).get("principal") == principal


@pytest.mark.parametrize(
    ("changes", "event_class", "call_type"),
    [
        ({}, "management", "api_call"),
        ({"eventCategory": "Data"}, "data", "api_call"),
        ({"eventCategory": ..., "managementEvent": False}, "data", "api_call"),
        ({"eventCategory": ..., "managementEvent": ...}, "management", "api_call"),
        ({"eventCategory": "NetworkActivity", "eventType": "AwsVpceEvent"}, "network", "vpc_endpoint"),
        ({"eventType": "AwsServiceEvent"}, "management", "service_event"),
        ({"eventType": "AwsConsoleSignIn"}, "management", "sign_in"),
        ({"eventCategory": "Insight", "eventType": "AwsCloudTrailInsight"}, "insight", "insight"),
        ({"eventCategory": ..., "eventType": "AwsCloudTrailInsight"}, "insight", "insight"),
        ({"eventCategory": "Later", "eventType": "AwsLater"}, "Later", "AwsLater"),
    ],
)
def test_the_class_and_the_type_of_a_record(tmp_path, changes, event_class, call_type):
    found = row(tmp_path, "cloudtrail", line(**record(**changes)))
    assert (found["event_class"], found["call_type"]) == (event_class, call_type)


def test_an_insight_names_the_call_that_it_is_about(tmp_path):
    details = {"state": "Start", "eventSource": "ec2.amazonaws.com", "eventName": "RunInstances"}
    insight = record(
        eventSource=..., eventName=..., userIdentity=..., sourceIPAddress=..., eventCategory="Insight", insightDetails=details,
    )  # fmt: skip
    found = row(tmp_path, "cloudtrail", line(**insight))
    assert (found["service"], found["action"]) == ("ec2.amazonaws.com", "RunInstances")


def test_odd_records_are_rejected_with_their_reason(tmp_path):
    one = opened(tmp_path, "cloudtrail")
    assert refused(one, line(**record(eventTime=...))) == "bad_time"
    assert refused(one, line(**record(eventName=["x"]))) == "bad_type"
    assert refused(one, line(**record(readOnly="maybe"))) == "bad_type"
    assert refused(one, b'["a"]') == "not_object"
    assert refused(one, b"{") == "not_json"
    assert refused(opened(tmp_path, "cloudtrail", new_fields="reject"), line(**record(newField=1))) == "new_field"
    opened(tmp_path, "cloudtrail", new_fields="reject").parse(line(**record()))
    with pytest.raises(parser.NoRecord):
        one.parse(b"   ")


# -- VPC flow logs ----------------------------------------------------------------------------------------------------


def flow_row(tmp_path, header, text):
    one = opened(tmp_path, "vpc_flow")
    one.begin(header.encode())
    return row(tmp_path, "vpc_flow", one.parse(text.encode()))


def test_a_flow_in_the_default_format(tmp_path):
    assert flow_row(tmp_path, FLOW_HEADER, flow(3)) == {
        "time_utc": "2026-11-03 02:00:03.000000",
        "time_text": "1793671203",
        "version": 2,
        "account_id": ACCOUNT,
        "interface_id": "eni-1",
        "srcaddr": "192.0.2.3",
        "dstaddr": "198.51.100.9",
        "srcport": 40003,
        "dstport": 443,
        "protocol": 6,
        "packets": 10,
        "bytes": 3000,
        "end_unix": 1793671260,
        "action": "ACCEPT",
        "log_status": "OK",
    }


def test_the_header_decides_which_value_is_which_field(tmp_path):
    header = "bytes type start reject_reason ecs-task-id later-field dstaddr tcp-flags"
    found = flow_row(tmp_path, header, "7 IPv4 1793671200 BPA t-1 x 2001:db8::1 19")
    assert found == {
        "time_utc": "2026-11-03 02:00:00.000000",
        "time_text": "1793671200",
        "bytes": 7,
        "traffic_type": "IPv4",
        "reject_reason": "BPA",
        "ecs_task_id": "t-1",
        "dstaddr": "2001:db8::1",
        "tcp_flags": 19,
        "extra": '{"later-field":"x"}',
    }


def test_a_format_without_start_has_its_end_as_time(tmp_path):
    assert flow_row(tmp_path, "srcaddr end", "192.0.2.1 1793671200")["time_utc"] == "2026-11-03 02:00:00.000000"


def test_skipped_data_is_a_row(tmp_path):
    found = flow_row(tmp_path, FLOW_HEADER, SKIPPED)
    assert found["log_status"] == "SKIPDATA"
    assert "bytes" not in found


def test_the_names_of_the_fields_are_no_record(tmp_path):
    with pytest.raises(parser.NoRecord):
        opened(tmp_path, "vpc_flow").parse(FLOW_HEADER.encode())
    assert vpc_flow.header_of(b"account_id log_status") == ("account-id", "log-status")
    assert vpc_flow.header_of(SKIPPED.encode()) is None
    assert vpc_flow.header_of(b"") is None


def test_without_names_the_document_or_the_default_format_decides(tmp_path):
    one = opened(tmp_path, "vpc_flow")
    one.parse(flow().encode())
    assert refused(one, b"5 " + flow().encode()[2:]) == "no_header"
    assert refused(one, b"192.0.2.1 1793671200") == "no_header"
    opened(tmp_path, "vpc_flow", fields=["${srcaddr}", "start"]).parse(b"192.0.2.1 1793671200")
    with pytest.raises(ConfigError, match=r"parse\.fields: a field is named twice"):
        opened(tmp_path, "vpc_flow", fields=["start", "start"])
    with pytest.raises(ConfigError, match=r"parse\.fields: is for the profile vpc_flow only"):
        opened(tmp_path, "generic", fields=["start"])


def test_bad_flows_are_rejected_with_their_reason_and_can_be_tried_again(tmp_path):
    one = opened(tmp_path, "vpc_flow")
    one.begin(b"srcaddr bytes start")
    assert refused(one, b"192.0.2.1 1") == "field_count"
    assert refused(one, b"192.0.2.1 many 1793671200") == "bad_type"
    assert refused(one, b"192.0.2.1 9223372036854775808 1793671200") == "bad_number"
    assert refused(one, b"192.0.2.1 " + b"9" * 5000 + b" 1793671200") == "bad_number"
    assert refused(one, b"\xff 1 1793671200") == "not_utf8"
    assert refused(one, b"a\0b 1 1793671200") == "bad_text"
    assert refused(one, b"192.0.2.1 1 -") == "bad_time"
    stored = one.sealed(b"192.0.2.1 1 1793671200")
    assert row(tmp_path, "vpc_flow", opened(tmp_path, "vpc_flow").parse(stored))["bytes"] == 1


# -- Route 53 ---------------------------------------------------------------------------------------------------------


def test_a_query_of_route_53(tmp_path):
    found = row(tmp_path, "route53_resolver", line(**query(firewall_rule_action="BLOCK")))
    assert json.loads(found.pop("extra")) == {name: query()[name] for name in ("version", "answers", "srcids")}
    assert found == {
        "time_utc": "2026-11-03 02:00:01.000000",
        "time_text": "2026-11-03T02:00:01Z",
        "account_id": ACCOUNT,
        "region": "eu-west-1",
        "vpc_id": "vpc-1",
        "query_name": "example.com.",
        "query_type": "A",
        "query_class": "IN",
        "rcode": "NOERROR",
        "srcaddr": "10.0.0.1",
        "srcport": 55555,
        "transport": "UDP",
        "firewall_rule_action": "BLOCK",
    }
    assert refused(opened(tmp_path, "route53_resolver", new_fields="reject"), line(**query(later=1))) == "new_field"


PUBLIC = b"1.0 2026-11-03T02:00:01.130Z Z123412341234 www.example.com AAAA NXDOMAIN TCP FRA6 2001:db8::1 192.168.1.0/24"


def test_a_query_to_a_public_zone_of_route_53(tmp_path):
    found = row(tmp_path, "route53_public", PUBLIC)
    assert json.loads(found.pop("extra")) == {"version": "1.0"}
    assert found == {
        "time_utc": "2026-11-03 02:00:01.130000",
        "time_text": "2026-11-03T02:00:01.130Z",
        "hosted_zone_id": "Z123412341234",
        "query_name": "www.example.com",
        "query_type": "AAAA",
        "rcode": "NXDOMAIN",
        "protocol": "TCP",
        "edge_location": "FRA6",
        "resolver_ip": "2001:db8::1",
        "edns_client_subnet": "192.168.1.0/24",
    }
    assert "edns_client_subnet" not in row(tmp_path, "route53_public", PUBLIC.replace(b"192.168.1.0/24", b"-"))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "field_count"),
        (PUBLIC.rpartition(b" ")[0], "field_count"),
        (PUBLIC.replace(b"www", b"\xff"), "not_utf8"),
        (PUBLIC.replace(b"www", b"\0"), "bad_text"),
        (PUBLIC.replace(b"2026-11", b"2026-13"), "bad_time"),
        (PUBLIC.replace(b"AAAA", b"A" * 33), "long_value"),
        (b"{}", "field_count"),
    ],
    ids=["empty", "cut off", "no UTF-8", "U+0000", "no time", "long", "JSON"],
)
def test_bad_queries_to_a_public_zone_are_rejected_with_their_reason(tmp_path, bad, reason):
    assert refused(opened(tmp_path, "route53_public"), bad) == reason


def test_values_of_a_later_version_are_kept_or_rejected(tmp_path):
    assert json.loads(row(tmp_path, "route53_public", PUBLIC + b" new 7")["extra"])["more"] == ["new", "7"]
    assert refused(opened(tmp_path, "route53_public", new_fields="reject"), PUBLIC + b" new") == "new_field"


@pytest.mark.parametrize(
    ("profile", "exported"),
    [
        ("cloudtrail", line(**record())),
        ("vpc_flow", flow().encode()),
        ("route53_resolver", line(**query())),
        ("route53_public", PUBLIC),
    ],
    ids=["cloudtrail", "vpc_flow", "route53_resolver", "route53_public"],
)
def test_a_line_that_cloudwatch_logs_exported_is_the_same_row(tmp_path, profile, exported):
    assert row(tmp_path, profile, b"2026-11-05T10:00:00.123Z " + exported) == row(tmp_path, profile, exported)
