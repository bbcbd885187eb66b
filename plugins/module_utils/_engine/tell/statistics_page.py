# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics of a stream as one HTML file: no script, no request to another server; for screens in light and dark, and for paper."""

from __future__ import annotations

import itertools
import typing as t
from html import escape

from ..base.texts import line
from ..base.units import format_size
from .page_style import page

if t.TYPE_CHECKING:
    from ..ingest.statistics.facts import Point, Statistics

WIDTH, HEIGHT, LEFT, BOTTOM = 900, 180, 70, 22
"""A chart, and the room for the labels of its axes, in units of the SVG."""
MOST_STEPS = 4
"""Between the lines of a chart."""
MOST_LABELS = 8
MOST_USERS = 200
"""Users in the table; the line below it has the others together."""
LONG_NAME, MOST_NAME = 30, 500
"""Characters of a name that may be broken, and of one that is cut."""

_OWN_STYLE = """\
.up { fill: var(--up); } .down { fill: var(--down); } .failed { fill: var(--failed); color: var(--failed); }
.axis { stroke: var(--line); } .key::before { content: "\\25A0 "; }
.key.up::before { color: var(--up); } .key.down::before { color: var(--down); }
"""


def render(statistics: Statistics, reload_seconds: t.Optional[int] = None) -> str:
    """The page. reload_seconds: the browser loads the page again this often; None is never."""
    title = "%s: statistics" % statistics["stream"]
    span = "%s to %s, UTC" % (statistics["since"], statistics["until"]) if statistics["since"] else "no transfers"
    parts = [
        "<h1>%s</h1>" % text_of(title),
        "<p>%s. Hosts: %s. Created at %s.</p>" % (text_of(span), text_of(", ".join(statistics["hosts"]) or "none"), statistics["created"]),
        _figures(statistics),
    ]
    trend, by = statistics["trend"], statistics["by"]
    if trend:
        key = '<p><span class="key up">uploads</span> <span class="key down">downloads</span></p>'
        parts += [
            section("Transfers by %s" % by, key + _chart(trend, "uploads", "downloads", _count)),
            section("Bytes by %s" % by, key + _chart(trend, "bytes_uploaded", "bytes_downloaded", format_size)),
            section("Hours of the day (UTC)", _hours_chart(statistics)),
        ]
    parts += [
        section("Users", _users(statistics)),
        section("Files with the most bytes", _files(statistics)),
        section("Protocols", _protocols(statistics)),
        section("Addresses of clients", _addresses(statistics)),
    ]
    return page_of(title, parts, reload_seconds)


def page_of(title: str, parts: t.Iterable[str], reload_seconds: t.Optional[int]) -> str:
    """A page of parts that are HTML already; "" is left out."""
    refresh = '<meta http-equiv="refresh" content="%d">' % reload_seconds if reload_seconds else ""
    return page(title, parts, _OWN_STYLE, refresh)


def _figures(statistics: Statistics) -> str:
    totals = statistics["totals"]
    before = statistics["before"]
    names = ("users", "transfers", "uploads", "downloads", "bytes", "failed", "logins", "failed_logins", "commands")
    boxes = []
    for name in names:
        value = int(totals[name])  # type: ignore[literal-required]
        shown = format_size(value) if name == "bytes" else "{:,}".format(value)
        change = ""
        if before is not None:
            change = "<small>%s</small>" % _change(value, int(before["totals"][name]))  # type: ignore[literal-required]
        label = {"failed": "failed transfers"}.get(name, name.replace("_", " "))
        boxes.append('<div><span>%s</span><b data-name="%s" data-value="%d">%s</b>%s</div>' % (label, name, value, shown, change))
    note = "" if before is None else "<p>Compared with %s to %s, UTC.</p>" % (before["since"], before["until"])
    return '<div class="figures">%s</div>%s' % ("".join(boxes), note)


def _change(value: int, before: int) -> str:
    if not before:
        return "none before" if value else "none before either"
    if value == before:
        return "no change"
    return "%+.0f %%" % (100 * (value - before) / before) if abs(value - before) < 10 * before else "x %.0f" % (value / before)


# -- tables -----------------------------------------------------------------------------------------------------------


def _users(statistics: Statistics) -> str:
    head = ("User", "Uploads", "Downloads", "Uploaded", "Downloaded", "Failed", "Logins", "Commands", "Last seen")
    names = ("uploads", "downloads", "bytes_uploaded", "bytes_downloaded", "failed", "logins", "commands")
    users = statistics["users"]
    rows = []
    for user in users[:MOST_USERS]:
        rows.append([name_of(user["username"] or "(none)"), *(_cell(name, user) for name in names), text_of(user["last_seen"] or "-")])
    others = users[MOST_USERS:]
    if others:
        together = {name: sum(user[name] for user in others) for name in names}  # type: ignore[literal-required]
        rows.append(["%d others" % len(others), *(_cell(name, together) for name in names), ""])
    return table(head, rows)


def _files(statistics: Statistics) -> str:
    rows = [
        [name_of(file["path"]), name_of(file["username"] or "-"), _count(file["transfers"]), format_size(file["bytes"])]
        for file in statistics["files"]
    ]
    return table(("File", "User", "Transfers", "Bytes"), rows)


