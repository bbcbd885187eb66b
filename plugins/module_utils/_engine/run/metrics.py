# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the metrics files of a job outside of a run."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..state import catalog as catalogs, folders

if t.TYPE_CHECKING:
    from ..config.document import JobDocument


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
