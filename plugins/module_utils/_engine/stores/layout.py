# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a store names the object of a key: as a path of folders, or as one name in a folder that other programs read too.

With ``flat`` the archive '<host>/<job>/<YYYY>/<MM>/<DD>/<archive>' has the name '<host>~<job>~<YYYYMMDD>~<archive>'. A key without '/'
is a file of another program, under its own name. Each name belongs to one key, and each key to at most one name.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import ConfigError

FLAT_SEPARATOR = "~"
LONGEST_FLAT_NAME = 255
"""Bytes, by the limit of file systems."""
FLAT_OVERHEAD = len("~~YYYYMMDD~")
"""Bytes that a flat name has beside the names of host, job and archive."""


class Layout:
    """The layout ``tree``: the name of a key is the key itself."""

    is_flat = False

    def name_of(self, key: str) -> str:
        """The name of the object with this key. Raises ConfigError if it cannot have one."""
        return key

    def key_of(self, name: str) -> t.Optional[str]:
        """The key of the object with this name; None if it has none."""
        return name

    def beginning(self, prefix: str) -> str:
        """What the names of all keys begin with that begin with ``prefix``. Other names may begin so too."""
        return prefix

    def is_archive(self, name: str) -> bool:
        """Whether a name may be of an object of this software."""
        return True


class FlatLayout(Layout):
    """The layout ``flat``: all objects in one folder."""

    is_flat = True

    def name_of(self, key: str) -> str:
        name = self.beginning(key)
        if self.key_of(name) != key:
            raise ConfigError(
                "the key has no name in a flat store",
                repr(key),
                "The names of host and job must not contain %r; set the option host of the job" % FLAT_SEPARATOR,
            )
        if len(os.fsencode(name)) > LONGEST_FLAT_NAME:
            raise ConfigError(
                "the name of the archive in a flat store has %d bytes; the limit is %d" % (len(os.fsencode(name)), LONGEST_FLAT_NAME),
                repr(name),
                "Use a shorter name for the archive, the job or the host, or the layout tree",
            )
        return name

    def key_of(self, name: str) -> t.Optional[str]:
        if "/" in name or name.startswith(TEMP_PREFIX):
            return None
        found = re.fullmatch(r"([^~]+)~([^~]+)~([0-9]{4})([0-9]{2})([0-9]{2})~(.+)", name, re.DOTALL)
        return name if found is None or {".", ".."} & set(found.groups()) else "/".join(found.groups())

    def beginning(self, prefix: str) -> str:
        parts = prefix.split("/", 5)
        day = ["".join(parts[2:5])] if len(parts) > 2 else []
        return FLAT_SEPARATOR.join(parts[:2] + day + parts[5:])

    def is_archive(self, name: str) -> bool:
        return self.key_of(name) not in (None, name)


LAYOUTS: t.Dict[str, Layout] = {"tree": Layout(), "flat": FlatLayout()}
