# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A signal ends the command at a moment at which that leaves no lock held and is not lost. Each case runs in its own process."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import signals
from rigs.host import ENGINE_PATH

BEGIN = (
    """
import os, signal, sys, time, weakref
from %s import Interrupted, install

def ask():
    os.kill(os.getpid(), signal.SIGTERM)

def wait():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass
    sys.exit("no signal has interrupted it")

install()
"""
    % signals.__name__
)


def run(folder: pathlib.Path, code: str) -> str:
    """Output of the code in a new process that handles signals as the command does."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + textwrap.dedent(code)],
        env={"PYTHONPATH": "%s:%s" % (folder, ENGINE_PATH)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def test_an_import_is_completed_first(tmp_path: pathlib.Path) -> None:
    (tmp_path / "slow.py").write_text("from __main__ import ask\nask()\nfor _turn in range(10**6): pass\nDONE = True\n")
    assert (
        run(
            tmp_path,
            """
        try:
            import slow
            wait()
        except Interrupted as error:
            print(error, sys.modules["slow"].DONE)
        """,
        )
        == "interrupted by SIGTERM True\n"
    )


def test_a_context_manager_is_entered_and_left_first(tmp_path: pathlib.Path) -> None:
    assert (
        run(
            tmp_path,
            """
        class Lock:
            held = False
            def __enter__(self):
                self.held = True
                os.kill(os.getpid(), signal.SIGTERM)
            def __exit__(self, *_error):
                self.held = False
        lock = Lock()
        try:
            with lock:
                wait()
        except Interrupted as error:
            print(error, lock.held)
        """,
        )
        == "interrupted by SIGTERM False\n"
    )


@pytest.mark.parametrize(
    "drop",
    [
        "class Last:\n    def __del__(self): ask()\nLast()",
        "class Last: pass\nkept = weakref.WeakValueDictionary(key=Last())",
    ],
    ids=["destructor", "weak reference"],
)
def test_a_signal_is_not_lost_in_a_callback(drop: str, tmp_path: pathlib.Path) -> None:
    """Python would print the exception there and go on."""
    assert (
        run(tmp_path, "%s\ntry:\n    ask()\n    wait()\nexcept Interrupted as error:\n    print(error)" % drop)
        == "interrupted by SIGTERM\n"
    )


@pytest.mark.parametrize("code", ["import time; time.sleep(60)", "import threading; threading.Event().wait(60)"])
def test_a_wait_is_interrupted_at_once(code: str, tmp_path: pathlib.Path) -> None:
    started = """
        import threading
        threading.Timer(0.05, ask).start()
        try:
            exec(%r)
        except Interrupted as error:
            print(error)
        """
    assert run(tmp_path, started % code) == "interrupted by SIGTERM\n"
