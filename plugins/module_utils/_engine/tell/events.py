# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of CloudTrail as a table, as lines of JSON, as CSV, and as their records."""

from __future__ import annotations

import json
import typing as t

from ..audit.events import Event, response_text, row_of
from .report import table

COLUMNS = (
    "time",
    "service",
    "action",
    "region",
    "principal",
    "ip",
    "response",
    "error_code",
    "error_message",
    "event_id",
    "event_class",
    "call_type",
)
"""Of the CSV."""
MOST_ROWS = 10_000
"""Of the table: how wide it is, is known only with the last row."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def as_table(events: t.Iterable[Event]) -> t.Tuple[str, int]:
    """The table of the first MOST_ROWS events, by time, and how many events there are."""
    shown: t.List[Event] = []
    count = 0
    for event in events:
        count += 1
        if count <= MOST_ROWS:
            shown.append(event)
    shown.sort(key=lambda event: (event.time, event.event_id))
    rows = [
        (event.time, event.service, event.action, event.region, event.principal, event.ip, _result(event), event.event_id)
        for event in shown
    ]
    head = ("TIME", "SERVICE", "ACTION", "REGION", "PRINCIPAL", "IP", "RESPONSE", "EVENT ID")
    return table(head, rows) if rows else "no events", count


def _result(event: Event) -> str:
    """The error, or what was answered: a long answer is in the other formats."""
    if event.error_code or event.error_message:
        return event.error_code or "error"
    text = response_text(event)
    return text if len(text) <= 40 else "%s..." % text[:37]


def as_json_lines(events: t.Iterable[Event]) -> t.Iterator[str]:
    """A line of JSON for each event."""
    for event in events:
        yield json.dumps(row_of(event))


def as_records(events: t.Iterable[Event]) -> t.Iterator[str]:
    """The record of each event, as a line that the stream profile ``cloudtrail`` reads."""
    for event in events:
        yield json.dumps(event.record)


def as_csv(events: t.Iterable[Event]) -> t.Iterator[str]:
    """Lines of CSV (RFC 4180), with a line of names. A cell that a spreadsheet would take for a formula begins with an apostrophe."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="")

    def line(cells: t.Iterable[str]) -> str:
        text.seek(0)
        text.truncate()
        writer.writerow(cells)
        return text.getvalue()

    yield line(COLUMNS)
    for event in events:
        fields = dict(row_of(event), response=response_text(event))
        yield line(_cell(str(fields[name])) for name in COLUMNS)


def _cell(value: str) -> str:
    value = "'" + value if value.startswith(_FORMULA) else value
    # One event is one line, and no control character reaches a terminal.
    return "".join(character if character.isprintable() else " " for character in value)
