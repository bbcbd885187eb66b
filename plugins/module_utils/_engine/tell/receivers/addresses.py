# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail addresses, parsed by Python's own mail library."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from email.headerregistry import Address


def problem(text: str, local: bool) -> t.Optional[str]:
    """What is wrong with an address, or None. local: whether a name without a domain is allowed: a user of this host."""
    from email.errors import MessageError

    if not text.isascii():
        return "must be ASCII; write a domain with other letters in its xn-- form"
    if not text.isprintable():
        return "must be one line of printable characters"
    if text.startswith("-"):
        return "begins with '-', like an option of a program"
    try:
        header = _parsed(text if not local or "@" in text else text + "@localhost")
    except (MessageError, ValueError, IndexError):
        return "is not a mail address"
    addresses = header.addresses
    if header.defects or len(addresses) != 1 or any(group.display_name for group in header.groups):
        return "is not a mail address"
    if addresses[0].username.startswith("-"):
        return "begins with '-', like an option of a program"
    return None if addresses[0].username and addresses[0].domain else "is not a mail address"


def parse(text: str) -> Address:
    """The address in a text in which ``problem`` finds nothing wrong."""
    from email.headerregistry import Address

    return Address(username=text) if "@" not in text else t.cast(Address, _parsed(text).addresses[0])


def bare(text: str) -> str:
    """The address alone, without the name of its owner."""
    address = parse(text)
    return address.addr_spec if address.domain else address.username


def _parsed(text: str) -> t.Any:
    """The header with the address; its class is made at run time."""
    from email.headerregistry import HeaderRegistry

    return HeaderRegistry()("to", text)
