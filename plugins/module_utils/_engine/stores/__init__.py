# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where archives go. A store's module, and the library that it needs, is loaded only when such a store is opened."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .base import Store

_COMMON = ("attempts", "retry_delay")
_OWN = {
    "file": ("path",),
    "s3": (
        "bucket",
        "prefix",
        "endpoint_url",
        "region",
        "access_key_id",
        "secret_access_key",
        "session_token",
        "profile",
        "addressing_style",
        "checksum_calculation",
        "sse",
        "sse_kms_key_id",
        "storage_class",
        "part_size",
        "ca_bundle",
        "timeout",
    ),
    "sftp": (
        "host",
        "port",
        "user",
        "path",
        "private_key_file",
        "private_key_passphrase",
        "password",
        "host_key",
        "known_hosts_file",
        "accept_new_host_key",
        "timeout",
    ),
}


def open_store(options: t.Mapping[str, t.Any]) -> Store:
    """Return the store that a normalised dict of ``job_spec.STORE`` describes; nothing is connected yet.

    Options that are None or not there get the store's own defaults, options of other store types are left aside. Raises ConfigError.
    """
    kind = options["type"]
    given = {name: options[name] for name in _COMMON + _OWN[kind] if options.get(name) is not None}
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
