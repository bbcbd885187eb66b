# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run record as JSON of a limited size, for receivers with a limit."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from ..state.record import RunRecord

LEFT_OUT = ("archives", "skipped", "sources_deleted", "missing", "pruned", "given_up")
"""In this order, as far as needed."""
MOST_PROBLEMS = 20
LONGEST_PROBLEM = 1000
"""Characters."""


def fitted(record: RunRecord, limit: int, more: t.Mapping[str, t.Any]) -> str:
    """The record with the members of ``more``, as ASCII JSON of at most ``limit`` bytes.

    A record that is too large loses lists, and ``cut`` has the number of items of each: {"archives": 12000}. A byte
    of a name that is not UTF-8 is written as the text ``\\udcff``.
    """
    body: t.Dict[str, t.Any] = {**record, **more}
    text = _json(body)
    cut: t.Dict[str, int] = {}
    for name in LEFT_OUT:
        if len(text) <= limit:
            return text
        cut[name] = len(body.pop(name, None) or ())
        text = _json({**body, "cut": cut})
    if len(text) <= limit:
        return text
    for name in ("errors", "warnings"):
        cut[name] = len(body[name])
        body[name] = [problem[:LONGEST_PROBLEM] for problem in body[name][:MOST_PROBLEMS]]
    return _json({**body, "cut": cut})


def _json(value: t.Any) -> str:
    return json.dumps(_valid(value), separators=(",", ":"))


def _valid(value: t.Any) -> t.Any:
    """The value without lone surrogates, which are not text: services refuse them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {_valid(name): _valid(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_valid(item) for item in value]
    return value
