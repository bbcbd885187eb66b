# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command line: which commands there are, and which options each has."""

from __future__ import annotations

import argparse
import os
import sys

from .. import __version__
from ..base import hints as t
from ..base.errors import UsageError
from . import output
from .options import FOLDERS, default_config

if t.TYPE_CHECKING:
    from .described import Described

# argparse would look up a translation of its texts, which takes longer than parsing; all other texts are English anyway.
vars(argparse)["_"] = lambda text: text

Command = t.Tuple[t.Callable[[argparse.ArgumentParser], None], t.Callable[[argparse.Namespace], int]]
"""A function that adds the options of a command to its parser, and one that runs it and returns the exit code (or raises
LogArchiveError)."""


def _run() -> Command:
    from . import run

    return run.add_run_options, run.run


def _send() -> Command:
    from . import run

    return run.add_send_options, run.send


def _orphans() -> Command:
    from . import orphans

    return orphans.add_options, orphans.manage


def _prune() -> Command:
    from . import run

    return run.add_prune_options, run.prune


def _sync() -> Command:
    from . import run

    return run.add_sync_options, run.sync


def _list() -> Command:
    from . import archives

    return archives.add_list_options, archives.list_archives


def _verify() -> Command:
    from . import archives

    return archives.add_verify_options, archives.verify_archives


def _restore() -> Command:
    from . import restore

    return restore.add_options, restore.restore


def _search() -> Command:
    from . import search

    return search.add_options, search.search


def _key() -> Command:
    from . import keys

    return keys.add_options, keys.manage_keys


def _new_identity() -> Command:
    from . import recipients

    return recipients.add_new_identity_options, recipients.new_identity


def _unwrap() -> Command:
    from . import recipients

    return recipients.add_unwrap_options, recipients.unwrap


def _rewrap() -> Command:
    from . import recipients

    return recipients.add_rewrap_options, recipients.rewrap


def _ledger() -> Command:
    from . import ledger

    return ledger.add_options, ledger.manage


def _check_config() -> Command:
    from . import config

    return config.add_check_options, config.check


def _sample_config() -> Command:
    from . import config

    return config.add_sample_options, config.write_sample


def _metrics() -> Command:
    from . import status

    return status.add_metrics_options, status.write_metrics


def _status() -> Command:
    from . import status

    return status.add_options, status.show


def _ingest() -> Command:
    from . import streams

    return streams.add_ingest_options, streams.ingest


def _follow() -> Command:
    from . import streams

    return streams.add_follow_options, streams.follow


def _streams() -> Command:
    from . import streams

    return streams.add_streams, streams.show


def _stats() -> Command:
    from . import statistics

    return statistics.add_stats_options, statistics.stats


def _generate() -> Command:
    from . import statistics

    return statistics.add_generate_options, statistics.generate


def _audit_validate() -> Command:
    from . import audit_validate

    return audit_validate.add_options, audit_validate.validate


def _reveal() -> Command:
    from . import reveal

    return reveal.add_options, reveal.reveal


def _audit_events() -> Command:
    from . import audit_events

    return audit_events.add_options, audit_events.events


def _adopt() -> Command:
    from . import adopt

    return adopt.add_options, adopt.adopt


def _drill() -> Command:
    from . import drill

    return drill.add_options, drill.drill


def _doctor() -> Command:
    from . import doctor

    return doctor.add_options, doctor.examine


def _completion() -> Command:
    from . import completion

    return completion.add_options, lambda options: completion.print_script(options.shell, described_commands())


def _man() -> Command:
    from . import manual

    return manual.add_options, lambda _options: manual.print_page(described_commands())


