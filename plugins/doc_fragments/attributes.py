# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the attributes of the modules mean; each module says how far it has them, and why."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes that every module of this collection tells about."""

    DOCUMENTATION = r"""
options: {}
notes:
  - Where the module fails, C(msg) says what failed, on what, and what to do about it; C(error) is the kind of the error, C(exit_code) the
    status with which the command C(log-archive) would have ended, and C(problems) lists each mistake in the options.
  - A byte of a file name that is not UTF-8 is returned as C(\xff), because Ansible cannot carry it. Options that take a path read it
    back, so that what one module returns can be given to the next. A backslash that would read as such an escape is C(\x5c).
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
"""
