# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command ``log-archive``: runs on a host by itself, with no controller and no Ansible.

Starting it imports no store, no cryptography and nothing else that the given command does not need: cron starts it every hour, and most
of the time there is nothing to do.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ..base import hints as t
from ..base.errors import EXIT_FAILED, LogArchiveError, OutOfMemoryError
from . import output, signals
from .plain import parse_plain

if t.TYPE_CHECKING:
    import argparse

_OUT_OF_MEMORY = ("log-archive: %s. %s\n" % (OutOfMemoryError.text, OutOfMemoryError.advice)).encode("ascii")


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the command with these arguments (``sys.argv`` by default); returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    output.begin()
    try:
        code = _run(arguments)
    except KeyboardInterrupt as error:
        code = _report(signals.InterruptedRunError(error, _rest_of(arguments)), arguments)
    return output.end(code)


def end_with_main() -> t.NoReturn:
    """Run ``main`` and end the process. Launchers call this: leaving out Python's own cleanup saves a tenth of an idle run."""
    signals.install()
    try:
        code = main()
        sys.stderr.flush()
    except MemoryError:
        # Even the report needs more than there is.
        os.write(2, _OUT_OF_MEMORY)
        code = EXIT_FAILED
    os._exit(code)


def _run(arguments: t.Sequence[str]) -> int:
    """Run the command and report every error; returns the exit code."""
    try:
        options = parse(arguments)
        if options.title is None or not sys.stderr.isatty():
            return t.cast(int, options.call(options))
        return _at_terminal(options)
    except SystemExit as left:  # argparse has printed help or the version.
        return t.cast(int, left.code)
    except Exception as error:
        return _report(output.typed_error(error), arguments)


def _rest_of(arguments: t.Sequence[str]) -> t.Optional[str]:
    """What completes the work of a call that was interrupted; None if nothing does."""
    from . import exit_codes, parser

    command = parser.command_of(arguments)
    return None if command is None else exit_codes.after_signal(command)


def parse(arguments: t.Sequence[str]) -> argparse.Namespace:
    """The options of a call (see ``parser.parse``)."""
    options = parse_plain(arguments)
    if options is None:
        from . import parser

        options = parser.parse(arguments)
    return options


def _at_terminal(options: argparse.Namespace) -> int:
    from .progress import at_work, is_shown

    with at_work(options.title) if is_shown(options) else contextlib.nullcontext():
        return t.cast(int, options.call(options))


def _report(error: LogArchiveError, arguments: t.Sequence[str]) -> int:
    """Report the error that ended the command; returns the exit code."""
    output.print_error("log-archive: %s" % error)
    if "--json" in arguments:
        output.print_json({"exit_code": error.exit_code, "error": output.error_object(error)})
    return error.exit_code
