# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of options that the engine's tables declare, for doc fragments. ``_module.argument_spec`` reads the same tables."""

from __future__ import annotations

import json
import re
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.option import Spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import ansible_type

_MARKUP = re.compile(r"\bO\(([a-z_]+)")

FORMATS = {
    "duration": "A number of seconds, or numbers with the units w, d, h, m and s, such as V(90), V(15m) or V(1d12h).",
    "size": "A number of bytes, or a number with K, M, G, T or P (powers of 1024), such as V(512), V(10M) or V(1.5G).",
}
"""By type, how a value is written."""


def documentation(*specs: Spec, **other: t.Any) -> str:
    """A fragment's DOCUMENTATION for these options. other: further parts of it, such as ``requirements``."""
    options: t.Dict[str, t.Any] = {}
    for spec in specs:
        options.update(_documented(spec, []))
    return json.dumps(dict(other, options=options))


def _documented(spec: Spec, outer: t.Sequence[t.Tuple[str, Spec]]) -> t.Dict[str, t.Any]:
    documented = {}
    scopes = [*outer, ("", spec)]

    def with_full_names(text: str) -> str:
        return _MARKUP.sub(lambda found: "O(" + _full_name(found[1], scopes), text)

    for name, option in spec.items():
        entry = documented[name] = {"type": ansible_type(option["type"])}
        entry.update({field: option[field] for field in ("required", "default", "choices", "elements") if field in option})
        sentences = list(option["description"])
        if option["type"] in FORMATS:
            sentences.append(FORMATS[option["type"]])
        if "types" in option:
            kinds = ["V(%s)" % kind for kind in option["types"]]
            sentences.append("Only with O(type) %s." % " or ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]])))
        if "minimum" in option:
            sentences.append("At least V(%s)." % option["minimum"])
        if "maximum" in option:
            sentences.append("At most V(%s)." % option["maximum"])
        if "pattern_means" in option:
            sentences.append("Allowed are %s." % option["pattern_means"])
        entry["description"] = [with_full_names(text) for text in sentences]
        if "options" in option:
            entry["suboptions"] = _documented(option["options"], [*outer, (name + "[]" * (option["type"] == "list"), spec)])
    return documented


def _full_name(name: str, scopes: t.Sequence[t.Tuple[str, Spec]]) -> str:
    """The option that a description calls ``name``, of the innermost table that has it, as markup wants it: ``job.stores[].host_key``."""
    for depth in range(len(scopes) - 1, -1, -1):
        if name in scopes[depth][1]:
            return ".".join([step for step, _spec in scopes[:depth]] + [name])
    raise KeyError("a description names the option '%s', which does not exist" % name)
