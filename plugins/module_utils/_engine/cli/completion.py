# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive completion``: scripts that complete its commands, options and values in bash, zsh and fish.

A script holds all commands and options. It starts no process: names of jobs and streams are those of the documents.
"""

from __future__ import annotations

import shlex
import typing as t

from .. import __version__
from ..base.errors import EXIT_DONE
from ..config.spec import DEFAULT_CONFIG, DEFAULT_STREAMS
from . import output

if t.TYPE_CHECKING:
    import argparse

    from .described import Argument, Described

FILES = ("FILE", "PATH", "FOLDER")
"""Values that are paths."""
_JOBS, _STREAMS = "LOG_ARCHIVE_CONFIG %s" % DEFAULT_CONFIG, "LOG_ARCHIVE_STREAMS %s" % DEFAULT_STREAMS
DOCUMENTS = {"JOB": _JOBS, "STREAM": _STREAMS, "DOCUMENT": "%s %s" % (_JOBS, _STREAMS)}
"""Values that name documents: for each folder of theirs the variable that names it, and its default."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``completion``."""
    parser.add_argument(
        "shell", choices=tuple(SHELLS), help="the shell; to use the script in bash or zsh: source <(log-archive completion bash)"
    )


def print_script(shell: str, commands: t.Sequence[Described]) -> int:
    """Print the script that completes these commands in a shell."""
    output.print_text(SHELLS[shell](list(_spread(commands))).rstrip("\n"))
    return EXIT_DONE


def _spread(commands: t.Sequence[Described]) -> t.Iterator[Described]:
    """The commands, with one for each action of a command (such as ``key``) if others begin with its word (``key unwrap``)."""
    groups = {command.name.partition(" ")[0] for command in commands if " " in command.name}
    for command in commands:
        if command.name not in groups:
            yield command
            continue
        action = _positional(command)[0]
        for choice in action.choices:
            rest = [argument for argument in command.arguments if argument is not action]
            yield command._replace(name="%s %s" % (command.name, choice), arguments=rest)


def _words(commands: t.Sequence[Described]) -> t.Tuple[t.Dict[str, str], t.Dict[str, t.Dict[str, str]]]:
    """What can follow ``log-archive``, with what it does; and by the first word of the commands of two words what can follow that."""
    first = {command.name: command.summary for command in commands if " " not in command.name}
    groups: t.Dict[str, t.Dict[str, str]] = {}
    for command in commands:
        group, _blank, second = command.name.partition(" ")
        if second:
            groups.setdefault(group, {})[second] = command.summary
    first.update({group: "%s: %s" % (group, ", ".join(seconds)) for group, seconds in groups.items()})
    return {**first, "help": "show the help of a command", "version": "print the version"}, groups


def _positional(command: Described) -> t.List[Argument]:
    return [argument for argument in command.arguments if not argument.names]


# -- bash --------------------------------------------------------------------------------------------------------------

_BASH = """\
# bash completion of log-archive %(version)s

_log_archive_documents() { # VARIABLE DEFAULT...: add the names of the documents
    local path
    for ((; $#; )); do
        for path in "${!1:-$2}"/*.json; do
            path=${path##*/}
            [[ $path == '*.json' ]] || words+=" ${path%%.json}"
        done
        shift 2
    done
}

_log_archive() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command= options= words= files= index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
        --config) ((index++)) ;;
        -* | help) ;;
        *)
            command=${COMP_WORDS[index]}
            case $command in %(groups)s) ((index + 1 < COMP_CWORD)) && command+=" ${COMP_WORDS[index+1]}" ;; esac
            break ;;
        esac
    done
    case $command in
    '') options='--config --json --version --help' words='%(first)s'; [[ $previous != --config ]] || words= files=1 ;;
%(commands)s    esac
    [[ $current == -* && $options ]] && words=$options
    COMPREPLY=($(compgen -W "$words" -- "$current"))
    if [[ $files ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY+=($(compgen -f -- "$current"))
    fi
}

complete -F _log_archive log-archive
"""


def bash(commands: t.Sequence[Described]) -> str:
    """The script for bash."""
    first, groups = _words(commands)
    cases = ["    %s) words='%s' ;;\n" % (group, " ".join(seconds)) for group, seconds in groups.items()]
    for command in commands:
        valued = [argument for argument in command.arguments if argument.names and argument.value]
        values = "".join("        %s) %s ;;\n" % (" | ".join(one.names), _bash_value(one) or "return") for one in valued)
        options = " ".join(name for argument in command.arguments for name in argument.names)
        others = "; ".join(filter(None, ["options='%s'" % options, *map(_bash_value, _positional(command))]))
        cases.append("    '%s')\n        case $previous in\n%s        *) %s ;;\n        esac ;;\n" % (command.name, values, others))
    return _BASH % {"version": __version__, "groups": " | ".join(groups), "first": " ".join(first), "commands": "".join(cases)}


def _bash_value(argument: Argument) -> str:
    """The command that completes a value; nothing if it is any text."""
    if argument.choices:
        return "words='%s'" % " ".join(argument.choices)
    if argument.value in DOCUMENTS:
        return "_log_archive_documents %s" % DOCUMENTS[argument.value]
    return "files=1" if argument.value in FILES else ""


# -- zsh ---------------------------------------------------------------------------------------------------------------

