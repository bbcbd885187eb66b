# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bech32, with the vectors of BIP 173 and a key of age."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import bech32

LONG = (
    "an83characterlonghumanreadablepartthatcontainsthenumber1andtheexcludedcharactersbio1tt5tgs",
    "11qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqc8247j",
    "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
)
AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


@pytest.mark.parametrize("text", ["A12UEL5L", "a12uel5l", *LONG], ids=["upper", "lower", "long", "zeros", "all"])
def test_a_valid_vector_has_the_right_checksum(text: str) -> None:
    assert bech32.decode(text)[0] == text.lower().rpartition("1")[0]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("A1G7SGD8", "checksum"),
        ("10a06t8", "too short"),
        ("1qzzfhee", "too short"),
        ("pzry9x0s0muk", "too short"),
        ("x1b4n0q5v", "character"),
        ("a12UEL5L", "both cases"),
        (AGE[:-1], "checksum"),
        (AGE.replace("ql3", "lq3"), "checksum"),
        ("", "too short"),
        ("\x201nwldj5", "too short"),
    ],
    ids=["checksum", "no-prefix", "no-prefix-2", "no-separator", "letter", "case", "cut", "swapped", "empty", "space"],
)
def test_an_invalid_text_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        bech32.decode(text)


def test_a_key_of_age_reads_and_writes() -> None:
    prefix, data = bech32.decode(AGE)
    assert (prefix, len(data)) == ("age", 32)
    assert bech32.encode(prefix, data) == AGE


def test_what_is_encoded_decodes() -> None:
    for size in range(40):
        data = os.urandom(size)
        assert bech32.decode(bech32.encode("hpke", data)) == ("hpke", data)
        assert bech32.decode(bech32.encode("hpke", data).upper()) == ("hpke", data)
