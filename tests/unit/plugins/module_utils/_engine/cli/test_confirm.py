# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The questions of 'run --confirm', on a real terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from rigs.host import ENGINE_PATH

ASK = (
    """
import sys
from %s.cli.confirm import Questions
ask = Questions(float(sys.argv[1]))
print([ask("a%%d" %% number, "sftp://h/a", 2048) for number in range(3)])
"""
    % _engine.__name__
)
ENVIRONMENT = dict(os.environ, PYTHONPATH=ENGINE_PATH)


def asked(typed: bytes, seconds: float = 20.0) -> str:
    """What a terminal shows of three questions, when this is typed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", ASK, str(seconds)], ENVIRONMENT)
    shown = b""
    os.write(terminal, typed)
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        shown += data
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, shown
    return shown.decode()


@pytest.mark.parametrize(
    ("typed", "answers"),
    [(b"y\nYES \nno\n", [True, True, False]), (b"\n\x04maybe\n", [False, False, False]), (b"yy\n\ny\n", [False, False, True])],
)
def test_only_yes_is_yes(typed: bytes, answers: t.List[bool]) -> None:
    assert str(answers) in asked(typed)


def test_no_answer_in_time_means_no_for_all_that_is_left() -> None:
    shown = asked(b"y\nyes, but without Enter", 1)
    assert "[True, False, False]" in shown
    assert shown.count("[y/N]") == 2
    assert "no answer within 1 seconds: nothing more is uploaded in this run" in shown


def test_a_background_job_is_refused_at_once() -> None:
    code = "import os, pty, subprocess, sys\n" + (
        "done = subprocess.run([sys.executable, '-c', %r, '9'], stderr=subprocess.STDOUT, preexec_fn=lambda: os.setpgid(0, 0))\n"
        "sys.exit(done.returncode)\n"
    ) % ASK.replace("ask = Questions", "sys.stderr.isatty = lambda: True\nask = Questions")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-c", code], ENVIRONMENT)
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
    os.waitpid(pid, 0)
    assert b"--confirm cannot ask: the command runs in the background" in shown


def test_a_stream_that_is_no_terminal_is_named() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASK, "1"], stdin=subprocess.DEVNULL, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert "--confirm needs a terminal to answer on (standard input)" in done.stderr
