# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A thread that reads and parses the next batches of a backlog, while the sink stores the one before."""

from __future__ import annotations

import queue
import sys
import threading
import typing as t

from .reading import is_full

if t.TYPE_CHECKING:
    from .source import Found

SWITCH = 0.0002
"""Seconds after which a thread that runs Python code lets another one run, if that one waits."""


class Ahead(threading.Thread):
    """At most two batches wait for ``take``, or one waits while one is being read: so neither side waits for each batch of the other.

    read: returns the next batch; None if there is nothing to read. It is called until a batch is not full.
    """

    def __init__(self, read: t.Callable[[], t.Optional[Found]]) -> None:
        super().__init__(name="read ahead", daemon=True)
        self._read = read
        self._results: queue.Queue[t.Union[Found, BaseException, None]] = queue.Queue(1)
        self._is_to_end = False
        # The thread that stores needs Python only for moments. By default it waits for 5 ms each time, because this one is parsing.
        sys.setswitchinterval(SWITCH)

    def run(self) -> None:
        goes_on = True
        try:
            while goes_on and not self._is_to_end:
                found = self._read()
                goes_on = found is not None and is_full(found[0])
                if found is not None:
                    self._results.put(found)
        except BaseException as error:
            self._results.put(error)
        self._results.put(None)

    def stop(self) -> None:
        """Read no further batch. Those that are read can still be taken."""
        self._is_to_end = True

    def take(self) -> t.Optional[Found]:
        """The next batch, once it is read; None behind the last one. Raises what ``read`` raised."""
        result = self._results.get()
        if isinstance(result, BaseException):
            raise result
        return result

    def drop(self) -> None:
        """End the thread, and forget what it has read. Behind the last one that was taken it has ended already."""
        self.stop()
        while self.is_alive():
            try:
                self._results.get(timeout=0.05)
            except queue.Empty:
                continue
