# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore of several jobs has restored, and what failed."""

from __future__ import annotations

import typing as t

DOCUMENTATION = r"""
name: restore_summary
short_description: The result of a restore of several jobs
version_added: 0.9.0
description:
  - Takes the results of a loop over the names of jobs with the module M(infra_ops.log_archive.archive_restore), and sums them up.
options:
  _input:
    description: The C(results) of the loop. A result may be one of a module that failed.
    type: list
    elements: dict
    required: true
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Restore the logs of two jobs
  infra_ops.log_archive.archive_restore:
    store:
      type: file
      path: /var/backups/log-archive
    job: "{{ item }}"
    start: 2024-01-12
    keyring: /etc/log-archive/keyring
    dest: /srv/restored
  loop: [syslog, auth]
  failed_when: false
  register: restored

- name: Show the files
  ansible.builtin.debug:
    msg: "{{ (restored.results | infra_ops.log_archive.restore_summary).files }}"
"""

RETURN = r"""
_value:
  description: The summary.
  type: dict
  contains:
    files:
      description: The paths of the restored files, sorted.
      type: list
      elements: str
    bytes:
      description: The bytes of these files.
      type: int
    missing:
      description: One sentence for each job without an archive in the range or with the names. It is not a failure if another job has some.
      type: list
      elements: str
    errors:
      description: One sentence for each job that failed for another reason.
      type: list
      elements: str
"""

NOT_FOUND = "ArchiveNotFoundError"
"""The error of the module if no archive matches."""


def restore_summary(results: t.Iterable[t.Mapping[str, t.Any]]) -> t.Dict[str, t.Any]:
    """See DOCUMENTATION."""
    files: t.List[t.Mapping[str, t.Any]] = []
    missing = []
    errors = []
    for result in results:
        files += result.get("files", [])
        if "exit_code" in result or "files" not in result:
            text = "job %s: %s" % (result[result.get("ansible_loop_var", "item")], result.get("msg") or "the module returned no result")
            (missing if result.get("error") == NOT_FOUND else errors).append(text)
    return {
        "files": sorted(file["path"] for file in files),
        "bytes": sum(file["size"] for file in files),
        "missing": missing,
        "errors": errors,
    }


class FilterModule:
    """The filter, for Ansible."""

    def filters(self) -> t.Dict[str, t.Callable[..., t.Any]]:
        """The filters by name."""
        return {"restore_summary": restore_summary}
