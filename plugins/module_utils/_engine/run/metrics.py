# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the metrics files of a job outside of a run, and those of orphans."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..state import catalog as catalogs, folders

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from ..state.orphans import OrphanRow


def write(document: JobDocument) -> t.List[str]:
    """Write the metrics of a job to its receivers of the type textfile, and record that the job is known; returns the paths.

    Raises LogArchiveError if a file or the catalog cannot be written.
    """
    from ..tell.messages import Message
    from ..tell.metrics import facts_of
    from ..tell.receivers import textfile

    targets = [target for target in document["notify"] if target["type"] == "textfile"]
    if not targets:
        return []
    with folders.held(document["state"], create=True):
        pass
    with contextlib.closing(catalogs.Catalog(document["state"])) as catalog:
        catalog.runs.know(document["name"], time.time())
    facts = facts_of(document)
    for target in targets:
        textfile.deliver(target, Message([], facts=lambda: facts))
    return [textfile.path_of(t.cast(str, target["path"]), document["name"]) for target in targets]


def targets_of(document: JobDocument) -> t.List[str]:
    """The folders of the job's receivers of the type textfile."""
    return [t.cast(str, target["path"]) for target in document["notify"] if target["type"] == "textfile"]


def write_orphans(folders_of_metrics: t.Iterable[str], rows: t.Sequence[OrphanRow], host: str) -> t.List[str]:
    """Write the metrics of what no document names any more to each of these folders; returns the paths. Raises LogArchiveError."""
    from ..tell.orphan_metrics import render
    from ..tell.receivers import textfile

    text = render(rows, host)
    written = []
    for folder in sorted(set(folders_of_metrics)):
        textfile.replace(folder, textfile.NAME_OF_ORPHANS, text)
        written.append(os.path.join(folder, textfile.NAME_OF_ORPHANS))
    return written
