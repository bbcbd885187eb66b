# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run records as reports need them."""

from __future__ import annotations

import typing as t

from ..base.errors import EXIT_FAILED
from ..state.runs import blank_record

if t.TYPE_CHECKING:
    from ..state.record import RunRecord


def complete(given: t.Mapping[str, t.Any]) -> RunRecord:
    """A run record with every key, from one that may have only job, outcome and errors: of a job that could not start, or of a host
    that could not be reached."""
    record = blank_record("-", "-")
    record["outcome"] = "-"
    record["exit_code"] = EXIT_FAILED
    return t.cast("RunRecord", {**record, **given})


def has_failed(record: RunRecord) -> bool:
    """Whether the run had errors. Archives that wait because the operator declined their upload are not errors, nor is a locked run."""
    return bool(record["errors"]) and record.get("outcome") != "locked"


def state_of(record: RunRecord) -> str:
    """'failed', 'warning' or 'done'."""
    if has_failed(record):
        return "failed"
    return "warning" if record["warnings"] or record["errors"] else "done"


def worst_state(records: t.Iterable[RunRecord]) -> str:
    """The same for several runs."""
    states = {state_of(record) for record in records}
    return next((state for state in ("failed", "warning") if state in states), "done")
