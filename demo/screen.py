# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the demo prints while it runs."""

from __future__ import annotations

import os
import shutil
import sys
import time


class Screen:
    """Prints progress: one line per step. On a terminal it redraws the line of the running step and uses colours."""

    def __init__(self) -> None:
        self.terminal = sys.stdout.isatty()
        self.colours = self.terminal and "NO_COLOR" not in os.environ
        self._name = ""
        self._doing = ""
        self._began = 0.0

    def begin(self, name: str, doing: str) -> None:
        """Start a step."""
        self._name, self._doing, self._began = name, doing, time.monotonic()
        self.tick()

    def tick(self) -> None:
        """Show that the step still runs."""
        if self.terminal and self._name:
            width = shutil.get_terminal_size().columns - 1
            text = "  %-8s %5.1f s  %s ..." % (self._name, time.monotonic() - self._began, self._doing)
            print("\r\x1b[K" + text[:width], end="", flush=True)

    def end(self, done: str) -> None:
        """End the step, with what it has done."""
        print("%s  %-8s %s  %s" % (self._back(), self._name, self.dim("%5.1f s" % (time.monotonic() - self._began)), done), flush=True)
        self._name = ""

    def leave(self) -> None:
        """End the step that runs, if any, as one that was not done."""
        if self._name:
            print("%s  %-8s %s" % (self._back(), self._name, self.red("not done")), flush=True)
        self._name = ""

    def _back(self) -> str:
        return "\r\x1b[K" if self.terminal else ""

    def _coloured(self, text: str, code: str) -> str:
        return "\x1b[%sm%s\x1b[0m" % (code, text) if self.colours else text

    def bold(self, text: str) -> str:
        return self._coloured(text, "1")

    def dim(self, text: str) -> str:
        return self._coloured(text, "2")

    def red(self, text: str) -> str:
        return self._coloured(text, "31")

    def green(self, text: str) -> str:
        return self._coloured(text, "32")

    def yellow(self, text: str) -> str:
        return self._coloured(text, "33")
