# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the parsers know of each command, for the manual page and for completion."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    import argparse


class Argument(t.NamedTuple):
    """An option or an argument of a command.

    names: of an option, none of an argument. value: what it takes, as the help shows it, such as ``FILE``; None if it takes nothing.
    choices: the values that are allowed; none if others are. several: whether more than one value can follow.
    """

    names: t.List[str]
    value: t.Optional[str]
    choices: t.Sequence[str]
    several: bool
    help: str


class Described(t.NamedTuple):
    """A command: its name (which may be two words), what it does, its usage, and its options and arguments in the order of its help."""

    name: str
    summary: str
    usage: str
    arguments: t.Sequence[Argument]


def described(name: str, summary: str, made: argparse.ArgumentParser) -> Described:
    """A command with its parser."""
    usage = " ".join(made.format_usage().split()).partition(" ")[2]
    return Described(name, summary, usage, [_argument(made, action) for action in made._actions])


def _argument(made: argparse.ArgumentParser, action: argparse.Action) -> Argument:
    choices = [str(choice) for choice in action.choices or ()]
    value = None
    if action.nargs != 0:
        metavar = action.metavar if isinstance(action.metavar, str) else None
        value = metavar or ("{%s}" % ",".join(choices) if choices else action.dest.upper())
    shown = (action.help or "") % {"default": action.default, "prog": made.prog}
    return Argument(list(action.option_strings), value, choices, action.nargs in ("*", "+"), shown)
