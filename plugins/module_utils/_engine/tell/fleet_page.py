# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a fleet as one HTML file: which days are archived, what is wrong, where, and what runs next. No request to another server;
for screens in light and dark, and for paper. The only script is the page's own, by its hash: no text of a host can become one."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import typing as t

from ..base.libraries import needed
from ..base.units import format_duration, format_size, format_utc, parse_utc
from ..state.coverage import STATES
from . import fleet_rows, page_style
from .fleet_script import SCRIPT
from .fleet_style import STYLE
from .fleet_template import TEMPLATE

if t.TYPE_CHECKING:
    from datetime import datetime

    from .fleet_rows import Fleet, Host, JobRow

MOST_PROBLEMS = 50
"""Problems that are shown at once; a button shows the rest."""
CLASSES = {"missing": "m", "partly": "p", "spooled": "s", "verified": "v", "pruned": "x", "due": "d", "none": "n"}
ORDERS = {
    "worst": "worst first", "host": "host", "job": "job", "missing": "most missing", "success": "oldest success", "next": "next run",
    "archives": "most archives", "logs": "most bytes of logs", "size": "most bytes stored", "ratio": "lowest ratio",
    "waiting": "most waiting", "key": "oldest key",
}  # fmt: skip
COLUMNS = (
    ("host", "Host", ""), ("job", "Job", ""), ("worst", "State", ""), ("success", "Last success", ""), ("next", "Next run", ""),
    ("archives", "Archives", "number"), ("logs", "Logs", "number"), ("size", "Stored", "number"), ("ratio", "Ratio", "number"),
    ("waiting", "In the spool", "number"), ("key", "Current key, its age", ""),
)  # fmt: skip
"""The columns of runs and keys: the order that a click on the head gives, its words, and its class."""


class Figure(t.NamedTuple):
    """A figure in a box. note: the text below it, or ""."""

    name: str
    value: t.Union[int, str]
    shown: str
    note: str = ""


def render(hosts: t.Iterable[Host], now: datetime) -> str:
    """The page. hosts: read once. Raises MissingLibraryError without Jinja2."""
    with needed("Jinja2", "the page of 'status --html'", "jinja2"):
        import jinja2
    with needed("MarkupSafe", "the page of 'status --html'", "markupsafe"):
        from markupsafe import Markup

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["size"] = format_size
    fleet = fleet_rows.rows_of(hosts, now)
    count = sum(fleet.hosts.values())
    names = sorted({row.host for row in fleet.jobs})
    style = page_style.STYLE + STYLE
    return environment.from_string(TEMPLATE).render(
        title="Log archives of %s" % (names[0] if count == 1 and names else "%d hosts" % count),
        created=format_utc(now),
        fleet=fleet,
        dates=fleet.dates,
        figures=_figures(fleet, now),
        problems=[part for part in (fleet.problems[:MOST_PROBLEMS], fleet.problems[MOST_PROBLEMS:]) if part],
        names=sorted({row.job for row in fleet.jobs if row.job}),
        states=STATES,
        classes=CLASSES,
        orders=ORDERS,
        columns=COLUMNS,
        scale=scale(fleet.dates),
        strip=fleet_rows.strip,
        attention=attention,
        ratio=ratio,
        minute=minute,
        age=lambda since: age(since, now),
        style=Markup(style),
        style_hash=_hash(style),
        script=Markup(SCRIPT),
        script_hash=_hash(SCRIPT),
        data=Markup(_data(fleet)),
    )


