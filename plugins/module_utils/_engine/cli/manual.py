# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive man``: the manual page, as man(7) describes its format."""

from __future__ import annotations

import typing as t

from .. import __version__
from ..base.errors import EXIT_DONE
from ..config.spec import DEFAULT_CONFIG, DEFAULT_STREAMS
from . import exit_codes, output

if t.TYPE_CHECKING:
    import argparse

    from .described import Argument, Described

OF_MOST_COMMANDS = (["-h", "--help"], ["--config"], ["--json"], ["--version"])
"""Options that the page has once."""
SUMMARY = "archive the logs of a host, verify and restore them, and follow live logs into databases"
DESCRIPTION = """\
A job selects the closed logs of a host, packs and encrypts them, and ships the archives to its stores, which it verifies and prunes.
A stream stores the lines of live logs in SQL databases and search servers, each exactly once.
Both are described by documents in JSON."""
ENVIRONMENT = {
    "LOG_ARCHIVE_CONFIG": "Folder of job documents, or one document, if --config is not given.",
    "LOG_ARCHIVE_STREAMS": "Folder of stream documents, or one document, if --config is not given.",
    "LOG_ARCHIVE_TRACEBACK": "If set, a defect of the command is printed with its traceback.",
    "NO_COLOR": "Has no effect: the command prints no colors.",
}
FOLDERS = {
    DEFAULT_CONFIG: "Job documents: NAME.json.",
    DEFAULT_STREAMS: "Stream documents: NAME.json.",
    "/etc/log-archive/host.json": "The folders below which job documents can choose paths. Only root can write it.",
}
EXAMPLES = {
    "log-archive run --all": "Archive what all jobs of the host have to archive now, as cron does.",
    "log-archive status": "Show the last success and the backlog of each job.",
    "log-archive restore nginx --since 2024-01-12 --until 2024-01-13 --to /tmp/evidence": "Bring back the logs of a day.",
    "log-archive man | man -l -": "Read this page without installing it.",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """``man`` has no options."""


def print_page(commands: t.Sequence[Described]) -> int:
    """Print the page of these commands, for ``man -l -``."""
    output.print_text(page(commands).rstrip("\n"))
    return EXIT_DONE


def page(commands: t.Sequence[Described]) -> str:
    """The manual page."""
    lines = [
        '.TH LOG\\-ARCHIVE 1 "" "log\\-archive %s" "User Commands"' % _escaped(__version__),
        # Long options would leave wide gaps between words.
        ".ad l",
        ".nh",
        ".SH NAME",
        "log\\-archive \\- %s" % _escaped(SUMMARY),
        ".SH SYNOPSIS",
        ".B log\\-archive",
        "[\\-\\-config PATH] [\\-\\-json] COMMAND ...",
        ".SH DESCRIPTION",
        *map(_escaped, DESCRIPTION.splitlines()),
        ".SH OPTIONS",
        "Most commands have these options.",
    ]
    for argument in commands[0].arguments:
        if argument.names in OF_MOST_COMMANDS:
            lines += _entry(_name(argument), argument.help)
    lines.append(".SH COMMANDS")
    for command in commands:
        lines += _command(command)
    lines += [".SH EXIT STATUS", "Each command lists its own with \\-\\-help. All together:"]
    for code, meaning in exit_codes.of(None).items():
        lines += _entry(code, meaning)
    for title, table in (("ENVIRONMENT", ENVIRONMENT), ("FILES", FOLDERS)):
        lines.append(".SH " + title)
        for name, text in table.items():
            lines += _entry(name, text)
    lines.append(".SH EXAMPLES")
    for example, text in EXAMPLES.items():
        lines += _entry(example, text)
    return "".join(line + "\n" for line in lines)


def _command(command: Described) -> t.List[str]:
    lines = [".SS " + _escaped("log-archive " + command.name), _escaped(command.summary[0].upper() + command.summary[1:] + "."), ".PP"]
    lines.append(_escaped(command.usage))
    for argument in command.arguments:
        if argument.names not in OF_MOST_COMMANDS:
            lines += _entry(_name(argument), argument.help)
    return lines


def _name(argument: Argument) -> str:
    if not argument.names:
        return argument.value or ""
    return ", ".join("%s %s" % (name, argument.value) if argument.value else name for name in argument.names)


def _entry(name: str, text: str) -> t.List[str]:
    return [".TP", ".B " + _escaped(name), _escaped(text)]


def _escaped(text: str) -> str:
    """Text for roff: hyphens that can be copied, and no line that is taken for a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped
