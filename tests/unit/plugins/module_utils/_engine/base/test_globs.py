# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Globs: no name needs much time, and each has the reading that a plain regular expression finds."""

from __future__ import annotations

import random
import re
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import globs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import compile_pattern

CODES = {"Y": "20[0-9]{2}", "m": "[01][0-9]", "s": "[0-9]{1,12}", "b": "(?:Jan|May)"}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a*a*a*a*a*a*a*b", "a" * 250),
        ("*?*?*?*?*?*?*?*?b", "a" * 250),
        ("*-*-*-*-*-*-*.log", "-" * 250),
        ("*[ab]*[ab]*[ab]*[ab]*[ab]*c", "ab" * 120),
        ("*" * 250 + "b", "a" * 250),
        ("a*" * 120 + "b", "a" * 250),
        ("**/a**/a**/a**/a**/a**/b", "a/" * 2000),
        ("**a**a**a**a**a**a**b", "a" * 4000),
        ("**/*a*/**/*a*/**/*a*b", "aa/" * 1300),
        ("**a*a*a*a*b**a*a*a*c", "a" * 4000),
        ("*%Y*%m*%d*%H*x", "2024010112" * 25),
        ("**/%Y/**/%m/**/%d/**/x", "2024/01/12/" * 360),
        ("*x*x*x*x*x", "x" * 250 + "y"),
    ],
)
def test_a_name_that_was_made_up_to_take_long_does_not(pattern: str, name: str) -> None:
    compiled = compile_pattern(pattern, False)
    began = time.process_time()
    assert compiled.match(name, "UTC") is None
    assert time.process_time() - began < 1, "a match that tries all combinations takes minutes or more"


def test_each_name_has_the_reading_of_a_plain_regular_expression() -> None:
    source = random.Random(20240112)
    tokens = ["*", "*", "**", "**/", "?", "a", "b", "/", "[ab]", "[!a]", "%Y", "%m", "%s", "%b", ".", "1"]
    parts = ["a", "b", "/", "/", "2024", "2025", "01", "11", "1", ".", "May", "Jan", "ab", "a/"]
    matched = 0
    for _turn in range(4_000):
        pattern = "".join(source.choices(tokens, k=source.randint(1, 7)))
        fast, plain = compiled(pattern, globs.translate), compiled(pattern, plainly)
        for _name in range(4):
            name = "".join(source.choices(parts, k=source.randint(1, 6)))
            found, wanted = fast.fullmatch(name), plain.fullmatch(name)
            assert (found and readings(found)) == (wanted and readings(wanted)), (pattern, name)
            matched += found is not None
    assert matched > 200


def compiled(pattern: str, translate: t.Callable[[str, t.Callable[[str], str]], str]) -> t.Pattern[str]:
    """The pattern with codes as groups; one that occurs again must have the same text."""
    seen: t.List[str] = []

    def code(letter: str) -> str:
        seen.append(letter)
        return "(?P=%s)" % letter if seen.count(letter) > 1 else "(?P<%s>%s)" % (letter, CODES[letter])

    return re.compile(translate(pattern, code), re.DOTALL)


def plainly(pattern: str, code: t.Callable[[str], str]) -> str:
    """Every token by itself: each star tries every length."""
    wild = {"?": "[^/]", "[ab]": "(?!/)[ab]", "[!a]": "(?!/)[^a]", **globs.STARS}
    found = re.findall(r"(?:^|(?<=/))\*\*/|\*\*|\[[^]]*\]|%.|.", pattern)
    return "".join(wild[token] if token in wild else code(token[1]) if token[0] == "%" else re.escape(token) for token in found)


def readings(found: t.Match[str]) -> t.Dict[str, str]:
    """The texts of the codes."""
    return {name: text for name, text in found.groupdict().items() if name in CODES}
