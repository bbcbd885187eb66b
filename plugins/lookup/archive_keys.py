# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: archive_keys
short_description: The keys of archives that are encrypted for recipients
version_added: 0.9.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Decrypts the keys of archives with private keys of recipients on the controller. The private keys stay on the controller. A host that
    gets one of the returned keys can open only the archive of that key.
  - Skips archives that are not encrypted for recipients.
  - Use it only in a task with C(no_log=true), and never as the list of a loop; otherwise Ansible shows the keys.
options:
  _terms:
    description: The archives, as the module M(infra_ops.log_archive.archive_info) returns them.
    type: list
    elements: dict
    required: true
  identities:
    description: Files on the controller with private keys of recipients. Only their owner may have access to them.
    type: list
    elements: path
    required: true
  unopened:
    description: Whether an archive that none of the identities opens is an error (V(fail)) or a warning (V(warn)).
    type: str
    choices: [fail, warn]
    default: fail
requirements:
  - cryptography (Python library on the controller)
  - pyrage (Python library on the controller), with O(identities) of the type age
seealso:
  - module: infra_ops.log_archive.archive_info
  - module: infra_ops.log_archive.archive_restore
"""

EXAMPLES = r"""
- name: List the archives of a day
  infra_ops.log_archive.archive_info:
    store: "{{ logs_store }}"
    host: web1
    start: '2024-01-12'
    end: '2024-01-13'
  register: listed

- name: Restore them, without the private key on this host
  infra_ops.log_archive.archive_restore:
    store: "{{ logs_store }}"
    host: web1
    start: '2024-01-12'
    end: '2024-01-13'
    archive_keys: "{{ query('infra_ops.log_archive.archive_keys', *listed.archives, identities=['~/log-archive.identity']) }}"
    dest: /srv/restored
  no_log: true
"""

RETURN = r"""
_raw:
  description: The keys, each as 44 characters of URL-safe base64.
  type: list
  elements: str
"""

import typing as t

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import bound_name
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, recipients
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import unescaped


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[t.Mapping[str, t.Any]], variables: t.Any = None, **kwargs: t.Any) -> t.List[str]:
        """The keys of these archives."""
        self.set_options(var_options=variables, direct=kwargs)
        keys: t.List[str] = []
        try:
            offline = envelope.Offline(recipients.read_identities(self.get_option("identities")))
        except LogArchiveError as error:
            raise AnsibleLookupError(str(error)) from None
        for archive in terms:
            try:
                keys += self._key(archive, offline)
            except LogArchiveError as error:
                if self.get_option("unopened") == "fail":
                    raise AnsibleLookupError(str(error)) from None
                Display().warning(str(error))
        return keys

    def _key(self, archive: t.Mapping[str, t.Any], offline: envelope.Offline) -> t.List[str]:
        facts = t.cast(envelope.EncryptionFacts, archive["encryption"])
        envelope.check_facts(facts, str(archive["key"]))
        if not envelope.has_recipients(facts):
            return []
        name = bound_name(*(unescaped(text) for text in (archive["host"], archive["job"], archive["archive"]["name"])))
        opened = envelope.for_archive(facts, None, False, str(archive["key"]), name, offline)
        return [t.cast(envelope.FernetEnvelope, opened).key_text()]
