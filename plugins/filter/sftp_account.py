# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The account of a host on the SFTP archive server."""

from __future__ import annotations

import hashlib
import re
import typing as t

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: sftp_account
short_description: The name of a host's account on the SFTP archive server
version_added: 0.9.0
description:
  - Returns C(la-) and the name of the host, as a user name that every Unix accepts, of at most 32 lower-case letters, digits and C(-).
  - If the name of the host must be changed for this, or looks like a changed name, the account ends with C(-) and six hexadecimal digits of
    the SHA-256 of the name, so that two hosts never get the same account.
options:
  _input:
    description: The name of the host in the inventory.
    type: str
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the account of web1, which is la-web1
  ansible.builtin.debug:
    msg: "{{ 'web1' | infra_ops.log_archive.sftp_account }}"

- name: Show the account of web1.example.org, which is la-web1-example-org-9e018a
  ansible.builtin.debug:
    msg: "{{ 'web1.example.org' | infra_ops.log_archive.sftp_account }}"
"""

RETURN = r"""
_value:
  description: The name of the account.
  type: str
"""

PREFIX = "la-"
LONGEST = 32
"""The limit of useradd."""


def sftp_account(host: t.Any) -> str:
    """See DOCUMENTATION."""
    if not isinstance(host, str) or not host:
        raise AnsibleFilterError("sftp_account: the input must be the name of a host, not %r" % (host,))
    if re.fullmatch(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?", host) and len(PREFIX + host) <= LONGEST and not _could_be_made(host):
        return PREFIX + host
    end = "-" + hashlib.sha256(host.encode("utf-8", "surrogateescape")).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
    return PREFIX + plain[: LONGEST - len(PREFIX + end)].rstrip("-") + end


def _could_be_made(host: str) -> bool:
    """Whether it looks like the changed name of another host. Then it is changed too, so that the two differ."""
    return re.fullmatch(r".*-[0-9a-f]{6}", host) is not None


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"sftp_account": sftp_account}
