# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make the pictures of the dashboards in docs/images (``make picture``): each panel's own query, answered by a real server.

Prometheus has eight days of a made-up fleet's metrics (``dashboard_history``), PostgreSQL a week of a made-up SFTPGo log that a stream
stored. ``dashboard_drawing`` lays the answers out as the dashboard does, and Chromium takes the picture. The data are the same each time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import typing as t
import urllib.parse
import urllib.request
from datetime import datetime, timedelta

CHECKOUT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(CHECKOUT / "tests"), str(CHECKOUT / "build" / "collections")]

from dashboard_drawing import WIDTH, Answer, Json, Line, Rows, Span, height, page  # noqa: E402
from dashboard_history import EVERY, NOW, openmetrics  # noqa: E402

WEEK = timedelta(days=7)
ABOUT = "The last 7 days, %s. Drawn from the queries of %s by demo/dashboard_pictures.py, not by Grafana; made-up data."
Query = t.Callable[[Json], Answer]


# -- Prometheus -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def prometheus(folder: pathlib.Path) -> t.Iterator[int]:
    """The port of a Prometheus that has the history."""
    from lab.processes import HOST, Daemon, free_port, need_program

    samples, data, port = folder / "samples", folder / "data", free_port()
    with open(samples, "w", encoding="utf-8") as file:
        file.writelines(openmetrics())
    subprocess.run(
        [need_program("promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics", samples, data],
        check=True,
        capture_output=True,
    )
    (folder / "prometheus.yml").write_text("{}")
    server = Daemon(
        [need_program("prometheus", "prometheus"), "--config.file=%s" % (folder / "prometheus.yml"), "--storage.tsdb.path=%s" % data]
        + ["--storage.tsdb.retention.time=100y", "--query.lookback-delta=%ds" % (2 * EVERY), "--web.listen-address=%s:%d" % (HOST, port)],
        str(folder / "log"),
        lambda: _is_ready(port),
    )
    server.start()
    try:
        yield port
    finally:
        server.stop()


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/-/ready" % port, timeout=5) as answer:
            return t.cast(int, answer.status) == 200
    except OSError:
        return False


def ask_prometheus(port: int, panel: Json, span: Span) -> Answer:
    """What a panel's queries give, as Grafana's data source asks them."""
    targets = [(target, _expression(target["expr"], span)) for target in panel["targets"]]
    if panel["type"] != "table":
        return Answer(lines=[line for target, expression in targets for line in _lines(port, target, expression, span)])
    labels: t.List[str] = []
    rows: t.Dict[t.Tuple[t.Tuple[str, str], ...], t.Dict[str, float]] = {}
    for target, expression in targets:
        for series in _get(port, "query", query=expression, time=span.end):
            labels = labels or sorted(series["metric"])
            row = rows.setdefault(tuple(sorted(series["metric"].items())), {})
            row["Value #" + target["refId"]] = float(series["value"][1])
    fields = ["Value #" + target["refId"] for target, _expression in targets]
    filled = [
        [*(dict(key)[label] for label in labels), *(row.get(field) for field in fields)]
        for key, row in sorted(rows.items(), key=lambda item: [dict(item[0])[label] for label in ("host", *labels)])
    ]
    return Answer(table=Rows([*labels, *fields], filled))


def _expression(text: str, span: Span) -> str:
    """The query with all hosts, jobs and streams chosen. Grafana's rate interval is four scrapes at least."""
    text = text.replace("$__rate_interval", "%ds" % max(4 * EVERY, span.step + EVERY))
    return re.sub(r"\$(host|archive_job|stream)\b", ".+", text)


def _lines(port: int, target: Json, expression: str, span: Span) -> t.Iterator[Line]:
    legend = target["legendFormat"]
    for series in _get(port, "query_range", query=expression, start=span.start, end=span.end, step=span.step):
        name = re.sub(r"{{(\w+)}}", r"%(\1)s", legend) % series["metric"]
        yield Line("" if name == "__auto" else name, [(float(moment), float(value)) for moment, value in series["values"]])


def _get(port: int, kind: str, **parameters: t.Any) -> t.List[Json]:
    url = "http://127.0.0.1:%d/api/v1/%s?%s" % (port, kind, urllib.parse.urlencode(parameters))
    with urllib.request.urlopen(url, timeout=60) as answer:
        return t.cast(t.List[Json], json.load(answer)["data"]["result"])


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def postgresql(folder: pathlib.Path) -> t.Iterator[t.Any]:
    """A PostgreSQL in which a stream stored the last week of an SFTPGo server."""
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.generate.sftpgo import generate_lines
    from lab.databases import postgresql_server

    logs = folder / "logs"
    logs.mkdir()
    start = (NOW - WEEK).replace(tzinfo=None)
    lines = itertools.takewhile(lambda line: line.time < NOW.replace(tzinfo=None), generate_lines(7, start))
    (logs / "sftpgo.log").write_text("".join(line.text for line in lines).replace("日本", "exports") + "no JSON\n", encoding="utf-8")
    with postgresql_server() as server:
        stream = {
            "name": "sftpgo",
            "host": "files1",
            "follow": {"paths": [str(logs)], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"]},
            "parse": {"profile": "sftpgo", "timezone": "UTC"},
            "sinks": [server.sink()],
            "state": str(folder / "state"),
        }
        result = follower.catch_up(normalise_stream(stream))["sinks"][0]
        if result["error"] is not None:
            raise SystemExit(result["error"])
        # The time of the picture, not that of its making.
        server.run_sql("UPDATE ingest_generation SET read_at = %d;" % (NOW.timestamp() - 2))
        yield server


def ask_postgresql(server: t.Any, panel: Json, span: Span) -> Answer:
    """What a panel's query gives, as Grafana's data source asks it."""
    (target,) = panel["targets"]
    ends = tuple(datetime.utcfromtimestamp(end).strftime("%Y-%m-%dT%H:%M:%SZ") for end in (span.start, span.end))
    statement = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN '%s' AND '%s'" % ends, target["rawSql"])
    statement = statement.replace("${stream:sqlstring}", "'sftpgo'")
    found = json.loads(
        server.run_sql("SET TIME ZONE 'UTC'; SELECT coalesce(json_agg(q), '[]') FROM (%s) q;" % statement), object_pairs_hook=list
    )
    columns = [name for name, _value in found[0]] if found else []
    if target["format"] == "time_series":
        moments = [datetime.fromisoformat(row[0][1]).timestamp() for row in found]
        values = [[0 if value is None else value for _name, value in row[1:]] for row in found]
        return Answer([Line(name, [(moment, row[at]) for moment, row in zip(moments, values)]) for at, name in enumerate(columns[1:])])
    return Answer(table=Rows(columns, [[_as_shown(value) for _name, value in row] for row in found]))


def _as_shown(value: t.Any) -> t.Any:
    """A value of a table; a time as Grafana shows it."""
    is_time = isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.+]+", value)
    return value.replace("T", " ")[:19] if is_time else value


# -- pictures ---------------------------------------------------------------------------------------------------------


def main() -> None:
    from lab.browser import browser

    span = Span((NOW - WEEK).timestamp(), NOW.timestamp(), 1200)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        port = stack.enter_context(prometheus(folder))
        server = stack.enter_context(postgresql(folder))
        chromium = stack.enter_context(browser(folder / "profile"))
        sources: t.Tuple[t.Tuple[str, Query, float], ...] = (
            ("archives-prometheus", lambda panel: ask_prometheus(port, panel, span), span.step),
            ("streams-prometheus", lambda panel: ask_prometheus(port, panel, span), span.step),
            # Grafana draws a line on over hours without rows.
            ("sftpgo-postgresql", lambda panel: ask_postgresql(server, panel, span), float("inf")),
        )
        for name, ask, step in sources:
            dashboard = json.loads((CHECKOUT / "docs" / "grafana" / (name + ".json")).read_text(encoding="utf-8"))
            about = ABOUT % (NOW.strftime("until %Y-%m-%d %H:%M UTC"), name + ".json")
            answers = {panel["id"]: ask(panel) for panel in dashboard["panels"]}
            path = folder / (name + ".html")
            path.write_text(page(dashboard, answers, span._replace(step=step), about), encoding="utf-8")
            chromium.look(WIDTH, height(dashboard))
            chromium.open(path.as_uri())
            picture = CHECKOUT / "docs" / "images" / ("dashboard-%s.webp" % name)
            chromium.picture(picture)
            print("%s: %d kB" % (picture.relative_to(CHECKOUT), picture.stat().st_size // 1000))


if __name__ == "__main__":
    main()
