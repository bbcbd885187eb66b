# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far the manifests of a store are believed: by their place, by what the catalog records, and by their HMAC."""

from __future__ import annotations

import typing as t
from datetime import datetime

from ..archive.manifest import authenticate, bound_name, check_sources, hmac_key_id, sha256_of
from ..archive.naming import is_placed
from ..base.errors import IntegrityError, KeyMissingError, KeyringError
from ..crypto import envelope
from ..crypto.keyring import load

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..crypto.envelope import Envelope


class Choice(t.NamedTuple):
    """Which archives of the stores are wanted.

    names: archives with one of these names or keys, or that hold a log of this path; empty is all. start, end: archives with a period
    that touches this time; either may be open. latest: only those of the newest period of each host and job.
    """

    names: t.Sequence[str] = ()
    start: t.Optional[datetime] = None
    end: t.Optional[datetime] = None
    latest: bool = False


class Part(t.NamedTuple):
    """The part of a store that has all archives of a choice.

    folders: how their keys begin. recorded: {key: manifest} of those that the catalog records. others: keys of recorded archives in the
    folders that are not of the choice.
    """

    folders: t.Collection[str]
    recorded: t.Mapping[str, Manifest]
    others: t.Container[str]


Signed = t.Callable[[str], t.Optional[str]]
"""Called with the key of an archive; returns the SHA-256 of its manifest, in lowercase hex, as the signed ledger of the host has it for the
store that is read; None if it has no such entry."""


def nothing_signed(key: str) -> t.Optional[str]:
    """Without a ledger."""
    return None


class Compared(t.Protocol):
    """The folders of one store that were right when they were last compared with the catalog, as the catalog remembers them."""

    def is_empty(self) -> bool:
        """Whether the store has no archives according to the catalog."""

    def right(self) -> t.Mapping[str, str]:
        """Those folders: {folder: its mark}. A folder is not among them if its archives have changed in the catalog since."""

    def folders(self) -> t.Set[str]:
        """All folders in which the catalog records archives."""

    def held(self, folder: str) -> t.Mapping[str, Manifest]:
        """The archives that the store has in this folder now: {key: manifest}."""

    def remember(self, marks: t.Mapping[str, str]) -> None:
        """Remember that these folders were right: {folder: its mark}."""


class Record(t.NamedTuple):
    """What the catalog records of one store.

    held: called for {key: manifest} of the archives that the store has now. may_be_gone: keys of those that others may have removed,
    because retention would. part: called for the part with all archives of a choice; None if the catalog cannot name it. etags: called for
    {key: ETag} of the archives that the store has now, if it has ETags. signed: what the ledger has. exchanged: new manifests, by key,
    which a rewrap that was cut has put there, or was about to. compared: what need not be compared again; None if nothing is remembered.
    """

    held: t.Callable[[], t.Mapping[str, Manifest]]
    may_be_gone: t.Container[str] = ()
    part: t.Callable[[Choice], t.Optional[Part]] = lambda choice: None
    etags: t.Callable[[], t.Mapping[str, str]] = dict
    signed: Signed = nothing_signed
    exchanged: t.Mapping[str, Manifest] = {}
    compared: t.Optional[Compared] = None


NO_RECORD = Record(dict)


