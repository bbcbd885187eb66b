# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A command runs over a connection, with and without a terminal: both its outputs and its status arrive."""

from __future__ import annotations

import errno
import os
import pathlib
import pty
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import command, remote


class Action:
    """An action plugin on this machine. terminal: whether both outputs are one terminal, as with SSH and sudo."""

    def __init__(self, terminal: bool, environment: str = "", before: str = "") -> None:
        self._terminal = terminal
        self._environment = environment
        self._before = before

    def _compute_environment_string(self) -> str:
        return self._environment

    def _low_level_execute_command(self, line: str) -> t.Dict[str, t.Any]:
        argv = ["/bin/sh", "-c", self._before + line + " && sleep 0"]
        if not self._terminal:
            done = subprocess.run(argv, capture_output=True, text=True, check=False)
            return {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
        master, slave = pty.openpty()
        with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave) as process:
            os.close(slave)
            parts = []
            while True:
                try:
                    part = os.read(master, 1 << 16)
                except OSError:  # EIO: the last one has closed the terminal.
                    break
                parts.append(part)
                if not part:
                    break
        os.close(master)
        return {"rc": process.returncode, "stdout": b"".join(parts).decode(), "stderr": ""}


def program(folder: pathlib.Path, text: str) -> str:
    path = folder / "the command"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_outputs_status_and_arguments(terminal: bool, tmp_path: pathlib.Path) -> None:
    path = program(tmp_path, 'echo "a warning" >&2; printf "[\\n%s\\n]\\n" "$*"; echo "$NAME" >&2; cat; exit 4')
    result = remote.execute(Action(terminal, "NAME='its value'", "echo sudo: unable to resolve host >&2; "), [path, "it's", "$HOME `x`"])
    assert result == {"rc": 4, "stdout": "[\nit's $HOME `x`\n]", "stderr": "sudo: unable to resolve host\na warning\nits value"}


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_a_large_result(terminal: bool, tmp_path: pathlib.Path) -> None:
    path = program(tmp_path, "seq 100000; seq 100000 >&2")
    result = remote.execute(Action(terminal), [path])
    assert (result["rc"], result["stdout"].count("\n"), result["stderr"].count("\n")) == (0, 99999, 99999)


@pytest.mark.parametrize("terminal", [False, True], ids=["pipes", "terminal"])
def test_a_missing_command(terminal: bool, tmp_path: pathlib.Path) -> None:
    result = remote.execute(Action(terminal), [str(tmp_path / "absent"), "run"])
    assert result == {"rc": errno.ENOENT, "stdout": "", "stderr": ""}
    assert command.error_kind(result) == command.MISSING_COMMAND


def test_a_command_that_cannot_start(tmp_path: pathlib.Path) -> None:
    path = program(tmp_path, "echo 'python: error while loading shared libraries' >&2; exit 127")
    result = remote.execute(Action(False), [path])
    assert command.errors(result) == ["log-archive printed no result (status 127): python: error while loading shared libraries"]


def test_a_connection_that_ends_early() -> None:
    result = remote.execute(Action(True, before="echo sudo: a password is required >&2; exit 1; "), ["/bin/true"])
    assert result == {"rc": 1, "stdout": "", "stderr": "sudo: a password is required"}


@pytest.mark.parametrize("stdout", ["MARK\n[]", "noise\nMARK\n[1"])
def test_a_result_that_is_cut(stdout: str) -> None:
    result = remote.separated(0, stdout, "", "MARK", "x")
    assert (result["rc"], result["stdout"]) == (1, "")
    assert "log-archive printed no result" in command.errors(result)[0]
