# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of mail, read by the parser of Python's own library for mail."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from email.headerregistry import Address


def problem(text: str, local: bool) -> t.Optional[str]:
    """What is wrong with an address, or None. local: whether a name without a domain is one, of a user of this host."""
    from email.errors import MessageError
    from email.headerregistry import HeaderRegistry

    if not text.isascii():
        return "must be ASCII; a domain with other letters has a form that begins with xn--"
    if not text.isprintable():
        return "must be one line of printable characters"
    if text.startswith("-"):
        return "begins with '-', which programs take for an option"
    try:
        header = HeaderRegistry()("to", text if not local or "@" in text else text + "@localhost")
        addresses = header.addresses
    except (MessageError, ValueError, IndexError):
        return "is no mail address"
    if header.defects or len(addresses) != 1 or any(group.display_name for group in header.groups):
        return "is no mail address"
    if addresses[0].username.startswith("-"):
        return "begins with '-', which programs take for an option"
    return None if addresses[0].username and addresses[0].domain else "is no mail address"


def of(text: str) -> Address:
    """The address that ``problem`` found to be one."""
    from email.headerregistry import Address, HeaderRegistry

    return Address(username=text) if "@" not in text else HeaderRegistry()("to", text).addresses[0]