class Trust:
    """What is known about the archives of one store before it is read.

    keyring: the folder of the Fernet keys; None if there is none. unencrypted: accept archives that are not encrypted. record: what the
    catalog records of the store. choice: the archives that are wanted. offline: what else opens archives. recorded: what the catalog
    records of them at the beginning, as {key: manifest}. part: the part of the store that has them; None if it is not known.
    """

    def __init__(
        self,
        keyring: t.Optional[str] = None,
        unencrypted: bool = True,
        record: Record = NO_RECORD,
        choice: t.Optional[Choice] = None,
        offline: envelope.Offline = envelope.NOT_OFFLINE,
    ) -> None:
        self._keyring = keyring
        self._offline = offline
        self._unencrypted = unencrypted
        self._record = record
        self.choice = choice or Choice()
        self.part = None if choice is None else record.part(choice)
        self.recorded = record.held() if self.part is None else self.part.recorded
        self._envelopes: t.Dict[t.Optional[str], Envelope] = {}
        self._missing_keys: t.Dict[t.Optional[str], KeyringError] = {}

    def check(self, key: str, manifest: Manifest, subject: str) -> t.Optional[bool]:
        """Whether the manifest of the archive ``key`` is authenticated.

        False: it cannot be, because its version is older or the archive is not encrypted. None: the key is not at hand.
        Anyone can make an archive for the public keys of recipients. So that of an archive with recipients is authenticated if the keyring
        opens it, or if the ledger has its hash; with the key alone it is not (False).
        Raises IntegrityError, which names ``subject``, for a manifest that is not to be believed.
        """
        if not is_placed(key, manifest):
            raise IntegrityError(
                "the manifest belongs to another place: it is of the archive %s" % _place(manifest),
                subject,
                "If you moved the archive, move it back. If nobody moved it, somebody replaced it",
            )
        check_sources(manifest, subject)
        recorded = self.recorded.get(key)
        exchanged = self._record.exchanged.get(key) == manifest
        if recorded is not None and recorded != manifest and not exchanged:
            raise IntegrityError("the archive was replaced: its manifest is not the one that the catalog records", subject)
        try:
            enclosing = self.envelope(manifest, subject)
            authenticated: t.Optional[bool] = authenticate(manifest, enclosing, subject)
        except KeyringError:
            authenticated = None
        else:
            if enclosing.is_vouched:
                return authenticated
        if not envelope.has_recipients(manifest["encryption"]):
            return authenticated
        signed = self._record.signed(key)
        if exchanged:
            return True
        if signed is None:
            return None if authenticated is None else False
        if signed != sha256_of(manifest):
            raise IntegrityError("the archive was replaced: its manifest is not the one that the ledger has", subject)
        return True

    def opens(self, manifest: Manifest, subject: str) -> bool:
        """Whether the key of an archive is at hand. Raises IntegrityError."""
        try:
            self.envelope(manifest, subject)
        except KeyringError:
            return False
        return True

    def envelope(self, manifest: Manifest, subject: str) -> Envelope:
        """The envelope of an archive. Raises KeyringError without its key, IntegrityError if it must be encrypted and is not."""
        facts = manifest["encryption"]
        key_id = facts.get("key_id") if envelope.has_key(facts) else None
        vouching = hmac_key_id(manifest)
        if vouching is not None:
            return self._vouched(vouching, subject)
        if envelope.has_recipients(facts):
            name = bound_name(manifest["host"], manifest["job"], manifest["archive"]["name"])
            return envelope.for_archive(facts, self._keyring, self._unencrypted, subject, name, self._offline)
        if key_id in self._missing_keys:
            raise self._missing_keys[key_id]
        if key_id not in self._envelopes:
            try:
                self._envelopes[key_id] = envelope.for_archive(facts, self._keyring, self._unencrypted, subject)
            except KeyringError as error:
                # Without a keyring, the error names the archive.
                if self._keyring is not None:
                    self._missing_keys[key_id] = error
                raise
        return self._envelopes[key_id]

    def _vouched(self, key_id: str, subject: str) -> Envelope:
        """That of a plain archive with a manifest that a key of the keyring authenticates. Raises KeyringError."""
        name = "vouched %s" % key_id
        if name not in self._envelopes:
            if self._keyring is None:
                text = "the manifest of the archive has an HMAC by the key %s of a keyring, and no keyring is given" % key_id
                raise KeyMissingError(text, subject, "Set the keyring that contains its key")
            self._envelopes[name] = envelope.VouchedEnvelope(load(self._keyring, key_id))
        return self._envelopes[name]

    def may_have(self, key: str) -> t.List[Manifest]:
        """The manifests that a recorded archive may have now: the recorded one, and that of a rewrap that was cut."""
        return [self.recorded[key], *(self._record.exchanged[each] for each in [key] if each in self._record.exchanged)]

    def etags(self) -> t.Mapping[str, str]:
        """The ETags that the catalog records, by key."""
        return self._record.etags()

    def missing(self, prefix: str, present: t.Container[str]) -> t.Dict[str, Manifest]:
        """The archives below ``prefix`` that the catalog records, and that are neither present nor may be gone, with their manifests."""
        missing = {
            key: manifest
            for key, manifest in self.recorded.items()
            if key.startswith(prefix) and key not in present and key not in self._record.may_be_gone
        }
        if not missing:
            return {}
        # A run may have pruned them since.
        still = self._record.held()
        return {key: manifest for key, manifest in missing.items() if key in still}


def _place(manifest: Manifest) -> str:
    return "%s of job %s on host %s" % (manifest["archive"]["name"], manifest["job"], manifest["host"])
