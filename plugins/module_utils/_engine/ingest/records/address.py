# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The address of a client, as SFTPGo writes it: ``ip:port`` or ``ip``, IPv6 with or without brackets."""

from __future__ import annotations

import typing as t


def split_address(text: str) -> t.Tuple[str, t.Optional[int]]:
    """The address without brackets, and the port if there is one: "[2001:db8::5]:443" is ("2001:db8::5", 443)."""
    host, separator, port = text.rpartition(":")
    if text[:1] == "[":
        inside, _bracket, rest = text[1:].partition("]")
        return inside, _port(rest[1:]) if rest.startswith(":") else None
    if not separator or ":" in host:
        return text, None
    number = _port(port)
    return (text, None) if number is None else (host, number)


def _port(text: str) -> t.Optional[int]:
    if len(text) > 5 or not text.isdigit() or not text.isascii():
        return None
    number = int(text)
    return number if number < 65536 else None
