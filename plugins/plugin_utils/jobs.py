# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job documents of a host, from its own variables and those of its groups."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import places as places_of_jobs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import name_conflicts, normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documents import Document

STATE = {"log_archive_state": "/var/lib/log-archive", "log_archive_log_dir": "/var/log/log-archive"}
PLACES = {"log_archive_keyring": "/etc/log-archive/keyring", "log_archive_spool": "/var/spool/log-archive", **STATE}
"""The variables for the files and folders of a host, with their defaults."""


def event_log(places: t.Mapping[str, t.Any]) -> t.Any:
    """The event log of a host."""
    log_dir = places["log_archive_log_dir"]
    return os.path.join(log_dir, "events.jsonl") if isinstance(log_dir, str) else log_dir


def _start(host: str, places: Document) -> Document:
    return {
        "host": host,
        "encryption": {},
        "spool": places["log_archive_spool"],
        "state": places["log_archive_state"],
        "log": event_log(places),
    }


def _finish(document: Document, places: Document) -> None:
    encryption = document["encryption"]
    # With recipients, a keyring is only for hosts that should be able to open their archives.
    if isinstance(encryption, dict) and encryption.get("format") != "none" and not encryption.get("recipients"):
        encryption.setdefault("keyring", places["log_archive_keyring"])


KIND = documents.Kind(
    name="job",
    variable="log_archive_jobs",
    defaults="log_archive_job_defaults",
    shared="log_archive_stores",
    parts="stores",
    part="store",
    places=PLACES,
    spec=JOB,
    start=_start,
    finish=_finish,
    problems=lambda document, roots: places_of_jobs.outside_of(normalise(document), roots),
    conflicts=name_conflicts,
)
