# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A list that may be given as a text with commas."""

from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: comma_list
short_description: A list that may be given as a text with commas
version_added: 0.9.0
description:
  - Returns a list as it is, and the items of a text with commas between them, without the blanks around them. Nothing is an empty list.
options:
  _input:
    description: A list, or a text.
    type: raw
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Show the jobs that were asked for
  ansible.builtin.debug:
    msg: "{{ log_archive_only_jobs | default([]) | infra_ops.log_archive.comma_list }}"
"""

RETURN = r"""
_value:
  description: The items.
  type: list
  elements: str
"""


def comma_list(given: t.Any) -> t.Any:
    """See DOCUMENTATION."""
    if not isinstance(given, str):
        return given or []
    return [item.strip() for item in given.split(",") if item.strip()]


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"comma_list": comma_list}
