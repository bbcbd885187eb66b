# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates of SSH host keys, which a certificate authority signs. Format: OpenSSH's PROTOCOL.certkeys."""

from __future__ import annotations

import base64
import time
import typing as t

from ..base.libraries import needed

if t.TYPE_CHECKING:
    from cryptography.hazmat.primitives.serialization import SSHCertificate

ALGORITHMS = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
)
"""What a server may sign with; not ssh-rsa-cert-v01, which is SHA-1."""


def judge(blob: bytes, host: str, authorities: t.Collection[bytes], revoked: t.Collection[bytes]) -> t.Tuple[bool, t.Optional[str]]:
    """Whether a certificate proves that the server is ``host``, and if not, why. OpenSSH judges it in the same way.

    (False, None): no known authority signed it, so it neither proves nor disproves anything. blob: the certificate as SSH encodes it.
    authorities, revoked: public keys as SSH encodes them; the authorities are those known for this host. Raises MissingLibraryError.
    """
    with needed("cryptography", "host certificates", least="40"):
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_ssh_public_identity
    try:
        certificate = t.cast("SSHCertificate", load_ssh_public_identity(_first_string(blob) + b" " + base64.b64encode(blob)))
        authority = _authority(certificate)
        if authority not in revoked and authority not in authorities:
            return False, None
        certificate.verify_cert_signature()
        problem = _problem(certificate, _signed_with(blob, authority), host)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError) as error:
        return False, "it is not valid (%s)" % (str(error) or type(error).__name__)
    if authority in revoked:
        problem = "its authority is marked as revoked"
    return problem is None, problem


def _problem(certificate: SSHCertificate, signed_with: bytes, host: str) -> t.Optional[str]:
    from cryptography.hazmat.primitives.serialization import SSHCertificateType

    now = time.time()
    names = [name.decode("utf-8", "replace") for name in certificate.valid_principals]
    if certificate.type is not SSHCertificateType.HOST:
        return "it is a user certificate"
    if signed_with == b"ssh-rsa":
        return "its authority signed it with SHA-1"
    if certificate.critical_options:
        return "it has critical options that are not known"
    if now < certificate.valid_after:
        return "it is not valid yet"
    if now >= certificate.valid_before:
        return "it has expired"
    if names and host.lower() not in names:
        return "it is one of %s" % ", ".join(names)
    return None


def _authority(certificate: SSHCertificate) -> bytes:
    """The public key that signed the certificate, as SSH encodes it."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return base64.b64decode(certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _signed_with(blob: bytes, authority: bytes) -> bytes:
    """The algorithm of the authority's signature, which ends the certificate, behind the authority's key."""
    _rest, _key, signature = blob.rpartition(len(authority).to_bytes(4, "big") + authority)
    return _first_string(_first_string(signature))


def _first_string(data: bytes) -> bytes:
    """The string of SSH at the beginning: four bytes of length, and its bytes."""
    return data[4 : 4 + int.from_bytes(data[:4], "big")]
