# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the tables of docs/inputs.md from playbooks/vars/inputs.yml and the playbooks: ``inputs_page.py [CHECKOUT]``."""

from __future__ import annotations

import pathlib
import sys
import typing as t

import yaml

BEGIN = "<!-- begin: python3 tests/lint/inputs_page.py writes this part -->\n"
END = "<!-- end -->\n"
EVERY = 3
"""An input that more playbooks take is in the first table."""


def takes(playbook: pathlib.Path) -> t.List[str]:
    """The names of the inputs of a playbook; none for one that takes settings of another kind."""
    for play in yaml.safe_load(playbook.read_text(encoding="utf-8")):
        if "_log_archive_takes" in play.get("vars", {}):
            return list(play["vars"]["_log_archive_takes"])
    return []


def tables(checkout: pathlib.Path) -> str:
    """The tables as Markdown: the inputs that many playbooks take, then the others of each playbook."""
    folder = checkout / "playbooks"
    inputs = yaml.safe_load((folder / "vars" / "inputs.yml").read_text(encoding="utf-8"))["_log_archive_inputs"]
    taken = {path.stem: takes(path) for path in sorted(folder.glob("*.yml"))}
    by_input = {name: [playbook for playbook, names in taken.items() if name in names] for name in inputs}
    common = [name for name, playbooks in by_input.items() if len(playbooks) > EVERY]
    lines = ["## Of many playbooks", "", "| input | default | meaning | playbooks |", "| --- | --- | --- | --- |"]
    lines += ["%s %s |" % (_row(name, inputs[name]), ", ".join("`%s`" % each for each in by_input[name])) for name in common]
    lines += ["", "## Of one or a few playbooks", ""]
    for playbook, names in taken.items():
        if names:
            lines += ["### %s" % playbook, ""]
            own = [name for name in names if name not in common]
            if own:
                lines += ["| input | default | meaning |", "| --- | --- | --- |", *(_row(name, inputs[name]) for name in own), ""]
            others = ", ".join("`%s`" % name for name in names if name in common)
            lines += ["%s %s." % ("Also" if own else "Only", others), ""]
    return "\n".join(lines)


def _row(name: str, spec: t.Mapping[str, t.Any]) -> str:
    kind = {"float": "number", "bool": "true or false", "list": "list, or with commas"}.get(spec["type"], "")
    kind = " \\| ".join("`%s`" % choice for choice in spec.get("choices", [])) or kind
    default = "required" if spec.get("required") else "`%s`" % str(spec["default"]).lower() if "default" in spec else ""
    return "| `%s` | %s | %s%s |" % (name, default, " ".join(spec["description"].split()), " (%s)" % kind if kind else "")


def with_tables(checkout: pathlib.Path) -> str:
    """The page as it must be."""
    text = (checkout / "docs" / "inputs.md").read_text(encoding="utf-8")
    before, _begin, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + tables(checkout) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    top = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    (top / "docs" / "inputs.md").write_text(with_tables(top), encoding="utf-8")
