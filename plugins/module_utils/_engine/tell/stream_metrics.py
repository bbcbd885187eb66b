# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of a stream, for the textfile collector of Prometheus' node exporter. docs/metrics.md lists them; a test compares both."""

from __future__ import annotations

import time
import typing as t

from ..archive.naming import host_name
from ..base.units import parse_utc
from .metrics import Sample, rendered
from .receivers import textfile

if t.TYPE_CHECKING:
    from ..config.stream_document import StreamDocument
    from ..ingest.facts import StreamRow

UPDATED, UP = "stream_updated_timestamp_seconds", "stream_sink_up"
STREAM_METRICS = (
    (UPDATED, "gauge", "When these metrics were written; a follower writes them every minute."),
    (UP, "gauge", "1 if the sink can be used, 0 if not; the other series of a sink that cannot be used are absent."),
    ("stream_lines_total", "counter", "Lines that the sink has, with the rejected ones."),
    ("stream_read_timestamp_seconds", "gauge", "When lines were last stored."),
    ("stream_files", "gauge", "Files that are followed."),
    ("stream_unreadable", "gauge", "Files and folders that cannot be read."),
    ("stream_lag_bytes", "gauge", "Size of what is not stored yet."),
    ("stream_lag_seconds", "gauge", "How long the oldest of that has waited."),
    ("stream_rejected_lines", "gauge", "Rejected lines that are not stored yet and were not accepted."),
    ("stream_gaps_total", "counter", "Gaps: places at which the source lost lines."),
    ("stream_gap_bytes_total", "counter", "Size of the gaps with a known size."),
    ("stream_rotations_left", "gauge", "Rotations until the source removes unread lines; only with follow.backups."),
)
"""Name, type and help text of each metric. All but the first have the label sink."""


def write(folder: str, document: StreamDocument, rows: t.Sequence[StreamRow], now: t.Optional[float] = None) -> str:
    """Replace the metrics file of a stream; returns its path. rows: its status in each sink; now: Unix seconds. Raises ReceiverError."""
    name = textfile.name_of_stream(document["name"])
    textfile.replace(folder, name, render(document, rows, time.time() if now is None else now))
    return "%s/%s" % (folder.rstrip("/"), name)


def render(document: StreamDocument, rows: t.Sequence[StreamRow], now: float) -> str:
    """The text of the metrics file."""
    samples: t.Dict[str, t.List[Sample]] = {name: [] for name, _kind, _about in STREAM_METRICS}
    samples[UPDATED].append(({}, now))
    for row in rows:
        samples[UP].append(({"sink": row["sink"]}, int(row["error"] is None)))
        # A counter of a sink that cannot be read must not fall to 0: that would count as new lines later.
        for name, value in ({} if row["error"] is not None else _values(row)).items():
            if value is not None:
                samples[name].append(({"sink": row["sink"]}, value))
    return rendered(STREAM_METRICS, samples, {"stream": document["name"], "host": host_name(document["host"])})


def _values(row: StreamRow) -> t.Dict[str, t.Union[int, float, None]]:
    return {
        "stream_lines_total": row["lines"],
        "stream_read_timestamp_seconds": parse_utc(row["read_at"]).timestamp() if row["read_at"] else 0,
        "stream_files": row["files"],
        "stream_unreadable": len(row["warnings"]),
        "stream_lag_bytes": row["lag_bytes"],
        "stream_lag_seconds": row["lag_seconds"],
        "stream_rejected_lines": row["rejected"],
        "stream_gaps_total": row["gaps"],
        "stream_gap_bytes_total": row["gap_bytes"],
        "stream_rotations_left": row["rotations_left"],
    }
