# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""HPKE by hand: the vectors of RFC 9180, and cryptography's own implementation both ways."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import hpke

pytest.importorskip("cryptography")

# RFC 9180, A.1.1: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode; the first message.
INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
EPHEMERAL = bytes.fromhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736")
PUBLIC = bytes.fromhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d")
PRIVATE = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")
ENCAPSULATED = bytes.fromhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431")
SHARED = bytes.fromhex("fe0e18c9f024ce43799ae393c7e8fe8fce9d218875e8227b0187c04e7d2ea1fc")
KEY = bytes.fromhex("4531685d41d65f03dc48f6b8302c05b0")
BASE_NONCE = bytes.fromhex("56d890e5accaaf011cff4b7d")
PLAINTEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
AAD = b"Count-0"
CIPHERTEXT = bytes.fromhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a")


def test_the_vectors_of_the_rfc() -> None:
    assert hpke.public_key(PRIVATE) == PUBLIC
    assert hpke.seal_by_hand(PUBLIC, PLAINTEXT, INFO, AAD, EPHEMERAL) == ENCAPSULATED + CIPHERTEXT
    assert hpke.open_by_hand(PRIVATE, ENCAPSULATED + CIPHERTEXT, INFO, AAD) == PLAINTEXT
    assert hpke._schedule(SHARED, INFO) == (KEY, BASE_NONCE)


def test_both_ways_with_the_library() -> None:
    """With an older cryptography, which has no HPKE, this compares the code with itself."""
    for number in range(20):
        private = hpke.generate()
        public = hpke.public_key(private)
        message, info = os.urandom(number), os.urandom(3 * number)
        assert hpke.open_by_hand(private, hpke.seal(public, message, info), info) == message
        assert hpke.open_sealed(private, hpke.seal_by_hand(public, message, info), info) == message


@pytest.mark.parametrize("opening", [hpke.open_sealed, hpke.open_by_hand])
def test_another_key_another_info_and_damage_are_refused(opening: t.Callable[[bytes, bytes, bytes], bytes]) -> None:
    sealed = hpke.seal(PUBLIC, b"message", b"info")
    assert opening(PRIVATE, sealed, b"info") == b"message"
    wrong = [(EPHEMERAL, sealed, b"info"), (PRIVATE, sealed, b"other"), (PRIVATE, sealed[:-1], b"info"), (PRIVATE, b"", b"info")]
    wrong += [(PRIVATE, sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"info") for at in (0, 33, len(sealed) - 1)]
    wrong.append((PRIVATE, bytes(32) + sealed[32:], b"info"))
    for private, data, info in wrong:
        with pytest.raises(hpke.WrongKeyError):
            opening(private, data, info)


def test_without_the_library_it_is_made_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hpke, "_library", lambda: None)
    assert hpke.open_sealed(PRIVATE, hpke.seal(PUBLIC, b"message", b""), b"") == b"message"


@pytest.mark.parametrize("public", [bytes(32), b"\1" + bytes(31)], ids=["zero", "one"])
@pytest.mark.parametrize("by_hand", [False, True], ids=["library", "by-hand"])
def test_nothing_is_sealed_for_a_key_of_low_order(public: bytes, by_hand: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if by_hand:
        monkeypatch.setattr(hpke, "_library", lambda: None)
    with pytest.raises(hpke.WrongKeyError):
        hpke.seal(public, b"message", b"")
