# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draw a dashboard of docs/grafana as one HTML page: its panels in their places, with titles, units, thresholds and legends.

This is not Grafana, and does not try to look like it in detail. https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/
describes the JSON. What a dashboard uses and this file does not know is a KeyError, so that no picture lacks it silently.
"""

from __future__ import annotations

import html
import math
import re
import typing as t
from datetime import datetime, timezone

Json = t.Dict[str, t.Any]
Value = t.Union[None, int, float, str]

ROW, GAP, COLUMNS, WIDTH = 24, 6, 24, 1120
"""Height of a row of the grid in pixels, the gap between panels, the columns of the grid, the width of the page."""

COLOURS = (
    "#3274d9",
    "#e0620d",
    "#299c46",
    "#8f3bb8",
    "#c4162a",
    "#b8860b",
    "#0a7e8c",
    "#6b6b6b",
    "#d44a9a",
    "#5a7d1f",
    "#14407a",
    "#7a1f3d",
)
NAMED = {"green": "#1f8a3b", "orange": "#c8590b", "red": "#c4162a"}
"""The colours of thresholds, dark enough for white text."""

STYLE = """
* { box-sizing: border-box }
body { margin: 0; padding: 10px; width: %dpx; background: #f4f5f5; color: #24292e; font: 11.5px sans-serif }
h1 { font-size: 17px; font-weight: 600; margin: 0 0 2px }
.about { color: #57606a; margin: 0 0 10px }
.grid { display: grid; grid-template-columns: repeat(%d, 1fr); grid-auto-rows: %dpx; gap: %dpx }
.panel { background: #fff; border: 1px solid #d8dade; border-radius: 3px; padding: 5px 8px; overflow: hidden }
.panel { display: flex; flex-direction: column }
.panel h2 { font-size: 12px; font-weight: 600; margin: 0 0 3px; white-space: nowrap }
.stats { display: flex; flex: 1; gap: 4px }
.stat { flex: 1; display: flex; flex-direction: column; align-items: center; justify-content: center }
.stat b { font-size: 22px; font-weight: 600; white-space: nowrap }
.slim b { font-size: 15px }
.filled { color: #fff; border-radius: 2px }
table { border-collapse: collapse; width: 100%% }
th { text-align: left; color: #1f60c4; font-weight: 600; border-bottom: 1px solid #d8dade }
th, td { padding: 2px 8px 2px 2px; white-space: nowrap }
td { border-bottom: 1px solid #eceef0 }
.number { text-align: right; font-variant-numeric: tabular-nums }
.legend { display: flex; flex-wrap: wrap; gap: 0 12px; font-size: 11px }
.legend i { display: inline-block; width: 12px; height: 3px; margin-right: 4px; vertical-align: middle }
.pie { display: flex; flex: 1; align-items: center; gap: 24px; justify-content: center }
svg text { font: 10.5px sans-serif; fill: #57606a }
""" % (WIDTH, COLUMNS, ROW, GAP)


class Line(t.NamedTuple):
    """A line of a time series. points: (seconds since the epoch, value), in order; a gap in time is a gap in the line."""

    name: str
    points: t.Sequence[t.Tuple[float, float]]


class Rows(t.NamedTuple):
    """A table: its columns and rows."""

    columns: t.Sequence[str]
    rows: t.Sequence[t.Sequence[Value]]


class Answer(t.NamedTuple):
    """What a source of data gave for a panel: lines or a table."""

    lines: t.Sequence[Line] = ()
    table: Rows = Rows((), ())


class Span(t.NamedTuple):
    """The time that a dashboard shows, in seconds since the epoch, and the time between two points of a line."""

    start: float
    end: float
    step: float


# -- values -----------------------------------------------------------------------------------------------------------


def _plain(value: float) -> str:
    return "%d" % value if value == int(value) else "%.3g" % value if abs(value) < 1000 else "%.0f" % value


def _scaled(value: float, base: int, units: t.Sequence[str]) -> str:
    power = 0
    while abs(value) >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return ("%.3g" % value if abs(value) < 1000 else "%.0f" % value) + units[power]


def _seconds(value: float) -> str:
    for size, name in ((86400 * 365, "year"), (86400 * 7, "week"), (86400, "day"), (3600, "hour"), (60, "min")):
        if abs(value) >= size:
            return "%.3g %s%s" % (value / size, name, "" if value == size else "s")
    return "%.3g s" % value


def _time(milliseconds: float) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


UNITS: t.Dict[str, t.Callable[[float, Span], str]] = {
    "none": lambda value, _span: _plain(value),
    "short": lambda value, _span: _scaled(value, 1000, ("", " K", " Mil", " Bil")),
    "bytes": lambda value, _span: _scaled(value, 1024, (" B", " KiB", " MiB", " GiB", " TiB")),
    "s": lambda value, _span: _seconds(value),
    "percentunit": lambda value, _span: "%.3g%%" % (value * 100),
    "dateTimeFromNow": lambda value, span: _seconds(span.end - value / 1000) + " ago",
    "dateTimeAsIso": lambda value, _span: _time(value),
}
"""Grafana's units that the dashboards use."""
MATCHERS: t.Dict[str, t.Callable[[str, str], bool]] = {
    "byName": lambda wanted, field: field == wanted,
    "byRegexp": lambda wanted, field: re.search(wanted.strip("/"), field) is not None,
}
"""How an override names its fields."""


def _unit(panel: Json, field: str) -> str:
    """The unit of a field: the last override that matches it, or the panel's."""
    unit = panel["fieldConfig"]["defaults"].get("unit", "none")
    for override in panel["fieldConfig"]["overrides"]:
        if MATCHERS[override["matcher"]["id"]](override["matcher"]["options"], field):
            unit = {each["id"]: each["value"] for each in override["properties"]}["unit"]
    return t.cast(str, unit)


def _shown(panel: Json, field: str, value: Value, span: Span) -> str:
    if value is None:
        return ""
    return html.escape(value) if isinstance(value, str) else UNITS[_unit(panel, field)](value, span)


# -- panels -----------------------------------------------------------------------------------------------------------


def _stat(panel: Json, answer: Answer, span: Span) -> str:
    if answer.lines:
        values = [(line.name, line.points[-1][1] if line.points else None) for line in answer.lines]
    else:
        values = list(zip(answer.table.columns, t.cast(t.Any, answer.table.rows[0])))
    cells = []
    for name, value in values:
        colour = _colour(panel, value)
        style = "" if colour is None else ' filled" style="background:%s"' % colour
        label = "<span>%s</span>" % html.escape(name) if len(values) > 1 else ""
        cells.append('<div class="stat%s>%s<b>%s</b></div>' % (style or '"', label, _shown(panel, name, value, span)))
    slim = " slim" if panel["gridPos"]["w"] < 3 else ""
    return '<div class="stats%s">%s</div>' % (slim, "".join(cells))


def _colour(panel: Json, value: Value) -> t.Optional[str]:
    """The colour of the highest threshold that the value reaches, for a panel with a coloured background."""
    if panel["options"].get("colorMode") != "background" or not isinstance(value, (int, float)):
        return None
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return NAMED[[step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]]


def _table(panel: Json, answer: Answer, span: Span) -> str:
    columns, rows = _organised(panel, answer.table)
    number = ['class="number"' if any(isinstance(row[at], (int, float)) for row in rows) else "" for at in range(len(columns))]
    head = "".join("<th %s>%s</th>" % (number[at], html.escape(name)) for at, name in enumerate(columns))
    body = "".join(
        "<tr>%s</tr>" % "".join("<td %s>%s</td>" % (number[at], _shown(panel, columns[at], value, span)) for at, value in enumerate(row))
        for row in rows
    )
    return "<table><tr>%s</tr>%s</table>" % (head, body)


def _organised(panel: Json, table: Rows) -> Rows:
    """The table after Grafana's transformation "organize": columns left out, in order, renamed. "merge" is done by the query."""
    for change in panel.get("transformations", []):
        options = {"merge": {}, "organize": change["options"]}[change["id"]]
        if options:
            kept = [name for name in table.columns if not options["excludeByName"].get(name)]
            kept.sort(key=lambda name: options["indexByName"][name])
            places = [table.columns.index(name) for name in kept]
            names = [options["renameByName"].get(name, name) for name in kept]
            table = Rows(names, [[row[at] for at in places] for row in table.rows])
    return table


def _steps(highest: float, unit: str) -> t.List[float]:
    """Round values for an axis from 0."""
    if highest <= 0:
        return [0, 1]
    scale = 1.0
    if unit == "bytes":
        scale = 1024.0 ** max(0, int(math.log(highest, 1024)))
    elif unit == "s":
        scale = next((float(size) for size in (86400, 3600, 60) if highest >= size), 1.0)
    rough = highest / scale / 3
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough) * scale
    return [step * count for count in range(math.ceil(highest / step) + 1)]


def _timeseries(panel: Json, answer: Answer, span: Span) -> str:
    place = panel["gridPos"]
    width = WIDTH * place["w"] / COLUMNS - 36
    legend_rows = math.ceil(sum(len(line.name) * 6.2 + 30 for line in answer.lines) / width)
    height = place["h"] * (ROW + GAP) - GAP - 36 - 14 * legend_rows
    unit = _unit(panel, answer.lines[0].name)
    ticks = _steps(max((value for line in answer.lines for _, value in line.points), default=0), unit)
    left, bottom, top = 62, 18, 6

    def x(moment: float) -> float:
        return left + (moment - span.start) / (span.end - span.start) * (width - left - 4)

    def y(value: float) -> float:
        return top + (1 - value / ticks[-1]) * (height - top - bottom)

    parts = ['<svg width="%d" height="%d">' % (width, height)]
    for tick in ticks:
        parts.append('<path d="M%d %.1fH%d" stroke="#e4e6e9"/>' % (left, y(tick), width - 4))
        parts.append('<text x="%d" y="%.1f" text-anchor="end">%s</text>' % (left - 5, y(tick) + 3.5, UNITS[unit](tick, span)))
    day = math.ceil(span.start / 86400) * 86400
    every = max(1, math.ceil(7 * 42 / (width - left)))
    while day <= span.end:
        label = datetime.fromtimestamp(day, timezone.utc).strftime("%m-%d")
        parts.append('<path d="M%.1f %dV%.1f" stroke="#eceef0"/>' % (x(day), top, height - bottom))
        if x(day) < width - 18:
            parts.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (x(day), height - 5, label))
        day += every * 86400
    for at, line in enumerate(answer.lines):
        path: t.List[str] = []
        last = 0.0
        for moment, value in line.points:
            path.append("%s%.1f %.1f" % ("M" if not path or moment - last > 1.5 * span.step else "L", x(moment), y(value)))
            last = moment
        parts.append('<path d="%s" fill="none" stroke="%s" stroke-width="1.4"/>' % ("".join(path), COLOURS[at % len(COLOURS)]))
    parts.append("</svg>")
    return "".join(parts) + _legend([line.name for line in answer.lines])


def _legend(names: t.Sequence[str]) -> str:
    keys = ('<i style="background:%s"></i>%s' % (COLOURS[at % len(COLOURS)], html.escape(name)) for at, name in enumerate(names))
    return '<div class="legend">%s</div>' % "".join("<span>%s</span>" % key for key in keys)


def _piechart(panel: Json, answer: Answer, span: Span) -> str:
    field = answer.table.columns[1]
    shares = [(str(row[0]), float(t.cast(float, row[1]))) for row in answer.table.rows]
    whole = sum(value for _, value in shares) or 1
    slices, begun = [], 0.0
    for at, (_name, value) in enumerate(shares):
        ends = [(math.sin(2 * math.pi * share), -math.cos(2 * math.pi * share)) for share in (begun, begun + value / whole * 0.99999)]
        slices.append(
            '<path d="M0 0L%.4f %.4fA1 1 0 %d 1 %.4f %.4fZ" fill="%s" stroke="#fff" stroke-width=".015"/>'
            % (*ends[0], value / whole > 0.5, *ends[1], COLOURS[at % len(COLOURS)])
        )
        begun += value / whole
    names = ["%s: %s (%.0f%%)" % (name, _shown(panel, field, value, span), 100 * value / whole) for name, value in shares]
    legend = _legend(names).replace('class="legend"', 'class="legend" style="flex-direction:column"')
    return '<div class="pie"><svg width="190" height="190" viewBox="-1 -1 2 2">%s</svg>%s</div>' % ("".join(slices), legend)


PANELS: t.Dict[str, t.Callable[[Json, Answer, Span], str]] = {
    "stat": _stat,
    "table": _table,
    "timeseries": _timeseries,
    "piechart": _piechart,
}
"""Grafana's types of panels that the dashboards use."""


def page(dashboard: Json, answers: t.Mapping[int, Answer], span: Span, about: str) -> str:
    """The dashboard as HTML. answers: by the id of the panel. about: a line below the title. Raises KeyError for what it cannot draw."""
    panels = []
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        area = "grid-area:%d/%d/span %d/span %d" % (place["y"] + 1, place["x"] + 1, place["h"], place["w"])
        inside = PANELS[panel["type"]](panel, answers[panel["id"]], span)
        panels.append('<div class="panel" style="%s"><h2>%s</h2>%s</div>' % (area, html.escape(panel["title"]), inside))
    title = html.escape(dashboard["title"])
    head = '<!DOCTYPE html><meta charset="utf-8"><title>%s</title><style>%s</style>' % (title, STYLE)
    return '%s<h1>%s</h1><p class="about">%s</p><div class="grid">%s</div>' % (head, title, html.escape(about), "".join(panels))


def height(dashboard: Json) -> int:
    """The height of the page in pixels."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    return t.cast(int, 10 + 24 + 26 + rows * (ROW + GAP) - GAP + 10)
