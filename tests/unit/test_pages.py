# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages agree with the command: its options, its exit codes, its job documents."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import exit_codes
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.parser import COMMANDS, parse, parser_of
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
FIND, MIGRATE = ((DOCS / name).read_text(encoding="utf-8") for name in ("find.md", "migrate.md"))


def test_the_searches_are_calls_of_the_command() -> None:
    calls = [line for line in FIND.splitlines() if line.startswith("log-archive search ")]
    assert len(calls) >= 4
    for call in calls:
        assert parse(shlex.split(call)[1:]).pattern


@pytest.mark.parametrize(("page", "command"), [("../README.md", None), ("find.md", "search"), ("drill.md", "drill")])
def test_the_exit_codes_are_those_that_the_command_prints(page: str, command: t.Optional[str]) -> None:
    table = dict(re.findall(r"^\| ([0-9]) \| (.*) \|$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE))
    assert table == {code: meaning for code, meaning in exit_codes.of(command).items() if code != exit_codes.SIGNALS}


def test_the_readme_has_the_kind_of_each_error() -> None:
    engine = DOCS.parent / "plugins" / "module_utils" / "_engine"
    kinds = {
        kind
        for path in engine.rglob("*.py")
        for kind in re.findall(r'^class \w+Error\([^\n]*\n(?:    [^\n]*\n|\n)*?    kind = "(\w+)"', path.read_text(encoding="utf-8"), re.M)
    }
    listed = (DOCS.parent / "README.md").read_text(encoding="utf-8").partition("`kind` never changes")[2].partition("If standard output")[0]
    # The others are made of what AWS says.
    assert {kind for kind in re.findall(r"`(\w+)`", listed) if not kind.startswith("aws_")} == kinds


def test_each_command_has_its_exit_codes_and_a_help_that_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    assert set(exit_codes.OF) == set(COMMANDS)
    for command, (codes, meanings) in exit_codes.OF.items():
        # Each can be done, fail, and be called wrongly; no meaning is of a code that the command does not give.
        assert codes.startswith("012") and set(meanings) <= {*codes, exit_codes.SIGNALS}
        assert all(meanings.get(code) != exit_codes.COMMON[code] for code in codes)
        text = parser_of(command).format_help().partition("exit codes:\n")[2]
        assert re.findall(r"^  ([0-9])  ", text, re.MULTILINE) == list(codes)
        assert max(map(len, text.splitlines())) <= 70


@pytest.mark.parametrize("name", ["syslog", "dump"])
def test_the_documents_of_migrated_jobs_are_valid(name: str) -> None:
    (block,) = re.findall(r"<!-- tested: %s -->\n```json\n(.*?)```" % name, MIGRATE, re.DOTALL)
    document: t.Any = normalise(json.loads(block))
    assert document["stores"]


def test_the_commands_of_the_change_over_exist() -> None:
    for call in re.findall(r"`log-archive ([^`]*)`", MIGRATE):
        assert call.split()[0] in COMMANDS


@pytest.mark.parametrize("page", ["changing.md", "fleet.md"])
def test_each_block_that_is_marked_is_played_by_a_test_on_hosts(page: str) -> None:
    names = re.findall(r"<!-- played: (\w+) -->", (DOCS / page).read_text(encoding="utf-8"))
    tests = DOCS.parent / "tests"
    texts = "".join(path.read_text(encoding="utf-8") for folder in ("fleet", "newest", "releases") for path in tests.glob(folder + "/*.py"))
    assert names and [name for name in names if '("%s", "%s")' % (page, name) not in texts] == []


def anchors(text: str) -> t.Set[str]:
    """Those that GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", re.sub(r"\]\([^)]*\)", "", heading)).strip().lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_readme_and_every_link_leads_somewhere() -> None:
    readme = DOCS.parent / "README.md"
    pages = [readme, *sorted(DOCS.glob("*.md")), *sorted((DOCS.parent / "roles").glob("*/README.md")), DOCS.parent / "CONTRIBUTING.md"]
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    assert [page.name for page in sorted(DOCS.glob("*.md")) if "](docs/%s)" % page.name not in texts[readme]] == []
    links = [(page, link) for page, text in texts.items() for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert len(links) > 100
    broken = []
    for page, link in links:
        path, _hash, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            broken.append((page.name, link))
    assert broken == []
