# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``datetime`` and JSON for the modules that an idle run loads: Python's own C code, without the modules in Python around it.

Loading those takes a tenth of an idle run: before Python 3.12 ``datetime`` first runs a second implementation, in Python, and ``json``
loads ``re``. The classes and the results are the same. Modules that an idle run does not load import ``datetime`` and ``json``.
"""

from __future__ import annotations

from . import hints as t

__all__ = ["datetime", "dumps", "loads"]

if t.TYPE_CHECKING:
    import datetime
else:
    import _datetime as datetime

_BLANKS = " \t\n\r"
"""What may stand before and after a value (RFC 8259)."""

PairsHook = t.Callable[[t.List[t.Tuple[str, t.Any]]], t.Any]


class _Rules:
    """What the scanner asks its decoder for, as ``json.JSONDecoder`` has it by default."""

    strict = True
    object_hook = None
    parse_float = float
    parse_int = int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__

    def __init__(self, object_pairs_hook: t.Optional[PairsHook]) -> None:
        self.object_pairs_hook = object_pairs_hook


def loads(text: str, object_pairs_hook: t.Optional[PairsHook] = None) -> t.Any:
    """``json.loads``. It also decides what to raise, and reads the text where the C code is missing or another one."""
    try:
        from _json import make_scanner

        value, end = make_scanner(t.cast("t.Any", _Rules(object_pairs_hook)))(text, len(text) - len(text.lstrip(_BLANKS)))
        if not text[end:].strip(_BLANKS):
            return value
    except Exception:
        pass
    import json

    return json.loads(text, object_pairs_hook=object_pairs_hook)


def dumps(value: t.Any, sort_keys: bool = False) -> str:
    """``json.dumps``. It also decides what to raise, and writes the text where the C code is missing or another one."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode = make_encoder({}, _refuse, encode_basestring_ascii, None, ": ", ", ", sort_keys, False, True)
        return "".join(encode(value, 0))
    except Exception:
        import json

        return json.dumps(value, sort_keys=sort_keys)


def _refuse(value: t.Any) -> t.NoReturn:
    raise TypeError(value)
