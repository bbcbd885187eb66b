# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One digest: its content, and whether CloudTrail signed it.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-validation-digest-file-structure.html and, for the signature,
cloudtrail-log-file-custom-validation.html.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import typing as t

from ..base.errors import ConfigError
from ..base.libraries import needed
from ..base.units import parse_utc
from .unpack import UnreadableError

ALGORITHM = "SHA256withRSA"


class NamedLog(t.NamedTuple):
    """A log file as a digest names it. sha256: in hex, of the unpacked file."""

    bucket: str
    key: str
    sha256: str


class Previous(t.NamedTuple):
    """The digest before, as a digest refers to it. sha256: in hex, of the unpacked file; signature: in hex."""

    bucket: str
    key: str
    sha256: t.Optional[str]
    signature: t.Optional[str]


class Digest(t.NamedTuple):
    """The content of a digest. bucket, key: where it was delivered. sha256: of its unpacked bytes. signature: in hex; None without one.

    end_text: the end as it is signed. previous: None at the start of a chain.
    """

    bucket: str
    key: str
    start: datetime.datetime
    end: datetime.datetime
    end_text: str
    fingerprint: str
    sha256: str
    signature: t.Optional[str]
    previous: t.Optional[Previous]
    logs: t.List[NamedLog]

    @property
    def signed(self) -> bytes:
        """The bytes that CloudTrail signed."""
        before = (self.previous and self.previous.signature) or "null"
        return ("%s\n%s/%s\n%s\n%s" % (self.end_text, self.bucket, self.key, self.sha256, before)).encode()


def read(plain: bytes, metadata: t.Mapping[str, str]) -> Digest:
    """The digest with these unpacked bytes and this metadata of its object. Raises UnreadableError."""
    try:
        facts = json.loads(plain)
        previous = None
        if facts["previousDigestS3Bucket"] is not None and facts["previousDigestS3Object"] is not None:
            previous = Previous(
                _text(facts["previousDigestS3Bucket"]),
                _text(facts["previousDigestS3Object"]),
                _optional(facts["previousDigestHashValue"]),
                _optional(facts["previousDigestSignature"]),
            )
        signed = metadata.get("signature-algorithm") == ALGORITHM
        return Digest(
            _text(facts["digestS3Bucket"]),
            _text(facts["digestS3Object"]),
            parse_utc(_text(facts["digestStartTime"])),
            parse_utc(_text(facts["digestEndTime"])),
            facts["digestEndTime"],
            _text(facts["digestPublicKeyFingerprint"]),
            hashlib.sha256(plain).hexdigest(),
            metadata.get("signature") if signed else None,
            previous,
            [NamedLog(_text(log["s3Bucket"]), _text(log["s3Object"]), _text(log["hashValue"])) for log in facts["logFiles"]],
        )
    except (ValueError, KeyError, TypeError, RecursionError, ConfigError) as error:
        raise UnreadableError("it is not a digest (%s: %s)" % (type(error).__name__, str(error)[:100])) from error


def _text(value: t.Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is missing")
    return value


def _optional(value: t.Any) -> t.Optional[str]:
    return None if value is None else _text(value)


def load_key(value: bytes) -> t.Any:
    """A public key from DER: PKCS #1, as the service answers, or SubjectPublicKeyInfo, as one of its examples. Raises UnreadableError."""
    with needed("cryptography", "validating CloudTrail"):
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
        from cryptography.hazmat.primitives.serialization import load_der_public_key
    try:
        key = load_der_public_key(value)
    except Exception as error:
        # Which exceptions it raises differs by release.
        raise UnreadableError("it cannot be loaded (%s)" % type(error).__name__) from error
    if not isinstance(key, RSAPublicKey):
        raise UnreadableError("it is not an RSA key")
    return key


def is_key(value: bytes) -> bool:
    """Whether this is a public key (see ``load_key``)."""
    try:
        load_key(value)
    except UnreadableError:
        return False
    return True


def is_signed_by(digest: Digest, key: t.Any) -> bool:
    """Whether the signature of the digest is of this key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        key.verify(bytes.fromhex(digest.signature or ""), digest.signed, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True