COMMANDS: t.Dict[str, t.Tuple[str, t.Callable[[], Command]]] = {
    "run": ("archive new logs, ship and verify the archives, apply retention", _run),
    "send": ("send the archives that wait in the spool, and archive nothing new", _send),
    "list": ("list archives from the catalog or from a store", _list),
    "verify": ("check the archives in the stores against their manifests", _verify),
    "restore": ("fetch, authenticate, decrypt and extract archives", _restore),
    "search": ("print the lines of archived logs that match a pattern", _search),
    "prune": ("apply retention now", _prune),
    "sync": ("copy archives that a store lacks from other stores, without opening them", _sync),
    "key": ("manage the keyring of a job", _key),
    "key new-identity": ("make a key pair of the type hpke, for a recipient", _new_identity),
    "key unwrap": ("print the key of a single archive that is encrypted for recipients", _unwrap),
    "key rewrap": ("add or remove recipients of stored archives, without encrypting the archives again", _rewrap),
    "ledger": ("verify, show or export the signed record of what was archived and pruned", _ledger),
    "check-config": ("check job and stream documents and report every mistake", _check_config),
    "sample-config": ("print a commented template of a job document", _sample_config),
    "metrics": ("write the metrics files of jobs now, as their runs do", _metrics),
    "status": ("show the last success and the backlog of each job, and the state of each stream", _status),
    "orphans": ("show, send, adopt or remove what is left of jobs and stores that no document names any more", _orphans),
    "adopt": ("add the archives of an earlier script to the catalog and to retention, without moving them", _adopt),
    "drill": ("restore a sample of each store's archives, compare every byte, and report the result", _drill),
    "doctor": ("find what is wrong with this host and its jobs, and the command that fixes it", _doctor),
    "follow": ("store the lines of a stream in its sinks as they are written, until a signal ends it", _follow),
    "ingest": ("store the lines that streams have now in their sinks", _ingest),
    "streams": ("show position, lag, rejected lines and gaps of each stream", _streams),
    "stats": ("show who transferred how much, when and from where, or write it as a page", _stats),
    "reveal": ("decrypt the client ids that a stream has stored", _reveal),
    "audit events": ("show who did what, when and from where, as CloudTrail recorded it", _audit_events),
    "generate": ("write a made-up log, for demonstrations and tests", _generate),
    "audit validate": (
        "check that a CloudTrail trail is complete and unaltered: every hour, every digest, every log file",
        _audit_validate,
    ),
    "completion": ("print a script that completes commands, options and names in a shell", _completion),
    "man": ("print the manual page", _man),
}
GROUPS = {"audit": "examine the audit logs of a cloud"}
"""The first words of commands that have two."""
OF_STREAMS = ("follow", "ingest", "streams", "stats", "reveal")
"""Commands that read stream documents instead of job documents."""


WITHOUT_DOCUMENTS = ("sample-config", "generate", "completion", "man", "key new-identity")
"""Commands that read no documents."""

WITHOUT_PROGRESS = ("follow", "reveal", "key", "key new-identity", "sample-config", "completion", "man")
"""Commands that are done at once, run until a signal ends them, or read what a person types."""

MAY_BE_EMPTY = ("prefix", "pattern")
"""Options and arguments with a meaning if they are empty: the root of a bucket, and what each line matches."""

WITH_OPTIONAL_ARGUMENTS = ("generate", "reveal")
"""Commands with arguments that may be missing and stand anywhere."""


def parse(arguments: t.Sequence[str]) -> argparse.Namespace:
    """The options of a call, with the function to run as ``call``. Raises UsageError; SystemExit once help or the version was printed.

    Every option costs time: only the parser of the given command is made.
    """
    name, rest = _command_of(arguments)
    if name == "version":
        return _main_parser().parse_args(["--version", *rest])
    if name == "help":
        name, rest = _command_of([*rest, "--help"])
    if name is None:
        parser = _main_parser()
        parser.parse_args(rest)
        parser.error("no command given")
    if "%s %s" % (name, _command_of(rest)[0]) in COMMANDS:
        second, rest = _command_of(rest)
        name = "%s %s" % (name, second)
    elif name in GROUPS:
        name, rest = _command_of_group(name, rest)
    if name not in COMMANDS:
        from ..base.periods import did_you_mean

        near = did_you_mean(name, [*COMMANDS, "help", "version"])
        raise UsageError("there is no command '%s'" % name, hint="%sSee 'log-archive --help'" % near)
    parser = parser_of(name)
    # Else an optional argument is empty unless it stands before the options.
    options = parser.parse_intermixed_args(rest) if name in WITH_OPTIONAL_ARGUMENTS else parser.parse_args(rest)
    parser.refuse_empty(options)
    return options


def command_of(arguments: t.Sequence[str]) -> t.Optional[str]:
    """The command of COMMANDS that a call names; None if it names none."""
    first, rest = _command_of(arguments)
    both = "%s %s" % (first, _command_of(rest)[0])
    return both if both in COMMANDS else first if first in COMMANDS else None


def parser_of(name: str) -> _Parser:
    """The parser of a command of COMMANDS, which sets the function to run as ``call``."""
    add_options, call = COMMANDS[name][1]()
    parser = _Parser(prog="log-archive " + name, description=_sentence(COMMANDS[name][0]), formatter_class=_HelpFormatter)
    parser.command = name
    if name not in WITHOUT_DOCUMENTS:
        _add_global_options(parser, "stream" if name in OF_STREAMS else "job")
    _add_version(parser)
    add_options(parser)
    parser.set_defaults(call=call, title=None if name in WITHOUT_PROGRESS else name)
    return parser


