# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fernet as a stream: encrypt in one pass, authenticate, then decrypt, all in bounded memory.

Format: https://github.com/fernet/spec/blob/master/Spec.md
token = base64url(0x80 || timestamp (64 bit, big-endian seconds) || IV (128 bit) || AES-128-CBC(PKCS7) || HMAC-SHA256 (256 bit)).
The first half of the key signs, the second half encrypts.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import io
import os
import time
import typing as t

from ..base.errors import IntegrityError
from ..base.libraries import needed, optional

BLOCK = 16
HEADER = 1 + 8 + BLOCK
MAC = 32
SMALLEST_TOKEN = 4 * -(-(HEADER + BLOCK + MAC) // 3)
CHUNK = 1 << 16
"""Characters of a token that are read at once: a multiple of 4, so that each chunk decodes by itself; small enough for a CPU cache."""


class Token(t.NamedTuple):
    """An authenticated token. created: in seconds since the epoch; size: of its text in bytes."""

    created: int
    size: int


class Encryptor:
    """Encrypts one stream to one token: ``update`` as often as there is plaintext, ``finish`` once; both return token text.

    key: the 32 raw bytes of a Fernet key. Raises MissingLibraryError without the library ``cryptography``.
    """

    def __init__(self, key: bytes, created: t.Optional[int] = None) -> None:
        iv = os.urandom(BLOCK)
        self._cipher = _aes_cbc(key, iv).encryptor()
        self._mac = hmac.new(key[:16], digestmod="sha256")
        self._encode = _base64_encoder()
        self._plain_size = 0
        header = b"\x80" + int(time.time() if created is None else created).to_bytes(8, "big") + iv
        self._mac.update(header)
        self._pending = header

    def update(self, plaintext: t.Union[bytes, bytearray, memoryview]) -> bytes:
        self._plain_size += len(plaintext)
        return self._emit(self._cipher.update(plaintext))

    def finish(self) -> bytes:
        padding = BLOCK - self._plain_size % BLOCK
        text = self._emit(self._cipher.update(bytes([padding]) * padding) + self._cipher.finalize())
        return text + self._encode(self._pending + self._mac.digest())

    def _emit(self, ciphertext: bytes) -> bytes:
        self._mac.update(ciphertext)
        raw = self._pending + ciphertext
        whole = len(raw) - len(raw) % 3
        self._pending = raw[whole:]
        return self._encode(raw[:whole])


def authenticate(stream: t.BinaryIO, key: bytes, subject: str) -> Token:
    """Read a whole token and prove that this key signed it; nothing is decrypted.

    subject: how errors name the archive. Raises IntegrityError for anything but exactly one well-formed token signed with the key.
    """
    mac = hmac.new(key[:16], digestmod="sha256")
    header = b""
    size, signed, signature = 0, 0, b""
    for read, raw, last in _decoded(stream, subject):
        header = header or _checked_header(raw, subject)
        mac.update(raw)
        size, signed, signature = read, signed + len(raw), last
    _check_signature(mac, signature, subject)
    _check_whole_blocks(signed, subject)
    return Token(int.from_bytes(header[1:9], "big"), size)


def check_form(stream: t.BinaryIO, subject: str) -> None:
    """Read a whole token and check all that can be checked without its key. Raises IntegrityError."""
    header = b""
    signed = 0
    for _read, raw, _last in _decoded(stream, subject):
        header = header or _checked_header(raw, subject)
        signed += len(raw)
    _check_whole_blocks(signed, subject)


def decrypt(stream: t.BinaryIO, key: bytes, subject: str) -> t.Iterator[bytes]:
    """Yield the plaintext of a token in order.

    Call ``authenticate`` first: the plaintext is proven only when the iterator ends without an error. The signature is checked again,
    so a file that changed between the two passes is refused too.
    """
    mac = hmac.new(key[:16], digestmod="sha256")
    cipher = None
    held = b""
    signed, signature = 0, b""
    for _read, raw, last in _decoded(stream, subject):
        mac.update(raw)
        signed, signature = signed + len(raw), last
        if cipher is None:
            cipher = _aes_cbc(key, _checked_header(raw, subject)[9:]).decryptor()
            raw = raw[HEADER:]
        plain = held + cipher.update(raw)
        held = plain[-BLOCK:]
        yield plain[:-BLOCK]
    _check_signature(mac, signature, subject)
    _check_whole_blocks(signed, subject)
    padding = held[-1] if len(held) == BLOCK else 0
    if not 1 <= padding <= BLOCK or held[-padding:] != bytes([padding]) * padding:
        raise IntegrityError("the padding of the token is damaged", subject)
    yield held[:-padding]


def token_of(key: bytes, data: bytes) -> str:
    """The token of some bytes, which are in memory."""
    encryptor = Encryptor(key)
    return (encryptor.update(data) + encryptor.finish()).decode("ascii")


def opened(key: bytes, token: bytes) -> bytes:
    """What is in a token, authenticated. Raises IntegrityError."""
    authenticate(io.BytesIO(token), key, "token")
    return b"".join(decrypt(io.BytesIO(token), key, "token"))


class RandomReader(io.RawIOBase):
    """The plaintext of a token from any place on. Nothing but what is asked for is decrypted.

    stream: the token, seekable; ``authenticate`` must have accepted it, and nobody else may write to it. AES-CBC needs the block before the
    one that it decrypts; before the first one is the IV. subject: how errors name the archive. Raises IntegrityError.
    """

    def __init__(self, stream: t.BinaryIO, key: bytes, subject: str) -> None:
        self._stream = stream
        self._key = key
        self._subject = subject
        self._decode = _base64_decoder()
        self._position = 0
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - 4))
        self._raw_size = size // 4 * 3 - stream.read(4).count(b"=")
        blocks = (self._raw_size - HEADER - MAC) // BLOCK
        last = self._plain(max(0, blocks - 1), blocks)
        padding = last[-1] if last else 0
        if not 1 <= padding <= BLOCK or last[-padding:] != bytes([padding]) * padding:
            raise IntegrityError("the padding of the token is damaged", subject)
        self._size = blocks * BLOCK - padding

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + (0, self._position, self._size)[whence]
        if position < 0:
            raise ValueError("a position before the beginning")
        self._position = position
        return position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: t.Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), CHUNK, self._size - self._position))
        if count:
            first = self._position // BLOCK
            plain = self._plain(first, -(-(self._position + count) // BLOCK))
            start = self._position - first * BLOCK
            view[:count] = plain[start : start + count]
            self._position += count
        return count

    def _plain(self, first: int, end: int) -> bytes:
        """The plaintext of these blocks, with the padding if they are the last."""
        raw = self._raw(HEADER + (first - 1) * BLOCK, HEADER + end * BLOCK)
        cipher = _aes_cbc(self._key, raw[:BLOCK]).decryptor()
        return t.cast(bytes, cipher.update(raw[BLOCK:]))

    def _raw(self, start: int, end: int) -> bytes:
        """What the token encodes, from byte to byte. Four characters encode three bytes."""
        first = start // 3
        self._stream.seek(4 * first)
        text = self._stream.read(4 * (-(-end // 3) - first))
        try:
            raw = self._decode(text)
        except (binascii.Error, ValueError) as error:
            raise IntegrityError("the token changed while it was read", self._subject) from error
        if len(raw) < end - 3 * first:
            raise IntegrityError("the token changed while it was read", self._subject)
        return raw[start - 3 * first : end - 3 * first]


def _decoded(stream: t.BinaryIO, subject: str) -> t.Iterator[t.Tuple[int, bytes, bytes]]:
    """Yield (characters read so far, raw bytes that are surely not signature, the last 32 bytes so far).

    Strict where base64 readers are lax: no white space, no '+' or '/', no characters after the padding, no stray bits in the
    last character, so that one archive has exactly one text.
    """
    decode = _base64_decoder()
    size = 0
    held = b""
    # The first piece has the whole header. Later ones may be short: the last chunk may hold less than the signature.
    least = HEADER
    ended = False
    while True:
        text = stream.read(CHUNK)
        if not text:
            break
        if ended or len(text) % 4:
            raise IntegrityError("the token is truncated, or bytes were added at its end", subject)
        if b"+" in text or b"/" in text:
            raise IntegrityError("the token contains characters that are not base64url", subject)
        try:
            raw = decode(text)
        except (binascii.Error, ValueError) as error:
            raise IntegrityError("the token contains characters that are not base64url", subject) from error
        ended = text.endswith(b"=")
        if ended and base64.urlsafe_b64encode(raw[-(len(raw) % 3) :]) != text[-4:]:
            raise IntegrityError("the last characters of the token were altered", subject)
        size += len(text)
        raw = held + raw
        if len(raw) > MAC + least:
            held, least = raw[-MAC:], 0
            yield size, raw[:-MAC], held
        else:
            held = raw
    if size < SMALLEST_TOKEN:
        raise IntegrityError("too short for a Fernet token (%d bytes)" % size, subject)


def _checked_header(raw: bytes, subject: str) -> bytes:
    if raw[0] != 0x80:
        raise IntegrityError("not a Fernet token (its first byte is 0x%02x, not 0x80)" % raw[0], subject)
    return raw[:HEADER]


def _check_signature(mac: hmac.HMAC, signature: bytes, subject: str) -> None:
    if not hmac.compare_digest(mac.digest(), signature):
        raise IntegrityError("the archive is damaged, or it was not encrypted with this key", subject)


def _check_whole_blocks(signed: int, subject: str) -> None:
    """Refuse a ciphertext that only a faulty writer signs: AES-CBC would silently drop the bytes after the last whole block."""
    if (signed - HEADER) % BLOCK:
        raise IntegrityError("the ciphertext is %d bytes, which is not a multiple of %d" % (signed - HEADER, BLOCK), subject)


def _aes_cbc(key: bytes, iv: bytes) -> t.Any:
    with needed("cryptography", "Fernet encryption"):
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    return Cipher(algorithms.AES(key[16:]), modes.CBC(iv))


def _base64_encoder() -> t.Callable[[bytes], bytes]:
    with optional("pybase64"):
        import pybase64

        return pybase64.urlsafe_b64encode
    return base64.urlsafe_b64encode


def _base64_decoder() -> t.Callable[[bytes], bytes]:
    with optional("pybase64"):
        import pybase64

        return lambda text: pybase64.b64decode(text, altchars=b"-_", validate=True)
    return lambda text: base64.b64decode(text, altchars=b"-_", validate=True)
