# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read a large manifest without a second form of it in memory: its sources are read one by one, and kept compressed."""

from __future__ import annotations

import json
import typing as t

from ..base.rows import Rows, canonical

_WINDOW = 1 << 18
"""Bytes that are decoded at once."""
_decode = json.JSONDecoder().raw_decode


def read(data: bytes, each: t.Callable[[int, t.Any], None]) -> t.Optional[t.Dict[str, t.Any]]:
    """The manifest, with ``sources`` as ``Rows``; None if it is not in canonical form, or has no sources.

    each: called with the number of each source and the source, as it is read.
    """
    try:
        return _read(data, each) if data.isascii() else None
    except (_Defect, json.JSONDecodeError, UnicodeEncodeError, RecursionError):
        return None


class _Defect(Exception):
    """The manifest is not in canonical form."""


def _read(data: bytes, each: t.Callable[[int, t.Any], None]) -> t.Dict[str, t.Any]:
    manifest: t.Dict[str, t.Any] = {}
    last = None
    at = 0
    while True:
        at = _expect(data, at, b"," if manifest else b"{")
        name, at = _value(data, at)
        if not isinstance(name, str) or (last is not None and name <= last):
            raise _Defect
        last = name
        at = _expect(data, at, b":")
        if name == "sources" and data[at : at + 2] == b"[{":
            manifest[name], at = _sources(data, at + 1, each)
        else:
            manifest[name], at = _value(data, at)
        if data[at:] == b"}\n":
            if not isinstance(manifest.get("sources"), Rows):
                raise _Defect
            return manifest


def _expect(data: bytes, at: int, text: bytes) -> int:
    if data[at : at + 1] != text:
        raise _Defect
    return at + 1


def _value(data: bytes, at: int) -> t.Tuple[t.Any, int]:
    """The value that begins there, and where it ends."""
    size = _WINDOW
    while True:
        text = data[at : at + size].decode("ascii")
        whole = at + size >= len(data)
        try:
            value, end = _decode(text)
        except json.JSONDecodeError:
            if whole:
                raise
        else:
            # A number may go on after the window.
            if end < len(text) or whole:
                _check(value, text[:end])
                return value, at + end
        size *= 4


def _sources(data: bytes, at: int, each: t.Callable[[int, t.Any], None]) -> t.Tuple[Rows[t.Any], int]:
    """The elements of the list from the first one on, and where the list ends."""
    rows: Rows[t.Any] = Rows()
    size = _WINDOW
    while True:
        text = data[at : at + size].decode("ascii")
        taken = end = 0
        while True:
            try:
                source, end = _decode(text, taken)
            except json.JSONDecodeError:
                break
            if end == len(text) and at + end < len(data):
                break
            _check(source, text[taken:end])
            each(len(rows), source)
            rows.append_text(text[taken:end])
            taken = end + 1
            if text[end : end + 1] == "]":
                return rows, at + taken
            if text[end : end + 1] != ",":
                raise _Defect
        if at + size >= len(data):
            raise _Defect
        size = _WINDOW if taken else size * 4
        at += taken


def _check(value: t.Any, text: str) -> None:
    if canonical(value) != text:
        raise _Defect
    if "\\ud" in text:
        # Every text must be one that this host can print, compare and record: a lone surrogate is none, unless it stands for a byte.
        json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
