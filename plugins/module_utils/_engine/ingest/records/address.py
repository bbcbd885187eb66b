# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address of a client, as SFTPGo writes it: ``ip:port`` or ``ip``, IPv6 with or without brackets."""

from __future__ import annotations

import typing as t


def split_address(text: str) -> t.Tuple[str, t.Optional[int]]:
    """The address without brackets, and the port if there is one: "[2001:db8::5]:443" is ("2001:db8::5", 443)."""
    host, separator, port = text.rpartition(":")
    if text.startswith("["):
        inside, _bracket, rest = text[1:].partition("]")
        return inside, _port(rest[1:]) if rest.startswith(":") else None
    if not separator or ":" in host:
        return text, None
    number = _port(port)
    return (text, None) if number is None else (host, number)


def _port(text: str) -> t.Optional[int]:
    number = int(text) if len(text) <= 5 and text.isascii() and text.isdigit() else -1
    return number if 0 <= number < 65536 else None
