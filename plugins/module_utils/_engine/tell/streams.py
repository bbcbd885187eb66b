# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the commands about streams print for people."""

from __future__ import annotations

import typing as t

from ..base.texts import line
from ..base.units import format_duration, format_size

if t.TYPE_CHECKING:
    from ..ingest.facts import IngestResult, RetryResult, StreamRow


def ingested(result: IngestResult) -> str:
    """The result of catching up."""
    lines = []
    for sink in result["sinks"]:
        moved = "would be stored in" if result["check"] else "stored in"
        text = "%s: %s %s %s" % (result["stream"], _count(sink["lines"], "line"), moved, sink["sink"])
        if sink["rejected"]:
            text += ", %d of them rejected" % sink["rejected"]
        if sink["gaps"]:
            text += ", %s (%s)" % (_count(sink["gaps"], "gap"), _lost(sink["gap_bytes"]))
        lines.append(text)
        if sink["error"]:
            lines.append("  failed: %s" % line(sink["error"]))
    return "\n".join(lines + ["  warning: %s" % line(warning) for warning in result["warnings"]])


def retried(result: RetryResult) -> str:
    """The result of trying rejected lines again."""
    text = "%s: %s in %s tried again, %d stored, %d rejected again" % (
        result["stream"], _count(result["tried"], "rejected line"), result["sink"], result["stored"], result["rejected"],
    )  # fmt: skip
    if result["cut"]:
        text += "; %d cannot be tried, because only their beginning was kept" % result["cut"]
    return text + ("\n  failed: %s" % line(result["error"]) if result["error"] else "")


def status(rows: t.Sequence[StreamRow]) -> str:
    """The status of streams."""
    return "\n".join(map(_status, rows))


def _status(row: StreamRow) -> str:
    facts = ["%s: %s" % (row["sink"], _count(row["lines"], "line")), _count(row["files"], "file")]
    if row["lag_bytes"]:
        facts.append("%s behind, for %s" % (format_size(row["lag_bytes"]), format_duration(row["lag_seconds"])))
    if row["waiting"]:
        facts.append("%s not sent yet" % _count(row["waiting"], "document"))
    if row["rejected"]:
        facts.append("%d rejected" % row["rejected"])
    if row["accepted"]:
        facts.append("%d rejected and accepted" % row["accepted"])
    if row["gaps"]:
        facts.append("%s, %s" % (_count(row["gaps"], "gap"), _lost(row["gap_bytes"])))
    if row["rotations_left"] is not None:
        facts.append("%s left before unread lines are removed" % _count(row["rotations_left"], "rotation"))
    # A wrong document has a line for each mistake, and nothing is known of its sinks.
    lines = ["%s  %s" % (row["stream"], "\n".join(map(line, row["state"].split("\n"))))]
    if row["sink"] != "-":
        lines.append("  " + ", ".join(facts))
    lines += ["  %s: %d of %d bytes" % (line(each["path"]), each["offset"], each["size"]) for each in row["position"]]
    return "\n".join(lines + ["  warning: %s" % line(warning) for warning in row["warnings"]])


def _count(number: int, what: str) -> str:
    return "%d %s%s" % (number, what, "" if number == 1 else "s")


def _lost(known: int) -> str:
    return "%s known to be lost" % format_size(known) if known else "unknown how much was lost"
