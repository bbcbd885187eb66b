# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client ids as tokens, encrypted with the key of the month of their entry, and back.

A randomised token is a Fernet token. A deterministic one is ``siv1.`` and the base64url text (without padding) of AES-SIV (RFC 5297, as
``cryptography`` returns it: 16 bytes of synthetic IV, then the ciphertext) of the id in UTF-8, without associated data. The 64 bytes of
its key are HMAC-SHA512(the 32 bytes of the month's Fernet key, ``log-archive client id siv v1``).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import typing as t

from ..base.errors import IntegrityError, KeyMissingError, MissingLibraryError
from ..base.libraries import needed
from . import fernet, keyring, months

MOST_BYTES = 255
"""The length of a client id in UTF-8."""
_SIV = "siv1."


class Revealed(t.NamedTuple):
    """A token that was decrypted. key: the name of the key, such as "2021_April"."""

    key: str
    text: str


class ClientIds:
    """Encrypts with the keys of one keyring. create: make the key of a month that never had one; without it a key that is forgotten."""

    def __init__(self, folder: str, deterministic: bool, create: bool = True) -> None:
        self._folder = folder
        self._deterministic = deterministic
        self._create = create
        self._keys: t.Dict[str, t.Tuple[str, bytes]] = {}
        self._ciphers: t.Dict[str, t.Any] = {}

    def token(self, month: str, text: str) -> t.Tuple[str, str]:
        """The token of an id in a month ("2021-04"), and the name of the key. Raises KeyringError, MissingLibraryError."""
        name, secret = self._key(month)
        if not self._deterministic:
            return fernet.token_of(secret, text.encode("utf-8")), name
        cipher = self._ciphers.get(month)
        if cipher is None:
            cipher = self._ciphers[month] = _siv(secret)
        return _SIV + base64.urlsafe_b64encode(cipher.encrypt(text.encode("utf-8"), None)).decode("ascii").rstrip("="), name

    def seal(self, month: str, data: bytes) -> bytes:
        """Bytes that may hold client ids, encrypted at random: the name of the key, a space, and a Fernet token."""
        name, secret = self._key(month)
        return ("%s %s" % (name, fernet.token_of(secret, data))).encode("ascii")

    def _key(self, month: str) -> t.Tuple[str, bytes]:
        found = self._keys.get(month)
        if found is None:
            found = self._keys[month] = (months.name_of(month), self._secret(month))
        return found

    def _secret(self, month: str) -> bytes:
        if self._create:
            return months.load_or_create(self._folder, month).secret
        key = months.find_if_any(self._folder, month)
        return keyring.generate_key() if key is None else key.secret


def is_sealed(data: bytes, length: int) -> bool:
    """Whether ``seal`` made this of a text, or of the beginning of one. length: of the whole text."""
    return len(data) != length and months.month_of(data.partition(b" ")[0].decode("ascii", "replace")) is not None


def unseal(folder: str, data: bytes) -> bytes:
    """What ``seal`` encrypted. Raises KeyringError, IntegrityError."""
    name, _space, token = data.partition(b" ")
    month = months.month_of(name.decode("ascii", "replace"))
    if month is None:
        raise IntegrityError("not a line that was encrypted with the key of a month")
    return fernet.opened(months.load(folder, month).secret, token)


def reveal(keys: t.Mapping[str, bytes], token: str) -> Revealed:
    """Decrypt the token of a client id with that of these keys which made it. keys: the 32 bytes of each, by name.

    Raises KeyMissingError if none did, IntegrityError if the text is not a token. No message contains an id.
    """
    is_siv = token.startswith(_SIV)
    if not is_siv and not token.startswith("gAAAA"):
        raise IntegrityError("not the token of a client id: it begins neither with gAAAA nor with %s" % _SIV)
    for name, secret in keys.items():
        try:
            return Revealed(name, (_open_siv(secret, token) if is_siv else fernet.opened(secret, token.encode("utf-8"))).decode("utf-8"))
        except IntegrityError:
            continue
    raise KeyMissingError(
        "no key opens the token (%s)" % ("tried: %s" % ", ".join(sorted(keys)) if keys else "there are none"),
        token[:16] + "...",
        "The key is missing, or the token is damaged; the column client_key of its row names the key",
    )


def keys_of(folder: str, month: t.Optional[str] = None) -> t.Dict[str, bytes]:
    """The keys of a keyring by name, for ``reveal``: of one month, or all that are there. Raises KeyMissingError for the month."""
    if month is not None:
        return {months.name_of(month): months.load(folder, month).secret}
    keyring.check_folder(folder)
    found = {}
    for each in months.months(folder):
        try:
            found[months.name_of(each)] = months.load(folder, each).secret
        except KeyMissingError:
            continue
    return found


def _open_siv(secret: bytes, token: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    text = token[len(_SIV) :]
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return t.cast(bytes, _siv(secret).decrypt(data, None))
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise IntegrityError("the token is damaged, or another key made it") from error


def _siv(secret: bytes) -> t.Any:
    with needed("cryptography", "deterministic client ids", least="37"):
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    try:
        return AESSIV(hmac.new(secret, b"log-archive client id siv v1", "sha512").digest())
    except UnsupportedAlgorithm as error:
        reason = "it was built with an OpenSSL before 3, which has no AES-SIV"
        raise MissingLibraryError("cryptography", "deterministic client ids", reason, least="37") from error