_ZSH = """\
#compdef log-archive
# zsh completion of log-archive %(version)s

_log_archive_documents() { # VARIABLE DEFAULT...
    local folder
    local -a names
    while (($#)); do
        folder=${(P)1:-$2}
        names+=($folder/*.json(N:t:r))
        shift 2
    done
    compadd -a names
}

_log_archive_commands() {
    local -a commands
    commands=(
%(first)s    )
    _describe command commands
}

_log_archive() {
    local command
    integer at=2
    while [[ ${words[at]} == (--json|--config|help) ]]; do
        if [[ ${words[at]} == --config ]]; then
            ((++at))
            ((at < CURRENT)) || { ((at == CURRENT)) && _files; return }
        fi
        ((++at))
    done
    ((at < CURRENT)) || { _log_archive_commands; return }
    command=${words[at]}
    case $command in
%(groups)s    esac
    # From here on the command is the first word.
    words=("$command" "${(@)words[at+1,-1]}")
    ((CURRENT -= at - 1))
    case $command in
%(commands)s    esac
}

if [[ $funcstack[1] == _log_archive ]]; then _log_archive "$@"; else compdef _log_archive log-archive; fi
"""


def zsh(commands: t.Sequence[Described]) -> str:
    """The script for zsh."""
    first, groups = _words(commands)
    after, cases = [], []
    for group, seconds in groups.items():
        described = " ".join(_zsh_described(word, summary) for word, summary in seconds.items())
        after.append(
            "    %s)\n        ((++at))\n        if ((at == CURRENT)); then\n            local -a second=(%s)\n"
            '            _describe command second; return\n        fi\n        command+=" ${words[at]}" ;;\n' % (group, described)
        )
    for command in commands:
        specs = [_zsh_option(argument, name) for argument in command.arguments for name in argument.names]
        for number, argument in enumerate(_positional(command), 1):
            specs.append("%s:%s:%s" % ("*" if argument.several else number, argument.value, _zsh_value(argument)))
        lines = " \\\n            ".join(shlex.quote(spec) for spec in specs)
        cases.append("    '%s')\n        _arguments -S \\\n            %s ;;\n" % (command.name, lines))
    described = "".join("        %s\n" % _zsh_described(word, summary) for word, summary in first.items())
    return _ZSH % {"version": __version__, "first": described, "groups": "".join(after), "commands": "".join(cases)}


def _zsh_described(word: str, summary: str) -> str:
    return shlex.quote("%s:%s" % (word, summary))


def _zsh_option(argument: Argument, name: str) -> str:
    about = "".join("\\" + char if char in "[]:\\" else char for char in argument.help)
    return "%s[%s]%s" % (name, about, ":%s:%s" % (argument.value, _zsh_value(argument)) if argument.value else "")


def _zsh_value(argument: Argument) -> str:
    if argument.choices:
        return "(%s)" % " ".join(argument.choices)
    if argument.value in DOCUMENTS:
        # With a blank first, zsh adds no arguments of its own.
        return " _log_archive_documents %s" % DOCUMENTS[argument.value]
    return "_files" if argument.value in FILES else " "


# -- fish --------------------------------------------------------------------------------------------------------------

_FISH = """\
# fish completion of log-archive %(version)s

function __log_archive_documents # VARIABLE DEFAULT...
    while set -q argv[1]
        set -l folder $$argv[1]
        test -n "$folder"; or set folder $argv[2]
        for path in $folder/*.json
            string replace -r '.*/(.*)\\.json$' '$1' -- $path
        end
        set -e argv[1..2]
    end
end

function __log_archive_command # the command so far, or nothing
    set -l words (commandline -opc)
    set -l command
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --config
                set -e words[1]
            case '-*' help
            case %(groups)s
                set command $words[1]
                set -q words[2]; and set command "$words[1] $words[2]"
                break
            case '*'
                set command $words[1]
                break
        end
        set -e words[1]
    end
    echo $command
end

function __log_archive_is # COMMAND
    test (__log_archive_command) = "$argv"
end

complete -c log-archive -e
complete -c log-archive -f
"""


def fish(commands: t.Sequence[Described]) -> str:
    """The script for fish."""
    first, groups = _words(commands)
    lines = [_fish_line("", "-a", word, "-d", summary) for word, summary in first.items()]
    for group, seconds in groups.items():
        lines += [_fish_line(group, "-a", word, "-d", summary) for word, summary in seconds.items()]
    for command in commands:
        for argument in command.arguments:
            value = _fish_value(argument)
            if argument.names:
                names = [part for name in argument.names for part in (("-l", name[2:]) if name.startswith("--") else ("-s", name[1:]))]
                lines.append(_fish_line(command.name, *names, *value, "-d", argument.help))
            elif value[1:]:
                lines.append(_fish_line(command.name, *value[1:]))
    return _FISH % {"version": __version__, "groups": " ".join(groups)} + "".join(lines)


def _fish_line(command: str, *words: str) -> str:
    quoted = " ".join(word if word.startswith("-") else _fish_quoted(word) for word in words)
    return "complete -c log-archive -n %s %s\n" % (_fish_quoted("__log_archive_is %s" % command), quoted)


def _fish_quoted(text: str) -> str:
    return "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'")


def _fish_value(argument: Argument) -> t.Tuple[str, ...]:
    """The options that define how to complete a value."""
    if not argument.value:
        return ()
    if argument.choices:
        return "-x", "-a", " ".join(argument.choices)
    if argument.value in DOCUMENTS:
        return "-x", "-a", "(__log_archive_documents %s)" % DOCUMENTS[argument.value]
    return ("-r", "-F") if argument.value in FILES else ("-x",)


SHELLS: t.Dict[str, t.Callable[[t.Sequence[Described]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""By name of the shell, the function that makes its script."""