def _hash(text: str) -> str:
    """Of an inline script or style, as a Content-Security-Policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _figures(fleet: Fleet, now: datetime) -> t.List[Figure]:
    missing = sum(row.states.get("missing", 0) for row in fleet.jobs)
    archives, logs, size = (sum(values) for values in zip((0, 0, 0), *((row.archives, row.source_bytes, row.size) for row in fleet.jobs)))
    waiting = sum(row.waiting for row in fleet.jobs)
    oldest = min(((row.oldest, row.oldest_host) for row in fleet.stores if row.oldest), default=("", ""))
    states = ", ".join(
        "%d %s" % (count, state) for state, count in sorted(fleet.hosts.items(), key=lambda item: (item[0] == "ok", item[0]))
    )
    return [
        _count("hosts", sum(fleet.hosts.values()), states),
        _count("problems", len(fleet.problems), "" if fleet.problems else "nothing to do"),
        _count("missing periods", missing),
        _count("in the spool", waiting, "oldest unshipped: %s, on %s" % (age(oldest[0], now), oldest[1]) if oldest[0] else ""),
        _count("archives", archives),
        Figure("logs", logs, format_size(logs)),
        Figure("stored", size, format_size(size), "ratio %s" % ratio(logs, size)),
    ]


def _count(name: str, value: int, note: str = "") -> Figure:
    return Figure(name, value, "{:,}".format(value), note)


def attention(row: JobRow) -> str:
    """In words, the periods of a job that somebody must look at: ``2 missing, 1 spooled``."""
    states = ("missing", "partly", "spooled")
    return ", ".join("%d %s" % (row.states[state], STATES[state][1]) for state in states if row.states.get(state))


def minute(moment: str) -> str:
    """A time as people read it: ``2026-11-26 17:05``."""
    return moment[:16].replace("T", " ")


def ratio(source_bytes: int, size: int) -> str:
    """The compression ratio."""
    return "%.1f" % (source_bytes / size) if size else "-"


def age(since: str, now: datetime) -> str:
    """How old something is, in whole days if it is one; since: ISO 8601, UTC, or ""."""
    if not since:
        return "age unknown"
    seconds = max((now - parse_utc(since)).total_seconds(), 0)
    return "%d days old" % (seconds // 86400) if seconds >= 2 * 86400 else format_duration(seconds) + " old"


def scale(dates: t.Sequence[str]) -> str:
    """The days as one line of text, with the first of each month and the first and last day named. A day is one character wide."""
    letters = [" "] * len(dates)
    end = 0
    named = [index for index, day in enumerate(dates) if index == 0 or day.endswith("-01")]
    for index in named:
        text = "|" + dates[index][5:]
        if index >= end and index + len(text) <= len(dates):
            letters[index : index + len(text)] = text
            end = index + len(text) + 1
    return "".join(letters)


def _data(fleet: Fleet) -> str:
    """What the script needs, as JSON that can stand in a script element."""
    jobs = []
    for row in fleet.jobs:
        cells = [row.days.get(day) for day in fleet.dates] if row.unit else []
        jobs.append(
            {
                "h": row.host,
                "j": row.job,
                "l": fleet_rows.LEVELS.index(row.level),
                "u": row.unit,
                "z": row.timezone,
                "c": row.states,
                # A day is between commas. A letter has the number of periods in a row with that state; equal days are multiplied.
                "d": ",".join(
                    text if count == 1 else "%s*%d" % (text, count)
                    for text, count in _runs(_packed(cell.periods if cell else "") for cell in cells)
                ),
                "s": ",".join(str(cell.source_bytes or "") if cell else "" for cell in cells),
                "b": ",".join(str(cell.size or "") if cell else "" for cell in cells),
                "n": [row.archives, row.source_bytes, row.size, row.waiting],
                "t": [row.last_success, row.next_run, row.since],
                "x": row.state,
            }
        )
    states = [[state, CLASSES[state], *words] for state, words in STATES.items()]
    text = json.dumps({"dates": fleet.dates, "states": states, "jobs": jobs}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _packed(periods: str) -> str:
    return "".join("%s%d" % (letter, count) for letter, count in _runs(periods))


def _runs(items: t.Iterable[str]) -> t.Iterator[t.Tuple[str, int]]:
    for item, run in itertools.groupby(items):
        yield item, len(list(run))
