# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/find.md and docs/migrate.md agree with the command: its options, its exit codes, its job documents."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import search
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.parser import COMMANDS, parse
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
FIND, MIGRATE = ((DOCS / name).read_text(encoding="utf-8") for name in ("find.md", "migrate.md"))


def test_the_searches_are_calls_of_the_command() -> None:
    calls = [line for line in FIND.splitlines() if line.startswith("log-archive search ")]
    assert len(calls) >= 4
    for call in calls:
        assert parse(shlex.split(call)[1:]).pattern


def test_the_exit_codes_are_those_that_the_command_prints() -> None:
    table = dict(re.findall(r"^\| ([0-9]) \| (.*) \|$", FIND, re.MULTILINE))
    assert table == dict(re.findall(r"^  ([0-9])  (.*)$", search.EXIT_CODES, re.MULTILINE))


@pytest.mark.parametrize("name", ["syslog", "dump"])
def test_the_documents_of_migrated_jobs_are_valid(name: str) -> None:
    (block,) = re.findall(r"<!-- tested: %s -->\n```json\n(.*?)```" % name, MIGRATE, re.DOTALL)
    document: t.Any = normalise(json.loads(block))
    assert document["stores"]


def test_the_commands_of_the_change_over_exist() -> None:
    for call in re.findall(r"`log-archive ([^`]*)`", MIGRATE):
        assert call.split()[0] in COMMANDS
