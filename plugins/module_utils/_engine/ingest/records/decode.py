# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line of JSON to an object: with msgspec where it is installed, with json otherwise, and the same result.

What msgspec accepts, json accepts with the same values. What msgspec refuses, json decides: so the rules are those of json here, in one
place. Beyond RFC 8259 they refuse numbers that a database cannot hold and texts that are not Unicode.
"""

from __future__ import annotations

import json
import math
import re
import typing as t

from ...base.libraries import optional
from .refused import Refused

Object = t.Dict[str, t.Any]

_DIGITS = bytes(48 if 48 <= byte <= 57 else 32 for byte in range(256))
_BIG = b"0" * 19
"""Only a line with so many digits in a row can hold an integer of more than 64 bits, or a float that msgspec and json may round apart."""
ESCAPED = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
"""Only a line with one of these escapes can hold U+0000 or a surrogate."""
MOST_DEPTH = 64
"""Levels of nesting."""


def decoder() -> t.Callable[[bytes], Object]:
    """The function that turns a line, without its newline, into an object. It raises Refused."""
    with optional("msgspec"):
        import msgspec

        return _with_msgspec(msgspec)
    return decode_with_json


def _with_msgspec(msgspec: t.Any) -> t.Callable[[bytes], Object]:
    decode = msgspec.json.Decoder().decode
    errors = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

    def decode_with_msgspec(line: bytes) -> Object:
        if _has_big_number(line) or (b"\\u" in line and ESCAPED.search(line)):
            return decode_with_json(line)
        try:
            value = decode(line)
        except errors:
            return decode_with_json(line)
        if value.__class__ is not dict:
            raise Refused("not_object")
        _check_depth(line, value)
        return t.cast(Object, value)

    return decode_with_msgspec


def decode_with_json(line: bytes) -> Object:
    """The same with the standard library alone."""
    try:
        # Editors of Windows begin a file with a byte order mark, which RFC 8259 lets a reader ignore.
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", "byte %d" % error.start) from None
    try:
        value = json.loads(text, parse_constant=_no_constant, parse_float=_float, parse_int=_integer if _has_big_number(line) else None)
    except json.JSONDecodeError as error:
        raise Refused("not_json", "%s at character %d" % (error.msg.removesuffix(" at"), error.pos)) from None
    except RecursionError:
        raise Refused("not_json", "nested too deeply") from None
    if not isinstance(value, dict):
        raise Refused("not_object")
    _check_depth(line, value)
    if ESCAPED.search(line):
        # Duplicate keys may have removed the text in question: the decoded value decides.
        try:
            plain = json.dumps(value, ensure_ascii=False)
            plain.encode("utf-8")
        except UnicodeEncodeError:
            raise Refused("bad_text", "half of a surrogate pair") from None
        if "\\u0000" in plain and _holds_nul(value):
            raise Refused("bad_text", "U+0000")
    return value


def _check_depth(line: bytes, value: Object) -> None:
    """Refuse what is nested deeper than MOST_DEPTH: Python and databases have limits of their own, and different ones."""
    if line.count(b"{") + line.count(b"[") <= MOST_DEPTH:
        return
    level: t.List[t.Any] = [value]
    for _each in range(MOST_DEPTH):
        level = [part for each in level for part in (each.values() if isinstance(each, dict) else each) if isinstance(part, (dict, list))]
        if not level:
            return
    raise Refused("not_json", "nested too deeply")


def _has_big_number(line: bytes) -> bool:
    # Several times faster than a regular expression.
    return _BIG in line.translate(_DIGITS)


def _holds_nul(value: t.Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any("\0" in key or _holds_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_nul, value))


def _no_constant(name: str) -> t.NoReturn:
    raise Refused("not_json", "%s is not a number in JSON" % name)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Refused("bad_number", "a number is too large")
    return value


def _integer(text: str) -> int:
    # Python refuses to convert thousands of digits; 20 characters are enough for 64 bits.
    if len(text) <= 20:
        value = int(text)
        if -(1 << 63) <= value < 1 << 63:
            return value
    raise Refused("bad_number", "an integer does not fit into 64 bits")
