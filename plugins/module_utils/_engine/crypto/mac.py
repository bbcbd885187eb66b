# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HMAC of a manifest, with a key that is derived from the Fernet key of its archive.

HMAC-SHA-256 (RFC 2104) with the 32 bytes that HKDF-SHA-256 (RFC 5869) derives from the 32 raw bytes of the Fernet key. ``SALT`` and
``INFO`` keep this key apart from the two halves of the Fernet key, and from keys that are derived for other purposes.
"""

from __future__ import annotations

import hmac
import typing as t

from ..base.libraries import needed

SALT = b"infra_ops.log_archive"
INFO = b"manifest hmac v1"


def derive_key(secret: bytes) -> bytes:
    """The key of the HMAC, 32 bytes. secret: the raw bytes of the Fernet key. Raises MissingLibraryError."""
    with needed("cryptography", "authenticated manifests"):
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
    return HKDF(SHA256(), 32, SALT, INFO).derive(secret)


def hmac_of(key: bytes, pieces: t.Iterable[bytes]) -> str:
    """The HMAC of data, in lowercase hex. key: of ``derive_key``. pieces: of the data."""
    made = hmac.new(key, digestmod="sha256")
    for piece in pieces:
        made.update(piece)
    return made.hexdigest()


def matches(one: str, other: str) -> bool:
    """Whether two HMACs in hex are the same, in a time that does not depend on where they differ. Both are ASCII."""
    return hmac.compare_digest(one, other)
