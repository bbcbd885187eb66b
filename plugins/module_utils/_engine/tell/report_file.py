# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of reports and pages."""

from __future__ import annotations

import os
import stat

from ..base.durable import write_atomically
from ..base.errors import LogArchiveError


def write(path: str, text: str, what: str = "report", mode: int = 0o600) -> None:
    """Write a report to a file. One that stands there is replaced only by a whole one, and a device, such as /dev/stdout, never is.

    what: the report, for the error. Raises LogArchiveError.
    """
    try:
        if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise LogArchiveError("cannot write the %s: it is not a file" % what, path, "Name a new file, or one to replace")
        write_atomically(os.path.abspath(path), text.encode("utf-8", "surrogateescape"), mode)
    except OSError as error:
        raise LogArchiveError("cannot write the %s: %s" % (what, error.strerror), path) from error
