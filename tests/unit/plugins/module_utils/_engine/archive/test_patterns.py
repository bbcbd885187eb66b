# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pattern finds in a block of lines what it finds in each line alone."""

from __future__ import annotations

import random
import re
import threading
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import patterns
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.patterns import LinePattern, Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError

LINES = ["", " ", "a", "b", "ab", "ba", "a b", " ab", "ab ", "abc\t1", "1,2", "a]b", "\r", "\u00e9\u00c9", "x\u00e9\u00e9y", "A", "[b]"]


def found_lines(block: bytes, **wanted: t.Any) -> t.List[int]:
    """The numbers, from 0, of the lines of a block that match."""
    find = LinePattern(Wanted(**wanted)).finder(block)
    found = []
    position = 0
    while position <= len(block):
        match = find(position)
        if match is None:
            break
        assert b"\n" not in block[slice(*match)]
        number = block.count(b"\n", 0, match[0])
        found.append(number)
        position = (block.find(b"\n", match[0]) + 1) or len(block) + 1
    return found


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "a",
            "^a",
            "a$",
            "^$",
            "^a?$",
            "",
            "a\\s",
            "a\\s*b",
            "\\s+$",
            "^\\s*$",
            "[^a]",
            "^[^a]*$",
            "[^]]b",
            "[]]",
            "[\\s,]",
            "[\\W]+",
            "\\D$",
        ),
        *(
            "\\Aa",
            "b\\Z",
            "a(?!\\s)",
            "(?<!\\s)b",
            "(?<=[\\s,])[b2]",
            "(a|b)\\1?",
            "a.b",
            "^.*$",
            "(?i)AB",
            "(?i:AB)c",
            "(?#[)a b",
            "\\bb\\b",
            "\\Bb",
        ),
        *("\\x61b", "\\141b", "[\\x00-\\x20]", "(?:a|)b{1,2}", "(?P<n>a)\\s(?P=n)?", "\\[b\\]", "\\.|,", "(?:\\s|^)b"),
    ],
)
@pytest.mark.parametrize("end", ["\n", ""], ids=["ended", "open"])
def test_a_block_is_searched_as_its_lines(pattern: str, end: str) -> None:
    plain = [line for line in LINES if line.isascii()] + ["ab"]
    block = ("\n".join(plain) + end).encode()
    alone = [number for number, line in enumerate(plain) if re.search(pattern.encode(), line.encode())]
    # A block that ends with an end of line has no line after it; whoever searches it knows.
    assert [number for number in found_lines(block, pattern=pattern) if number < len(plain)] == alone


def test_random_patterns_find_what_they_find_in_each_line() -> None:
    generator = random.Random(19)
    parts = ["a", "b", "\\s", "\\W", "\\D", "[^a]", "[^b]", "[\\s1]", ".", "^", "$", "\\b", "(?=\\s)", "(?!\\s)", "(?<!\\s)", "(?:a|\\s)"]
    repeats = ["", "", "", "*", "+", "?", "*?", "{0,2}"]
    for _round in range(400):
        chosen = [generator.choice(parts) for _part in range(generator.randint(1, 4))]
        pattern = "".join(
            part + (generator.choice(repeats) if part not in ("^", "$", "\\b") and "(?" not in part[:2] else "") for part in chosen
        )
        lines = ["".join(generator.choice("ab 1,") for _c in range(generator.randint(0, 5))) for _line in range(6)]
        alone = [number for number, line in enumerate(lines) if re.search(pattern.encode(), line.encode())]
        assert found_lines("\n".join(lines).encode(), pattern=pattern) == alone, (pattern, lines)


@pytest.mark.parametrize(
    ("wanted", "text", "found"),
    [
        ({"pattern": "a.c", "fixed": True}, "abc", False),
        ({"pattern": "a.c", "fixed": True}, "xa.cx", True),
        ({"pattern": "A.c", "fixed": True, "ignore_case": True}, "xa.Cx", True),
        ({"pattern": "\u00c9t\u00e9", "fixed": True, "ignore_case": True}, "\u00e9T\u00c9", True),
        ({"pattern": "\u00c9t\u00e9", "fixed": True}, "\u00e9t\u00e9", False),
        ({"pattern": "x\u00e9+y"}, "x\u00e9\u00e9\u00e9y", True),
        ({"pattern": "\\\u00e9$"}, "\u00e9", True),
        ({"pattern": "fail(ed|ure)", "ignore_case": True}, "FAILURE", True),
        ({"pattern": "\udcff"}, "a\udcffb", True),
    ],
    ids=range(9),
)
def test_texts_and_letters(wanted: t.Dict[str, t.Any], text: str, found: bool) -> None:
    assert found_lines(text.encode("utf-8", "surrogateescape"), **wanted) == ([0] if found else [])


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a\nb", "contains an end of line"),
        ("a\\nb", "contains an end of line"),
        ("a\\x0ab", "contains an end of line"),
        ("a\\012", "contains an end of line"),
        ("(?s)a.b", "flags 's'"),
        ("(?x) a", "flags 'x'"),
        ("[\u00e9\u00e8]", "not ASCII"),
        ("(a", "not a regular expression"),
        ("*", "not a regular expression"),
    ],
    ids=range(9),
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        LinePattern(Wanted(pattern))


def test_a_pattern_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MOST_SECONDS", 0.2)
    pattern = LinePattern(Wanted("(a+)+$"))
    with pytest.raises(ConfigError, match="takes too long"), pattern.bounded("x.tgz") as bounded:
        bounded(True)
        pattern.finder(b"a" * 60 + b"b\n")(0)


def test_another_thread_has_no_bound() -> None:
    seen: t.List[str] = []

    def use() -> None:
        with LinePattern(Wanted("a")).bounded("x.tgz") as bounded:
            bounded(True)
            seen.append("searched")

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == ["searched"]
