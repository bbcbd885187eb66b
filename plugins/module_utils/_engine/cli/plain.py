# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command lines that cron and timers start, read without argparse: loading it and making a parser takes a tenth of an idle run."""

from __future__ import annotations

import types

from ..base import hints as t
from .options import default_config
from .run import run

if t.TYPE_CHECKING:
    import argparse


def parse_plain(arguments: t.Sequence[str]) -> t.Optional[argparse.Namespace]:
    """The options of ``run [--config PATH] [--json] JOB...``, as ``parser.parse`` returns them; None for any other command line."""
    if arguments[:1] != ["run"]:
        return None
    config, json, rest = default_config("job"), False, list(arguments[1:])
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--json":
            json = True
        elif option == "--config" and rest:
            config = rest.pop(0)
        else:
            return None
    if not rest or any(word[:1] in ("", "-") for word in [config, *rest]):
        return None
    found = types.SimpleNamespace(
        config=config, json=json, jobs=rest, all=False, dry_run=False, confirm=False, no_upload=False, call=run, title="run"
    )
    return t.cast("argparse.Namespace", found)
