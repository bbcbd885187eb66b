# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read an archive that an earlier script made, and describe it in a manifest: a tgz, a zip, or a Fernet token around one of them."""

from __future__ import annotations

import typing as t

from .. import __version__
from ..base.errors import IntegrityError, KeyMissingError, KeyringError
from ..base.units import format_utc
from ..crypto import keyring
from ..crypto.envelope import FernetEnvelope, PlainEnvelope, VouchedEnvelope
from ..crypto.fernet import authenticate, check_form
from .manifest import LARGEST, VERSION, sealed, size_of
from .reading import contents
from .restore import checked

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..base.periods import Period
    from ..base.staging import StagedFile
    from ..crypto.envelope import Envelope
    from ..stores.base import Digests
    from .facts import Manifest, SourceFacts, TgzFacts

MOST_FILES = 100_000
"""Files of an archive. Their manifest has about 30 MiB."""
MAGIC = {b"\x1f\x8b\x08": "tgz", b"PK\x03\x04": "zip"}
TOKEN = b"gAAAAA"
"""How each Fernet token of this century begins: the version, and a time."""


class Opened(t.NamedTuple):
    """An archive that was read from its beginning to its end. envelope: encloses it. key: with which the token was made; None without one.

    content: of ``manifest.CONTENTS``. tgz: of the tgz or zip inside. files: those inside, by their names.
    """

    envelope: Envelope
    key: t.Optional[keyring.Key]
    content: str
    tgz: TgzFacts
    files: t.Sequence[StagedFile]


class Place(t.NamedTuple):
    """Where an adopted archive belongs. key: of the archive. original: name of the object in its store. template: gave the period."""

    host: str
    job: str
    key: str
    original: str
    template: str
    period: Period


def read(file: t.BinaryIO, digests: Digests, keys: t.Sequence[keyring.Key], subject: str) -> Opened:
    """Read an archive, and prove all that a restore would prove. Nothing is written.

    file: the archive as its store holds it, with these digests; seekable, and nobody else writes to it. keys: those to try on a token.
    subject: how errors name the archive. Raises KeyMissingError if none of the keys fits, IntegrityError for an archive that is damaged,
    that a restore would refuse, or that is neither a tgz nor a zip.
    """
    file.seek(0)
    envelope: Envelope = PlainEnvelope()
    key = None
    if file.read(len(TOKEN)) == TOKEN:
        key = _key_of(file, keys, subject)
        envelope = FernetEnvelope(key)
    beginning = envelope.random_access(file, subject)
    beginning.seek(0)
    content = MAGIC.get(beginning.read(3)) or MAGIC.get(_first(beginning, 4))
    if content is None:
        what = "what the token encloses" if key is not None else "it"
        raise IntegrityError("%s is neither a tgz nor a zip" % what, subject, "Only these can be adopted, and Fernet tokens around them")
    tgz: TgzFacts = {"size": digests.size, "sha256": digests.sha256}
    if key is not None:
        tgz = _hashed(envelope, file, subject)
    file.seek(0)
    files: t.List[StagedFile] = []
    with contents(file, envelope, subject, content) as inside:
        for member in inside.members():
            if len(files) == MOST_FILES:
                raise IntegrityError("it has more than %d files" % MOST_FILES, subject)
            files.append(checked(member, inside, subject))
        inside.finish()
    if not files:
        raise IntegrityError("it has no files", subject)
    return Opened(envelope, key, content, tgz, files)


def _first(file: t.BinaryIO, size: int) -> bytes:
    file.seek(0)
    return file.read(size)


def _key_of(file: t.BinaryIO, keys: t.Sequence[keyring.Key], subject: str) -> keyring.Key:
    """The key with which a token was made."""
    file.seek(0)
    check_form(file, subject)
    for key in keys:
        file.seek(0)
        try:
            authenticate(file, key.secret, subject)
        except IntegrityError:
            continue
        return key
    text = "none of the %d keys at hand opens it: it was encrypted with another key, or it is damaged" % len(keys)
    raise KeyMissingError(text, subject, "Give the key of the script with --key-file, or the module's option key_files")


def _hashed(envelope: Envelope, file: t.BinaryIO, subject: str) -> TgzFacts:
    import hashlib

    sha256, size = hashlib.sha256(), 0
    file.seek(0)
    for chunk in envelope.open(file, subject):
        sha256.update(chunk)
        size += len(chunk)
    return {"size": size, "sha256": sha256.hexdigest()}


def manifest_of(opened: Opened, digests: Digests, place: Place, now: datetime, vouching: t.Optional[keyring.Key]) -> Manifest:
    """The manifest of an adopted archive. vouching: the key that authenticates it if the archive is not a token; None if there is none.

    ``created`` is the end of the period: later states of a log are in archives of later periods, whenever they are adopted.
    Raises IntegrityError if it is too large.
    """
    plain = opened.key is None
    manifest: Manifest = {
        "version": VERSION,
        "engine": __version__,
        "host": place.host,
        "job": place.job,
        "created": format_utc(min(place.period.end, now)),
        "archive": {"name": place.key.rpartition("/")[2], "size": digests.size, "md5": digests.md5, "sha256": digests.sha256},
        "tgz": opened.tgz,
        "encryption": opened.envelope.facts,
        "period": {"start": format_utc(place.period.start), "end": format_utc(place.period.end)},
        "sources": [_source(file) for file in sorted(opened.files, key=lambda file: file.name)],
        "adopted": {
            "key": place.original,
            "template": place.template,
            "content": opened.content,
            "hmac_key_id": vouching.id if vouching is not None and plain else None,
        },
    }
    envelope = VouchedEnvelope(vouching) if vouching is not None and plain else opened.envelope
    manifest = sealed(manifest, envelope)
    if size_of(manifest) > LARGEST:
        raise IntegrityError("its manifest would be larger than the limit", place.original)
    return manifest


def _source(file: StagedFile) -> SourceFacts:
    # The script did not record where the log was.
    source: SourceFacts = {
        "path": file.name,
        "name": file.name,
        "size": file.size,
        "mtime_ns": file.mtime_ns,
        "mode": "%04o" % file.mode,
        "sha256": file.sha256,
    }
    if file.data is not None:
        source["data"] = [list(pair) for pair in file.data]
    return source


def keys_at_hand(folder: t.Optional[str], given: t.Sequence[keyring.Key]) -> t.List[keyring.Key]:
    """The given keys, then those of the keyring that can be read; each once. Raises KeyringError if the keyring cannot be used."""
    keys = {key.id: key for key in given}
    for info in [] if folder is None else keyring.list_keys(folder):
        if not info.removed and info.id not in keys:
            try:
                keys[info.id] = keyring.load(t.cast(str, folder), info.id)
            except KeyringError:
                continue  # Its archives are reported by their names.
    return list(keys.values())
