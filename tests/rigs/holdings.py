# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of the fixture ``store`` of tests/unit/.../holdings, and how to put other files beside them."""

from __future__ import annotations

import os
import typing as t

from rigs.host import NOW

KEYS = ["web1/syslog/2024/01/12/syslog.20240112.%d.tgz.fernet" % hour for hour in (12, 13, 14)]


def put(store: t.Any, key: str, data: bytes = b"x", age: float = 0) -> None:
    """Write an object to a file store behind its back. age: in seconds before ``NOW``."""
    path = os.path.join(store.location(), key)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    os.utime(path, (NOW.timestamp() - age,) * 2)
