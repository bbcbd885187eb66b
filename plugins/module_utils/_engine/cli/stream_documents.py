# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents of the streams that a call names or the host has, and the status of these streams."""

from __future__ import annotations

import os
import typing as t

from ..base.errors import ConfigError, LogArchiveError, NoJobsError
from ..config.spec import DEFAULT_STREAMS

if t.TYPE_CHECKING:
    import argparse

    from ..config.stream_document import SinkOptions, StreamDocument
    from ..ingest.facts import StreamRow


def named(options: argparse.Namespace) -> t.List[StreamDocument]:
    """The documents of the streams that the options name. Raises ConfigError."""
    from ..config import files

    return [files.load_stream(path) for path in files.find(options.config, options.streams, "stream")]


def sink_named(document: StreamDocument, name: str) -> SinkOptions:
    """The sink of a stream with this name. Raises ConfigError."""
    for sink in document["sinks"]:
        if sink["name"] == name:
            return sink
    known = ", ".join(sink["name"] for sink in document["sinks"])
    raise ConfigError("the stream '%s' has no sink of this name" % document["name"], name, "Its sinks are: %s" % known)


def status_of(path: str) -> t.List[StreamRow]:
    """The status of the stream with this document, in each sink."""
    from ..config import files
    from ..ingest import status

    try:
        return status.of(files.load_stream(path))
    except LogArchiveError as error:
        # A wrong document must not hide the other streams.
        return [status.unusable(files.job_of(path), error)]


def status_of_all() -> t.List[StreamRow]:
    """The status of the streams of the host; nothing without stream documents."""
    from ..config import files

    try:
        paths = files.find(folder(), [], "stream")
    except NoJobsError:
        return []
    except ConfigError as error:
        from ..ingest import status

        return [status.unusable(folder(), error)]
    return [row for path in paths for row in status_of(path)]


def folder() -> str:
    """The folder of the stream documents of the host, or the only one of them."""
    return os.environ.get("LOG_ARCHIVE_STREAMS") or DEFAULT_STREAMS
