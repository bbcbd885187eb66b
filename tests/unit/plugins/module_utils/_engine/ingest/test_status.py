# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a stream shows what would stop its next line."""

from __future__ import annotations

import shutil

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import KeyringError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower, status
from rigs import client_events
from rigs.streams import document, upload


def test_a_keyring_that_cannot_be_used_is_a_problem(tmp_path, logs) -> None:
    keys = tmp_path / "keys"
    wanted = document(tmp_path, transform={"encrypt": ["username"], "keyring": str(keys)})
    with pytest.raises(KeyringError, match="does not exist") as raised:
        follower.catch_up(wanted)
    assert status.of(wanted)[0]["error"] == str(raised.value)
    keyring.create(str(keys))
    (logs / "sftpgo.log").write_bytes(upload(1) + b"\n")
    follower.catch_up(wanted)
    assert status.of(wanted)[0]["exit_code"] == 0
    keys.chmod(0o755)
    row = status.of(wanted)[0]
    assert "is open to its group or to others (0755)" in row["state"]
    # What is stored is shown nevertheless.
    assert (row["exit_code"], row["lines"]) == (1, 1)
    shutil.rmtree(keys)
    keys.mkdir(mode=0o700)
    assert "the keyring has no current key" in status.of(wanted)[0]["state"]


def test_the_keys_of_client_ids_are_looked_at_too(tmp_path, logs) -> None:
    wanted = client_events.document(tmp_path, client_ids={"keyring": str(tmp_path / "etc" / "keys")})
    assert "the keyring cannot be created" in (status.of(wanted)[0]["error"] or "")
    # A keyring that can be created is none.
    (tmp_path / "etc").mkdir()
    assert status.of(wanted)[0]["error"] is None
    (tmp_path / "etc" / "keys").write_bytes(b"")
    assert "the keyring is not a folder" in (status.of(wanted)[0]["error"] or "")
