# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive key``."""

from __future__ import annotations

import sys
import typing as t

from ..base.errors import EXIT_DONE, ConfigError, UsageError
from . import output
from .options import age, documents

if t.TYPE_CHECKING:
    import argparse

    from ..crypto.keyring import Change


OPTIONS_OF = {"rotate": ("older_than",), "import": ("key_file", "make_current"), "remove": ("key_id",)}
"""The options that only one action has."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``key``."""
    parser.add_argument("action", choices=("list", "create", "rotate", "import", "remove"), help="what to do with the keyring")
    parser.add_argument("job", metavar="JOB", nargs="?", help="the job that uses the keyring (default: the only job)")
    parser.add_argument("--keyring", metavar="FOLDER", help="path of the keyring, instead of a job")
    parser.add_argument("--older-than", metavar="DURATION", type=age, help="rotate: only if the current key is older, such as 90d")
    parser.add_argument("--key-file", metavar="FILE", help="import: file that holds the key (default: standard input)")
    parser.add_argument("--make-current", action="store_true", help="import: encrypt with this key from now on")
    parser.add_argument("--key-id", metavar="ID", help="remove: the key to take out of use (it is moved aside, not destroyed)")


def manage_keys(options: argparse.Namespace) -> int:
    """Change or list a keyring."""
    from ..crypto import keyring
    from ..tell import report

    _refuse_ignored(options)
    folder = options.keyring or _keyring_of_job(options)
    change = _change(options, folder)
    keys = keyring.list_keys(folder)
    if options.json:
        result = {"keyring": folder, "changed": bool(change and change.changed), "keys": [info._asdict() for info in keys]}
        output.print_json(result)
    else:
        output.print_text(report.keys(folder, keys, change.changed if change else None))
    return EXIT_DONE


def _refuse_ignored(options: argparse.Namespace) -> None:
    """Raise UsageError for an option that the action would ignore."""
    for action, names in OPTIONS_OF.items():
        for name in names:
            if action != options.action and getattr(options, name) not in (None, False):
                option = "--" + name.replace("_", "-")
                raise UsageError("'key %s' has no option %s" % (options.action, option), hint="It is for 'key %s'" % action)
    if options.job and options.keyring:
        raise UsageError("--keyring cannot be combined with a job", hint="Give one of them")


def _keyring_of_job(options: argparse.Namespace) -> str:
    options.jobs = [options.job] if options.job else []
    folders = {document["encryption"]["keyring"] for document in documents(options)}
    found = sorted(folder for folder in folders if folder is not None)
    if not found:
        raise ConfigError("no job has a keyring", hint="Use --keyring")
    if len(found) != 1:
        raise ConfigError("the jobs use several keyrings", ", ".join(found), "Name one job, or use --keyring")
    return found[0]


def _change(options: argparse.Namespace, folder: str) -> t.Optional[Change]:
    """Do what the options ask for; None if that changes nothing by its nature."""
    from ..crypto import keyring

    if options.action == "create":
        return keyring.create(folder)
    if options.action == "rotate":
        return keyring.rotate(folder, options.older_than)
    if options.action == "import":
        return keyring.import_key(folder, _read_key(options.key_file), options.make_current)
    if options.action == "remove":
        if not options.key_id:
            raise UsageError("--key-id is missing", hint="'log-archive key list' shows the key ids")
        return keyring.remove(folder, options.key_id)
    return None


def _read_key(path: t.Optional[str]) -> str:
    if path is not None:
        from ..crypto.keyring import read_key_text

        return read_key_text(path)
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass("Fernet key: ")
    return sys.stdin.read()
