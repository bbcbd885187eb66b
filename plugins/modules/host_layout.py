#!/usr/bin/python
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: host_layout
short_description: Ensure groups, users, folders and files of a host in one call
version_added: 0.9.0
description:
  - Ensures O(groups), then O(users), then O(paths), each in the given order. Then removes the users and groups that must not exist. One
    call replaces many calls of M(ansible.builtin.group), M(ansible.builtin.user), M(ansible.builtin.file) and
    M(ansible.builtin.copy), each of which costs a connection.
  - Nothing is changed if a user that must exist is missing, or if an option is wrong.
  - The module never writes through a symbolic link to a file; it replaces the link. A folder may be a symbolic link to a folder.
options:
  groups:
    description: Groups that must exist or must not exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the group.
        type: str
        required: true
      state:
        description: Whether the group must exist.
        type: str
        choices: [present, absent]
        default: present
      only_members:
        description:
          - Users that may be members. Other users are removed from the group, after O(users) is processed.
          - If it is not set, no user is removed. A user in this list is not added; use O(users[].groups) for that.
        type: list
        elements: str
  users:
    description: Users that must exist or must not exist.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the user.
        type: str
        required: true
      state:
        description: Whether the user must exist. V(absent) keeps the home folder.
        type: str
        choices: [present, absent]
        default: present
      create:
        description:
          - Whether to create the user if it does not exist. It becomes a system user without a password and without a home folder.
          - With V(false), a missing user is an error.
        type: bool
        default: true
      comment:
        description:
          - The comment of a user that this module creates. It also marks the user as created by this module.
          - O(users[].group), O(users[].home) and O(users[].shell) of an existing user with another comment are not changed. With
            O(users[].state=absent) such a user stays; without a comment, any user of this name is removed.
        type: str
        default: ""
      group:
        description: Primary group.
        type: str
      groups:
        description: Groups to which the user is added. It stays a member of other groups.
        type: list
        elements: str
        default: []
      optional_groups:
        description: The same for groups that may be missing on this host. A missing group is skipped.
        type: list
        elements: str
        default: []
      home:
        description: Home folder. It is not created.
        type: str
      shell:
        description: Login shell.
        type: str
        default: /usr/sbin/nologin
  paths:
    description: Folders and files that must exist or must not exist.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      state:
        description:
          - V(directory) ensures a folder. Missing parent folders are created too, owned by root with mode 0755.
          - V(file) ensures a regular file. Without O(paths[].content), a missing file is created empty, and an existing one keeps its
            content.
          - V(absent) removes a file, a link, or a folder with its contents.
        type: str
        choices: [directory, file, absent]
        default: file
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      mode:
        description: Permissions as octal digits, such as V("0640"). Default is V("0755") for a folder and V("0644") for a file.
        type: str
      content:
        description: The text of the file. The file is replaced in one step.
        type: str
      validate:
        description:
          - A command that checks the new text before the file is replaced, as a list of arguments. C(%s) is the path of a temporary file
            with the text.
          - It is not run in check mode, because files that it needs may not exist yet.
        type: list
        elements: str
      create_only:
        description: Whether to leave an existing folder or file unchanged, including its owner and mode.
        type: bool
        default: false
      recurse:
        description: Whether to also change the owner and group of the contents if those of an existing folder change.
        type: bool
        default: false
      if_empty:
        description: Whether to remove only an empty folder with O(paths[].state=absent). What this call removes does not count.
        type: bool
        default: false
      unless_files_in:
        description:
          - With O(paths[].state=absent), keep the path if this folder, or a folder below it, has any file. What this call removes does not
            count.
        type: path
      requires:
        description: Skip this path if one of these paths is missing, such as the program that would read the file.
        type: list
        elements: path
        default: []
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: If the owner or group of a path does not exist yet, the path is reported as changed.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
    details: One entry for each group, user and path that changes. The content of files is shown, so do not put secrets into
      O(paths[].content).
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: full
requirements:
  - useradd, usermod, userdel, groupadd, groupdel and gpasswd (Debian package C(passwd), Red Hat package C(shadow-utils)) if users or groups
    change
seealso:
  - module: ansible.builtin.user
  - module: ansible.builtin.file
author:
  - infra_ops.log_archive contributors (@infra-ops)
"""

EXAMPLES = r"""
- name: Ensure the user that runs the jobs, an operator, and their folders
  infra_ops.log_archive.host_layout:
    groups:
      - name: log-archive
      - name: log-archive-operators
    users:
      - name: log-archive
        group: log-archive
        groups: [log-archive-operators]
        optional_groups: [adm, systemd-journal]
        home: /var/lib/log-archive
        comment: log-archive (created by Ansible)
      - name: alice
        create: false
        groups: [log-archive-operators]
    paths:
      - path: /var/lib/log-archive
        state: directory
        owner: log-archive
        group: log-archive
        mode: "0700"
      - path: /etc/logrotate.d/log-archive
        content: "{{ lookup('ansible.builtin.template', 'logrotate.j2') }}"
        validate: [/usr/sbin/logrotate, --debug, "%s"]
        requires: [/usr/sbin/logrotate, /etc/logrotate.d]
  register: layout

- name: Report that the logs are not rotated
  ansible.builtin.debug:
    msg: logrotate is not installed.
  when: "'/etc/logrotate.d/log-archive' in layout.left_out"

- name: Remove the folders and the user again, but keep a spool with archives
  infra_ops.log_archive.host_layout:
    users:
      - name: log-archive
        comment: log-archive (created by Ansible)
        state: absent
    groups:
      - name: log-archive
        state: absent
    paths:
      - path: /etc/logrotate.d/log-archive
        state: absent
      - path: /var/spool/log-archive
        state: absent
        unless_files_in: /var/spool/log-archive
"""

RETURN = r"""
changes:
  description: What changed, or would change in check mode. C(group NAME), C(user NAME) or a path, each once.
  returned: success
  type: list
  elements: str
  sample: [group log-archive, user alice, /var/lib/log-archive]
left_out:
  description: Paths that were skipped because a path in O(paths[].requires) is missing.
  returned: success
  type: list
  elements: str
  sample: [/etc/logrotate.d/log-archive]
kept:
  description: Paths that were not removed because of O(paths[].if_empty) or O(paths[].unless_files_in).
  returned: success
  type: list
  elements: str
  sample: [/etc/log-archive]
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._layout import ARGUMENTS, Layout, LayoutError, check_options


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    layout = Layout(module.check_mode, module.run_command)
    try:
        check_options(module.params)
        layout.ensure(module.params)
    except LayoutError as error:
        module.fail_json(msg=str(error), changes=layout.changes, changed=bool(layout.changes))
    except OSError as error:
        module.fail_json(
            msg="cannot ensure the layout of the host (%s): %s" % (error.strerror, error.filename),
            changes=layout.changes,
            changed=bool(layout.changes),
        )
    result: t.Dict[str, t.Any] = {
        "changed": bool(layout.changes),
        "changes": layout.changes,
        "left_out": layout.left_out,
        "kept": layout.kept,
    }
    if module._diff:
        result["diff"] = layout.differences
    module.exit_json(**result)


if __name__ == "__main__":
    main()
