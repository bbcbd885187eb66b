# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive reveal``."""

from __future__ import annotations

import sys
import typing as t

from ..base.errors import EXIT_DONE, ConfigError, UsageError
from ..base.texts import line
from . import output, stream_documents

if t.TYPE_CHECKING:
    import argparse


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``reveal``."""
    parser.add_argument(
        "tokens", metavar="TOKEN", nargs="*", help="token from the column or field client_id (default: one per line of standard input)"
    )
    parser.add_argument("--stream", metavar="STREAM", help="stream that stored the tokens (default: the only one with client_ids)")
    parser.add_argument("--keyring", metavar="FOLDER", help="path of the keyring of client ids, instead of a stream")
    parser.add_argument("--month", metavar="YYYY-MM", help="month of the entries (default: try the key of every month)")


def reveal(options: argparse.Namespace) -> int:
    """Print the client ids of tokens, one on each line."""
    from ..crypto import client_ids

    if options.stream and options.keyring:
        raise UsageError("--keyring cannot be combined with --stream", hint="Give one of them")
    keys = client_ids.keys_of(options.keyring or _keyring_of_stream(options), options.month)
    tokens = options.tokens or [text.strip() for text in sys.stdin if text.strip()]
    found = [client_ids.reveal(keys, token) for token in tokens]
    if options.json:
        output.print_json([{"token": token, "client_id": each.text, "client_key": each.key} for token, each in zip(tokens, found)])
    else:
        for each in found:
            output.print_text(line(each.text))
    return EXIT_DONE


def _keyring_of_stream(options: argparse.Namespace) -> str:
    options.streams = [options.stream] if options.stream else []
    folders = sorted(
        {document["client_ids"]["keyring"] for document in stream_documents.named(options) if document["client_ids"] is not None}
    )
    if not folders and options.stream:
        raise ConfigError("the stream encrypts no client ids (client_ids)", options.stream, "Name another stream, or use --keyring")
    if not folders:
        raise ConfigError("no stream encrypts client ids", hint="Use --keyring")
    if len(folders) != 1:
        raise ConfigError("the streams use several keyrings", ", ".join(folders), "Use --stream or --keyring")
    return folders[0]
