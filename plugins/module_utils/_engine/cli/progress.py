# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of long work, on a terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import time
import typing as t

from ..base import texts
from ..base.units import format_size
from . import output

if t.TYPE_CHECKING:
    import argparse

    from ..base.progress import Advance

QUIET = 1.0
"""Seconds without any output until a command shows that it is still at work."""
CLEAR = "\r\033[K"

SHOWN_AFTER = 0.5
"""Seconds; shorter work shows nothing."""
INTERVAL = 0.1
"""Seconds between two updates of the line."""
BAR = 20
"""Characters of the bar."""


@contextlib.contextmanager
def progress_bar(title: str, total: int, unit: str = "") -> t.Iterator[Advance]:
    """Show on standard error how many of ``total`` bytes, or of another unit, are done. The line disappears when the work ends."""
    began = shown = time.monotonic()
    done = 0

    def advance(count: int) -> None:
        nonlocal done, shown
        done += count
        now = time.monotonic()
        if now - began >= SHOWN_AFTER and now - shown >= INTERVAL:
            shown = now
            output.write("stderr", CLEAR + line(title, done, total, now - began, _columns(), unit))

    try:
        yield advance
    finally:
        if shown > began:
            clear()


def clear() -> None:
    """Remove the line, so that something else can be printed there. The next update shows it again."""
    output.write("stderr", CLEAR)


def is_shown(options: argparse.Namespace) -> bool:
    """Whether a person sees progress: standard error is a terminal that can remove a line, and the result is not JSON."""
    return not getattr(options, "json", False) and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextlib.contextmanager
def at_work(title: str, quiet: float = QUIET) -> t.Iterator[None]:
    """While the command prints nothing, show on standard error that it is at work, and for how long.

    Anything else that is printed removes the line first. While a bar or a question is on the terminal, the line is not shown.
    """
    import threading

    lock = threading.RLock()
    ended = threading.Event()
    began = last = time.monotonic()
    shown = other = False

    def show() -> None:
        nonlocal shown
        while not ended.wait(quiet / 2):
            with lock:
                now = time.monotonic()
                if not (other or ended.is_set() or now - last < quiet):
                    shown = True
                    text = "%s: at work for %d s" % (title, now - began)
                    output.write_at_once("stderr", CLEAR + text[: _columns() - 1])

    @contextlib.contextmanager
    def around(text: str) -> t.Iterator[None]:
        nonlocal shown, other, last
        with lock:
            if shown:
                output.write_at_once("stderr", CLEAR)
            shown = False
            yield
            last = time.monotonic()
            other = not text.endswith(("\n", CLEAR))

    output.watch(around)
    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        output.watch(None)
        with lock:
            ended.set()
            if shown:
                output.write_at_once("stderr", CLEAR)
        thread.join()


def line(title: str, done: int, total: int, seconds: float, columns: int, unit: str = "") -> str:
    """One line no wider than the terminal: a longer one would wrap, and the next update would leave a part of it behind."""

    def shown(count: float) -> str:
        return "%.0f %s" % (count, unit) if unit else format_size(int(count))

    filled = min(BAR, BAR * done // total) if total else 0
    figures = " [%s%s] %s  %s/s" % ("#" * filled, "." * (BAR - filled), shown(done), shown(done / seconds) if seconds else "-")
    room = max(0, min(60, columns - 1 - len(figures)))
    return (_fitted(texts.line(title), room) + figures)[: columns - 1]


def _fitted(text: str, columns: int) -> str:
    """The beginning of a text that takes so many columns."""
    end = min(len(text), columns)
    while texts.columns(text[:end]) > columns:
        end -= 1
    return text[:end]


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
