# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fernet as a stream, held against the library ``cryptography`` and the vectors of the specification."""

from __future__ import annotations

import base64
import hmac
import io
import random

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import fernet
from cryptography.fernet import Fernet, InvalidToken

KEY = bytes(range(32))
REFERENCE = Fernet(base64.urlsafe_b64encode(KEY))


def encrypt(plaintext: bytes, piece: int = 1 << 20) -> bytes:
    encryptor = fernet.Encryptor(KEY)
    text = b"".join(encryptor.update(plaintext[start : start + piece]) for start in range(0, len(plaintext), piece))
    return text + encryptor.finish()


def decrypt(token: bytes, key: bytes = KEY) -> bytes:
    fernet.authenticate(io.BytesIO(token), key, "token")
    return b"".join(fernet.decrypt(io.BytesIO(token), key, "token"))


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 1000, (1 << 20) - 1, 3 << 20])
def test_any_fernet_library_reads_our_tokens_and_we_read_theirs(size):
    plaintext = random.Random(size).randbytes(size)
    assert REFERENCE.decrypt(encrypt(plaintext)) == plaintext
    assert decrypt(REFERENCE.encrypt(plaintext)) == plaintext


@pytest.mark.parametrize("blocks", range(-6, 3))
def test_a_token_that_ends_near_a_chunk_border_is_read(blocks):
    """The second chunk may hold less than the signature."""
    plaintext = random.Random(blocks).randbytes(fernet.CHUNK // 4 * 3 + blocks * fernet.BLOCK - 1)
    assert decrypt(REFERENCE.encrypt(plaintext)) == plaintext
    assert REFERENCE.decrypt(encrypt(plaintext)) == plaintext


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 16, 4096])
def test_the_size_of_the_pieces_does_not_matter(piece):
    assert REFERENCE.decrypt(encrypt(b"log line\n" * 500, piece)) == b"log line\n" * 500


def test_the_vector_of_the_specification_is_read():
    # https://github.com/fernet/spec/blob/master/verify.json
    token = b"gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA=="
    key = base64.urlsafe_b64decode("cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=")
    assert fernet.authenticate(io.BytesIO(token), key, "vector") == fernet.Token(499162800, len(token))
    assert decrypt(token, key) == b"hello"


@pytest.mark.parametrize("size", [0, 100, 143])
def test_a_token_with_any_bit_flipped_is_refused(size):
    token = encrypt(b"x" * size)
    assert decrypt(token) == b"x" * size
    for position in range(len(token)):
        for bit in range(8):
            damaged = bytearray(token)
            damaged[position] ^= 1 << bit
            with pytest.raises(IntegrityError):
                fernet.authenticate(io.BytesIO(bytes(damaged)), KEY, "token")


def test_a_token_cut_at_any_length_is_refused():
    token = encrypt(b"x" * 100)
    for length in range(len(token)):
        with pytest.raises(IntegrityError):
            fernet.authenticate(io.BytesIO(token[:length]), KEY, "token")


@pytest.mark.parametrize("added", [b"\n", b" ", b"=", b"A", b"AAAA", b"====", b"\0\0\0\0"])
def test_a_token_with_bytes_added_at_its_end_is_refused(added):
    for size in (99, 112, 130):
        with pytest.raises(IntegrityError):
            fernet.authenticate(io.BytesIO(encrypt(b"x" * size) + added), KEY, "token")


def test_white_space_and_the_other_base64_alphabet_are_refused():
    token = next(t for t in (encrypt(b"x" * 3000) for _attempt in range(100)) if b"-" in t and b"_" in t)
    for damaged in (token[:40] + b"\n\n\n\n" + token[40:], token.replace(b"-", b"+"), token.replace(b"_", b"/")):
        with pytest.raises(IntegrityError):
            fernet.authenticate(io.BytesIO(damaged), KEY, "token")


def test_another_key_is_refused_and_the_error_names_the_archive():
    with pytest.raises(IntegrityError, match="syslog.tgz.fernet: the archive is damaged, or it was not encrypted with this key"):
        fernet.authenticate(io.BytesIO(encrypt(b"x")), b"k" * 32, "syslog.tgz.fernet")


def test_damage_across_a_chunk_border_is_found():
    token = bytearray(encrypt(random.Random(1).randbytes(2 << 20)))
    for position in (fernet.CHUNK - 1, fernet.CHUNK, 2 * fernet.CHUNK + 5, len(token) - 50):
        damaged = bytearray(token)
        damaged[position] = ord("A") if damaged[position] != ord("A") else ord("B")
        with pytest.raises(IntegrityError):
            fernet.authenticate(io.BytesIO(bytes(damaged)), KEY, "token")


def test_a_token_that_changes_between_the_two_passes_is_refused_at_its_end():
    token = encrypt(b"x" * (3 << 20))
    other = bytearray(token)
    other[1000] ^= 1
    fernet.authenticate(io.BytesIO(token), KEY, "token")
    with pytest.raises(IntegrityError):
        for _chunk in fernet.decrypt(io.BytesIO(bytes(other)), KEY, "token"):
            pass


@pytest.mark.parametrize("extra", [1, 8, 15])
def test_a_signed_token_whose_ciphertext_is_not_whole_blocks_is_refused_as_cryptography_refuses_it(extra):
    raw = base64.urlsafe_b64decode(encrypt(b"x" * 100))
    signed = raw[: -fernet.MAC] + b"y" * extra
    token = base64.urlsafe_b64encode(signed + hmac.new(KEY[:16], signed, "sha256").digest())
    with pytest.raises(InvalidToken):
        REFERENCE.decrypt(token)
    with pytest.raises(IntegrityError, match="not a multiple of 16"):
        fernet.authenticate(io.BytesIO(token), KEY, "token")
    with pytest.raises(IntegrityError, match="not a multiple of 16"):
        for _chunk in fernet.decrypt(io.BytesIO(token), KEY, "token"):
            pass


def test_without_pybase64_the_result_is_the_same(monkeypatch):
    import sys

    plaintext = random.Random(3).randbytes(2 << 20)
    with_it = encrypt(plaintext)
    monkeypatch.setitem(sys.modules, "pybase64", None)
    assert decrypt(with_it) == plaintext
    assert REFERENCE.decrypt(encrypt(plaintext)) == plaintext
    with pytest.raises(IntegrityError):
        decrypt(with_it[:-4] + b"\n" + with_it[-4:-1])


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 47, 48, 200_001])
def test_any_part_of_a_token_can_be_read(size):
    plaintext = random.Random(size).randbytes(size)
    reader = io.BufferedReader(fernet.RandomReader(io.BytesIO(REFERENCE.encrypt(plaintext)), KEY, "token"))
    assert (reader.seek(0, io.SEEK_END), reader.read(1)) == (size, b"")
    for start in {0, size, *random.Random(1).sample(range(size + 1), min(size + 1, 20))}:
        reader.seek(start)
        assert reader.read(70_000) == plaintext[start : start + 70_000]


def test_a_token_that_changed_is_not_read_further():
    token = io.BytesIO(REFERENCE.encrypt(bytes(1000)))
    reader = fernet.RandomReader(token, KEY, "token")
    token.truncate(400)
    with pytest.raises(IntegrityError, match="changed while it was read"):
        reader.seek(900), reader.read(10)
