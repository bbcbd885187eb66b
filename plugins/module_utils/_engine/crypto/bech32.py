# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bech32 (BIP 173), in which age writes its keys: a mistyped character does not pass the checksum.

As in age, a text may have more than the 90 characters of BIP 173.
"""

from __future__ import annotations

import typing as t

_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


def encode(prefix: str, data: bytes) -> str:
    """The text of the data, in lower case. prefix: the part before the ``1``, in lower case."""
    values = _regrouped(data, 8, 5, pad=True) or []
    polymod = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM]) ^ 1
    values += [(polymod >> 5 * (_CHECKSUM - 1 - index)) & 31 for index in range(_CHECKSUM)]
    return prefix + "1" + "".join(_CHARACTERS[value] for value in values)


def decode(text: str) -> t.Tuple[str, bytes]:
    """The prefix, in lower case, and the data of a text. Raises ValueError, which states what is wrong with it."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("it has letters of both cases")
    prefix, separator, rest = text.lower().rpartition("1")
    if not (separator and prefix and len(rest) >= _CHECKSUM and all(33 <= ord(character) <= 126 for character in prefix)):
        raise ValueError("it is too short for a key")
    values = [_CHARACTERS.find(character) for character in rest]
    if -1 in values:
        raise ValueError("it has a character that no key has: %r" % rest[values.index(-1)])
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("its checksum is wrong, so it was mistyped or cut")
    data = _regrouped(values[:-_CHECKSUM], 5, 8, pad=False)
    if data is None:
        raise ValueError("it has bits that no key has")
    return prefix, bytes(data)


def _polymod(values: t.Iterable[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for index, generator in enumerate(_GENERATOR):
            checksum ^= generator if top >> index & 1 else 0
    return checksum


def _expanded(prefix: str) -> t.List[int]:
    return [ord(character) >> 5 for character in prefix] + [0] + [ord(character) & 31 for character in prefix]


def _regrouped(values: t.Iterable[int], size: int, wanted: int, pad: bool) -> t.Optional[t.List[int]]:
    """The values of ``size`` bits as values of ``wanted`` bits; None if bits are left that are not padding."""
    left = bits = 0
    found = []
    for value in values:
        left = (left << size | value) & 0xFFF
        bits += size
        while bits >= wanted:
            bits -= wanted
            found.append(left >> bits & (1 << wanted) - 1)
    if pad and bits:
        found.append(left << wanted - bits & (1 << wanted) - 1)
    elif not pad and (bits >= size or left & (1 << bits) - 1):
        return None
    return found
