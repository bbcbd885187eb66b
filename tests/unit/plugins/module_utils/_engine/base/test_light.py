# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""JSON and datetime by the C code alone are those of the standard library."""

from __future__ import annotations

import datetime
import json
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import light

VALUE = {"a": [1, -2.5, 1e300, True, False, None, '\u00e9\ud800\n"\U0001f600', {}, []], "NaN": float("inf"), "z": {"y": (1,), "x": "/"}}
WRONG = ["", "  ", "nul", "[1,]", '{"a" 1}', '{"a": 1,}', '{"a":', '"abc', '"\x01"', "{} x", "\ufeff{}", "[1] [2]", '"\\q"', "[" * 100_000]


def outcome(call: t.Callable[..., t.Any], *arguments: t.Any, **named: t.Any) -> t.Any:
    try:
        return repr(call(*arguments, **named))
    except (ValueError, RecursionError, TypeError) as error:
        return type(error), None if isinstance(error, RecursionError) else str(error)


@pytest.fixture(params=["with", "without"])
def c_code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With the C code of json, and in an interpreter that lacks it."""
    if request.param == "without":
        monkeypatch.setitem(sys.modules, "_json", None)
    return bool(request.param == "with")


@pytest.mark.usefixtures("c_code")
def test_a_value_is_written_and_read_as_by_json() -> None:
    text = json.dumps(VALUE)
    assert light.dumps(VALUE) == text and light.dumps(VALUE, sort_keys=True) == json.dumps(VALUE, sort_keys=True)
    assert repr(light.loads(" \r\n\t%s \n" % text)) == repr(json.loads(text))
    pairs = '{"a": 1, "a": {"b": 2}}'
    assert light.loads(pairs, object_pairs_hook=tuple) == json.loads(pairs, object_pairs_hook=tuple)


@pytest.mark.usefixtures("c_code")
def test_a_mistake_is_reported_as_by_json() -> None:
    assert [outcome(light.loads, text) for text in WRONG] == [outcome(json.loads, text) for text in WRONG]
    circle: t.List[t.Any] = []
    circle.append(circle)
    for value in ({1, 2}, {"a": object}, {(1,): 2}, circle):
        assert outcome(light.dumps, value) == outcome(json.dumps, value)


def test_an_idle_run_needs_only_the_c_code(c_code: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", None)
    monkeypatch.setattr(json, "dumps", None)
    if c_code:
        assert light.loads(light.dumps([1])) == [1]
    else:
        with pytest.raises(TypeError):
            light.dumps([1])


def test_the_classes_of_datetime_are_the_same() -> None:
    for name in ("date", "datetime", "timedelta", "timezone", "tzinfo", "MINYEAR"):
        assert getattr(light.datetime, name) is getattr(datetime, name)
