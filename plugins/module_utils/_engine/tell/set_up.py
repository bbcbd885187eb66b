# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics files of a job or stream as it is set up and removed: from its document alone, without its catalog or sinks."""

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
    from ..config.stream_document import StreamDocument


class Metrics(t.NamedTuple):
    """The metrics files of a kind of document. name_of: the name of the file of a job or stream; write: writes the first one into a folder.

    ``write`` raises LogArchiveError if it cannot.
    """

    name_of: t.Callable[[str], str]
    write: t.Callable[[t.Any, t.Any], None]

    def folders_of(self, document: t.Mapping[str, t.Any]) -> t.List[str]:
        """The folders of the metrics files of a document, as it was written: it may have mistakes."""
        notify = document.get("notify")
        targets = [target for target in (notify if isinstance(notify, list) else []) if isinstance(target, dict)]
        folders = [target.get("path") for target in targets if target.get("type") == "textfile"]
        return [folder for folder in folders if isinstance(folder, str) and os.path.isabs(folder)]

    def add(self, document: t.Any) -> None:
        """Write the first metrics file of a new job or stream into each of its folders that exists; a file that is there stays."""
        for target in document["notify"]:
            folder = target["path"] or ""
            path = os.path.join(folder, self.name_of(document["name"]))
            if target["type"] == "textfile" and os.path.isdir(folder) and not os.path.lexists(path):
                self.write(document, target)

    def remove(self, name: str, folders: t.Iterable[str]) -> None:
        """Remove the metrics file from these folders: nothing brings it up to date any more. Raises OSError."""
        for path in folders:
            with contextlib.suppress(FileNotFoundError), open_guarded(path) as folder:
                os.unlink(self.name_of(name), dir_fd=folder)


def _first_of_job(document: JobDocument, target: t.Any) -> None:
    from ..state.status import blank

    name, stores = document["name"], [store["name"] for store in document["stores"]]
    facts = JobFacts(name, host_name(document["host"]), None, blank(name), stores, known_since=time.time())
    textfile.deliver(target, Message([], facts=lambda: facts))


def _first_of_stream(document: StreamDocument, target: t.Any) -> None:
    from ..ingest.status import blank
    from . import stream_metrics

    stream_metrics.write(target["path"], document, [blank(document, sink["name"]) for sink in document["sinks"]])


JOBS = Metrics(textfile.name_of, _first_of_job)
STREAMS = Metrics(textfile.name_of_stream, _first_of_stream)
