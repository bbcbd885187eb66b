# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``log-archive adopt`` prints for people."""

from __future__ import annotations

import typing as t

from ..base.texts import line, lines
from ..base.units import format_size
from .recap import recap

if t.TYPE_CHECKING:
    from ..state.record import AdoptedRecord, AdoptedRow

MOST_UNMATCHED = 20
"""Objects with another name that are listed."""
_DETAIL = " " * 13


def text(record: AdoptedRecord) -> str:
    """The outcome, errors and warnings, then each object: first what was not adopted, and why."""
    found = record["adopted"]
    by_state: t.Dict[str, t.List[AdoptedRow]] = {}
    for row in found["objects"]:
        by_state.setdefault(row["state"], []).append(row)
    rows: t.List[str] = []
    for state in ("failed", "refused"):
        rows += ["  %-8s %s  (%s): %s" % (state, _name(row), _facts(row), line(row["reason"] or "")) for row in by_state.get(state, ())]
    unmatched = ["%s  (%s)" % (_name(row), format_size(row["size"])) for row in by_state.get("unmatched", ())]
    if unmatched:
        rows.append("  skipped  %d object(s) with names that do not match the template:" % found["unmatched"])
        rows += [_DETAIL + each for each in [*unmatched[:MOST_UNMATCHED], *["..."] * (found["unmatched"] > MOST_UNMATCHED)]]
    adopted, present = by_state.get("adopted", []), by_state.get("present", [])
    rows += ["  %-8s %s  (%s)" % ("adopt" if record["check"] else "adopted", _name(row), _facts(row)) for row in adopted]
    size = format_size(sum(row["size"] for row in adopted))
    verb = "would be adopted" if record["check"] else "adopted"
    counts = (found["store"], len(adopted), verb, size, len(present))
    rows.append("  store    %s: %d %s (%s), %d adopted before" % counts)
    if found["own"] or found["elsewhere"]:
        left = "           left alone: %d object(s) of this software, %d in folders that the template does not name"
        rows.append(left % (found["own"], found["elsewhere"]))
    return "%s\n%s" % (recap(record), lines(rows))


def _name(row: AdoptedRow) -> str:
    return line(row["name"])


def _facts(row: AdoptedRow) -> str:
    facts = [format_size(row["size"])]
    if row["period"] is not None:
        facts.append("%s to %s" % (row["period"]["start"], row["period"]["end"]))
    if row["content"] is not None:
        facts.append("%s, %d file(s)" % (row["content"], row["files"] or 0))
        facts.append("not encrypted" if row["key_id"] is None else "key %s" % row["key_id"])
    return ", ".join(facts)
