# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""aws-cli from PyPI, in its own virtualenv: one process for many commands, because starting it takes a second."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import typing as t

from lab import AwsServer, Unavailable

PYTHON = pathlib.Path(__file__).resolve().parents[2] / "build" / "venv-awscli" / "bin" / "python"

_PROGRAM = """
import contextlib, io, json, sys
from awscli.clidriver import create_clidriver
for line in sys.stdin:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        code = create_clidriver().main(json.loads(line))
    print(json.dumps([code, out.getvalue()]), flush=True)
"""


class AwsCli:
    """The command ``aws``. Each call returns its exit code and what it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, *arguments: str) -> t.Tuple[int, str]:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(arguments) + "\n")
        self._process.stdin.flush()
        code, text = json.loads(self._process.stdout.readline())
        return code, text


@contextlib.contextmanager
def aws_cli(server: AwsServer) -> t.Iterator[AwsCli]:
    """aws-cli that uses this server, until the context ends."""
    if not PYTHON.exists():
        raise Unavailable("aws-cli is not installed: 'make build/venv-awscli/.stamp'")
    environment = {**os.environ, **server.environment}
    environment.pop("PYTHONPATH", None)
    command = [str(PYTHON), "-I", "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        yield AwsCli(process)
        assert process.stdin is not None
        process.stdin.close()
