# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CloudWatch gets about a run. Requests that are sent: tests/integration/test_cloud.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.runs import blank_record
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.fitting import fitted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import cloudwatch, eventbridge


def record(**changes):
    made = blank_record("syslog", "web1")
    made.update(outcome="done", exit_code=0, started="2024-01-12T15:05:00Z", seconds=2.5)
    return {**made, **changes}


ARCHIVES = [{"name": "a", "size": 10, "source_bytes": 100}, {"name": "b", "source_bytes": 5}]


def test_the_metrics_of_a_run():
    values = cloudwatch.sample_of(record(archives=ARCHIVES, warnings=["w"]), 5).values
    assert values == {
        "SuccessfulRuns": 1,
        "Errors": 0,
        "Warnings": 1,
        "Archives": 2,
        "ArchivedBytes": 15,
        "SourceBytes": 105,
        "Duration": 2.5,
    }


@pytest.mark.parametrize(
    "changes", [{"exit_code": 3, "outcome": "partly done"}, {"errors": ["e"]}, {"exit_code": 5, "outcome": "locked", "errors": ["locked"]}]
)
def test_a_run_that_was_not_good_does_not_count(changes):
    assert cloudwatch.sample_of(record(**changes), 5).values["SuccessfulRuns"] == 0


@pytest.mark.parametrize(
    ("host", "stream"), [("web1", "web1/syslog"), ("a:b*c", "a_b_c/syslog"), ("x" * 600, "x" * 512), ("a\nb", "a_b/syslog")]
)
def test_the_name_of_a_stream(host, stream):
    assert cloudwatch.stream_of(record(host=host)) == stream


@pytest.mark.parametrize("kind", ["cloudwatch", "eventbridge"])
@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"access_key_id": "A"}, "access_key_id: requires secret_access_key"),
        ({"endpoint_url": "https://user:marker@example.com"}, "endpoint_url: must be http"),
        ({"external_id": "x"}, "external_id: requires role_arn"),
        ({"when": ["failure"]}, "when: a notification of type %s does not have this option"),
    ],
)
def test_mistakes_in_the_options(kind, options, problem):
    with pytest.raises(Exception) as caught:
        normalise_receiver({"type": kind, **options})
    (found,) = caught.value.problems
    assert found.startswith(problem % kind if "%" in problem else problem) and "marker" not in found


@pytest.mark.parametrize(
    ("option", "value"),
    [("log_group", "a b"), ("log_group", "x" * 513), ("log_group", "/a:*"), ("namespace", "AWS/Logs"), ("namespace", ":a")],
)
def test_names_that_cloudwatch_does_not_allow(option, value):
    with pytest.raises(Exception) as caught:
        normalise_receiver({"type": "cloudwatch", option: value})
    assert "is not allowed; use 1 to" in caught.value.problems[0]


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_a_record_within_the_limit_is_whole():
    given = record(archives=ARCHIVES)
    assert json.loads(fitted(given, 10_000, {"more": 1})) == {**given, "more": 1}


def test_a_large_record_loses_lists_and_has_their_lengths():
    given = record(archives=ARCHIVES * 1000, skipped=[{"path": "p" * 200, "reason": "r"}] * 10, errors=["e"])
    cut = json.loads(fitted(given, 4000, {"_aws": {}}))
    assert cut["cut"] == {"archives": 2000} and "archives" not in cut
    assert (len(cut["skipped"]), cut["errors"], cut["host"], cut["_aws"]) == (10, ["e"], "web1", {})
    assert len(given["archives"]) == 2000


def test_a_record_of_nothing_but_errors():
    text = fitted(record(errors=["x" * 2000] * 1000, warnings=["y" * 5000] * 50), 200_000, {})
    cut = json.loads(text)
    assert len(text) < 50_000 and (cut["cut"]["errors"], cut["cut"]["warnings"]) == (1000, 50)
    assert len(cut["errors"]) == 20 and len(cut["errors"][0]) == 1000


def test_names_that_are_not_utf8_become_text():
    text = fitted(record(skipped=[{"path": "/a\udcff", "reason": "\u20ac"}]), 10_000, {})
    assert text.isascii()
    assert json.loads(text)["skipped"] == [{"path": "/a\\udcff", "reason": "\u20ac"}]


# -- EventBridge ------------------------------------------------------------------------------------------------------


def test_the_entry_of_an_event():
    entry = eventbridge.entry_of(record(), None)
    assert (entry["Source"], entry["DetailType"]) == ("log-archive", "log-archive.run") and entry["Time"].tzinfo is not None
    assert json.loads(entry["Detail"]) == record() and "EventBusName" not in entry
    assert eventbridge.entry_of(record(), "audit")["EventBusName"] == "audit"
    assert len(eventbridge.entry_of(record(archives=ARCHIVES * 10_000), None)["Detail"]) <= 200 * 1024
