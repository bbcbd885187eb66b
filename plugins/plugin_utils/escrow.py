# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The escrow: copies of the hosts' keys on the controller."""

from __future__ import annotations

import os
import shlex
import stat
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret, is_encrypted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring

SUFFIX = ".key"


class Escrow:
    """The copies of one host's keys, ``<folder>/<host>/<key id>.key``, encrypted with Ansible Vault if there is a secret."""

    def __init__(self, folder: str, host: str, secret: t.Optional[str]) -> None:
        if host in ("", ".", "..") or "/" in host:
            raise AnsibleActionFail("the name of this host cannot be the name of a folder: %r" % host)
        self._top = os.path.normpath(os.path.expanduser(folder))
        if not os.path.isabs(self._top):
            raise AnsibleActionFail(
                "the folder of the escrow is not an absolute path: %s. Write it as {{ inventory_dir }}/%s" % (folder, folder)
            )
        self.folder = os.path.join(self._top, host)
        self._secrets = [("default", VaultSecret(secret.encode("utf-8")))] if secret else []
        self._checked: t.Dict[str, bool] = {}

    def ids(self) -> t.List[str]:
        """The ids of the keys that have a copy."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return sorted(name[: -len(SUFFIX)] for name in names if name.endswith(SUFFIX) and not name.startswith("."))

    def holds(self, id: str) -> bool:
        """Whether there is a copy of the key. A copy that does not open, or that holds another key, is an error."""
        if not os.path.lexists(self._path(id)):
            return False
        self.read(id)
        return True

    def read(self, id: str) -> str:
        """The text of a key; its id is checked."""
        path = self._path(id)
        with open(path, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(1 << 16)
        self._checked[id] = is_encrypted(content)
        if self._checked[id]:
            if not self._secrets:
                raise AnsibleActionFail("the copy of a key is encrypted, and no vault_secret was given: %s" % path)
            try:
                content = VaultLib(self._secrets).decrypt(content)
            except (AnsibleVaultError, AnsibleError):
                raise AnsibleActionFail("the copy of a key does not open with this vault_secret: %s" % path) from None
        elif mode & 0o077:
            raise AnsibleActionFail(
                "the group or others may read the copy of a key (%04o): %s. Run: chmod 600 %s; rotate the key if somebody may have"
                " read it" % (stat.S_IMODE(mode), path, shlex.quote(path))
            )
        text = content.decode("ascii", "replace").strip()
        if _id_of(text) != id:
            raise AnsibleActionFail(
                "the copy of a key is damaged: %s does not hold the key of its name. It is not replaced: move it away, and the key is"
                " copied again from the host" % path
            )
        return text

    def write(self, id: str, text: str) -> None:
        """Write the copy of a key atomically and never over another file, then read it back."""
        if _id_of(text) != id:
            raise AnsibleActionFail("the host's key %s is damaged: its file does not hold the key of its name" % id)
        content = text.encode("ascii") + b"\n"
        if self._secrets:
            content = VaultLib(self._secrets).encrypt(content, self._secrets[0][1])
        for folder in (self._top, self.folder):
            durable.make_folders(folder)
        with durable.lock(os.path.join(self.folder, ".lock"), wait=True):
            for name in os.listdir(self.folder):
                if name.startswith(durable.TEMP_PREFIX):
                    os.unlink(os.path.join(self.folder, name))  # a leftover of a play that was killed
            part = os.path.join(self.folder, durable.TEMP_PREFIX + id)
            durable.write_atomically(part, content)
            try:
                durable.rename_without_overwrite(part, self._path(id))
            except FileExistsError:
                os.unlink(part)  # another play was first; its copy is read below
            durable.fsync_folder(self.folder)
        durable.fsync_folder(self._top)
        self.read(id)

    def unencrypted(self, ids: t.Iterable[str]) -> t.List[str]:
        """A warning for each copy that is not encrypted although a secret was given."""
        plain = [id for id in ids if self._secrets and self._checked.get(id) is False]
        return ["the copy %s is not encrypted; run: ansible-vault encrypt %s" % (id, shlex.quote(self._path(id))) for id in plain]

    def _path(self, id: str) -> str:
        return os.path.join(self.folder, id + SUFFIX)


def _id_of(text: str) -> t.Optional[str]:
    """The id of a key, None if the text is no Fernet key."""
    secret = keyring.secret_of(text.encode("utf-8", "replace"))
    return None if secret is None else keyring.key_id(secret)
