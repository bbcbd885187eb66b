# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The envelope around the tgz of an archive: a Fernet token, or none. Only this file distinguishes the two."""

from __future__ import annotations

import typing as t

from ..base.errors import IntegrityError, KeyringError
from ..base.staging import CHUNK, sha256_of
from . import keyring, mac
from .fernet import Encryptor, authenticate, decrypt

if t.TYPE_CHECKING:
    from ..config.document import EncryptionOptions

FERNET = "fernet"
NONE = "none"

_SUFFIXES = {FERNET: ".tgz.fernet", NONE: ".tgz"}


class EncryptionFacts(t.TypedDict):
    """How a manifest describes the envelope. ``format``: fernet or none. ``key_id``: of the key that opens it; None with none."""

    format: str
    key_id: t.Optional[str]


class PlainEnvelope:
    """No envelope: the archive is the plain tgz."""

    @property
    def facts(self) -> EncryptionFacts:
        """What the manifest of the archive states."""
        return {"format": NONE, "key_id": None}

    def seal(self) -> Seal:
        """Begin to enclose one tgz. Raises MissingLibraryError."""
        return _NoSeal()

    def authenticate(self, stream: t.BinaryIO, sha256: t.Optional[str], subject: str) -> None:
        """Read the whole archive and prove that it is authentic, or, if it is not signed, that it has this SHA-256 (lowercase hex).

        subject: how errors name the archive. Raises IntegrityError.
        """
        if sha256 is None:
            return
        if sha256_of(stream) != sha256:
            raise IntegrityError("the archive does not match its manifest: its SHA-256 differs", subject)

    def open(self, stream: t.BinaryIO, subject: str) -> t.Iterator[bytes]:
        """Yield the tgz in pieces; call ``authenticate`` first. The tgz is proven only when the iterator ends. Raises IntegrityError."""
        return iter(lambda: stream.read(CHUNK), b"")

    def hmac_of(self, manifest: bytes) -> t.Optional[str]:
        """The HMAC of a manifest, in lowercase hex (see ``crypto.mac``); None, because there is no key."""
        return None


class FernetEnvelope:
    """A Fernet token, made with one key. The methods are those of ``PlainEnvelope``."""

    def __init__(self, key: keyring.Key) -> None:
        self._key = key
        self._hmac_key: t.Optional[bytes] = None

    @property
    def facts(self) -> EncryptionFacts:
        return {"format": FERNET, "key_id": self._key.id}

    def seal(self) -> Seal:
        return Encryptor(self._key.secret)

    def authenticate(self, stream: t.BinaryIO, sha256: t.Optional[str], subject: str) -> None:
        # The signature proves more than a digest that anyone can compute.
        authenticate(stream, self._key.secret, subject)

    def open(self, stream: t.BinaryIO, subject: str) -> t.Iterator[bytes]:
        return decrypt(stream, self._key.secret, subject)

    def hmac_of(self, manifest: bytes) -> t.Optional[str]:
        if self._hmac_key is None:
            self._hmac_key = mac.derive_key(self._key.secret)
        return mac.hmac_of(self._hmac_key, manifest)


class _NoSeal:
    """Like ``Encryptor``, for a tgz that is not encrypted."""

    def update(self, plaintext: bytes) -> bytes:
        return plaintext

    def finish(self) -> bytes:
        return b""


Envelope = t.Union[PlainEnvelope, FernetEnvelope]
Seal = t.Union[Encryptor, _NoSeal]


def suffix(format: str) -> str:
    """The default suffix of the names of archives. format: ``FERNET`` or ``NONE``."""
    return _SUFFIXES[format]


def for_new_archives(options: EncryptionOptions) -> Envelope:
    """The envelope of archives that are made now, with the current key of the keyring. Raises KeyringError."""
    if options["format"] == NONE:
        return PlainEnvelope()
    return FernetEnvelope(keyring.load_current(t.cast(str, options["keyring"])))


def for_archive(facts: EncryptionFacts, keyring_folder: t.Optional[str], unencrypted: bool, subject: str) -> Envelope:
    """The envelope of an archive that exists, by its manifest; the key is found by its id.

    unencrypted: accept an archive that is not encrypted. subject: how errors name the archive.
    Raises KeyringError if there is no such key, IntegrityError if the archive is not encrypted and must be.
    """
    if facts["format"] == NONE:
        if not unencrypted:
            raise IntegrityError(
                "the archive is not encrypted; anyone with write access to the store could have replaced an encrypted one with it",
                subject,
                "If you expect this, allow it with --unencrypted, or with the module's option unencrypted",
            )
        return PlainEnvelope()
    if keyring_folder is None:
        raise KeyringError("the archive is encrypted and no keyring is given", subject, "Set the keyring that contains its key")
    return FernetEnvelope(keyring.load(keyring_folder, t.cast(str, facts["key_id"])))


def has_key(facts: EncryptionFacts) -> bool:
    """Whether an archive with this envelope has a key, and its manifest can have an HMAC."""
    return facts["format"] != NONE


def encrypts(options: EncryptionOptions) -> bool:
    """Whether a job with these options encrypts its archives."""
    return options["format"] != NONE


def check_facts(facts: t.Mapping[str, t.Any], subject: str) -> None:
    """Check how a manifest describes the envelope. Raises IntegrityError; subject names the manifest."""
    if facts["format"] not in _SUFFIXES:
        raise IntegrityError(
            "the manifest names an unknown encryption: %r" % facts["format"],
            subject,
            "Use a newer version of infra_ops.log_archive",
        )
    if facts["format"] == FERNET and not (isinstance(facts.get("key_id"), str) and keyring.is_key_id(facts["key_id"])):
        raise IntegrityError("the manifest lacks 'encryption.key_id' (16 hexadecimal digits in lower case)", subject)
