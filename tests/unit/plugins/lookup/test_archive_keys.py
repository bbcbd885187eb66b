# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of archives for recipients, as the controller decrypts them."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

pytest.importorskip("ansible")
pytest.importorskip("cryptography")

from ansible_collections.infra_ops.log_archive.plugins.lookup.archive_keys import LookupModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import bound_name
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, NotARecipientError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, recipients
from rigs.recipients import KINDS, identity_file


def keys_of(archive: t.Mapping[str, t.Any], identity: str) -> t.List[str]:
    """How the whole plugin is called: tests/integration/test_playbooks.py."""
    return LookupModule()._key(archive, envelope.Offline(recipients.read_identities([identity])))


def archive(recipient: str, name: str = "a\\xff.tgz.fernet") -> t.Tuple[t.Dict[str, t.Any], str]:
    """An archive as ``archive_info`` returns it, of a log with a byte that is not UTF-8 in its name; and its key."""
    made = envelope.RecipientsEnvelope([recipients.parse(recipient)], None).for_name(bound_name("web1", "syslog", "a\udcff.tgz.fernet"))
    facts = {"host": "web1", "job": "syslog", "key": "web1/syslog/" + name, "archive": {"name": name}, "encryption": made.facts}
    return facts, made.key_text()


@pytest.mark.parametrize("kind", KINDS)
def test_an_identity_gives_the_key_of_an_archive(kind: str, tmp_path: pathlib.Path) -> None:
    recipient, identity = identity_file(tmp_path, kind)
    one, key = archive(recipient)
    assert keys_of(one, identity) == [key]
    assert keys_of({**one, "encryption": {"format": "fernet", "key_id": "0123456789abcdef"}}, identity) == []


def test_another_identity_and_another_archive_are_errors(tmp_path: pathlib.Path) -> None:
    recipient, identity = identity_file(tmp_path, "hpke")
    one, _key = archive(recipient)
    with pytest.raises(NotARecipientError):
        keys_of(one, identity_file(tmp_path, "hpke", "other")[1])
    with pytest.raises(IntegrityError, match="another archive"):
        keys_of({**one, "host": "web2"}, identity)
