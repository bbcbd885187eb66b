# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recipients: public keys to which the key of one archive is wrapped, and identities, the private keys that unwrap it.

==========  ==================  ============================  =====================================================================
type        recipient           identity                      the wrapped key
==========  ==================  ============================  =====================================================================
``age``     ``age1...``         ``AGE-SECRET-KEY-1...``       an age file (https://age-encryption.org/v1) of what ``_content`` makes
``hpke``    ``hpke1...``        ``HPKE-SECRET-KEY-1...``      HPKE (see ``hpke``) of the key's text; the archive's name is in ``info``
==========  ==================  ============================  =====================================================================

All four are Bech32. age needs the library pyrage; hpke needs cryptography alone.
"""

from __future__ import annotations

import base64
import os
import stat
import typing as t

from ..base.errors import ConfigError, IdentityError, IntegrityError
from ..base.libraries import needed
from . import bech32, hpke, keyring

AGE, HPKE = "age", "hpke"
_PREFIXES = {AGE: ("age", "age-secret-key-"), HPKE: ("hpke", "hpke-secret-key-")}
_HPKE_INFO = b"log-archive archive key v1\n"
_KEY_SIZE = 32
_LARGEST_FILE = 1 << 20


class Recipient(t.NamedTuple):
    """A public key. text: its Bech32, in lower case; public: its 32 raw bytes."""

    type: str
    text: str
    public: bytes


class Identity(t.NamedTuple):
    """A private key, which no repr shows. recipient: the text of its public key; secret: its 32 raw bytes."""

    type: str
    recipient: str
    secret: bytes

    def __repr__(self) -> str:
        return "Identity(recipient=%r, secret=<hidden>)" % self.recipient


def parse(text: str) -> Recipient:
    """The recipient of a text. Raises ConfigError, which states what is wrong with it."""
    shown = text if len(text) <= 100 else text[:97] + "..."
    if any(private + "1" in text.lower() for _public, private in _PREFIXES.values()):
        # Not shown: it is a secret.
        raise ConfigError(
            "it is a private key, and a recipient is a public key", hint="Keep it secret, and make a new one if it was exposed"
        )
    try:
        prefix, data = bech32.decode(text)
    except ValueError as error:
        raise ConfigError("it is not a recipient: %s" % error, ascii(shown), _FORMS) from None
    for kind, (public, _private) in _PREFIXES.items():
        if prefix == public and len(data) == _KEY_SIZE:
            if hpke.is_of_low_order(data):
                raise ConfigError("nothing can be encrypted for it: it is not a real key", ascii(shown), _FORMS)
            return Recipient(kind, text.lower(), data)
    raise ConfigError("it is not a recipient of a known type", ascii(shown), _FORMS)


_FORMS = "Use a public key of age (age1..., see age-keygen), or one that 'log-archive key new-identity' made (hpke1...)"


def new_identity() -> t.Tuple[str, str]:
    """A new key pair of the type hpke: the texts of the recipient and of the identity. Raises MissingLibraryError."""
    secret = hpke.generate()
    public, private = _PREFIXES[HPKE]
    return bech32.encode(public, hpke.public_key(secret)), bech32.encode(private, secret).upper()


def wrap(recipient: Recipient, secret: bytes, name: bytes) -> bytes:
    """Wrap the 32 bytes of a key for a recipient. name: what it is bound to. Raises MissingLibraryError, ConfigError."""
    if recipient.type == HPKE:
        try:
            return hpke.seal(recipient.public, base64.urlsafe_b64encode(secret), _HPKE_INFO + name)
        except hpke.WrongKeyError:
            raise ConfigError("nothing can be encrypted for this recipient: it is not a real key", recipient.text) from None
    pyrage = _pyrage()
    try:
        return t.cast(bytes, pyrage.encrypt(content(secret, name), [pyrage.x25519.Recipient.from_str(recipient.text)]))
    except (pyrage.RecipientError, pyrage.EncryptError) as error:
        raise ConfigError("nothing can be encrypted for this recipient (%s)" % error, recipient.text) from None


def unwrap(identity: Identity, wrapped: bytes, name: bytes, subject: str) -> bytes:
    """The 32 bytes of a key that was wrapped for the recipient of this identity.

    Raises MissingLibraryError; IntegrityError, which names ``subject``, if it is damaged, or was wrapped for an archive of another name.
    """
    damaged = "the key that is wrapped for %s is damaged, or it belongs to another archive" % identity.recipient
    if identity.type == HPKE:
        try:
            secret = keyring.secret_of(hpke.open_sealed(identity.secret, wrapped, _HPKE_INFO + name))
        except hpke.WrongKeyError:
            raise IntegrityError(damaged, subject) from None
        if secret is None:
            raise IntegrityError("what is wrapped for %s is not a key" % identity.recipient, subject)
        return secret
    pyrage = _pyrage()
    text = bech32.encode(_PREFIXES[AGE][1], identity.secret).upper()
    try:
        opened = pyrage.decrypt(wrapped, [pyrage.x25519.Identity.from_str(text)])
    except pyrage.DecryptError as error:
        raise IntegrityError("the age file with the key for %s is damaged (%s)" % (identity.recipient, error), subject) from None
    return from_content(opened, name, subject)


def content(secret: bytes, name: bytes) -> bytes:
    """A key in its text form, a line feed, and the name that it is bound to."""
    return base64.urlsafe_b64encode(secret) + b"\n" + name


def from_content(opened: bytes, name: bytes, subject: str) -> bytes:
    """The key in what ``content`` made. Raises IntegrityError if it is not a key, or is bound to another name."""
    text, _line_feed, bound = opened.partition(b"\n")
    secret = keyring.secret_of(text)
    if secret is None:
        raise IntegrityError("what is wrapped is not a key", subject)
    if bound != name:
        raise IntegrityError(
            "the wrapped key belongs to another archive, %s" % ascii(bound.decode("utf-8", "surrogateescape")),
            subject,
            "Somebody copied it from the manifest of that archive",
        )
    return secret


def _pyrage() -> t.Any:
    with needed("pyrage", "age recipients (those of the type hpke need no other library)"):
        import pyrage  # type: ignore[import-untyped]
    return pyrage


def read_identities(paths: t.Iterable[str]) -> t.List[Identity]:
    """The identities in files, one in each line; ``#`` begins a comment, as in the files of age-keygen.

    A file that others can read is refused; a pipe (``/dev/stdin``) is not a file. Raises IdentityError, MissingLibraryError.
    """
    return [identity for path in paths for identity in _read(path)]


def _read(path: str) -> t.List[Identity]:
    data = read_secret_file(path, "identity file")
    if data.startswith((b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE")):
        raise IdentityError("the identity file is encrypted with a passphrase", path, "Decrypt it first: age -d FILE > PRIVATE_FILE")
    found = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        line = line.strip()
        if line and not line.startswith("#"):
            found.append(_identity(line, number, path))
    if not found:
        raise IdentityError("the identity file has no identity", path, _IDENTITIES)
    return found


_IDENTITIES = "It has a line AGE-SECRET-KEY-1... (made by age-keygen) or HPKE-SECRET-KEY-1... (made by 'log-archive key new-identity')"


def _identity(line: str, number: int, path: str) -> Identity:
    """The identity of a line, which no message shows."""
    if line.startswith("AGE-PLUGIN-"):
        raise IdentityError("line %d has an identity of an age plugin, which cannot be used here" % number, path, _IDENTITIES)
    try:
        prefix, data = bech32.decode(line)
    except ValueError:
        raise IdentityError("line %d is not an identity, or it was mistyped or cut" % number, path, _IDENTITIES) from None
    for kind, (public, private) in _PREFIXES.items():
        if prefix == private and len(data) == _KEY_SIZE:
            return Identity(kind, bech32.encode(public, hpke.public_key(data)), data)
    if prefix in [public for public, _private in _PREFIXES.values()]:
        raise IdentityError("line %d is a recipient, which is public, and not an identity" % number, path, _IDENTITIES)
    raise IdentityError("line %d has an identity of an unknown type" % number, path, _IDENTITIES)


def read_archive_keys(path: str) -> t.Dict[str, bytes]:
    """The keys of single archives in a file, one in each line, as ``key unwrap`` prints them: {key id: 32 bytes}. Raises IdentityError."""
    keys = {}
    for number, line in enumerate(read_secret_file(path, "file with keys of archives").splitlines(), 1):
        text = line.strip()
        if text and not text.startswith(b"#"):
            keys.update(archive_key(text, "line %d" % number, path))
    if not keys:
        raise IdentityError("the file has no key of an archive", path, "'log-archive key unwrap' prints them")
    return keys


def archive_key(text: bytes, what: str, subject: t.Optional[str] = None) -> t.Dict[str, bytes]:
    """The key of one archive in its text form: {key id: 32 bytes}. Raises IdentityError, which calls it ``what``."""
    secret = keyring.secret_of(text.strip())
    if secret is None:
        raise IdentityError("%s is not the key of an archive" % what, subject, "A key is 44 characters of URL-safe base64")
    return {keyring.key_id(secret): secret}


def read_secret_file(path: str, what: str) -> bytes:
    """The content of a file with secrets, which only root or this user can read. what: it, for messages. Raises IdentityError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                keyring.check_private(status, path, "0600", IdentityError)
            data = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise IdentityError("cannot read the %s: %s" % (what, error.strerror), path) from error
    if len(data) > _LARGEST_FILE:
        raise IdentityError("the %s is larger than 1 MiB" % what, path)
    return data
