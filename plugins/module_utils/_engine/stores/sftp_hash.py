# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hash of a file on an SFTP server, as the server computes it."""

from __future__ import annotations

import re
import shlex
import typing as t

from .sftp_session import Session

COMMANDS = (("md5sum", "md5", 32), ("sha256sum", "sha256", 64))
"""Command, algorithm, length of its digest in hex."""


class RemoteHash:
    """The ways to a hash: check-file of SFTP, and commands. It remembers which of them the server turned out not to have."""

    def __init__(self) -> None:
        self._missing: t.Set[str] = set()

    def reset(self) -> None:
        """Try all ways again: it may be another server."""
        self._missing.clear()

    def of(self, session: Session, path: str, size: int) -> t.Optional[t.Tuple[str, str]]:
        """(md5 or sha256, hex digest), or None if the server can do neither. size: of the file in bytes."""
        if "check-file" not in self._missing:
            computed = session.check_file(path, size)
            if computed is not None and computed[0] in ("md5", "sha256"):
                return computed
            self._missing.add("check-file")
        return self.by_command(session, path, size)

    def by_command(self, session: Session, path: str, size: int) -> t.Optional[t.Tuple[str, str]]:
        """The same by a command, which is a process of its own on the server: it does not see what only the session sees."""
        for command, algorithm, length in COMMANDS:
            if command in self._missing:
                continue
            output = session.run("%s < %s" % (command, shlex.quote(path)), size)
            match = re.search(r"^([0-9a-f]{%d})\b" % length, output or "", re.MULTILINE)
            if match:
                return algorithm, match.group(1)
            self._missing.add(command)
        return None
