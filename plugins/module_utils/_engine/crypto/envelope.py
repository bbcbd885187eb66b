# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The envelope around the tgz of an archive: a Fernet token, or none. Only this file distinguishes the two.

The key of a token is the current one of the keyring. With recipients, it is a fresh key of this archive alone, which the manifest has
wrapped for each recipient, and also for the key of the keyring if the job has one. A wrapped key is bound to the name of its archive.
"""

from __future__ import annotations

import base64
import io
import os
import typing as t

from ..base.errors import ConfigError, IntegrityError, KeyMissingError, KeyringError, NotARecipientError
from ..base.staging import CHUNK, sha256_of
from . import keyring, mac
from .fernet import Encryptor, RandomReader, authenticate, decrypt

if t.TYPE_CHECKING:
    from ..config.document import EncryptionOptions
    from .recipients import Identity, Recipient

FERNET = "fernet"
NONE = "none"

_SUFFIXES = {FERNET: ".tgz.fernet", NONE: ".tgz"}

KEYRING = "keyring"
"""The type of a key that is wrapped for the key of a keyring: a Fernet token made with it."""
MOST_RECIPIENTS = 50
_MOST_WRAPPED = 2 * MOST_RECIPIENTS
_LONGEST_WRAPPED = 8192
"""Characters. An age file for one recipient, and the longest name, take 700."""


class WrappedKey(t.TypedDict):
    """The key of one archive, for one recipient. ``type``: age, hpke or keyring; ``recipient``: its public key, or the id of the key of the
    keyring; ``key``: the wrapped key, in base64."""

    type: str
    recipient: str
    key: str


class _FactsNeeded(t.TypedDict):
    format: str
    key_id: t.Optional[str]


class EncryptionFacts(_FactsNeeded, total=False):
    """How a manifest describes the envelope. ``format``: fernet or none. ``key_id``: of the key that opens it; None with none.

    Only with recipients: ``wrapped``, the key for each of them; ``removed``, recipients that a rewrap has removed.
    """

    wrapped: t.List[WrappedKey]
    removed: t.List[str]


class Offline(t.NamedTuple):
    """What opens archives beside the keyring of a host. identities: private keys of recipients. archive_keys: {key id: the 32 bytes of the
    key of one archive}."""

    identities: t.Sequence[Identity] = ()
    archive_keys: t.Mapping[str, bytes] = {}


NOT_OFFLINE = Offline()


class PlainEnvelope:
    """No envelope: the archive is the plain tgz."""

    @property
    def facts(self) -> EncryptionFacts:
        """What the manifest of the archive states."""
        return {"format": NONE, "key_id": None}

    is_vouched = True
    """Whether only the host, or who has its keys, can have made what opens with this envelope. An HMAC proves no more than this."""

    def for_name(self, name: bytes) -> Envelope:
        """The envelope of a new archive. name: what a wrapped key is bound to. Raises MissingLibraryError, ConfigError."""
        return self

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

    def random_access(self, stream: t.BinaryIO, subject: str) -> t.BinaryIO:
        """What is enclosed, for a reader that seeks in it; call ``authenticate`` first. Raises IntegrityError."""
        return stream

    def hmac_of(self, manifest: t.Iterable[bytes]) -> t.Optional[str]:
        """The HMAC of the pieces of a manifest, in lowercase hex (see ``crypto.mac``); None, because there is no key."""
        return None


class VouchedEnvelope(PlainEnvelope):
    """No envelope, and a key with which the manifest is authenticated. The manifest proves the archive, by its SHA-256."""

    def __init__(self, key: keyring.Key) -> None:
        self._hmac_key = mac.derive_key(key.secret)

    def hmac_of(self, manifest: t.Iterable[bytes]) -> t.Optional[str]:
        return mac.hmac_of(self._hmac_key, manifest)


class FernetEnvelope:
    """A Fernet token, made with one key. The methods are those of ``PlainEnvelope``.

    facts: of the manifest; by default there are no recipients.
    """

    def __init__(self, key: keyring.Key, facts: t.Optional[EncryptionFacts] = None, is_vouched: bool = True) -> None:
        self._key = key
        self._facts: EncryptionFacts = facts or {"format": FERNET, "key_id": key.id}
        self._hmac_key: t.Optional[bytes] = None
        self.is_vouched = is_vouched

    @property
    def facts(self) -> EncryptionFacts:
        return self._facts

    def for_name(self, name: bytes) -> Envelope:
        return self

    def rewrapped(self, name: bytes, add: t.Sequence[Recipient], remove: t.Collection[str]) -> FernetEnvelope:
        """The envelope of the same archive for other recipients; itself if they are right already. remove: their texts.

        Raises ConfigError if the key would be wrapped for nobody, MissingLibraryError.
        """
        known = {one["recipient"] for one in self._facts["wrapped"]}
        add = list({recipient.text: recipient for recipient in add}.values())
        new = [recipient for recipient in add if recipient.text not in known]
        wrapped = [one for one in self._facts["wrapped"] if one["recipient"] not in remove]
        if not new and len(wrapped) == len(known):
            return self
        wrapped += [_wrapped(recipient, self._key.secret, name) for recipient in new]
        if new and len(wrapped) > MOST_RECIPIENTS:
            text = "the archive would have %d recipients; the limit is %d" % (len(wrapped), MOST_RECIPIENTS)
            raise ConfigError(text, hint="Remove others from it")
        if not wrapped:
            raise ConfigError("no recipient would be left, and nobody could open the archive any more", hint="Add another one first")
        gone = {*self._facts.get("removed", ()), *(known & set(remove))} - {one["recipient"] for one in wrapped}
        facts: EncryptionFacts = {"format": FERNET, "key_id": self._key.id, "wrapped": wrapped}
        if gone:
            facts["removed"] = sorted(gone)
        return FernetEnvelope(self._key, facts, self.is_vouched)

    def key_text(self) -> str:
        """The key of an archive with recipients, in the form that Fernet libraries read."""
        return base64.urlsafe_b64encode(self._key.secret).decode("ascii")

    def seal(self) -> Seal:
        return Encryptor(self._key.secret)

    def authenticate(self, stream: t.BinaryIO, sha256: t.Optional[str], subject: str) -> None:
        # The signature proves more than a digest that anyone can compute.
        authenticate(stream, self._key.secret, subject)

    def open(self, stream: t.BinaryIO, subject: str) -> t.Iterator[bytes]:
        return decrypt(stream, self._key.secret, subject)

    def random_access(self, stream: t.BinaryIO, subject: str) -> t.BinaryIO:
        return t.cast(t.BinaryIO, io.BufferedReader(RandomReader(stream, self._key.secret, subject)))

    def hmac_of(self, manifest: t.Iterable[bytes]) -> t.Optional[str]:
        if self._hmac_key is None:
            self._hmac_key = mac.derive_key(self._key.secret)
        return mac.hmac_of(self._hmac_key, manifest)


class _NoSeal:
    """Like ``Encryptor``, for a tgz that is not encrypted."""

    def update(self, plaintext: bytes) -> bytes:
        return plaintext

    def finish(self) -> bytes:
        return b""


class RecipientsEnvelope:
    """Fernet tokens for recipients, each with a fresh key. ``for_name`` makes the envelope of one archive.

    host_key: of the keyring, which opens the archives too; None if the host must not open them.
    """

    def __init__(self, recipients: t.Sequence[Recipient], host_key: t.Optional[keyring.Key]) -> None:
        self._recipients = recipients
        self._host_key = host_key

    def for_name(self, name: bytes) -> FernetEnvelope:
        """See ``PlainEnvelope``."""
        secret = keyring.generate_key()
        wrapped = [_wrapped(recipient, secret, name) for recipient in self._recipients]
        if self._host_key is not None:
            wrapped.append(_wrapped_for_host(self._host_key, secret, name))
        key = keyring.Key(keyring.key_id(secret), secret)
        return FernetEnvelope(key, {"format": FERNET, "key_id": key.id, "wrapped": wrapped})


Envelope = t.Union[PlainEnvelope, FernetEnvelope]
NewEnvelope = t.Union[PlainEnvelope, FernetEnvelope, RecipientsEnvelope]
"""What makes the envelopes of new archives, with ``for_name``."""
Seal = t.Union[Encryptor, _NoSeal]


def suffix(format: str) -> str:
    """The default suffix of the names of archives. format: ``FERNET`` or ``NONE``."""
    return _SUFFIXES[format]


def for_new_archives(options: EncryptionOptions) -> NewEnvelope:
    """The envelope of archives that are made now: for the recipients, or with the current key of the keyring. Raises KeyringError."""
    if options["format"] == NONE:
        return PlainEnvelope()
    key = keyring.load_current(options["keyring"]) if options["keyring"] is not None else None
    if options["recipients"]:
        from . import recipients

        return RecipientsEnvelope([recipients.parse(text) for text in options["recipients"]], key)
    return FernetEnvelope(t.cast(keyring.Key, key))


def check_new_archives(options: EncryptionOptions, warn: t.Callable[[str], object]) -> None:
    """For a dry run: raise KeyringError where ``for_new_archives`` does. A keyring that does not exist yet is only a warning."""
    folder = options["keyring"]
    if options["format"] == NONE or folder is None:
        return
    try:
        keyring.load_current(folder)
    except KeyringError as error:
        # An earlier task of the play may be the one that creates it.
        if os.path.exists(folder):
            raise
        warn(str(error))


def for_archive(
    facts: EncryptionFacts,
    keyring_folder: t.Optional[str],
    unencrypted: bool,
    subject: str,
    name: bytes = b"",
    offline: Offline = NOT_OFFLINE,
) -> Envelope:
    """The envelope of an archive that exists, by its manifest; the key is found by its id, or unwrapped.

    unencrypted: accept an archive that is not encrypted. subject: how errors name the archive. name: what a wrapped key must be bound to.
    Raises KeyringError if there is no such key, NotARecipientError, IntegrityError if the archive is not encrypted and must be, or has a
    wrapped key that is damaged or another archive's, MissingLibraryError.
    """
    if facts["format"] == NONE:
        if not unencrypted:
            raise IntegrityError(
                "the archive is not encrypted; anyone with write access to the store could have replaced an encrypted one with it",
                subject,
                "If you expect this, allow it with --unencrypted, or with the module's option unencrypted",
            )
        return PlainEnvelope()
    if "wrapped" in facts:
        secret, is_vouched = _unwrapped(facts, keyring_folder, subject, name, offline)
        key = keyring.Key(keyring.key_id(secret), secret)
        if key.id != facts["key_id"]:
            raise IntegrityError("the wrapped key belongs to another archive: it is not the key that the manifest names", subject)
        return FernetEnvelope(key, facts, is_vouched)
    if keyring_folder is None:
        text = "the archive is encrypted with the key %s of a keyring, and no keyring is given" % facts["key_id"]
        raise KeyMissingError(text, subject, "Set the keyring that contains its key")
    return FernetEnvelope(keyring.load(keyring_folder, t.cast(str, facts["key_id"])))


def _unwrapped(
    facts: EncryptionFacts, keyring_folder: t.Optional[str], subject: str, name: bytes, offline: Offline
) -> t.Tuple[bytes, bool]:
    """The key of an archive with recipients, and whether it was wrapped for the keyring, as only its owner can do."""
    from . import recipients

    missing: t.Optional[KeyringError] = None
    if keyring_folder is not None:
        for one in facts["wrapped"]:
            if one["type"] == KEYRING:
                try:
                    return _unwrapped_by_host(keyring.load(keyring_folder, one["recipient"]), one, name, subject), True
                except KeyringError as error:
                    missing = error
    given = offline.archive_keys.get(t.cast(str, facts["key_id"]))
    if given is not None:
        return given, False
    wrapped = {one["recipient"]: one["key"] for one in facts["wrapped"] if one["type"] != KEYRING}
    for identity in offline.identities:
        if identity.recipient in wrapped:
            return recipients.unwrap(identity, base64.b64decode(wrapped[identity.recipient]), name, subject), False
    if missing is not None and not offline.identities:
        raise missing
    raise _closed(facts, subject, offline)


def _closed(facts: EncryptionFacts, subject: str, offline: Offline) -> KeyMissingError:
    """The error for an archive with recipients that nothing at hand opens."""
    whom = ", ".join("the keyring key %s" % one["recipient"] if one["type"] == KEYRING else one["recipient"] for one in facts["wrapped"])
    for identity in offline.identities:
        if identity.recipient in facts.get("removed", ()):
            text = "the recipient %s was removed from the archive; it can be opened by %s" % (identity.recipient, whom)
            return NotARecipientError(text, subject, "Use the identity of one of these")
    if offline.identities:
        text = "none of the identities (%s) is a recipient of the archive; it can be opened by %s"
        mine = ", ".join(identity.recipient for identity in offline.identities)
        return NotARecipientError(text % (mine, whom), subject, "Use the identity of one of these")
    what = "the given key belongs to another archive" if offline.archive_keys else "no key for it is available"
    return KeyMissingError(
        "the archive has its own key, and %s; it can be opened by %s" % (what, whom),
        subject,
        "Give the private key of one of them: --identity FILE, or the module's option identities",
    )


def _wrapped(recipient: Recipient, secret: bytes, name: bytes) -> WrappedKey:
    from .recipients import wrap

    text = base64.b64encode(wrap(recipient, secret, name)).decode("ascii")
    return {"type": recipient.type, "recipient": recipient.text, "key": text}


def _wrapped_for_host(key: keyring.Key, secret: bytes, name: bytes) -> WrappedKey:
    from .recipients import content

    seal = Encryptor(key.secret)
    token = seal.update(content(secret, name)) + seal.finish()
    return {"type": KEYRING, "recipient": key.id, "key": token.decode("ascii")}


def _unwrapped_by_host(key: keyring.Key, wrapped: WrappedKey, name: bytes, subject: str) -> bytes:
    from .recipients import from_content

    token = io.BytesIO(wrapped["key"].encode("ascii"))
    what = "%s: the key that is wrapped for the keyring" % subject
    authenticate(token, key.secret, what)
    token.seek(0)
    return from_content(b"".join(decrypt(token, key.secret, what)), name, subject)


def opened_by(facts: EncryptionFacts) -> t.List[str]:
    """Who can open an archive: ids of keys of a keyring, and recipients. Empty if it is not encrypted."""
    if "wrapped" in facts:
        return [one["recipient"] for one in facts["wrapped"]]
    return [] if facts["format"] == NONE else [t.cast(str, facts["key_id"])]


def has_recipients(facts: EncryptionFacts) -> bool:
    """Whether an archive has its own key, which is wrapped."""
    return "wrapped" in facts


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
    if "wrapped" in facts or "removed" in facts:
        _check_wrapped(facts, subject)


def _check_wrapped(facts: t.Mapping[str, t.Any], subject: str) -> None:
    wrapped, removed = facts.get("wrapped"), facts.get("removed", [])
    if facts["format"] != FERNET or not (isinstance(wrapped, list) and 0 < len(wrapped) <= _MOST_WRAPPED):
        raise IntegrityError("the manifest's 'encryption.wrapped' is not a list of 1 to %d wrapped keys" % _MOST_WRAPPED, subject)
    for index, one in enumerate(wrapped):
        where = "encryption.wrapped[%d]" % index
        if not (isinstance(one, dict) and all(isinstance(one.get(name), str) for name in ("type", "recipient", "key"))):
            raise IntegrityError("the manifest's '%s' lacks its type, recipient or key" % where, subject)
        if max(len(one["recipient"]), len(one["key"])) > _LONGEST_WRAPPED or not one["recipient"].isprintable():
            raise IntegrityError("the manifest's '%s' is too long, or has other characters than text" % where, subject)
        try:
            base64.b64decode(one["key"].translate(_STANDARD) if one["type"] == KEYRING else one["key"], validate=True)
        except ValueError:
            raise IntegrityError("the manifest's '%s.key' is not base64" % where, subject) from None
        if one["type"] == KEYRING and not keyring.is_key_id(one["recipient"]):
            raise IntegrityError("the manifest's '%s.recipient' is not the id of a key" % where, subject)
    if len({one["recipient"] for one in wrapped}) < len(wrapped):
        raise IntegrityError("the manifest has a recipient twice", subject)
    if not (isinstance(removed, list) and all(isinstance(one, str) and len(one) <= _LONGEST_WRAPPED for one in removed)):
        raise IntegrityError("the manifest's 'encryption.removed' is not a list of recipients", subject)


_STANDARD = str.maketrans("-_", "+/")
"""A Fernet token is base64url."""
