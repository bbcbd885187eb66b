# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics files of a job as it is set up and removed: from its document alone, without its catalog."""

from __future__ import annotations

import contextlib
import os
import time
import typing as t

from ..archive.naming import host_name
from ..base.beneath import open_guarded
from .messages import Message
from .metrics import JobFacts
from .receivers import textfile

if t.TYPE_CHECKING:
    from ..config.document import JobDocument


def folders_of(document: t.Mapping[str, t.Any]) -> t.List[str]:
    """The folders of the metrics files of a job document, as it was written: it may have mistakes."""
    notify = document.get("notify")
    targets = [target for target in (notify if isinstance(notify, list) else []) if isinstance(target, dict)]
    folders = [target.get("path") for target in targets if target.get("type") == "textfile"]
    return [folder for folder in folders if isinstance(folder, str) and os.path.isabs(folder)]


def add(document: JobDocument) -> None:
    """Write the first metrics file of a new job into each of its folders that exists; a file that is there stays.

    Raises LogArchiveError if it cannot be written.
    """
    from ..state.status import blank

    name, stores = document["name"], [store["name"] for store in document["stores"]]
    facts = JobFacts(name, host_name(document["host"]), None, blank(name), stores, known_since=time.time())
    for target in document["notify"]:
        folder = target["path"] or ""
        if target["type"] == "textfile" and os.path.isdir(folder) and not os.path.lexists(textfile.path_of(folder, name)):
            textfile.deliver(target, Message([], facts=lambda: facts))


def remove(job: str, folders: t.Iterable[str]) -> None:
    """Remove the metrics file of a job from these folders: nothing brings it up to date any more. Raises OSError."""
    for path in folders:
        with contextlib.suppress(FileNotFoundError), open_guarded(path) as folder:
            os.unlink(textfile.name_of(job), dir_fd=folder)
