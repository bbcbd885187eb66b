# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The envelope: what seals a tgz also opens it, and an archive that is not encrypted is accepted only on request."""

from __future__ import annotations

import hashlib
import io
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, KeyringError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.encryption_spec import ENCRYPTION
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring

pytest.importorskip("cryptography")
TGZ = [b"first", b"", b"second" * 50_000, b"third"]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> str:
    path = str(tmp_path / "keyring")
    keyring.create(path)
    return path


def sealed(enclosing: envelope.Envelope) -> bytes:
    seal = enclosing.seal()
    return b"".join([seal.update(piece) for piece in TGZ] + [seal.finish()])


def opened(enclosing: envelope.Envelope, archive: bytes, sha256: t.Optional[str] = None) -> bytes:
    stream = io.BytesIO(archive)
    enclosing.authenticate(stream, sha256, "the archive")
    stream.seek(0)
    return b"".join(enclosing.open(stream, "the archive"))


def test_there_is_an_envelope_and_a_suffix_for_each_format(folder: str) -> None:
    for format in ENCRYPTION["format"]["choices"]:
        made = envelope.for_new_archives({"format": format, "keyring": folder, "recipients": []})
        assert made.facts["format"] == format
        envelope.check_facts(made.facts, "the manifest")
        assert envelope.suffix(format).startswith(".tgz")
        assert envelope.encrypts({"format": format, "keyring": folder, "recipients": []}) == (sealed(made) != b"".join(TGZ))


@pytest.mark.parametrize("format", [envelope.FERNET, envelope.NONE])
def test_what_is_sealed_opens_by_its_manifest(format: str, folder: str) -> None:
    made = envelope.for_new_archives({"format": format, "keyring": folder, "recipients": []})
    archive = sealed(made)
    keyring.rotate(folder)
    found = envelope.for_archive(made.facts, folder, True, "the archive")
    assert opened(found, archive, hashlib.sha256(archive).hexdigest()) == b"".join(TGZ)


def test_a_changed_archive_is_refused(folder: str) -> None:
    for format in (envelope.FERNET, envelope.NONE):
        made = envelope.for_new_archives({"format": format, "keyring": folder, "recipients": []})
        archive = sealed(made)
        digest = hashlib.sha256(archive).hexdigest()
        with pytest.raises(IntegrityError, match="the archive"):
            opened(made, archive[:100] + b"A" + archive[101:] + b"A", digest)


def test_without_a_manifest_a_plain_tgz_has_no_digest_to_compare() -> None:
    assert opened(envelope.PlainEnvelope(), b"anything") == b"anything"


def test_an_unencrypted_archive_is_accepted_only_on_request(folder: str) -> None:
    facts = envelope.PlainEnvelope().facts
    with pytest.raises(IntegrityError, match="not encrypted"):
        envelope.for_archive(facts, folder, False, "the archive")
    assert envelope.for_archive(facts, None, True, "the archive").facts == facts


def test_an_encrypted_archive_needs_a_keyring_with_its_key(folder: str) -> None:
    facts = envelope.for_new_archives({"format": "fernet", "keyring": folder, "recipients": []}).facts
    with pytest.raises(KeyringError, match="key [0-9a-f]{16} of a keyring, and no keyring is given"):
        envelope.for_archive(facts, None, True, "the archive")
    with pytest.raises(KeyringError, match="0123456789abcdef"):
        envelope.for_archive({"format": "fernet", "key_id": "0123456789abcdef"}, folder, True, "the archive")


@pytest.mark.parametrize("facts", [{"format": "age"}, {"format": "fernet"}, {"format": "fernet", "key_id": None}])
def test_a_manifest_with_an_unknown_or_incomplete_envelope_is_refused(facts: t.Dict[str, t.Any]) -> None:
    with pytest.raises(IntegrityError, match="the manifest"):
        envelope.check_facts(facts, "x")


def test_a_plain_manifest_without_key_id_is_accepted() -> None:
    envelope.check_facts({"format": "none"}, "x")