def _protocols(statistics: Statistics) -> str:
    rows = [[name_of(one["protocol"] or "(none)"), _count(one["transfers"]), format_size(one["bytes"])] for one in statistics["protocols"]]
    return table(("Protocol", "Transfers", "Bytes"), rows)


def _addresses(statistics: Statistics) -> str:
    rows = [
        [
            name_of(one["address"] or "(none)"), _count(one["users"]), _count(one["transfers"]), format_size(one["bytes"]),
            _count(one["failed_logins"]),
        ]
        for one in statistics["addresses"]
    ]  # fmt: skip
    return table(("Address", "Users", "Transfers", "Bytes", "Failed logins"), rows)


def _cell(name: str, counts: t.Mapping[str, t.Any]) -> str:
    return format_size(counts[name]) if name.startswith("bytes") else _count(counts[name])


def _count(value: int) -> str:
    return "{:,}".format(value)


def name_of(text: str) -> str:
    """A name of any length for a cell of a table: a long one may be broken anywhere, and is cut."""
    shown = text_of(text if len(text) <= MOST_NAME else text[: MOST_NAME - 3] + "...")
    return '<span class="name">%s</span>' % shown if len(text) > LONG_NAME else shown


def table(head: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> str:
    """A table of cells that are HTML already; nothing without rows."""
    if not rows:
        return ""
    lines = ["<tr>%s</tr>" % "".join('<th scope="col">%s</th>' % name for name in head)]
    lines += ["<tr>%s</tr>" % "".join("<td>%s</td>" % cell for cell in row) for row in rows]
    return '<div class="table"><table>\n%s\n</table></div>' % "\n".join(lines)


# -- charts -----------------------------------------------------------------------------------------------------------


def _chart(trend: t.Sequence[Point], lower: str, upper: str, shown: t.Callable[[int], str]) -> str:
    """Stacked bars, one for each point."""
    values = [(point["start"], point[lower], point[upper]) for point in trend]  # type: ignore[literal-required]
    bars = [
        (low, high, "%s: %s %s, %s %s" % (start, shown(low), lower.replace("_", " "), shown(high), upper.replace("_", " ")))
        for start, low, high in values
    ]
    return chart([start for start, _low, _high in values], bars, shown)


def chart(starts: t.Sequence[str], bars: t.Sequence[t.Tuple[int, int, str]], shown: t.Callable[[int], str]) -> str:
    """Stacked bars, one for each step of a trend: both values, and the text about them."""
    labels = [start[:10] if start.endswith("T00:00:00Z") else start[5:16].replace("T", " ") for start in starts]
    return _bars(labels, bars, shown)


def _hours_chart(statistics: Statistics) -> str:
    hours = statistics["hours"]
    bars = [
        (one["transfers"], 0, "%02d:00: %d transfers, %s" % (one["hour"], one["transfers"], format_size(one["bytes"]))) for one in hours
    ]
    return _bars(["%02d:00" % one["hour"] for one in hours], bars, _count)


def _bars(labels: t.Sequence[str], bars: t.Sequence[t.Tuple[int, int, str]], shown: t.Callable[[int], str]) -> str:
    most = max(low + high for low, high, _title in bars)
    ticks = _ticks(most, shown)
    room, step = HEIGHT - BOTTOM, (WIDTH - LEFT) / len(bars)
    parts = ['<svg viewBox="0 0 %d %d" role="img" aria-label="bars; the largest is %s">' % (WIDTH, HEIGHT, shown(most))]
    for tick in ticks:
        y = room - (room - 10) * tick / ticks[-1]
        parts.append('<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>' % (LEFT, WIDTH, y, y))
        parts.append('<text x="%d" y="%.1f" text-anchor="end">%s</text>' % (LEFT - 6, y + 4, shown(tick)))
    for index, (low, high, title) in enumerate(bars):
        x, width = LEFT + index * step, max(step * 0.8, 0.5)
        low_height, high_height = ((room - 10) * value / ticks[-1] for value in (low, high))
        if low or high:
            parts.append("<g><title>%s</title>" % text_of(title))
            for kind, y, height in (("up", room - low_height, low_height), ("down", room - low_height - high_height, high_height)):
                if height:
                    parts.append('<rect class="%s" x="%.2f" y="%.2f" width="%.2f" height="%.2f"/>' % (kind, x, y, width, height))
            parts.append("</g>")
    every = -(-len(labels) // MOST_LABELS)
    for index in range(0, len(labels), every):
        parts.append('<text x="%.1f" y="%d">%s</text>' % (LEFT + index * step, HEIGHT - 6, text_of(labels[index])))
    return "".join([*parts, "</svg>"])


def _ticks(most: int, shown: t.Callable[[int], str]) -> t.Sequence[int]:
    """The values of the lines of a chart: round ones, from 0 to at least ``most``."""
    unit = 1
    while shown is format_size and unit * 1024 <= most:
        unit *= 1024
    steps = (unit * digit * 10**zeros for zeros in itertools.count() for digit in (1, 2, 5))
    step = next(step for step in steps if step * MOST_STEPS >= most)
    return range(0, max(most, 1) + step, step)


def section(title: str, content: str) -> str:
    """A section of HTML; nothing without content."""
    return "<section><h2>%s</h2>\n%s</section>" % (text_of(title), content) if content else ""


def text_of(text: str) -> str:
    """Any text as HTML."""
    return escape(line(text))
