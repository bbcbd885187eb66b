# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module archive_run documents the run record that it returns."""

from __future__ import annotations

import re
import typing as t

import yaml
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import record
from ansible_collections.infra_ops.log_archive.plugins.modules import archive_run

SCALARS = {str: "str", int: "int", float: "float", bool: "bool"}


class PeriodText(t.TypedDict):
    """The manifest's type of this name, which does not exist at run time."""

    start: str
    end: str


def fields_of(declared: t.Any) -> t.Dict[str, t.Any]:
    return t.get_type_hints(declared, localns={"PeriodText": PeriodText})


def assert_documented(declared: t.Any, documented: t.Mapping[str, t.Any]) -> None:
    """Every key of the type is documented with its type, and no other key is."""
    fields = fields_of(declared)
    assert list(documented) == list(fields), declared
    for name, field in fields.items():
        value = documented[name]
        plain = t.get_args(field)[0] if type(None) in t.get_args(field) else field
        origin, arguments = t.get_origin(plain), t.get_args(plain)
        if origin is list:
            assert value["type"] == "list"
            if arguments[0] is str:
                assert value["elements"] == "str"
            else:
                assert value["elements"] == "dict"
                assert_documented(arguments[0], value["contains"])
        elif origin is dict:
            # By name: RETURN blocks have no schema for it, so the description names the fields.
            assert value["type"] == "dict"
            described = set(re.findall(r"C\((\w+)\)", " ".join(value["description"])))
            fields_of_value = {} if t.get_origin(arguments[1]) is list else fields_of(arguments[1])
            assert set(fields_of_value) <= described, name
        elif plain in SCALARS:
            assert value["type"] == SCALARS[plain], name
        else:
            assert value["type"] == "dict"
            assert_documented(plain, value["contains"])


def test_the_return_block_agrees_with_the_run_record() -> None:
    documented = yaml.safe_load(archive_run.RETURN)
    assert list(documented) == ["recap"]
    assert_documented(record.RunRecord, documented["recap"]["contains"])
