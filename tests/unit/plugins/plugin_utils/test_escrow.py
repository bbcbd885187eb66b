# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of keys on the controller."""

from __future__ import annotations

import base64
import pathlib
import typing as t

import pytest

errors = pytest.importorskip("ansible.errors")

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.escrow import Escrow  # noqa: E402

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode("ascii")
ID = keyring.key_id(bytes(range(32)))
OTHER = base64.urlsafe_b64encode(bytes(32)).decode("ascii")


@pytest.mark.parametrize("secret", [None, "correct horse"])
def test_a_copy_is_read_back_and_never_overwritten(tmp_path: pathlib.Path, secret: t.Optional[str]) -> None:
    escrow = Escrow(str(tmp_path), "web1", secret)
    assert (escrow.ids(), escrow.holds(ID)) == ([], False)
    escrow.write(ID, KEY)
    content = (tmp_path / "web1" / (ID + ".key")).read_bytes()
    assert (KEY.encode() in content) == (secret is None)
    assert (escrow.ids(), escrow.holds(ID), escrow.read(ID)) == ([ID], True, KEY)
    escrow.write(ID, KEY)
    assert (tmp_path / "web1" / (ID + ".key")).read_bytes() == content
    assert sorted(path.name for path in (tmp_path / "web1").iterdir()) == [".lock", ID + ".key"]


def test_a_leftover_of_a_killed_play_is_removed(tmp_path: pathlib.Path) -> None:
    escrow = Escrow(str(tmp_path), "web1", None)
    escrow.write(ID, KEY)
    leftover = tmp_path / "web1" / (durable.TEMP_PREFIX + ID)
    leftover.write_text("half")
    escrow.write(ID, KEY)
    assert not leftover.exists() and escrow.ids() == [ID]


def test_a_damaged_or_foreign_copy_is_an_error(tmp_path: pathlib.Path) -> None:
    escrow = Escrow(str(tmp_path), "web1", None)
    with pytest.raises(errors.AnsibleActionFail, match="damaged"):
        escrow.write(ID, OTHER)
    escrow.write(ID, KEY)
    path = tmp_path / "web1" / (ID + ".key")
    path.write_text(OTHER)
    with pytest.raises(errors.AnsibleActionFail, match="does not hold the key of its name"):
        escrow.holds(ID)
    path.write_text(KEY)
    path.chmod(0o640)
    with pytest.raises(errors.AnsibleActionFail, match="chmod 600"):
        escrow.read(ID)


def test_an_encrypted_copy_opens_only_with_its_password(tmp_path: pathlib.Path) -> None:
    Escrow(str(tmp_path), "web1", "right").write(ID, KEY)
    with pytest.raises(errors.AnsibleActionFail, match="no vault_secret was given"):
        Escrow(str(tmp_path), "web1", None).read(ID)
    with pytest.raises(errors.AnsibleActionFail, match="does not open"):
        Escrow(str(tmp_path), "web1", "wrong").read(ID)


def test_a_plain_copy_is_warned_of_if_there_is_a_password(tmp_path: pathlib.Path) -> None:
    Escrow(str(tmp_path), "web1", None).write(ID, KEY)
    escrow = Escrow(str(tmp_path), "web1", "right")
    assert escrow.holds(ID)
    (warning,) = escrow.unencrypted([ID])
    assert "ansible-vault encrypt" in warning


@pytest.mark.parametrize(("folder", "host"), [("relative", "web1"), ("/tmp", "../web1"), ("/tmp", ".."), ("/tmp", "")])
def test_a_folder_or_host_that_cannot_be_used_is_an_error(folder: str, host: str) -> None:
    with pytest.raises(errors.AnsibleActionFail):
        Escrow(folder, host, None)
