# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages to systemd about the state of a service. Protocol: sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import typing as t


class Systemd:
    """The service manager that started this process, if it waits for messages; otherwise nothing happens."""

    def __init__(self, environment: t.Optional[t.Mapping[str, str]] = None) -> None:
        given = os.environ if environment is None else environment
        self._address = given.get("NOTIFY_SOCKET", "")
        wanted = given.get("WATCHDOG_USEC", "")
        mine = given.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog = int(wanted) / 1e6 if mine and wanted.isdigit() and int(wanted) else None
        """Seconds after which systemd kills a service that has sent no sign of life; None without a watchdog."""

    def ready(self) -> None:
        """The service has started."""
        self._send("READY=1")

    def alive(self) -> None:
        """A sign of life for the watchdog."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The service ends now."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for people."""
        self._send("STATUS=" + text.replace("\n", " "))

    def _send(self, message: str) -> None:
        if not self._address.startswith(("/", "@")):
            return
        import socket

        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # Nobody may be listening any more; the service works without.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.sendto(message.encode(), address)
