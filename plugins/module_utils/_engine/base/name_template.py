# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates of names of files."""

from __future__ import annotations

import datetime
import re
import typing as t

from .errors import ConfigError
from .periods import RENDER, did_you_mean, load_timezone


def render_name(template: str, period_start: datetime.datetime, timezone: str, fields: t.Mapping[str, str]) -> str:
    """Return the file name that ``template`` gives for a period.

    template: ``{field}`` (a key of ``fields``) and the codes of ``compile_pattern``, filled in from ``period_start`` (aware) in
    ``timezone``. Values are inserted as they are. Raise ConfigError for unknown fields and codes, stray braces, and if the
    result is not a file name ('/' in it, empty).
    """
    local = period_start.astimezone(load_timezone(timezone))

    def replace(found: t.Match[str]) -> str:
        code, field = found.groups()
        if found[0] == "%%":
            return "%"
        if field is not None and field in fields:
            return fields[field]
        if code in RENDER:
            return RENDER[code](local)
        allowed = "fields %s; time codes %s and %%%%" % (
            " ".join("{%s}" % name for name in sorted(fields)),
            " ".join("%" + name for name in RENDER),
        )
        near = did_you_mean(field, fields) if field else ""
        raise ConfigError("unknown '%s' in the name template" % found[0], repr(template), "%sAllowed are the %s" % (near, allowed))

    name = re.sub(r"%(.?)|\{([^{}]*)\}|[{}]", replace, template, flags=re.DOTALL)
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise ConfigError(
            "the name template gives %r, which is not a file name" % name, repr(template), "Do not use '/', and do not leave it empty"
        )
    return name
