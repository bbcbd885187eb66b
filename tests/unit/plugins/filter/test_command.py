# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the filters make of the command's results, and of hosts without one."""

from __future__ import annotations

import json
import typing as t

import pytest

errors = pytest.importorskip("ansible.errors")

from ansible_collections.infra_ops.log_archive.plugins.filter import (  # noqa: E402
    command_error_kind as error_kind_filter,
    command_errors as errors_filter,
    command_rows as rows_filter,
    fleet_report as report_filter,
)

command_error_kind = error_kind_filter.FilterModule().filters()["command_error_kind"]
command_errors = errors_filter.FilterModule().filters()["command_errors"]
command_rows = rows_filter.FilterModule().filters()["command_rows"]
fleet_report = report_filter.FilterModule().filters()["fleet_report"]

UNREACHABLE = {"unreachable": True, "changed": False, "msg": "No route to host"}
ABSENT = {"rc": 2, "failed": True, "stdout": "", "stderr": "", "msg": "[Errno 2] No such file or directory: b'/usr/local/bin/log-archive'"}
# The first versions printed no JSON for a mistake in the arguments.
VERSION_0_1 = {
    "rc": 2,
    "stdout": "",
    "stderr": "usage: log-archive verify [-h]\nlog-archive verify: error: unrecognized arguments: --summary\n",
}
BROKEN = {"rc": 1, "stdout": "", "stderr": "Traceback (most recent call last):\n  File ...\nMemoryError\n"}
OTHER_VERSION = (
    "the command log-archive on this host has another version than the controller. If the version of the controller is the later one, run "
    "infra_ops.log_archive.site. It printed: "
)


def answer(printed: t.Any, code: int) -> t.Dict[str, t.Any]:
    return {"rc": code, "stdout": json.dumps(printed), "stderr": ""}


def checked(key: str, error: t.Optional[str]) -> t.Dict[str, t.Any]:
    return {"job": "syslog", "store": "s3", "key": key, "error": error, "level": "read_back"}


def recap(*messages: str, **more: t.Any) -> t.Dict[str, t.Any]:
    return dict({"job": "syslog", "outcome": "failed" if messages else "done", "errors": list(messages)}, **more)


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answer([recap()], 0), []),
        (answer([recap("sftp: does not answer"), recap()], 3), ["syslog: sftp: does not answer"]),
        (answer([{"job": "a", "state": "fine", "exit_code": 0}, {"job": "b", "state": "overdue", "exit_code": 1}], 1), ["b: overdue"]),
        (answer([checked("one", None), checked("two", "is cut")], 4), ["syslog: store s3: two: is cut"]),
        (answer({"exit_code": 2, "error": {"kind": "config", "text": "2 mistakes\n  - a\n  - b"}}, 2), ["2 mistakes\n  - a\n  - b"]),
        (
            answer({"exit_code": 2, "error": {"kind": "usage", "text": "unrecognized arguments: --summary. See 'log-archive --help'"}}, 2),
            [
                OTHER_VERSION + "unrecognized arguments: --summary. See 'log-archive --help'",
            ],
        ),
        (VERSION_0_1, [OTHER_VERSION + "log-archive verify: error: unrecognized arguments: --summary"]),
        (
            answer({"exit_code": 2, "error": {"kind": "usage", "text": "--since is later than --until"}}, 2),
            ["--since is later than --until"],
        ),
        (answer([recap()], 5), ["log-archive ended with status 5"]),
        (UNREACHABLE, ["unreachable: No route to host"]),
        ({"no_jobs": True}, []),
        (None, ["nothing ran on this host"]),
    ],
)
def test_it_returns_what_failed_and_where(result: t.Any, expected: t.List[str]) -> None:
    assert command_errors(result) == expected


@pytest.mark.parametrize("message", ["[Errno 2] No such file or directory: b'/usr/local/bin/log-archive'", "Error executing command."])
def test_a_host_without_the_command_is_not_set_up_whatever_the_module_calls_it(message: str) -> None:
    assert command_errors(dict(ABSENT, msg=message)) == [
        "not set up: the host does not have the command log-archive. Run infra_ops.log_archive.site"
    ]


def test_a_crash_shows_the_end_of_the_error_output() -> None:
    assert command_errors(BROKEN) == [
        "log-archive printed no result (status 1): Traceback (most recent call last): /   File ... / MemoryError"
    ]


@pytest.mark.parametrize(("messages", "fine"), [((), True), (("the disk is full",), False)])
def test_archives_may_wait_on_purpose_but_errors_count(messages: t.Tuple[str, ...], fine: bool) -> None:
    waiting = answer([recap(*messages)], 3)
    assert (command_errors(waiting, partly=True) == []) == fine
    assert command_errors(waiting) != []


def test_only_a_list_is_a_result() -> None:
    assert command_rows(answer([recap()], 0)) == [recap()]
    for result in (None, UNREACHABLE, ABSENT, BROKEN, answer({"error": "no"}, 2), {"no_jobs": True}):
        assert command_rows(result) == []


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        (answer({"exit_code": 2, "error": {"kind": "no_jobs", "text": "there is no job document"}}, 2), "no_jobs"),
        (answer({"exit_code": 2, "error": {"kind": "config", "text": "No such file or directory"}}, 2), "config"),
        (ABSENT, "missing_command"),
        (VERSION_0_1, "usage"),
        (BROKEN, None),
        (dict(BROKEN, rc=2, stderr="log-archive: No such file or directory"), None),
        (answer([recap()], 0), None),
        (UNREACHABLE, None),
        (None, None),
    ],
)
def test_the_kind_of_an_error_does_not_depend_on_its_text(result: t.Any, kind: t.Optional[str]) -> None:
    assert command_error_kind(result) == kind


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


def test_a_plan_has_its_reasons() -> None:
    plan = [{"action": "remove", "key": "web1/old", "reason": "no rule keeps it"}]
    pruned = {"local": {"kept": 1, "removed": ["web1/old"], "bytes_freed": 1024, "refusals": [], "plan": plan}}
    lines = fleet_report({"web1": answer([recap(check=True, pruned=pruned)], 0)}, "prune")
    assert lines[0] == "web1"
    assert any("remove" in line and "web1/old" in line and "no rule keeps it" in line for line in lines)


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(errors.AnsibleFilterError, match="must be one of adopt, doctor, prune, sync, verify"):
        fleet_report({}, "run")
