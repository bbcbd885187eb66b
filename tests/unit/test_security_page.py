# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md names a test for each claim: each of them exists. And no example puts files where every user of a host can write."""

from __future__ import annotations

import pathlib
import re
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
TESTS = CHECKOUT / "tests"
PAGE = CHECKOUT / "docs" / "security.md"


def claims() -> t.List[t.Tuple[str, str]]:
    """Each test that the page names, with its file."""
    found = []
    file = ""
    for name in re.findall(r"`([a-z_/]+/test_[a-z0-9_]+\.py|test_[a-z0-9_]+)`", PAGE.read_text(encoding="utf-8")):
        if name.endswith(".py"):
            file = name.replace("_engine/", "unit/plugins/module_utils/_engine/", 1)
        else:
            found.append((file, name))
    return found


def test_every_test_that_the_page_names_exists() -> None:
    missing = []
    for file, name in claims():
        path = TESTS / file
        if not path.is_file() or not re.search(r"^def %s\(" % name, path.read_text(encoding="utf-8"), re.MULTILINE):
            missing.append("%s: %s" % (file, name))
    assert missing == [] and len(claims()) > 20


def test_every_attack_has_a_test() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ") and line.count(" | ") == 2]
    heads = ("| attack | what holds | test |", "| --- | --- | --- |")
    attacks = [row for row in rows[rows.index(heads[0]) :] if row not in heads]
    assert len(attacks) > 15 and [row for row in attacks if "`test_" not in row] == []


def examples() -> t.Iterator[t.Tuple[str, str]]:
    for path in [CHECKOUT / "README.md", CHECKOUT / "inventory.example", *sorted((CHECKOUT / "docs").glob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        yield path.name, text if path.suffix != ".md" else "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL))
    for path in sorted((CHECKOUT / "roles").glob("*/README.md")):
        yield str(path), "\n".join(re.findall(r"```[a-z]*\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
    for path in sorted((CHECKOUT / "playbooks").glob("*.yml")):
        yield path.name, path.read_text(encoding="utf-8")
    for path in sorted((CHECKOUT / "plugins").glob("*/*.py")):
        yield (
            path.name,
            "\n".join(re.findall(r'^(?:EXAMPLES|RETURN) = r"""(.*?)"""', path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)),
        )


@pytest.mark.parametrize("name,text", [pytest.param(name, text, id=pathlib.Path(name).name) for name, text in examples()])
def test_no_example_uses_a_folder_that_every_user_can_write_to(name: str, text: str) -> None:
    assert re.findall(r".*(?<![\w.])/(?:var/)?tmp\b.*", text) == []
