# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ed25519 signatures (RFC 8032). Keys are 32 raw bytes, signatures 64."""

from __future__ import annotations

import typing as t

from ..base.libraries import needed

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_PURPOSE = "the ledger"


class Signer:
    """A private key. Raises MissingLibraryError without cryptography, and ValueError unless ``secret`` has 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        with needed("cryptography", _PURPOSE):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(secret)

    @property
    def public(self) -> bytes:
        """The public key."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, data: bytes) -> bytes:
        """The signature of the data."""
        return self._key.sign(data)


def is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the signature of the data was made with the private key to ``public``. Raises MissingLibraryError without cryptography."""
    with needed("cryptography", _PURPOSE):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True
