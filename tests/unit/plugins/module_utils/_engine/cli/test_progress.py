# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress on a terminal."""

from __future__ import annotations

import argparse
import io
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import options, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_short_work_shows_nothing(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress.progress_bar("pack", 100) as advance:
        advance(100)
    assert shown.getvalue() == ""


def test_the_bar_takes_more_or_less_than_the_promised_total(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    for total in (0, 10, 1000):
        with progress.progress_bar("pack", total) as advance:
            advance(100)
    assert shown.getvalue().count("[####################]") == 1
    assert shown.getvalue().count("[....................]") == shown.getvalue().count("[##..................]") == 1
    assert shown.getvalue().endswith("\r\033[K")


@pytest.mark.parametrize("columns", [10, 40, 80, 300])
def test_the_line_never_wraps(columns):
    shown = progress.line("restore s3://bucket/" + "long" * 40, 1 << 40, 1 << 41, 1.5, columns)
    assert len(shown) < columns
    if columns >= 80:
        assert "[##########..........] 1.0 TiB" in shown and shown.startswith("restore s3")


def test_a_title_cannot_control_the_terminal():
    assert progress.line("pack a\x1b[2J\n", 0, 0, 0, 80).startswith(r"pack a\x1b[2J\n [")


@pytest.mark.parametrize(("stream", "json", "shown"), [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)])
def test_only_a_person_at_a_terminal_sees_it(monkeypatch, stream, json, shown):
    monkeypatch.setattr(sys, "stderr", stream())
    chosen = options.progress_of(argparse.Namespace(json=json))
    assert chosen is (progress.progress_bar if shown else no_progress)
