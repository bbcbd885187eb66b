# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module's RETURN block compared with the type of what it returns: a TypedDict or a NamedTuple."""

from __future__ import annotations

import typing as t

SCALARS = {str: "str", int: "int", float: "float", bool: "bool"}


def documented(declared: t.Any, localns: t.Optional[t.Mapping[str, t.Any]] = None) -> t.Dict[str, t.Any]:
    """The keys of a type as a RETURN block states them: {key: Ansible's type, (list, element) or the keys of a dict}."""
    return {name: _kind(field, localns) for name, field in t.get_type_hints(declared, localns=dict(localns or {})).items()}


def stated(contains: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The ``contains`` of a RETURN block in the same form as ``documented``."""
    found: t.Dict[str, t.Any] = {}
    for name, value in contains.items():
        if value["type"] == "list":
            found[name] = ("list", stated(value["contains"]) if value["elements"] == "dict" else value["elements"])
        elif value["type"] == "dict" and "contains" in value:
            found[name] = stated(value["contains"])
        else:
            found[name] = value["type"]
    return found


def _kind(field: t.Any, localns: t.Optional[t.Mapping[str, t.Any]]) -> t.Any:
    arguments = t.get_args(field)
    # Of a list or the same rows in another form, a module returns the list.
    if type(None) in arguments or t.get_origin(field) is t.Union:
        return _kind(arguments[0], localns)
    if t.get_origin(field) in (list, t.List):
        element = _kind(arguments[0], localns)
        # A RETURN block does not say what is in the inner list.
        return ("list", "list" if isinstance(element, tuple) else element)
    if t.get_origin(field) in (dict, t.Dict):
        return "dict"
    return SCALARS[field] if field in SCALARS else documented(field, localns)
