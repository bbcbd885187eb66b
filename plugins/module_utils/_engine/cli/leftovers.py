# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs and stores that no document names any more, for the commands that show it."""

from __future__ import annotations

import os
import time
import typing as t

from ..base.errors import EXIT_DONE, LogArchiveError
from ..config.spec import DEFAULT_CONFIG
from . import output

if t.TYPE_CHECKING:
    from ..state.orphans import OrphanRow


def orphans(config: str) -> t.List[OrphanRow]:
    """What is left of jobs and stores that no document in the folder ``config`` names any more. A single document names too little."""
    from ..config import files
    from ..state.orphans import find

    if os.path.isfile(config):
        return []
    documents = files.all_given(config)
    try:
        return find(documents, time.time(), config == DEFAULT_CONFIG)
    except LogArchiveError as error:
        if not documents:
            raise
        # The rows of the jobs report a catalog that cannot be used.
        output.print_error("log-archive: cannot look for orphans: %s" % error)
        return []


def write_orphans(config: str, targets: t.Iterable[str]) -> int:
    """Write the metrics of orphans to these folders; returns the exit code. A single document as ``config`` names too little for that."""
    from ..archive.naming import host_name
    from ..config import files
    from ..run import metrics

    if os.path.isfile(config):
        return EXIT_DONE
    hosts = [given.get("host") for _name, given in sorted(files.all_given(config).items())]
    try:
        metrics.write_orphans(targets, orphans(config), host_name(next((host for host in hosts if isinstance(host, str)), None)))
    except LogArchiveError as error:
        output.print_error("log-archive: cannot write the metrics of orphans: %s" % error)
        return error.exit_code
    return EXIT_DONE
