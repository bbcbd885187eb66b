# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs and stores that no document names any more, for the commands that show it."""

from __future__ import annotations

import os
import time
import typing as t

from ..base.errors import EXIT_DONE, ConfigError, LogArchiveError
from ..config.spec import DEFAULT_CONFIG
from . import output

if t.TYPE_CHECKING:
    from ..state.orphans import OrphanRow


def look(config: str) -> t.Tuple[t.List[OrphanRow], t.List[LogArchiveError]]:
    """What is left of jobs and stores that no document in the folder ``config`` names any more; and why there may be more of it.

    A single document names too little.
    """
    from ..config import files
    from ..state.orphans import find, without_folders

    if os.path.isfile(config):
        return [], []
    documents = files.all_given(config)
    problems: t.List[LogArchiveError] = []
    for name in without_folders(documents):
        try:
            files.load(os.path.join(config, name + ".json"))
        except LogArchiveError as error:
            problems.append(error)
    try:
        return find(documents, time.time(), config == DEFAULT_CONFIG), problems
    except LogArchiveError as error:
        if not documents:
            raise
        return [], [*problems, error]


def orphans(config: str) -> t.List[OrphanRow]:
    """The same for who reports each document and each catalog that cannot be used by itself."""
    rows, problems = look(config)
    for error in problems:
        if not isinstance(error, ConfigError):
            output.print_error("log-archive: cannot look for orphans: %s" % error)
    return rows


def write_orphans(config: str, targets: t.Iterable[str]) -> int:
    """Write the metrics of orphans to these folders; returns the exit code. A single document as ``config`` names too little for that."""
    from ..archive.naming import host_name
    from ..config import files
    from ..run import metrics

    if os.path.isfile(config):
        return EXIT_DONE
    hosts = [given.get("host") for _name, given in sorted(files.all_given(config).items())]
    rows, problems = look(config)
    try:
        for error in problems:
            if not isinstance(error, ConfigError):
                raise error
        metrics.write_orphans(targets, rows, host_name(next((host for host in hosts if isinstance(host, str)), None)))
    except LogArchiveError as error:
        output.print_error("log-archive: cannot write the metrics of orphans: %s" % error)
        return error.exit_code
    return EXIT_DONE
