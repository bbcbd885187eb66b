# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress on a terminal."""

from __future__ import annotations

import argparse
import io
import sys
import threading
import time

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main, options, output, progress


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
    wide = progress.line("generate " + "日本" * 40, 10, 100, 1.5, columns, "lines")
    assert len(wide) + wide.count("日") + wide.count("本") < columns and ("日" in wide) is (columns >= 80)
    shown = progress.line("restore s3://bucket/" + "long" * 40, 1 << 40, 1 << 41, 1.5, columns)
    assert len(shown) < columns
    if columns >= 80:
        assert wide.endswith(" 10 lines  7 lines/s")
        assert "[##########..........] 1.0 TiB" in shown and shown.startswith("restore s3")


def test_a_title_cannot_control_the_terminal():
    assert progress.line("pack a\x1b[2J\n", 0, 0, 0, 80).startswith(r"pack a\x1b[2J\n [")


@pytest.mark.parametrize(("stream", "json", "shown"), [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)])
def test_only_a_person_at_a_terminal_sees_it(monkeypatch, stream, json, shown):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream())
    chosen = options.progress_of(argparse.Namespace(json=json))
    assert chosen is (progress.progress_bar if shown else no_progress)


class Screen(Terminal):
    """A terminal that shows the last line."""

    def __init__(self):
        super().__init__()
        self.written = threading.Event()

    def write(self, text):
        super().write(text)
        self.written.set()
        return len(text)

    @property
    def line(self):
        return self.getvalue().rpartition("\n")[2].rpartition(progress.CLEAR)[2]

    def await_line(self, text):
        until = time.monotonic() + lab.patience(30)
        while text not in self.line:
            self.written.clear()
            assert time.monotonic() < until, self.getvalue()
            self.written.wait(1)


def test_a_command_that_prints_nothing_shows_that_it_is_at_work(monkeypatch):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    with progress.at_work("status", quiet=0.01):
        screen.await_line("status: at work for ")
        output.print_error("a warning")
        screen.await_line("status: at work")
    assert "\r\033[Ka warning\n" in screen.getvalue()
    assert screen.line == "" and not output._around
    before = screen.getvalue()
    output.print_error("later")
    assert screen.getvalue() == before + "later\n"


@pytest.mark.parametrize("text", ["Upload a to b? [y/N] ", "\r\033[Kpack [#...]"], ids=["question", "bar"])
def test_nothing_is_written_over_a_question_or_a_bar(monkeypatch, text):
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    waited = []
    ended = threading.Event

    class Counted(ended):
        def wait(self, seconds=None):
            waited.append(seconds)
            return super().wait(seconds)

    monkeypatch.setattr(threading, "Event", Counted)
    with progress.at_work("run", quiet=0.001):
        output.write("stderr", text)
        count, until = len(waited), time.monotonic() + lab.patience(30)
        while len(waited) < count + 20:
            assert time.monotonic() < until
            time.sleep(0.001)
        assert screen.line == text.rpartition(progress.CLEAR)[2]
        output.write("stderr", "\n")
        screen.await_line("run: at work")


@pytest.mark.parametrize(
    ("arguments", "stream", "terminal"),
    [(["status"], Terminal, "xterm"), (["status", "--json"], Terminal, "xterm"), (["status"], io.StringIO, "xterm")]
    + [(["status"], Terminal, "dumb"), (["follow", "x"], Terminal, "xterm")],
    ids=["shown", "json", "no-terminal", "dumb", "follow"],
)
def test_only_a_person_sees_that_a_command_is_at_work(monkeypatch, arguments, stream, terminal):
    monkeypatch.setattr(sys, "stderr", stream())
    monkeypatch.setenv("TERM", terminal)
    seen = []
    parsed = main.parse(arguments)
    parsed.call = lambda _options: seen.append(len(output._around)) or 0
    monkeypatch.setattr(main, "parse", lambda _arguments: parsed)
    assert main.main(arguments) == 0
    assert seen == [int(arguments == ["status"] and stream is Terminal and terminal == "xterm")]
