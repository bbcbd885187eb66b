# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the store that a job document describes. Its module, and the library that it needs, is loaded only then."""

from __future__ import annotations

import typing as t

from ..base.units import parse_duration, parse_size
from ..config.spec import STORE

if t.TYPE_CHECKING:
    from .base import Store

_PARSERS: t.Dict[str, t.Callable[[t.Any], t.Any]] = {"duration": parse_duration, "size": parse_size}
_OF_EVERY_STORE = ("attempts", "retry_delay")


def open_store(options: t.Mapping[str, t.Any]) -> Store:
    """Return the store that a normalised dict of ``job_spec.STORE`` describes; nothing is connected yet.

    Options that are None or not there get the store's own defaults, options of other store types are left aside. Raises ConfigError.
    """
    kind = options["type"]
    given = {}
    for name, option in STORE.items():
        if (name in _OF_EVERY_STORE or kind in option.get("types", ())) and options.get(name) is not None:
            given[name] = _PARSERS.get(option["type"], lambda value: value)(options[name])
    given["name"] = options.get("name") or kind
    if options.get("verify"):
        given["verify_level"] = options["verify"]
    if kind == "file":
        from .file import FileStore

        return FileStore(**given)
    if kind == "s3":
        from .s3 import S3Store

        return S3Store(**given)
    from .sftp import SftpStore

    return SftpStore(**given)
