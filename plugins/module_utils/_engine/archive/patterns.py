# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a search looks for, as a regular expression of bytes that is applied to many lines at once and matches as if to each line alone.

No part of such an expression may match an end of line: each part that could (``\\s``, ``[^,]``) is replaced by one that cannot.
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ..base.errors import ConfigError

MOST_SECONDS = 10.0
"""CPU time that the expression may take for one block of lines, of about 128 KiB. A usual one takes some milliseconds."""

_PART = re.compile(
    r"""(?P<comment>\(\?\#[^)]*\))
      | (?P<flags>\(\?[a-zA-Z]*(?:-[a-zA-Z]+)?[:)])
      | (?P<escape>\\(?:x[0-9A-Fa-f]{2}|0[0-7]{0,2}|[1-3][0-7]{2}|.))
      | (?P<set>\[\^?\]?(?:\\.|[^\]\\])*\])
      | (?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_PLAIN = re.compile(r"[\w ,:;/@%&='\"<>!~`-]+", re.ASCII)
"""A pattern in which each character stands for itself."""
_FLAGS = ("(?:", "(?i)", "(?i:", "(?-i:")
_ON_ONE_LINE = {"\\s": b"[^\\S\\n]", "\\W": b"[^\\w\\n]", "\\D": b"[^\\d\\n]", "\\A": b"^", "\\Z": b"$", "\\z": b"$"}


class Wanted(t.NamedTuple):
    """What a search looks for.

    pattern: a regular expression of Python's ``re``. fixed: it is a text. ignore_case: whether capital and small letters are the same.
    context: how many lines before and after each match are returned with it. only_count: return no lines. most: end after this many
    matches; None is no limit.
    """

    pattern: str
    fixed: bool = False
    ignore_case: bool = False
    context: int = 0
    only_count: bool = False
    most: t.Optional[int] = None


class LinePattern:
    """A pattern, compiled. Raises ConfigError for one that cannot be used."""

    def __init__(self, wanted: Wanted) -> None:
        self._pattern = wanted.pattern
        self._ignore_case = wanted.ignore_case
        # A text is found faster than an expression: twice as fast, and in small letters many times as fast as in letters of any case.
        self._small = wanted.fixed and wanted.ignore_case
        self._text: t.Optional[bytes] = None
        if "\n" in wanted.pattern:
            raise self._unusable("it contains an end of line; a search looks at one line at a time")
        if wanted.fixed:
            text = b"".join(self._literal(c.lower() if self._small and c.isascii() else c) for c in wanted.pattern)
        else:
            self._compiled(wanted.pattern)  # Errors have the positions of what was written.
            text = b"".join(self._on_one_line(part) for part in _PART.finditer(wanted.pattern))
        flags = re.MULTILINE | (re.IGNORECASE if self._ignore_case and not self._small else 0)
        self._regex: t.Pattern[bytes] = self._compiled(text, flags)
        if wanted.fixed and not wanted.ignore_case:
            self._text = wanted.pattern.encode("utf-8", "surrogateescape")
        elif self._small and wanted.pattern.isascii():
            self._text = wanted.pattern.lower().encode("ascii")
        elif not wanted.ignore_case and _PLAIN.fullmatch(wanted.pattern):
            self._text = wanted.pattern.encode("ascii")

    def finder(self, block: bytes) -> t.Callable[[int], t.Optional[t.Tuple[int, int]]]:
        """A function that returns where the first match in these lines begins and ends, from a position on."""
        searched = block.lower() if self._small else block
        if self._text is not None:
            find, text, length = searched.find, self._text, len(self._text)

            def find_text(position: int) -> t.Optional[t.Tuple[int, int]]:
                start = find(text, position)
                return None if start < 0 else (start, start + length)

            return find_text

        def find_match(position: int) -> t.Optional[t.Tuple[int, int]]:
            match = self._regex.search(searched, position)
            return None if match is None else match.span()

        return find_match

    @contextlib.contextmanager
    def bounded(self, subject: str) -> t.Iterator[t.Callable[[bool], None]]:
        """Bound the time of the expression: some take longer than anyone waits. subject: how the error names what is searched.

        Yields a function to call with True before, and with False after, a block is searched. While it is searched ConfigError may be
        raised. The system counts for the main thread only; in another thread there is no bound.
        """
        import signal
        import threading

        if threading.current_thread() is not threading.main_thread():
            yield lambda _begin: None
            return

        def expired(_number: int, _frame: object) -> None:
            raise self._unusable(
                "it takes too long: more than %d s for 128 KiB of %s" % (MOST_SECONDS, subject),
                "Avoid a repetition within a repetition, such as (a+)+, or search for plain text (--fixed)",
            )

        former = signal.signal(signal.SIGVTALRM, expired)
        try:
            yield lambda begin: t.cast(None, signal.setitimer(signal.ITIMER_VIRTUAL, MOST_SECONDS if begin else 0))
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, former)

    def _unusable(self, why: str, hint: t.Optional[str] = None) -> ConfigError:
        return ConfigError("the pattern cannot be used: %s" % why, self._pattern, hint)

    def _compiled(self, text: t.Any, flags: int = 0) -> t.Any:
        import warnings

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return re.compile(text, flags)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise self._unusable("it is not a regular expression (%s)" % error, "Use --fixed to search for plain text") from error

    def _literal(self, character: str) -> bytes:
        """A character as it is. One of several bytes is a group, so that a repetition repeats all of them."""
        if character.isascii():
            return re.escape(character).encode("ascii")
        forms = {character, *((character.lower(), character.upper()) if self._ignore_case else ())}
        return b"(?:%s)" % b"|".join(sorted(re.escape(form.encode("utf-8", "surrogateescape")) for form in forms))

    def _on_one_line(self, part: t.Match[str]) -> bytes:
        text = part[0]
        if part["comment"]:
            return b""
        if part["flags"]:
            if text not in _FLAGS:
                raise self._unusable("it has the flags '%s'; only i can be used" % text[2:-1])
            return text.encode("ascii")
        if part["escape"]:
            return self._escape(text)
        if part["set"]:
            return self._set(text)
        return text.encode("ascii") if text.isascii() else self._literal(text)

    def _escape(self, text: str) -> bytes:
        if not text.isascii():
            return self._literal(text[1:])
        if text in _ON_ONE_LINE:
            return _ON_ONE_LINE[text]
        if text == "\\n" or (text[1] in "x0123" and len(text) > 2 and self._compiled(text).match("\n")):
            raise self._unusable("it contains an end of line; a search looks at one line at a time")
        return text.encode("ascii")

    def _set(self, text: str) -> bytes:
        if not text.isascii():
            hint = "Write them as alternatives: (\u00e9|\u00e8) instead of [\u00e9\u00e8]"
            raise self._unusable("the set %s has characters that are not ASCII" % text, hint)
        raw = text.encode("ascii")
        if not self._compiled(raw).match(b"\n"):
            return raw
        if raw.startswith(b"[^") and raw[2:3] != b"]":
            return b"[^\\n" + raw[2:]
        return b"(?:(?!\\n)%s)" % raw
