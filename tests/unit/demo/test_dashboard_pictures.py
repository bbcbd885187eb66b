# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each dashboard can be drawn, has its picture in the docs, and the made-up history has its metrics."""

from __future__ import annotations

import importlib
import itertools
import json
import pathlib
import re
import typing as t

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
BOARDS = sorted((CHECKOUT / "docs" / "grafana").glob("*.json"))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> t.Callable[[str], t.Any]:
    """A module of demo."""
    monkeypatch.syspath_prepend(str(CHECKOUT / "demo"))
    return importlib.import_module


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_each_panel_of_a_dashboard_can_be_drawn(load: t.Callable[[str], t.Any], path: pathlib.Path) -> None:
    drawing = load("dashboard_drawing")
    board = json.loads(path.read_text(encoding="utf-8"))
    answers = {}
    for panel in board["panels"]:
        fields = ["name"]
        for change in panel.get("transformations", []):
            fields = list(change["options"].get("indexByName", fields))
        # Of a SQL table: what its statement names.
        fields += re.findall(r" AS (\w+)", panel["targets"][0].get("rawSql", "")) or ["bytes"] * (fields == ["name"])
        is_table = panel["type"] in ("table", "piechart") or "rawSql" in panel["targets"][0] and panel["type"] == "stat"
        row = ["<b>", *(7200 + at for at in range(1, len(fields)))]
        lines = [drawing.Line("<web1>", [(60.0, 0.0), (120.0, 2e9), (900.0, 1.0)])]
        answers[panel["id"]] = drawing.Answer(table=drawing.Rows(fields, [row])) if is_table else drawing.Answer(lines=lines)
    page = drawing.page(board, answers, drawing.Span(0, 1000, 60), "about")
    assert re.findall("<h2>(.*?)</h2>", page) == [panel["title"] for panel in board["panels"]]
    assert "&lt;b&gt;" in page and "&lt;web1&gt;" in page and "<b><" not in page and "<web1>" not in page
    panel = board["panels"][0]
    unknown = [{**panel, "type": "gauge"}, {**panel, "fieldConfig": {"defaults": {"unit": "furlongs"}, "overrides": []}}]
    for changed in unknown:
        with pytest.raises(KeyError):
            drawing.page({**board, "panels": [changed]}, answers, drawing.Span(0, 1000, 60), "about")


def test_the_docs_show_the_picture_of_each_dashboard() -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / "docs").glob("*.md"))
    # That for MySQL has the panels of that for PostgreSQL (tests/sinks).
    for path in BOARDS:
        picture = "images/dashboard-%s.webp" % path.stem
        assert path.stem == "sftpgo-mysql" or ("](%s)" % picture in pages and (CHECKOUT / "docs" / picture).stat().st_size < 200_000)


def test_the_history_has_each_metric_of_the_dashboards(load: t.Callable[[str], t.Any]) -> None:
    scrape = itertools.islice(load("dashboard_history").openmetrics(), 400)
    shown = set(re.findall(r"log_archive_\w+", "".join(path.read_text(encoding="utf-8") for path in BOARDS)))
    assert shown <= set(re.findall(r"^log_archive_\w+", "".join(scrape), re.MULTILINE))
