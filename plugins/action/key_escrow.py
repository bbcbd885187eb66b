# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of key_escrow: a key is copied before the host has it or begins to use it.

It runs in the controller's own process. So no key is a task's argument, a variable or a result, and none is written anywhere but under
its final name and a temporary one beside it.
"""

from __future__ import annotations

import base64
import os
import shlex
import stat
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.vault import AnsibleVaultError, VaultLib, VaultSecret, is_encrypted
from ansible.plugins.action import ActionBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import difference

SUFFIX = ".key"

ARGUMENTS: t.Dict[str, t.Any] = {
    "keyring": {"type": "path", "required": True},
    "folder": {"type": "str", "required": True},
    "host": {"type": "str"},
    "vault_secret": {"type": "str", "no_log": True},
    "key": {"type": "str", "no_log": True},
    "make_current": {"type": "bool", "default": False},
    "rotate": {"type": "bool", "default": False},
    "max_age": {"type": "str"},
    "restore": {"type": "bool", "default": False},
}


class ActionModule(ActionBase):
    """See the documentation of the module key_escrow."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Do it, and return what the module's documentation says."""
        result = super().run(tmp, task_vars)
        self._vars = task_vars or {}
        # Which options go together is fernet_key's to say.
        arguments = self.validate_argument_spec(argument_spec=ARGUMENTS)[1]
        try:
            result.update(self._escrow(arguments))
        except LogArchiveError as error:
            raise AnsibleActionFail(str(error)) from None
        except OSError as error:
            raise AnsibleActionFail("the escrow cannot be used (%s): %s" % (error.strerror, error.filename)) from None
        return result

    def _escrow(self, arguments: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
        check = self._task.check_mode
        ring = arguments["keyring"]
        escrow = Escrow(arguments["folder"], arguments["host"] or self._vars["inventory_hostname"], arguments["vault_secret"])
        wanted = {name: arguments[name] for name in ("rotate", "max_age", "key", "make_current") if arguments[name]}
        plan = self._fernet_key(True, keyring=ring, **wanted)
        before = {key["id"]: key for key in plan["keys"]}
        copied = [id for id in before if not escrow.holds(id)]
        restored = [id for id in escrow.ids() if arguments["restore"] and id not in before]
        for id in [] if check else copied:
            escrow.write(id, self._key_of_host(ring, before[id]))
        for id in [] if check else restored:
            self._fernet_key(False, keyring=ring, key=escrow.read(id))

        imported = plan["key_id"] if arguments["key"] else None
        if imported and not escrow.holds(imported):
            copied.append(imported)
            if not check:
                escrow.write(imported, arguments["key"].strip())
        done = plan
        if plan["changed"] and not check:
            text = arguments["key"]
            if text is None:
                secret = keyring.generate_key()
                text = base64.urlsafe_b64encode(secret).decode("ascii")
                copied.append(keyring.key_id(secret))
                escrow.write(copied[-1], text)
            done = self._fernet_key(False, keyring=ring, key=text, make_current=arguments["make_current"] or not arguments["key"])
        changed = bool(plan["changed"] or copied or restored)
        result = {name: done[name] for name in ("key_id", "current", "previous")}
        result.update(changed=changed, copied=copied, restored=restored, folder=escrow.folder, warnings=escrow.unencrypted(before))
        if self._task.diff:
            after = {key["id"] for key in done["keys"]}.union(restored, copied)
            result["diff"] = difference(
                (_line(id, id not in copied) for id in sorted(before)),
                [_line(id, True) for id in sorted(after)]
                + ["a new key, with a copy"] * (check and plan["changed"] and not arguments["key"]),
            )
        return result

    def _key_of_host(self, ring: str, key: t.Mapping[str, t.Any]) -> str:
        # At -vvv a connection shows what a module prints, unless this says no. It is what a task's no_log becomes, which would hide the
        # result and the reason of a failure too.
        shown = self._connection._play_context
        before, shown.no_log = shown.no_log, True
        try:
            path = os.path.join(ring, *(["removed"] if key["removed"] else []), key["id"] + SUFFIX)
            answer = self._module("ansible.builtin.slurp", {"src": path})
        finally:
            shown.no_log = before
        return base64.b64decode(answer["content"]).decode("ascii", "replace").strip()

    def _fernet_key(self, check: bool, **arguments: t.Any) -> t.Dict[str, t.Any]:
        before, self._task.check_mode = self._task.check_mode, check
        try:
            return self._module("infra_ops.log_archive.fernet_key", arguments)
        finally:
            self._task.check_mode = before

    def _module(self, name: str, arguments: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        answer = self._execute_module(module_name=name, module_args=arguments, task_vars=self._vars)
        if answer.get("failed"):
            # With what else it says, such as the error output of an interpreter that could not begin.
            raise AnsibleActionFail(str(answer.get("msg", "%s has failed" % name)), result=answer)
        return answer


class Escrow:
    """The copies of one host's keys, ``<folder>/<host>/<key id>.key``, encrypted with Ansible Vault where there is a secret."""

    def __init__(self, folder: str, host: str, secret: t.Optional[str]) -> None:
        if host in ("", ".", "..") or "/" in host:
            raise AnsibleActionFail("a folder cannot have the name of this host: %r" % host)
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
        """Whether there is a copy of the key; one that does not open, or is of another key, is an error."""
        if not os.path.lexists(self._path(id)):
            return False
        self.read(id)
        return True

    def read(self, id: str) -> str:
        """The text of a key, which was proven to be the one of that id."""
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
                "the copy of a key is open to its group or to others (%04o): %s. Run: chmod 600 %s; rotate the key if somebody may have"
                " read it" % (stat.S_IMODE(mode), path, shlex.quote(path))
            )
        text = content.decode("ascii", "replace").strip()
        if _id_of(text) != id:
            raise AnsibleActionFail(
                "the copy of a key is damaged: %s does not hold the key of its name. Nothing replaces it: move it away, and the key is"
                " copied again from the host" % path
            )
        return text

    def write(self, id: str, text: str) -> None:
        """Write the copy of a key, whole or not at all and never over another file, and read it again."""
        if _id_of(text) != id:
            raise AnsibleActionFail("the host's key %s is damaged: its file does not hold the key of its name" % id)
        content = text.encode("ascii") + b"\n"
        if self._secrets:
            content = VaultLib(self._secrets).encrypt(content, self._secrets[0][1])
        for folder in (self._top, self.folder):
            os.makedirs(folder, mode=0o700, exist_ok=True)
        with durable.lock(os.path.join(self.folder, ".lock"), wait=True):
            for name in os.listdir(self.folder):
                if name.startswith(durable.TEMP_PREFIX):
                    os.unlink(os.path.join(self.folder, name))  # of a play that was killed
            part = os.path.join(self.folder, durable.TEMP_PREFIX + id)
            durable.write_atomically(part, content)
            try:
                durable.rename_without_overwrite(part, self._path(id))
            except FileExistsError:
                os.unlink(part)  # another play was first; what it wrote is read below
            durable.fsync_folder(self.folder)
        durable.fsync_folder(self._top)
        self.read(id)

    def unencrypted(self, ids: t.Iterable[str]) -> t.List[str]:
        """A warning for each copy that lies there as it is though a secret was given."""
        plain = [id for id in ids if self._secrets and self._checked.get(id) is False]
        return ["the copy %s is not encrypted; run: ansible-vault encrypt %s" % (id, shlex.quote(self._path(id))) for id in plain]

    def _path(self, id: str) -> str:
        return os.path.join(self.folder, id + SUFFIX)


def _id_of(text: str) -> t.Optional[str]:
    """The id of a key, None where the text is no Fernet key."""
    try:
        secret = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return keyring.key_id(secret) if len(secret) == 32 else None


def _line(id: str, copy: bool) -> str:
    return "%s (%s)" % (id, "copy" if copy else "no copy")
