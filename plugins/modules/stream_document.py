#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: stream_document
short_description: Manage the stream documents of the command log-archive
version_added: 0.9.0
description:
  - Writes a stream document to the file C(<folder>/<name>.json), or removes it. The command C(log-archive) reads it from there.
  - The document is checked first, in the same way as by the command, and the file is replaced atomically. If the document has
    a mistake, the file does not change.
  - A follower reads its document only when it starts. The role C(follow) restarts it after a change.
options:
  folder:
    description: The folder of stream documents. It must exist.
    type: path
    default: /etc/log-archive/streams.d
  purge:
    description:
      - With O(streams), remove the other documents in O(folder) that Ansible has written. Documents that operators wrote stay.
    type: bool
    default: false
  name:
    description: The name of the stream. Required with O(state=absent). Otherwise it is O(stream.name).
    type: str
  state:
    description: Whether the document exists.
    type: str
    choices: [present, absent]
    default: present
  mode:
    description:
      - The permissions of the file. A document that contains a secret is refused if other users could read it.
    type: raw
    default: "0640"
extends_documentation_fragment:
  - infra_ops.log_archive.attributes
  - infra_ops.log_archive.streams
  - ansible.builtin.files
attributes:
  check_mode:
    support: full
    details: The folder does not have to exist yet.
  diff_mode:
    support: full
    details: Secrets and unknown options are shown as C(********).
  idempotent:
    support: full
seealso:
  - plugin: infra_ops.log_archive.streams
    plugin_type: lookup
  - module: infra_ops.log_archive.log_ingest
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Write the document of a stream
  infra_ops.log_archive.stream_document:
    stream:
      name: sftpgo
      follow:
        paths:
          - /var/log/sftpgo
        patterns:
          - sftpgo.log
        rotated:
          - sftpgo-*.log
      parse:
        profile: sftpgo
      sinks:
        - type: sqlite
          path: /var/lib/log-archive/sftpgo.sqlite

- name: Write the documents of all streams of the host
  infra_ops.log_archive.stream_document:
    streams: "{{ lookup('infra_ops.log_archive.streams').values() }}"
    purge: true
    group: log-archive-operators
    mode: "0640"

- name: Remove a stream
  infra_ops.log_archive.stream_document:
    name: sftpgo
    state: absent
"""

RETURN = r"""
path:
  description: The path of the file.
  returned: success, without O(streams)
  type: str
  sample: /etc/log-archive/streams.d/sftpgo.json
written:
  description: With O(streams), the files that changed, or in check mode would change.
  returned: success
  type: list
  elements: str
  sample: [/etc/log-archive/streams.d/sftpgo.json]
removed:
  description: With O(streams), the files that were removed, or in check mode would be removed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._documents import Kind, apply, arguments, constraints
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import DEFAULT_STREAMS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up
from ansible_collections.infra_ops.log_archive.plugins.module_utils._module import reporting
from ansible_collections.infra_ops.log_archive.plugins.module_utils._options import STREAM_DOCUMENT_OPTION

STREAM = Kind("stream", DEFAULT_STREAMS, STREAM_DOCUMENT_OPTION, normalise_stream, set_up.STREAMS)


def main() -> None:
    module = AnsibleModule(argument_spec=arguments(STREAM), add_file_common_args=True, supports_check_mode=True, **constraints(STREAM))
    with reporting(module) as result:
        apply(module, STREAM, result)


if __name__ == "__main__":
    main()
