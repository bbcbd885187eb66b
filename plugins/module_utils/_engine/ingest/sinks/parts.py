# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A batch in parts, which a sink gets one after the other, before its turn to store the batch: only one of them is in memory as objects."""

from __future__ import annotations

import collections
import typing as t

from ..checkpoint import Staged
from ..records.tables import with_generation
from .sums import HourlySums

if t.TYPE_CHECKING:
    from ..checkpoint import Batch, Parsed, Rejected
    from ..records.tables import Columns


def staged_batch(batch: Batch, parts: t.Iterable[Parsed], has_sums: bool, put: t.Callable[[str, Columns], t.Any]) -> Batch:
    """A batch of which the sink has the rows. parts: its rows and rejected lines. put: gives rows of a table to the sink."""
    generation = batch.generation.id
    counts: t.Counter[str] = collections.Counter()
    rejected: t.List[Rejected] = []
    sums = HourlySums()
    for part in parts:
        for table, rows in part.rows.items():
            put(table, with_generation(generation, rows))
            counts[table] += len(rows)
        rejected += part.rejected
        if has_sums:
            sums.add(part.rows)
    found = [Staged(table, count) for table, count in counts.items()]
    return batch._replace(rejected=rejected, staged=found, sums=sums.rows(generation) if has_sums else None)
