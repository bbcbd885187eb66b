# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.schedule_entries import schedule_entries


def test_jobs_with_a_schedule_in_order_and_nothing_secret() -> None:
    documents: t.Dict[str, t.Any] = {
        "z": {"schedule": {"at": "23:00\n  daily", "spread": "0"}, "stores": [{"password": "secret"}]},
        "by-hand": {},
        "taken.away": {"schedule": None},
        "a": {"schedule": {"at": "5 past each hour"}, "host": "web1"},
    }
    a, z = schedule_entries(documents, "another")
    assert z == {"name": "z", "at": "23:00 daily", "cron": "0 23 * * *", "on_calendar": "*-*-* 23:00:00", "offset": 0}
    assert (a["name"], a["cron"], a["on_calendar"]) == ("a", "5 * * * *", "*-*-* *:05:00")
    # The document's own name of the host decides, as it does for 'log-archive status'; five minutes are the spread.
    assert a["offset"] == schedule_entries({"a": dict(documents["a"], host=None)}, "web1")[0]["offset"] < 300


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("a", {"at": "noon"}, "web1: the schedule of job a: .*not a schedule"),
        ("a", {"at": "23:00 daily", "spread": "soon"}, "web1: the schedule of job a: "),
        ("a", {"at": "23:00 daily", "when": 1}, "unknown key"),
        ("a;reboot", {"at": "23:00 daily"}, "the name of job 'a;reboot' must be made of letters"),
        ("a\n", {"at": "23:00 daily"}, "must be made of letters"),
    ],
)
def test_a_schedule_or_name_that_cannot_be_used_is_an_error(name: str, given: t.Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match="(?s)" + message):
        schedule_entries({name: {"schedule": given}}, "web1")
