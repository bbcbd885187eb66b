# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verify the archives of a store against their manifests, and with the key the manifests and the logs."""

from __future__ import annotations

import typing as t

from ..archive.manifest import digests
from ..archive.naming import MANIFEST_SUFFIX, is_archive_key
from ..base.errors import IntegrityError, KeyringError, StoreNotFoundError
from ..base.levels import AUTHENTICATED, reaches
from ..base.staging import failing_clearly, temporary_folder
from ..crypto.envelope import PlainEnvelope, has_key, has_recipients
from ..crypto.fernet import check_form
from ..stores.base import Digests, Store
from .inventory import Inventory, StoredArchive, may_be_chosen
from .trust import Choice, Trust

if t.TYPE_CHECKING:
    from ..crypto.envelope import Envelope

CHUNK = 1 << 20
READ_BACK = "read_back"


class Checked(t.NamedTuple):
    """One archive. level: at which the store's copy was proven, None if it was not; error: why the verification failed.

    authenticated: whether the manifest is (see ``Trust.check``); None if the key is not at hand, or the verification failed. opened: False
    if the archive has recipients and its key is not at hand: then nothing shows that it can be decrypted.
    """

    key: str
    level: t.Optional[str]
    error: t.Optional[str]
    authenticated: t.Optional[bool] = None
    opened: bool = True


class FailedArchive(t.NamedTuple):
    """An archive that failed verification. archive: its key; error: why."""

    archive: str
    error: str


class Counts(t.NamedTuple):
    """The results of many archives. verified: how many match their manifests; levels: {level of their verification: how many of them}.

    authenticated, unauthenticated: how many of them have a manifest that is, or that cannot be (see ``Checked``). unopened: how many have
    recipients and no key at hand. failed_archives: the others, in the order of the results.
    """

    verified: int
    levels: t.Dict[str, int]
    authenticated: int
    unauthenticated: int
    unopened: int
    failed_archives: t.List[FailedArchive]


def count(results: t.Iterable[Checked]) -> Counts:
    """Count the results, one at a time: a row for each of 10,000 good archives would fill the memory of a controller."""
    levels: t.Dict[str, int] = {}
    proven: t.Dict[t.Optional[bool], int] = {}
    unopened = 0
    failed = []
    for one in results:
        if one.error is not None:
            failed.append(FailedArchive(one.key, one.error))
        else:
            levels[str(one.level)] = levels.get(str(one.level), 0) + 1
            proven[one.authenticated] = proven.get(one.authenticated, 0) + 1
            unopened += not one.opened
    return Counts(sum(levels.values()), levels, proven.get(True, 0), proven.get(False, 0), unopened, failed)


def verify(store: Store, archive: StoredArchive, level: t.Optional[str], trust: t.Optional[Trust] = None) -> Checked:
    """Prove the store's copy of an archive. level: of CHECK_LEVELS; None is the store's own. trust: as the archive was read with.

    ``read_back`` accepts nothing that a restore would refuse, as far as this can be known without the key; if the key is at hand, it
    checks the logs too. ``authenticated`` needs the key. Raises StoreError if the store fails, DiskFullError, LogArchiveError.
    """
    wanted = level or store.verify_level
    trust = trust or Trust()
    try:
        opened = not has_recipients(archive.manifest["encryption"]) or trust.opens(archive.manifest, store.location(archive.key))
        if not reaches(wanted, READ_BACK):
            proven = store.verify(archive.key, digests(archive.manifest), wanted).level
            return Checked(archive.key, proven, None, archive.authenticated, opened)
        _read_back(store, archive, trust, key_needed=wanted == AUTHENTICATED)
    except (IntegrityError, StoreNotFoundError, KeyringError) as error:
        return Checked(archive.key, None, str(error))
    return Checked(archive.key, wanted if archive.authenticated else READ_BACK, None, archive.authenticated, opened)


def _read_back(store: Store, archive: StoredArchive, trust: Trust, key_needed: bool) -> None:
    import tempfile

    from ..archive.restore import check_contents

    manifest, subject = archive.manifest, store.location(archive.key)
    expected = digests(manifest)
    try:
        envelope: t.Optional[Envelope] = trust.envelope(manifest, subject)
    except KeyringError:
        if key_needed:
            raise
        envelope = None
    if not store.remote:
        store.verify(archive.key, expected, READ_BACK)  # Reads past the cache of the kernel.
    folder = temporary_folder()
    with failing_clearly(folder), tempfile.TemporaryFile(dir=folder) as file:
        store.get(archive.key, file, most=expected.size)
        _compare(file, expected, subject)
        file.seek(0)
        if envelope is not None:
            check_contents(file, envelope, manifest, subject)
        elif has_key(manifest["encryption"]):
            check_form(file, subject)
        else:
            # Adopted as it is; only the HMAC of its manifest needs a key.
            check_contents(file, PlainEnvelope(), manifest, subject)


def _compare(file: t.BinaryIO, expected: Digests, subject: str) -> None:
    import hashlib

    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    file.seek(0)
    for chunk in iter(lambda: file.read(CHUNK), b""):
        md5.update(chunk)
        sha256.update(chunk)
        size += len(chunk)
    if (size, md5.hexdigest(), sha256.hexdigest()) != expected:
        raise IntegrityError(
            "the archive that was read back has %d bytes and the MD5 %s, not %d and %s"
            % (size, md5.hexdigest(), expected.size, expected.md5),
            subject,
        )


def unusable(held: Inventory, choice: t.Optional[Choice] = None) -> t.List[Checked]:
    """The problems that an inventory shows: unusable manifests, archives that the store has lost, manifests without an archive, archives
    without a manifest. By key. choice: only problems of archives that may be one of it.
    """
    if choice is not None:
        return sorted(Checked(key, None, item.why) for key, item in held.damaged.items() if may_be_chosen(key, item, choice))
    damaged = [Checked(key, None, item.why) for key, item in held.damaged.items()]
    missing = [
        Checked(orphan.key[: -len(MANIFEST_SUFFIX)], None, "there is only its manifest (the archive was removed, or its upload was cut)")
        for orphan in held.orphans
        if orphan.key[: -len(MANIFEST_SUFFIX)] not in held.damaged
    ]
    # Other tools put their files at other keys.
    bare = [
        Checked(other.key, None, "there is no manifest beside the archive")
        for other in held.others
        if is_archive_key(other.key) and other.key not in held.damaged
    ]
    return sorted(damaged + missing + bare)
