# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of SFTPGo's log to rows, by the class of the line. Format: SFTPGo 2.7, ``internal/logger`` and its callers."""

from __future__ import annotations

import typing as t

from .address import split_address
from .fill import Filler, Values
from .refused import Refused
from .tables import APPLICATION, COMMAND, DERIVED_IP, DERIVED_PORT, FAILED_LOGIN, HTTP, LOGIN, PROFILES, TRANSFER, Table, Value

COMMANDS = frozenset(
    ("Rename", "Rmdir", "Mkdir", "Symlink", "Remove", "Chown", "Chmod", "Chtimes", "Copy", "Truncate", "SSHCommand"),
)
CLASSES: t.Dict[str, t.Tuple[Table, str]] = {
    "Upload": (TRANSFER, "size_bytes"),
    "Download": (TRANSFER, "size_bytes"),
    "login": (LOGIN, "method"),
    "connection_failed": (FAILED_LOGIN, "login_type"),
    "httpd": (HTTP, "resp_status"),
}
CLASSES.update(dict.fromkeys(COMMANDS, (COMMAND, "virtual_target_path")))
"""By sender: the table, and a field that only lines of this class have. Parts of SFTPGo also write messages with these senders."""


class SftpgoParser:
    """The profile ``sftpgo``."""

    def __init__(self, keep_new: bool, truncate: bool) -> None:
        self._fillers = {table.name: Filler(table, keep_new, truncate, ABSENT.get(table.name, ())) for table in PROFILES["sftpgo"]}
        # Messages have free keys of any type: they are not new fields.
        self._fillers[APPLICATION.name] = Filler(APPLICATION, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        sender = fields.get("sender")
        if sender.__class__ is not str:
            raise Refused("bad_type", "sender is %s" % ("missing" if sender is None else "not a text"))
        table, mark = CLASSES.get(sender, (APPLICATION, ""))
        if mark and mark not in fields:
            table = APPLICATION
        if table is LOGIN or table is FAILED_LOGIN or table is HTTP:
            del fields["sender"]
        if table is TRANSFER or table is COMMAND or table is HTTP:
            _split_address(fields)
        return table.name, self._fillers[table.name].fill(time, fields)


ABSENT: t.Dict[str, t.Tuple[Value, ...]] = {COMMAND.name: ("", -1)}
"""By table: texts and numbers that mean that there is no value."""


def _split_address(fields: t.Dict[str, t.Any]) -> None:
    """Replace the address by host and port."""
    text = fields.pop("remote_addr", None)
    if text is None:
        return
    if not isinstance(text, str):
        raise Refused("bad_type", "remote_addr is not a text")
    fields[DERIVED_IP], port = split_address(text)
    if port is not None:
        fields[DERIVED_PORT] = port