def described_commands() -> t.List[Described]:
    """Every command with its options, in the order of the help."""
    from .described import described

    return [described(name, summary, parser_of(name)) for name, (summary, _load) in COMMANDS.items()]


def _command_of(arguments: t.Sequence[str]) -> t.Tuple[t.Optional[str], t.Sequence[str]]:
    """The command, and all other arguments: options that every command has may stand before it, too. None if there is no command."""
    first = 0
    while first < len(arguments) and (arguments[first] == "--json" or arguments[first].startswith("--config")):
        first += 2 if arguments[first] == "--config" else 1
    if first >= len(arguments) or arguments[first].startswith("-"):
        return None, arguments
    return arguments[first], [*arguments[:first], *arguments[first + 1 :]]


def _command_of_group(group: str, arguments: t.Sequence[str]) -> t.Tuple[str, t.Sequence[str]]:
    """The whole name of a command of two words, and all other arguments."""
    second, rest = _command_of(arguments)
    if second is None:
        parser = _Parser(prog="log-archive " + group, description=_sentence(GROUPS[group]), formatter_class=_HelpFormatter)
        _add_commands(parser, {name[len(group) + 1 :]: about for name, about in COMMANDS.items() if name.startswith(group + " ")})
        parser.parse_args(rest)
        parser.error("no command given")
    return "%s %s" % (group, second), rest


def _add_commands(parser: argparse.ArgumentParser, table: t.Mapping[str, t.Tuple[str, t.Any]]) -> t.Any:
    """List these commands in the help of the parser."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (summary, _load) in table.items():
        commands.add_parser(name, help=summary)
    return commands


def _sentence(summary: str) -> str:
    return summary[0].upper() + summary[1:] + "."


def _add_global_options(parser: argparse.ArgumentParser, kind: str) -> None:
    variable, folder = FOLDERS[kind]
    parser.add_argument(
        "--config",
        metavar="PATH",
        default=default_config(kind),
        help="folder of %s documents, or one document (default: $%s, or %s)" % (kind, variable, folder),
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--version", action="version", version="log-archive " + __version__, help="print the version")


def _main_parser() -> argparse.ArgumentParser:
    """The parser of a call without a command."""
    parser = _Parser(
        prog="log-archive",
        description="Archive logs: select, pack, encrypt, ship, verify, prune, restore. Follow live logs into SQL.",
        formatter_class=_HelpFormatter,
    )
    _add_global_options(parser, "job")
    _add_version(parser)
    commands = _add_commands(parser, COMMANDS)
    commands.add_parser("help", help="show the help of a command")
    commands.add_parser("version", help="print the version")
    return parser


class _Parser(argparse.ArgumentParser):
    """Raises an error instead of ending the process, so that wrong usage is reported like any other error, also as JSON."""

    command: t.Optional[str] = None
    """The command of COMMANDS."""

    def __init__(self, **options: t.Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def refuse_empty(self, options: argparse.Namespace) -> None:
        """Raise UsageError for a value that is empty: mostly that of a variable of a script that is not set."""
        for action in self._actions:
            value = getattr(options, action.dest, None)
            empty = (value == "" != action.default) or (isinstance(value, list) and "" in value)
            if empty and action.dest not in MAY_BE_EMPTY:
                self.error("argument %s: the value is empty" % ("/".join(action.option_strings) or action.metavar))

    def format_help(self) -> str:
        from .exit_codes import epilog

        self.epilog = epilog(self.command, _width())
        return super().format_help()

    def error(self, message: str) -> t.NoReturn:
        self.print_usage(sys.stderr)
        unknown = message.partition("unrecognized arguments: ")[2].partition(" ")[0].partition("=")[0]
        near: t.Sequence[str] = ()
        if unknown.startswith("--"):
            import difflib

            near = difflib.get_close_matches(unknown[2:], [option[2:] for option in self._option_string_actions], 1)
        meant = "Did you mean '--%s'? " % near[0] if near else ""
        raise UsageError(message, hint="%sSee '%s --help'" % (meant, self.prog))

    def _print_message(self, message: str, file: t.Optional[t.Any] = None) -> None:
        output.write("stdout" if file is None or file is sys.stdout else "stderr", message)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """argparse creates a formatter for every option, and gets the width from shutil, which imports every compressor."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_width())


def _width() -> int:
    """The columns of the help."""
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else 1).columns
    except OSError:
        columns = 80
    given = os.environ.get("COLUMNS", "")
    return ((int(given) if given.isdecimal() else 0) or columns) - 2
