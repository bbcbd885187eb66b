# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A public key of OpenSSH, checked before it is written into a file of another host."""

from __future__ import annotations

import base64
import binascii
import re
import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: ssh_public_key
short_description: Check that a text is one public key of OpenSSH
version_added: 0.9.0
description:
  - Returns the key if the text is exactly one line C(KIND BASE64 [COMMENT]) with a kind that OpenSSH knows, and fails otherwise.
  - A key that was read from one host goes into C(authorized_keys) or C(known_hosts) of another. A second line, or options before the
    key, could give the first host unintended rights.
options:
  _input:
    description: The content of a file such as C(id_ed25519.pub).
    type: str
    required: true
  origin:
    description: Where the text comes from, for the error message.
    type: str
    required: true
  comment:
    description: Whether to keep the comment in the result.
    type: bool
    default: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Authorize the key that was read from a host
  ansible.builtin.copy:
    content: "restrict {{ key.content | b64decode | infra_ops.log_archive.ssh_public_key('web1:/root/.ssh/id_ed25519.pub') }}\n"
    dest: /etc/ssh/log-archive/la-web1
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The key in one line, without a line break.
  type: str
"""

KINDS = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
LONGEST = 8192
"""Characters; sshd refuses longer lines."""


def ssh_public_key(text: t.Any, origin: t.Any, comment: t.Any = True) -> str:
    """See DOCUMENTATION."""
    # Not splitlines: what sshd takes for the end of a line counts, and no control character may pass.
    line = re.sub(r"\r?\n\Z", "", text) if isinstance(text, str) else ""
    found = re.fullmatch(r"(\S+) ([A-Za-z0-9+/]+={0,2})(?: (.*))?", line)
    if not found or len(line) > LONGEST or not line.isprintable() or found[1] not in KINDS or not _is_of_kind(found[2], found[1]):
        raise AnsibleFilterError(
            "%s is not one public key in one line 'KIND BASE64 COMMENT' with one of these kinds: %s. Check that host, and create the key"
            " again there with ssh-keygen" % (origin, ", ".join(KINDS))
        )
    return " ".join(part for part in (found[1], found[2], found[3] if comment else None) if part)


def _is_of_kind(encoded: str, kind: str) -> bool:
    """Whether the Base64 is that of a key of this kind: its first field is the name of the kind (RFC 4253, 6.6)."""
    try:
        blob = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return False
    return blob.startswith(len(kind).to_bytes(4, "big") + kind.encode("ascii")) and len(blob) > 4 + len(kind)


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"ssh_public_key": ssh_public_key}
