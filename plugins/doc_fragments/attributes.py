# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The meaning of the attributes of the modules. Each module documents its support of them."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes and notes that all modules of this collection share."""

    DOCUMENTATION = r"""
options: {}
notes:
  - If the module fails, C(msg) states what failed, on which object, and what to do. C(error) is the kind of the error, C(exit_code) the
    exit status of the command C(log-archive) for it, and C(problems) lists each mistake in the options.
  - Ansible cannot pass on file names that are not UTF-8. Each byte of a name that is not UTF-8 is returned as an escape such as C(\xff).
    Options of type path accept these escapes, so the result of one module can be passed to the next. A backslash that would begin such an
    escape is returned as C(\x5c).
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
"""
