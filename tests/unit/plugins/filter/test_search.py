# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a search found in a fleet: lines, failures and totals, of hosts and of the controller."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.filter.fleet_search import FilterModule
from ansible_collections.infra_ops.log_archive.plugins.filter.search_errors import FilterModule as ErrorsModule
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import searches

ROW = {
    "key": "web1/syslog/2024/01/12/a.tgz.fernet",
    "host": "web1",
    "job": "syslog",
    "store": "s3",
    "authenticated": True,
    "log": "var/log/a",
    "line": 7,
    "text": "found \x1b",
    "matched": True,
    "cut": False,
    "count": None,
    "error": None,
}


def result(*rows: t.Dict[str, t.Any], code: int = 0) -> t.Dict[str, t.Any]:
    return {"rc": code, "stdout": json.dumps(rows), "stderr": ""}


def searched(*lines: t.Dict[str, t.Any], **more: t.Any) -> t.Dict[str, t.Any]:
    """What the role records of a host that does not answer."""
    names = ("host", "job", "store", "authenticated", "log", "line", "text", "matched", "cut")
    made = [{"archive": line["key"], **{name: line[name] for name in names}} for line in lines]
    return {"results": [{"ansible_loop_var": "_name", "_name": "syslog", "lines": made, "counts": [], **more}], "errors": []}


FLEET = FilterModule().filters()["fleet_search"]
ERRORS = ErrorsModule().filters()["search_errors"]
DOWN = {"unreachable": True, "msg": "no route"}


def test_lines_of_hosts_and_of_the_controller_are_shown_with_the_totals() -> None:
    other = {**ROW, "host": "web2", "key": ROW["key"].replace("web1", "web2")}
    shown = FLEET({"web1": result(ROW), "web2": DOWN, "web3": result(code=1)}, {"web1": None, "web2": searched(other)})
    assert shown == [
        "web2: does not answer; the controller searched its stores",
        "web1:a.tgz.fernet:var/log/a:7:found \\x1b",
        "web2:a.tgz.fernet:var/log/a:7:found \\x1b",
        "2 matching lines; 3 hosts searched, 0 failed",
    ]
    assert FLEET({"web1": result(ROW), "web2": DOWN}, {"web2": searched(other)}, rows=True) == [ROW, other]


def test_failures_come_first_and_the_lines_are_bounded() -> None:
    failed = {**ROW, "line": None, "text": None, "matched": False, "error": "it is damaged"}
    many = [{**ROW, "line": number} for number in range(1, searches.MOST_LINES + 4)]
    shown = FLEET({"web1": result(failed, *many, code=4)})
    assert shown[0] == "web1: FAILED: syslog: store s3: %s: it is damaged" % ROW["key"]
    assert len(shown) == searches.MOST_LINES + 3
    assert shown[-2].startswith("and 3 more")


@pytest.mark.parametrize(
    ("answer", "found", "errors"),
    [
        (result(ROW), None, []),
        (result(code=1), None, []),
        ({"rc": 1, "stdout": "", "stderr": "defect"}, None, ["log-archive printed no result (status 1): defect"]),
        (DOWN, None, ["unreachable: no route"]),
        (DOWN, searched(ROW), []),
        (DOWN, searched(ROW, exit_code=4, msg="damaged"), ["job syslog: damaged"]),
        (DOWN, {"errors": ["no keys"]}, ["no keys"]),
        (None, None, ["nothing ran on this host"]),
    ],
    ids=["found", "not-found", "defect", "down", "searched", "damaged", "no-keys", "not-run"],
)
def test_what_was_not_searched_is_an_error(answer: t.Any, found: t.Any, errors: t.List[str]) -> None:
    assert ERRORS(answer, found) == errors
