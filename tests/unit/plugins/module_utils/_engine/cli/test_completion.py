# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Completion as bash, zsh and fish themselves do it with the scripts, and the manual page as man shows it."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import struct
import subprocess
import termios
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import completion, main, parser

BASH = """
source %s
COMP_WORDS=(%s) COMP_CWORD=%d
_log_archive
printf '%%s\\n' "${COMPREPLY[@]}"
"""
CASES = [
    ("log-archive pru", {"prune"}),
    ("log-archive audit ", {"events", "validate"}),
    ("log-archive audit val", {"validate"}),
    ("log-archive --config /nowhere --json stat", {"stats", "status"}),
    ("log-archive help lis", {"list"}),
    ("log-archive run --dry", {"--dry-run"}),
    ("log-archive verify --level remote", {"remote_hash"}),
    ("log-archive key rot", {"rotate"}),
    ("log-archive run we", {"web", "weekly"}),
    ("log-archive list web we", {"web", "weekly"}),
    ("log-archive follow sft", {"sftpgo"}),
    ("log-archive run --config ./jo", {"./jobs"}),
    ("log-archive list --since 20", set()),
    ("log-archive check-config ", {"sftpgo", "web", "weekly"}),
    ("log-archive generate cl", {"client-events"}),
    ("log-archive generate --li", {"--lines"}),
    ("log-archive generate sftpgo jo", {"jobs"}),
]
"""A command line, and what can stand in place of its last word."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What a terminal does not show."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the scripts, two job documents and a stream document."""
    made = tmp_path_factory.mktemp("completion")
    for name in ("jobs/web", "jobs/weekly", "streams/sftpgo"):
        path = made / (name + ".json")
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    for shell in completion.SHELLS:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            assert main.main(["completion", shell]) == 0
        (made / shell).write_text(out.getvalue())
    return made


def environment(folder: pathlib.Path) -> t.Dict[str, str]:
    """The environment of a shell that finds the documents, and nothing of this user."""
    found = {"LOG_ARCHIVE_CONFIG": str(folder / "jobs"), "LOG_ARCHIVE_STREAMS": str(folder / "streams"), "HOME": str(folder)}
    return {**found, "PATH": os.environ["PATH"], "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def program(name: str) -> str:
    """The path of a program of tests/lab/install.sh."""
    return shutil.which(name) or pytest.skip("%s is missing" % name)


def answer(folder: pathlib.Path, *command: str) -> t.List[str]:
    """The lines that a shell prints."""
    done = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_bash_completes(folder: pathlib.Path, line: str, expected: t.Set[str]) -> None:
    words = [*line.split(), *([""] if line.endswith(" ") else [])]
    script = BASH % (folder / "bash", " ".join(map(shlex.quote, words)), len(words) - 1)
    assert set(answer(folder, program("bash"), "--norc", "-c", script)) == expected


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_fish_completes(folder: pathlib.Path, line: str, expected: t.Set[str]) -> None:
    script = "source fish; complete -C %s" % shlex.quote(line)
    found = {one.partition("\t")[0] for one in answer(folder, program("fish"), "--no-config", "-c", script)}
    assert {one.rstrip("/") for one in found} == expected


def test_zsh_completes(folder: pathlib.Path) -> None:
    """On a terminal, as users see it. Zsh has no other way to ask for completions."""
    process, shell = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.execve(program("zsh"), ["zsh", "-f", "-i", "+o", "promptsp"], environment(folder))
    try:
        # The terminal is so wide that no line is broken. The prompt shows that the shell waits.
        fcntl.ioctl(shell, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))
        ask(shell, "PS1='ready> '; autoload -Uz compinit; compinit -u -D; source ./zsh\n", r"\nready> \Z")
        for line, expected in CASES:
            if expected:
                words = r"\s.*".join(r"(?<!\S)%s/?" % re.escape(word.replace("./", "")) for word in sorted(expected))
                # Ctrl-D lists what is possible, Ctrl-U empties the line.
                ask(shell, line + "\x04", r"(?s)%s.*\n.*%s(\s|\Z)" % (re.escape(line), words))
                ask(shell, "\x15\n", r"\nready> \Z")
    finally:
        os.close(shell)
        os.waitpid(process, 0)


def ask(shell: int, keys: str, pattern: str) -> str:
    """Type on the terminal; returns what the shell showed once that matches."""
    os.write(shell, keys.encode())
    shown, deadline = "", time.monotonic() + lab.patience(30)
    while not re.search(pattern, shown):
        ready, _, _ = select.select([shell], [], [], max(0, deadline - time.monotonic()))
        assert ready, "zsh showed %r instead of %s after %r" % (shown, pattern, keys)
        shown = ESCAPES.sub("", shown + os.read(shell, 4096).decode(errors="replace"))
    return shown


def test_the_scripts_know_every_command_and_option(folder: pathlib.Path) -> None:
    for shell in completion.SHELLS:
        text = (folder / shell).read_text()
        for command in parser.described_commands():
            assert command.name.split()[-1] in text
            for name in (name for argument in command.arguments for name in argument.names):
                wanted = ("-l '%s'" % name[2:] if name.startswith("--") else "-s '%s'" % name[1:]) if shell == "fish" else name
                assert wanted in text, (shell, command.name)


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", "tcsh"]) == 2
    assert "invalid choice: 'tcsh'" in capsys.readouterr().err


def test_the_manual_page_has_every_command_and_option(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["man"]) == 0
    page = tmp_path / "log-archive.1"
    page.write_text(capsys.readouterr().out)
    environ = dict(os.environ, MANWIDTH="100", LC_ALL="C.UTF-8", MAN_KEEP_FORMATTING="", MANROFFOPT="-c")
    done = subprocess.run([program("man"), "--warnings", "-l", page], env=environ, capture_output=True, text=True, check=True)
    assert not done.stderr
    shown = re.sub(r".\x08", "", done.stdout)
    sections = re.split(r"^   log-archive (.+)\n", shown, flags=re.MULTILINE)
    assert sections[1::2] == list(parser.COMMANDS)
    for command, text in zip(parser.described_commands(), sections[2::2]):
        for argument in command.arguments:
            for name in argument.names or [argument.value]:
                assert str(name) in text + sections[0], command.name
    assert "4      integrity failure" in shown and "$LOG_ARCHIVE" in shown
