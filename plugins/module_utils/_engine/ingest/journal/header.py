# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The header of a file of the journal: https://systemd.io/JOURNAL_FILE_FORMAT/#header."""

from __future__ import annotations

import struct
import typing as t

_HEADER = struct.Struct("<8s64x16s72xQ16xQQ")
_SIGNATURE = b"LPKSHHRH"


class Header(t.NamedTuple):
    """sequence: the id of the numbering of its entries. last: the number of its last entry.

    first_at, last_at: when its first and its last entry were written, in microseconds since 1970.
    """

    sequence: str
    last: int
    first_at: int
    last_at: int


def header_of(path: str) -> t.Optional[Header]:
    """The header of a file; None if it has none, or cannot be read."""
    try:
        with open(path, "rb") as stream:
            signature, sequence, last, first_at, last_at = _HEADER.unpack(stream.read(_HEADER.size))
    except (OSError, struct.error):
        return None
    return Header(sequence.hex(), last, first_at, last_at) if signature == _SIGNATURE else None
