# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which user lacks the right to a file."""

from __future__ import annotations

import errno
import os
import pwd
import typing as t


def who_needs_the_right(error: OSError, right: str) -> t.Optional[str]:
    """The hint of an error about a missing right: the user that needs it. The command of a host changes to the user of its jobs, so whoever
    called it may well have the right. None if the error has another cause. right: what the user must be able to do."""
    if error.errno not in (errno.EACCES, errno.EPERM):
        return None
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return "The command runs as the user %s, who must be able to %s" % (user, right)
