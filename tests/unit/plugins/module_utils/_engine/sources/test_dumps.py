# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collector of a web job: what it remembers of a dump, and when an unchanged dump is a problem."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import dumps, web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.opening import collector_of

PARIS = "Europe/Paris"
NOW = datetime.datetime(2024, 1, 12, 22, 0, tzinfo=datetime.timezone.utc)  # 23:00 in Paris
VALIDATORS = web.Validators("0" * 64, '"v1"', "Fri, 12 Jan 2024 12:00:00 GMT")


def document(state: t.Any, **web_options: t.Any) -> t.Any:
    return normalise(
        {
            "name": "dump",
            "web": dict({"url": "https://localhost:1/export.zip", "timezone": PARIS}, **web_options),
            "encryption": "none",
            "stores": [{"type": "file", "path": "/backup"}],
            "state": str(state),
        }
    )


def dump_of(*moments: t.Optional[datetime.datetime]) -> web.Dump:
    return web.Dump([], {"file %d" % number: moment for number, moment in enumerate(moments)}, VALIDATORS, None, False)


def test_what_is_remembered_is_read_back(tmp_path: t.Any) -> None:
    memory = str(tmp_path / "dump.web.json")
    dumps.remember(memory, dump_of(NOW, NOW - datetime.timedelta(days=1), NOW, None))
    assert dumps.remembered(memory) == (VALIDATORS, ["2024-01-11", "2024-01-12", "unknown"])
    dumps.remember(memory, dump_of(NOW))
    assert dumps.remembered(memory) == (VALIDATORS, ["2024-01-12"])


@pytest.mark.parametrize("content", [None, "", "{", "[]", "{}", '{"url": "x"}', json.dumps(dict(VALIDATORS._asdict(), days=5)), "\xff"])
def test_a_missing_or_damaged_memory_means_that_nothing_is_known(tmp_path: t.Any, content: t.Optional[str]) -> None:
    memory = tmp_path / "dump.web.json"
    if content is not None:
        memory.write_text(content, encoding="latin-1")
    assert dumps.remembered(str(memory)) == (None, [])


def test_a_memory_that_cannot_be_written_is_an_error(tmp_path: t.Any) -> None:
    with pytest.raises(LogArchiveError, match="cannot record the version of the dump: No such file or directory"):
        dumps.remember(str(tmp_path / "missing" / "dump.web.json"), dump_of(NOW))


@pytest.mark.parametrize(
    ("modified", "days", "now", "problem"),
    [
        ("any", ["2023-01-01"], NOW, None),
        ("today", ["2024-01-12"], NOW, None),
        ("today", [], NOW, None),
        ("today", ["2024-01-11", "2024-01-12"], NOW, "since 2024-01-12, not from today (2024-01-12, Europe/Paris)"),
        ("today", ["2024-01-12"], NOW + datetime.timedelta(hours=1), "since 2024-01-12, not from today (2024-01-13, Europe/Paris)"),
        ("today", ["unknown"], NOW, "and has no date, not from today (2024-01-12, Europe/Paris)"),
        ("today", ["2024-01-11", "unknown"], NOW, "since 2024-01-11, not from today (2024-01-12, Europe/Paris)"),
    ],
)
def test_an_unchanged_dump_is_a_problem_if_it_must_be_from_today(
    modified: str, days: t.List[str], now: datetime.datetime, problem: t.Optional[str]
) -> None:
    options = document("/state", modified=modified)["web"]
    expected = None if problem is None else "https://localhost:1/export.zip is unchanged " + problem
    assert dumps.stale(options, days, now) == expected


def test_a_web_job_answers_for_its_period_grouping_and_strictness() -> None:
    collector = collector_of(document("/state"))
    assert (collector.step, collector.period, collector.timezone) == ("fetch", "day", PARIS)
    assert (collector.grouping, collector.deletable, collector.strict) == ("run", False, False)
    assert collector_of(document("/state", absent="error")).strict
    assert "web.absent" in collector.strict_hint


def test_leftovers_of_a_killed_run_are_removed_but_not_by_a_dry_run(tmp_path: t.Any) -> None:
    leftover = tmp_path / "web" / "dump" / "dump.sql"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half a dump")
    collector = collector_of(document(tmp_path, attempts=1))
    for check in (True, False):
        with pytest.raises(web.WebError), collector.collect(NOW, None, no_progress, check):
            raise AssertionError("nothing listens on port 1")
        assert leftover.exists() is check
    assert list(tmp_path.iterdir()) == [tmp_path / "web"]
