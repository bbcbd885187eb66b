# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. One message for each encapsulated key.

cryptography has it from version 47 on. For older versions it is made here of X25519, HMAC and AES-GCM; both give the same.
A sealed message is the encapsulated key (32 bytes), then the ciphertext with its tag. Keys are 32 raw bytes.
"""

from __future__ import annotations

import hmac
import os
import typing as t

from ..base.libraries import needed, optional

KEY_SIZE = 32
_PURPOSE = "recipients"
_KEM_SUITE = b"KEM" + (0x0020).to_bytes(2, "big")
_SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0001))
_AES_KEY, _NONCE = 16, 12


_FIELD = 2**255 - 19
_LOW_ORDER = (
    0,
    1,
    _FIELD - 1,
    0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
    0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
)
"""The public keys of X25519 that give the same secret with each private key (https://cr.yp.to/ecdh.html#validate)."""


class WrongKeyError(ValueError):
    """The message was sealed for another key or with another ``info``, or it is damaged."""


def generate() -> bytes:
    """A new private key."""
    return os.urandom(KEY_SIZE)


def public_key(private: bytes) -> bytes:
    """The public key of a private key. Raises MissingLibraryError."""
    return _raw(_private(private).public_key())


def is_of_low_order(public: bytes) -> bool:
    """Whether whoever knows this public key knows the secret that it gives. Libraries refuse it, or end the process."""
    # X25519 ignores the highest bit (RFC 7748, section 5).
    return int.from_bytes(public, "little") % 2**255 % _FIELD in _LOW_ORDER


def seal(public: bytes, plaintext: bytes, info: bytes) -> bytes:
    """Seal a message for a public key. info: what it is bound to.

    Raises WrongKeyError for a key that cannot be used, MissingLibraryError.
    """
    library = _library()
    try:
        if library is not None:
            return t.cast(bytes, library.encrypt(plaintext, _public(public), info=info))
        return seal_by_hand(public, plaintext, info)
    except ValueError as error:
        raise WrongKeyError("no message can be sealed for this key") from error


def open_sealed(private: bytes, sealed: bytes, info: bytes) -> bytes:
    """Open a sealed message. Raises WrongKeyError, MissingLibraryError."""
    library = _library()
    if library is None:
        return open_by_hand(private, sealed, info)
    from cryptography.exceptions import InvalidTag

    try:
        return t.cast(bytes, library.decrypt(sealed, _private(private), info=info))
    except (InvalidTag, ValueError) as error:
        raise WrongKeyError("the message cannot be opened") from error


def seal_by_hand(public: bytes, plaintext: bytes, info: bytes, aad: bytes = b"", ephemeral: t.Optional[bytes] = None) -> bytes:
    """``seal`` without the library's HPKE. aad, ephemeral (a private key): as in the RFC's test vectors; the key is a new one by default.

    Raises ValueError for a key of low order.
    """
    secret = _private(generate() if ephemeral is None else ephemeral)
    encapsulated = _raw(secret.public_key())
    shared = _shared_secret(secret.exchange(_public(public)), encapsulated + public)
    key, nonce = _schedule(shared, info)
    return encapsulated + t.cast(bytes, _aes_gcm(key).encrypt(nonce, plaintext, aad))


def open_by_hand(private: bytes, sealed: bytes, info: bytes, aad: bytes = b"") -> bytes:
    """``open_sealed`` without the library's HPKE. Raises WrongKeyError."""
    with needed("cryptography", _PURPOSE):
        from cryptography.exceptions import InvalidTag
    encapsulated, ciphertext = sealed[:KEY_SIZE], sealed[KEY_SIZE:]
    secret = _private(private)
    try:
        shared = _shared_secret(secret.exchange(_public(encapsulated)), encapsulated + _raw(secret.public_key()))
        key, nonce = _schedule(shared, info)
        return t.cast(bytes, _aes_gcm(key).decrypt(nonce, ciphertext, aad))
    except (InvalidTag, ValueError) as error:
        raise WrongKeyError("the message cannot be opened") from error


def _library() -> t.Any:
    """The library's suite; None if it has no HPKE."""
    with needed("cryptography", _PURPOSE):
        import cryptography  # noqa: F401
    with optional("cryptography", "cryptography.hazmat.primitives.hpke"):
        from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

        return Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_128_GCM)
    return None


def _shared_secret(exchanged: bytes, context: bytes) -> bytes:
    """ExtractAndExpand of section 4.1."""
    key = _labeled_extract(_KEM_SUITE, b"", b"eae_prk", exchanged)
    return _labeled_expand(_KEM_SUITE, key, b"shared_secret", context, 32)


def _schedule(shared: bytes, info: bytes) -> t.Tuple[bytes, bytes]:
    """KeySchedule of section 5.1, in base mode: the key, and the nonce of the first message."""
    context = b"\0" + _labeled_extract(_SUITE, b"", b"psk_id_hash", b"") + _labeled_extract(_SUITE, b"", b"info_hash", info)
    secret = _labeled_extract(_SUITE, shared, b"secret", b"")
    return _labeled_expand(_SUITE, secret, b"key", context, _AES_KEY), _labeled_expand(_SUITE, secret, b"base_nonce", context, _NONCE)


def _labeled_extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + material, "sha256").digest()


def _labeled_expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    # HKDF's first block is enough: no output has more than 32 bytes.
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.new(key, labeled + b"\x01", "sha256").digest()[:length]


def _private(key: bytes) -> t.Any:
    with needed("cryptography", _PURPOSE):
        from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    return X25519PrivateKey.from_private_bytes(key)


def _public(key: bytes) -> t.Any:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    return X25519PublicKey.from_public_bytes(key)


def _raw(key: t.Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return t.cast(bytes, key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _aes_gcm(key: bytes) -> t.Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
