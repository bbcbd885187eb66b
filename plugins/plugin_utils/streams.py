# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stream documents of a host, from its own variables and those of its groups."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import places as places_of_streams
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_spec import STREAM
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.jobs import STATE, event_log

KIND = documents.Kind(
    name="stream",
    variable="log_archive_streams",
    defaults="log_archive_stream_defaults",
    shared="log_archive_sinks",
    parts="sinks",
    part="sink",
    places=STATE,
    spec=STREAM,
    start=lambda host, places: {"host": host, "state": places["log_archive_state"], "log": event_log(places)},
    finish=lambda document, places: None,
    problems=lambda document, roots: places_of_streams.outside_of_stream(normalise_stream(document), roots),
)
