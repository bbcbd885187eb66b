# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive run --confirm``: ask the person at the terminal before each upload.

The run holds the lock of its job while it waits, and other runs of the job end meanwhile with the status of a locked one: two runs must not
pack the same logs. So the wait has a limit, and a person who has gone is asked once only.
"""

from __future__ import annotations

import os
import select
import sys
import time
import typing as t

from ..base.errors import UsageError
from ..base.texts import line
from ..base.units import format_size
from . import output

SECONDS = 120
LONGEST = 1000
"""Bytes of an answer."""


class Questions:
    """Asks before uploads; called as ``run.context.Confirm``. Raises UsageError if nobody can see the question or answer it.

    seconds: how long a question waits for its answer. No answer means no, for the uploads after it too.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        for stream, use in ((sys.stdin, "to answer on (standard input)"), (sys.stderr, "to ask on (standard error)")):
            if not stream.isatty():
                raise UsageError("--confirm needs a terminal %s" % use, hint="Omit it if the command runs unattended")
        if _in_background():
            raise UsageError("--confirm cannot ask: the command runs in the background", hint="Run it in the foreground, or omit --confirm")
        self._seconds = seconds
        self._gone = False

    def __call__(self, name: str, location: str, size: int) -> bool:
        """Whether the person confirms this upload."""
        if self._gone:
            return False
        # Not input(): it asks on standard output, which may be a file of JSON, and fails if the terminal is closed.
        output.write("stderr", "Upload %s (%s) to %s? [y/N] " % (line(name), format_size(size), line(location)))
        answer = _read_line(self._seconds)
        if answer is None:
            self._gone = True
            output.write("stderr", "\n")
            output.print_error("log-archive: no answer within %g seconds: nothing more is uploaded in this run" % self._seconds)
            return False
        return answer.strip().lower() in (b"y", b"yes")


def _in_background() -> bool:
    """Whether the kernel would stop this process if it read from the terminal; the stopped run would hold its lock."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp()
    except OSError:
        return False  # It is not the controlling terminal of this process, which has no foreground then.


def _read_line(seconds: float) -> t.Optional[bytes]:
    """The next line from the terminal, without waiting longer; b"" at its end, None if no whole line came in time."""
    terminal = sys.stdin.fileno()
    end = time.monotonic() + seconds
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            return None
        if _in_background():
            # It was moved to the background: what is typed now is meant for another program.
            time.sleep(min(left, 0.5))
            continue
        try:
            # A terminal gives one line at a time.
            return os.read(terminal, LONGEST)
        except OSError:
            return b""  # The terminal is gone.
