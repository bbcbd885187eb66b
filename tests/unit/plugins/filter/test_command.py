# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a play makes of the command's answers, and of hosts that gave none."""

from __future__ import annotations

import json
import typing as t

import pytest

errors = pytest.importorskip("ansible.errors")

from ansible_collections.infra_ops.log_archive.plugins.filter.command_errors import command_errors  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.filter.command_rows import command_rows  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.filter.fleet_report import fleet_report  # noqa: E402

UNREACHABLE = {"unreachable": True, "changed": False, "msg": "No route to host"}
ABSENT = {"rc": 2, "failed": True, "stdout": "", "stderr": "", "msg": "[Errno 2] No such file or directory: b'/usr/local/bin/log-archive'"}
BROKEN = {"rc": 1, "stdout": "", "stderr": "Traceback (most recent call last):\n  File ...\nMemoryError\n"}


def answer(told: t.Any, code: int) -> t.Dict[str, t.Any]:
    return {"rc": code, "stdout": json.dumps(told), "stderr": ""}


def checked(key: str, error: t.Optional[str]) -> t.Dict[str, t.Any]:
    return {"job": "syslog", "store": "s3", "key": key, "error": error, "level": "read_back"}


def recap(*messages: str, **more: t.Any) -> t.Dict[str, t.Any]:
    return dict({"job": "syslog", "outcome": "failed" if messages else "done", "errors": list(messages)}, **more)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (answer([recap()], 0), []),
        (answer([recap("sftp: does not answer"), recap()], 3), ["syslog: sftp: does not answer"]),
        (answer([{"job": "a", "state": "fine", "exit_code": 0}, {"job": "b", "state": "overdue", "exit_code": 1}], 1), ["b: overdue"]),
        (answer([checked("one", None), checked("two", "is cut")], 4), ["syslog: store s3: two: is cut"]),
        (answer({"exit_code": 2, "error": {"kind": "config", "text": "2 mistakes\n  - a\n  - b"}}, 2), ["2 mistakes\n  - a\n  - b"]),
        (answer([recap()], 5), ["log-archive ended with status 5"]),
        (UNREACHABLE, ["unreachable: No route to host"]),
        ({"no_jobs": True}, []),
        (None, ["nothing was run here"]),
    ],
)
def test_it_says_what_went_wrong_and_where(result: t.Any, told: t.List[str]) -> None:
    assert command_errors(result) == told


def test_a_host_without_the_command_is_told_how_to_get_it() -> None:
    assert command_errors(ABSENT) == [
        "log-archive gave no result (status 2): [Errno 2] No such file or directory: b'/usr/local/bin/log-archive'."
        " Set the host up with infra_ops.log_archive.site"
    ]


def test_what_broke_shows_the_end_of_its_error_output() -> None:
    assert command_errors(BROKEN) == [
        "log-archive gave no result (status 1): Traceback (most recent call last): /   File ... / MemoryError"
    ]


@pytest.mark.parametrize(("messages", "fine"), [((), True), (("the disk is full",), False)])
def test_archives_that_wait_on_purpose_are_no_failure_but_errors_are(messages: t.Tuple[str, ...], fine: bool) -> None:
    waiting = answer([recap(*messages)], 3)
    assert (command_errors(waiting, partly=True) == []) == fine
    assert command_errors(waiting) != []


def test_only_a_list_is_a_result() -> None:
    assert command_rows(answer([recap()], 0)) == [recap()]
    for result in (None, UNREACHABLE, ABSENT, BROKEN, answer({"error": "no"}, 2), {"no_jobs": True}):
        assert command_rows(result) == []


def test_hosts_that_failed_come_first() -> None:
    results = {
        "web1": answer([checked("one", None)], 0),
        "web2": UNREACHABLE,
        "web3": answer([checked("two", "is cut"), checked("three", None)], 4),
        "web4": {"no_jobs": True},
    }
    assert fleet_report(results, "verify") == [
        "web2: FAILED",
        "  unreachable: No route to host",
        "web3: FAILED",
        "  FAILED  s3  two: is cut",
        "  ok      s3  1 archive(s) by read_back",
        "web1",
        "  ok      s3  1 archive(s) by read_back",
        "web4",
        "  nothing",
    ]


def test_a_plan_is_told_with_its_reasons() -> None:
    plan = [{"action": "remove", "key": "web1/old", "reason": "no rule keeps it"}]
    pruned = {"local": {"kept": 1, "removed": ["web1/old"], "bytes_freed": 1024, "refusals": [], "plan": plan}}
    lines = fleet_report({"web1": answer([recap(check=True, pruned=pruned)], 0)}, "prune")
    assert lines[0] == "web1"
    assert any("remove" in line and "web1/old" in line and "no rule keeps it" in line for line in lines)


def test_it_reports_nothing_that_it_does_not_know() -> None:
    with pytest.raises(errors.AnsibleFilterError, match="none of prune, verify"):
        fleet_report({}, "run")
