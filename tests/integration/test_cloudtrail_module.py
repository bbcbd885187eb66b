# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module cloudtrail_validate, and the policy of docs/cloud.md for reading a trail: it allows each request that is sent, and no more."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import pathlib
import re
import typing as t

import lab
import pytest
from rigs import trail as trails
from rigs.modules import module_args
from rigs.trail import HOUR, START, Trail
from rigs.trail_host import TrailHost, make_bucket

DOCS = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "cloud.md").read_text(encoding="utf-8")
MODULE = "ansible_collections.infra_ops.log_archive.plugins.modules.cloudtrail_validate"
END = START + 2 * HOUR
NOW = END + 2 * HOUR


@pytest.fixture
def trail(aws_server: lab.AwsServer) -> Trail:
    made = Trail(2, logs=1, records=1)
    make_bucket(aws_server, made)
    aws_server.forget_requests()
    return made


def call(server: lab.AwsServer, trail: Trail, check: bool = False, **options: t.Any) -> t.Dict[str, t.Any]:
    """The result of the module, as with -vvvv, in this process. No output has the secret."""
    begin = {"since": trails.stamp(START), "until": trails.stamp(END), "trail_start": trails.stamp(START)}
    given = {**server.options, "bucket": trail.bucket, **begin, **options, "_ansible_check_mode": check, "_ansible_verbosity": 4}
    output, errors = io.StringIO(), io.StringIO()
    with module_args(given), contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors), pytest.raises(SystemExit):
        importlib.import_module(MODULE).main()
    assert server.secret_key not in output.getvalue() + errors.getvalue()
    return t.cast("t.Dict[str, t.Any]", json.loads(output.getvalue()))


def iam_action(request: lab.moto.Request) -> str:
    """The IAM action of a request."""
    if request.service != "s3":
        return "%s:%s" % (request.service, request.operation)
    if request.path.count("/") == 1 or request.path.endswith("/" + trails.BUCKET):
        return "s3:ListBucketVersions" if "versions" in request.query else "s3:ListBucket"
    return "s3:GetObject"


def allowed(name: str) -> t.Set[str]:
    """The actions that a policy in the documentation allows."""
    found = re.search(r"<!-- policy: %s -->\n```json\n(.*?)\n```" % name, DOCS, re.DOTALL)
    assert found is not None, name
    actions: t.Set[str] = set()
    for statement in json.loads(found[1])["Statement"]:
        actions.update([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    return actions


def test_the_policy_allows_what_is_sent_and_no_more(aws_server: lab.AwsServer, trail: Trail, tmp_path: pathlib.Path) -> None:
    TrailHost(tmp_path / "host", aws_server, trail).archive(NOW)
    archiving = {iam_action(request) for request in aws_server.requests()}
    assert archiving == {"s3:ListBucket", "s3:GetObject"}
    done = call(aws_server, trail)
    assert done["report"]["exit_code"] == 0, done
    sent = {iam_action(request) for request in aws_server.requests()}
    # With a role, STS is asked for it; a bucket that is encrypted with a KMS key needs that key, too.
    assert sent | {"kms:Decrypt"} == allowed("cloudtrail")
    assert {request.key for request in aws_server.requests()} == {aws_server.access_key}


def test_findings_fail_the_module_and_are_in_its_result(aws_server: lab.AwsServer, trail: Trail, tmp_path: pathlib.Path) -> None:
    aws_server.client("s3").delete_object(Bucket=trail.bucket, Key=trail.logs_of()[0])
    state, page = tmp_path / "state", tmp_path / "report.html"
    checked = call(aws_server, trail, check=True, state=str(state), html=str(page))
    assert checked["failed"] and (checked["changed"], checked["exit_code"]) == (True, 4)
    assert [finding["word"] for finding in checked["report"]["findings"]] == ["log_missing"]
    assert not state.exists() and not page.exists()
    done = call(aws_server, trail, state=str(state), html=str(page))
    assert done["failed"] and "log_missing" in done["msg"] and "log_missing" in page.read_text()
    # What was verified is kept: now the tail cannot go back.
    aws_server.client("s3").delete_object(Bucket=trail.bucket, Key=trail.digests()[-1])
    again = call(aws_server, trail, state=str(state))
    assert "tail_rewound" in [finding["word"] for finding in again["report"]["findings"]]


def test_a_region_that_fails_is_in_the_result(aws_server: lab.AwsServer, trail: Trail) -> None:
    aws_server.reset_answers()
    aws_server.fail(400, "AccessDeniedException", service="cloudtrail")
    done = call(aws_server, trail)
    assert done["failed"] and done["report"]["errors"][0]["kind"] == "aws_denied" and done["report"]["exit_code"] == 1


def test_archives_are_validated_offline(aws_server: lab.AwsServer, trail: Trail, tmp_path: pathlib.Path) -> None:
    host = TrailHost(tmp_path / "host", aws_server, trail)
    host.archive(NOW)
    store = {"type": "file", "path": str(host.store)}
    common = {"store": store, "keyring": str(host.keyring), "state": str(tmp_path / "state")}
    first = call(aws_server, trail, **common)
    assert first["report"]["exit_code"] == 0 and not first["changed"]
    aws_server.forget_requests()
    done = call(aws_server, trail, offline=True, **common)
    assert (done["report"]["exit_code"], done["report"]["valid_logs"], aws_server.requests()) == (0, 2, [])


def test_mistakes_are_reported_together(aws_server: lab.AwsServer, trail: Trail) -> None:
    done = call(aws_server, trail, accounts=["1"], regions=["Paris"])
    assert done["failed"] and len(done["problems"]) == 2 and done["exit_code"] == 2
