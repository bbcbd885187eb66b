# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a person has accepted as lost: gaps and rejected lines, which are then no problem of the stream any more.

They stay in the sink. The file in the state folder only has, for each sink, up to which of them they are accepted.
"""

from __future__ import annotations

import json
import os
import typing as t

from ..base.errors import LogArchiveError
from ..state import folders

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument


class Accepted(t.NamedTuple):
    """When the last accepted gap and the last accepted rejected line were noticed, in Unix seconds; 0 without one."""

    gap: float = 0.0
    rejected: float = 0.0


def read(document: StreamDocument) -> t.Dict[str, Accepted]:
    """By the name of the sink. If the file cannot be read, nothing is accepted."""
    try:
        with open(os.path.join(document["state"], _name(document)), encoding="utf-8") as file:
            given = json.load(file)
        return {str(name): Accepted(float(each["gap"]), float(each["rejected"])) for name, each in given.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(document: StreamDocument, accepted: t.Mapping[str, Accepted]) -> None:
    """Replace the file. Raises LogArchiveError."""
    from ..base.durable import write_atomically

    text = json.dumps({name: each._asdict() for name, each in accepted.items()})
    with folders.held(document["state"], create=True) as state:
        try:
            write_atomically(_name(document), text.encode("ascii"), 0o600, dir_fd=state)
        except OSError as error:
            path = os.path.join(document["state"], _name(document))
            raise LogArchiveError("cannot record what is accepted: %s" % error.strerror, path) from error


def _name(document: StreamDocument) -> str:
    return "%s.stream.accepted.json" % document["name"]
