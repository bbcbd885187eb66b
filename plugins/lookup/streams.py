# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: streams
short_description: The stream documents of a host, merged from variables
version_added: 0.9.0
author:
  - infra_ops.log_archive contributors (@infra-ops)
description:
  - Merges the streams that C(all), the groups and the host itself define, checks the result, and returns the stream documents by name, for
    the modules M(infra_ops.log_archive.stream_document) and M(infra_ops.log_archive.log_ingest).
  - It does for streams what P(infra_ops.log_archive.jobs#lookup) does for jobs. The variable C(log_archive_streams), and every
    C(log_archive_streams__*) of the host, is a dict of stream documents by name. They are merged in the alphabetical order of the names of
    the variables. Dicts are merged key by key at every depth, lists are replaced, and V(null) removes a stream or an option.
  - Each stream starts from the dict C(log_archive_stream_defaults).
  - C(sinks) of a stream is a list. An element is the name of a sink in the dict C(log_archive_sinks); or a dict with such a C(name) and
    options that replace those of the sink; or a complete sink. Without C(sinks) a stream uses all of C(log_archive_sinks).
  - Keep the passwords of database accounts in variables of Ansible Vault, and use them in C(log_archive_sinks).
  - The options of a stream document are those of the option C(stream) of M(infra_ops.log_archive.log_ingest).
  - The error lists every mistake in every stream of the host, with the stream, the key and what is allowed. It shows no secret.
options:
  _terms:
    description: The plugin takes no terms. It reads the variables of the host.
    type: list
    elements: str
notes:
  - Without C(log_archive_streams) and C(log_archive_streams__*), and if all streams are removed, it returns an empty dict.
  - It fills in these options if neither the stream nor C(log_archive_stream_defaults) gives them - C(name) is the stream's key; C(host) is
    C(inventory_hostname); C(state) is C(log_archive_state), by default C(/var/lib/log-archive); C(log) is the file C(events.jsonl) in
    C(log_archive_log_dir), by default C(/var/log/log-archive).
  - With C(log_archive_roots), each path of a stream must lie below one of the folders of its option - C(state), C(log), C(notify) (also the
    page), C(stores) (SQLite sinks) or C(select) (followed folders).
seealso:
  - module: infra_ops.log_archive.stream_document
  - module: infra_ops.log_archive.log_ingest
"""

EXAMPLES = r"""
# group_vars/all.yml: the account is the same on all hosts; its password is in the vault.
#
#   log_archive_sinks:
#     central:
#       type: postgresql
#       host: db.example.com
#       database: logs
#       user: follower
#       password: "{{ vault_follower_password }}"
#
# group_vars/sftp.yml: what the SFTP servers follow.
#
#   log_archive_streams:
#     sftpgo:
#       follow:
#         paths: [/var/log/sftpgo]
#         patterns: [sftpgo.log]
#         rotated: [sftpgo-*.log]
#         backups: 5
#       parse:
#         profile: sftpgo

- name: Show the streams of a host
  ansible.builtin.debug:
    msg: "{{ lookup('infra_ops.log_archive.streams') | list }}"
"""

RETURN = r"""
_raw:
  description:
    - One dict of the host's stream documents by name, with the options that were given or filled in and no others.
    - C(query) returns it as the only element of a list.
  type: list
  elements: dict
"""

import typing as t

from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents, streams


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: t.Sequence[t.Any], variables: t.Any = None, **kwargs: t.Any) -> t.List[t.Any]:
        """The stream documents of the host that has these variables."""
        return documents.look_up(self, streams.KIND, terms, variables, kwargs)
