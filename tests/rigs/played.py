# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks as the pages of docs/ call them, for tests on real hosts.

``<!-- played: NAME -->`` marks a block that a test plays. docs/fleet.md has a table of tasks, too.
"""

from __future__ import annotations

import pathlib
import re
import shlex
import textwrap
import typing as t

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"<!-- played: (\w+) -->\n *```\w+\n(.*?) *```\n", re.DOTALL)
PREFIX = "ansible-playbook -i inventory.yml infra_ops.log_archive."


def block(page: str, name: str) -> str:
    """The text of a block that is marked."""
    (text,) = (found[2] for found in BLOCK.finditer((DOCS / page).read_text(encoding="utf-8")) if found[1] == name)
    return textwrap.dedent(text)


def plays(page: str, name: str) -> t.List[t.List[str]]:
    """The playbook and the arguments of each command in a block, in which there is nothing else."""
    lines = block(page, name).replace("\\\n", " ").splitlines()
    assert lines and all(line.startswith(PREFIX) for line in lines), (page, name)
    return [shlex.split(line[len(PREFIX) :]) for line in lines]


def tasks() -> t.Dict[str, t.List[t.List[str]]]:
    """By task, the playbook and the arguments of each command in the table of docs/fleet.md."""
    text = (DOCS / "fleet.md").read_text(encoding="utf-8")
    table = text.partition("| task | command, after `%s` |\n" % PREFIX)[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ", 1) for line in table.splitlines()[1:]]
    return {task: [shlex.split(command) for command in re.findall(r"`([a-z][^`]*)`", commands)] for task, commands in rows}
