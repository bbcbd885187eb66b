# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of host_look: it knows the documents, the engine and the copies of the keys, and the host does not."""

from __future__ import annotations

import hashlib
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _documents, _engine, _installation, _module, _options
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.escrow import Escrow

OPTIONS = {"job": _options.DOCUMENT_OPTION["job"], "stream": _options.STREAM_DOCUMENT_OPTION["stream"]}


class ActionModule(ActionBase):
    """See the documentation of the module host_look."""

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: t.Optional[str] = None, task_vars: t.Optional[t.Dict[str, t.Any]] = None) -> t.Dict[str, t.Any]:
        """Look at the host; returns the result that the module's documentation lists."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        escrow = arguments.pop("escrow", None)
        arguments["documents"] = [_digested(each) for each in arguments.get("documents") or []]
        if arguments.get("engine"):
            arguments["engine"] = {"digest": _installation.digest_of(engine()), **arguments["engine"]}
        answer = self._execute_module(module_args=arguments, task_vars=task_vars)
        if escrow and not answer.get("failed") and not answer.get("unreachable"):
            answer["keys_have_copies"] = _have_copies(answer["key_ids"], escrow, (task_vars or {})["inventory_hostname"])
        result.update(answer)
        return result


def engine() -> t.Dict[str, bytes]:
    """The files of the engine of this collection, by their paths below the package."""
    top = os.path.dirname(str(_engine.__file__))
    found = {}
    for folder, _folders, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names if name.endswith(".py")):
            with open(path, "rb") as file:
                found[os.path.relpath(path, top)] = file.read()
    return found


def _digested(folder: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The option without documents, with the digest of each file as job_document or stream_document writes it."""
    kept = {name: value for name, value in folder.items() if name != "documents"}
    written = {}
    for document in documents.plain(folder.get("documents") or []):
        given = _module.as_given(document, OPTIONS[folder["kind"]])
        text = _documents.text(given).encode("utf-8", "backslashreplace")
        written[os.path.join(folder["folder"], given["name"] + ".json")] = hashlib.sha256(text).hexdigest()
    return {"digests": written, **kept}


def _have_copies(ids: t.Sequence[str], escrow: t.Mapping[str, t.Any], host: str) -> bool:
    copies = Escrow(escrow["folder"], host, escrow.get("vault_secret"))
    try:
        return bool(ids) and all(copies.holds(id) for id in ids) and not copies.unencrypted(ids)
    except (AnsibleActionFail, OSError):
        # key_escrow reports it.
        return False
