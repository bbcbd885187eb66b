# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics of a stream as text."""

from __future__ import annotations

import typing as t

from ..base.texts import line, printable
from ..base.units import format_size
from .report import table

if t.TYPE_CHECKING:
    from ..ingest.statistics.facts import Statistics, Totals

MOST_USERS = 20
MOST_ROWS = 10
BAR = 30
"""Characters of the longest bar of the trend."""
MOST_NAME = 60
"""Characters of a name in a table; JSON and the page have it whole."""
MOST_STEPS = 48
"""Steps of the trend that are shown: the last ones."""


def render(statistics: Statistics) -> str:
    """The text."""
    span = "%s to %s  (UTC)" % (statistics["since"], statistics["until"])
    if statistics["since"] is None:
        span = "no transfers"
        if not any(statistics["totals"].values()):
            return "%s: %s" % (statistics["stream"], span)
    lines = ["%s  %s" % (statistics["stream"], span), _totals(statistics["totals"])]
    before = statistics["before"]
    if before is not None:
        lines += ["before: %s to %s" % (before["since"], before["until"]), _totals(before["totals"])]
    parts = ["\n".join(lines), _users(statistics), _trend(statistics), _hours(statistics), *_tables(statistics)]
    return printable("\n\n".join(filter(None, parts)))


def _name(text: t.Optional[str]) -> str:
    """A name in a table: one that is very long must not make the others unreadable."""
    shown = line(text or "")
    return (shown if len(shown) <= MOST_NAME else shown[: MOST_NAME - 3] + "...") or "(none)"


def _totals(totals: Totals) -> str:
    return "  %s, %s (%s, %s), %s, %d failed; %s, %s, %s" % (
        _counted(totals["users"], "user"), _counted(totals["transfers"], "transfer"), _counted(totals["uploads"], "upload"),
        _counted(totals["downloads"], "download"), format_size(totals["bytes"]), totals["failed"], _counted(totals["logins"], "login"),
        _counted(totals["failed_logins"], "failed login"), _counted(totals["commands"], "command"),
    )  # fmt: skip


def _counted(count: int, what: str) -> str:
    return "%d %s%s" % (count, what, "" if count == 1 else "s")


def _users(statistics: Statistics) -> str:
    users = statistics["users"]
    rows = [
        (
            _name(user["username"]), str(user["uploads"]), str(user["downloads"]), format_size(user["bytes_uploaded"]),
            format_size(user["bytes_downloaded"]), str(user["failed"]), str(user["logins"]), user["last_seen"] or "-",
        )
        for user in users[:MOST_USERS]
    ]  # fmt: skip
    text = table(("USER", "UPLOADS", "DOWNLOADS", "UPLOADED", "DOWNLOADED", "FAILED", "LOGINS", "LAST SEEN"), rows) if rows else ""
    return text + ("\nand %d more" % (len(users) - MOST_USERS) if len(users) > MOST_USERS else "")


def _trend(statistics: Statistics) -> str:
    points = statistics["trend"][-MOST_STEPS:]
    most = max((point["bytes"] for point in points), default=0)
    rows = [
        (point["start"], str(point["transfers"]), format_size(point["bytes"]), "#" * (point["bytes"] * BAR // most if most else 0))
        for point in points
    ]
    return table((statistics["by"].upper(), "TRANSFERS", "BYTES", ""), rows) if rows else ""


def _hours(statistics: Statistics) -> str:
    busiest = sorted(statistics["hours"], key=lambda one: -one["transfers"])[:3]
    shown = ", ".join("%02d:00 (%s)" % (one["hour"], _counted(one["transfers"], "transfer")) for one in busiest if one["transfers"])
    return "busiest hours of the day: %s" % shown if shown else ""


def _tables(statistics: Statistics) -> t.Iterator[str]:
    files = [
        (_name(one["path"]), _name(one["username"]), str(one["transfers"]), format_size(one["bytes"]))
        for one in statistics["files"][:MOST_ROWS]
    ]
    protocols = [(_name(one["protocol"]), str(one["transfers"]), format_size(one["bytes"])) for one in statistics["protocols"]]
    addresses = [
        (_name(one["address"]), str(one["transfers"]), format_size(one["bytes"]), str(one["failed_logins"]))
        for one in statistics["addresses"][:MOST_ROWS]
    ]
    for head, rows in (
        (("FILE", "USER", "TRANSFERS", "BYTES"), files),
        (("PROTOCOL", "TRANSFERS", "BYTES"), protocols),
        (("ADDRESS", "TRANSFERS", "BYTES", "FAILED LOGINS"), addresses),
    ):
        if rows:
            yield table(head, rows)
