# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Globs as regular expressions that need little time for every name, also for one that somebody made up to need much.

A star tries every length. With several stars a regular expression would try every combination of lengths before it gives up. But if what
follows a star is found at its first place, a later place cannot help: the next star takes what is between. So that place is kept: the star
and what follows it are matched in a lookahead, which is never tried again, and then taken by a reference to it (as ``fnmatch`` does).
"""

from __future__ import annotations

import re

from . import hints as t

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|%.?|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)
# Lazy: of several possible readings of a run of digits the leftmost counts.
STARS = {"": "", "*": "[^/]*?", "**": ".*?", "**/": "(?:.*?/)??"}
"""What each star is as a regular expression."""
_GREEDY = {"": "", "*": "[^/]*", "**": ".*", "**/": "(?:.*/)?"}


class _Piece:
    """A star ('' at the beginning) and what follows it up to the next one: a regular expression, and the time codes in it."""

    def __init__(self, star: str) -> None:
        self.star = star
        self.text = ""
        self.codes: t.Set[str] = set()


def translate(pattern: str, code: t.Callable[[str], str], greedy: bool = False) -> str:
    """The regular expression for a glob, to be matched against a whole name. code: that of a time code, by its letter.

    greedy: of several possible readings the rightmost counts. It may need much time for a long name.
    """
    pieces = _pieces(pattern, code)
    if greedy:
        return "".join(_GREEDY[piece.star] + piece.text for piece in pieces)
    # What a star that enters folders leads to: all pieces up to the next one.
    starts = [number for number, piece in enumerate(pieces) if piece.star != "*"]
    result = ""
    for first, end in zip(starts, [*starts[1:], len(pieces)]):
        text = pieces[first].text
        for number in range(first + 1, end):
            text += _found_once(STARS["*"] + pieces[number].text, number, _is_settled(pieces, number, number + 1))
        settled = pieces[first].star != "" and _is_settled(pieces, first, end)
        result += _found_once(STARS[pieces[first].star] + text, first, settled)
    return result


def _found_once(text: str, number: int, settled: bool) -> str:
    return "(?=(?P<wild__%d>%s))(?P=wild__%d)" % (number, text, number) if settled else text


def _is_settled(pieces: t.Sequence[_Piece], first: int, end: int) -> bool:
    """Whether the first place of these pieces is as good as any later one.

    Not so at the end of the name, and if a place decides the text of a code that occurs again, or how many digits a code takes.
    """
    if end == len(pieces):
        return False
    codes = set().union(*(piece.codes for piece in pieces[first:end]))
    return "s" not in codes and codes.isdisjoint(set().union(*(piece.codes for piece in pieces[end:])))


def _pieces(pattern: str, code: t.Callable[[str], str]) -> t.List[_Piece]:
    pieces = [_Piece("")]
    for token in _tokens(pattern):
        last = pieces[-1]
        if token in STARS:
            if not last.text and (last.star == token or {last.star, token} == {"*", "**"}):
                last.star = max(last.star, token)  # Stars in a row are one.
            else:
                pieces.append(_Piece(token))
        elif token == "?":
            last.text += "[^/]"
        elif token.startswith("%"):
            last.text += code(token[1:])
            last.codes.add(token[1:])
        elif token.startswith("[") and len(token) > 1:
            negated = token[1] in "!^"
            inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", token[2:-1] if negated else token[1:-1])
            last.text += "(?!/)[%s%s]" % ("^" if negated else "", inside)
        else:
            last.text += re.escape(token)
    return pieces


def _tokens(pattern: str) -> t.Iterator[str]:
    """The parts of a glob. '**/' stands for folders where a folder can begin; after other characters it is '**' and a '/'."""
    before = "/"
    for token in _TOKENS.findall(pattern):
        yield from (token,) if token != "**/" or before.endswith("/") else ("**", "/")
        before = token
