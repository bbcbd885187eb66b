# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a long operation reports its progress: the types of the callbacks, and the callback that reports nothing."""

from __future__ import annotations

import contextlib

from . import hints as t

Advance = t.Callable[[int], None]
"""Called with the number of bytes, or of another unit, that are done since the last call (not the total)."""
Progress = t.Callable[..., t.ContextManager[Advance]]
"""Called with the title and the size of an operation that begins, and the unit of the size if it is not bytes ("lines"); the context lasts
as long as the operation."""


def from_threads(advance: Advance) -> Advance:
    """The callback for the use of several threads at once."""
    import threading

    lock = threading.Lock()

    def locked(count: int) -> None:
        with lock:
            advance(count)

    return locked


@contextlib.contextmanager
def no_progress(_title: str, _size: int, _unit: str = "") -> t.Iterator[Advance]:
    """Report nothing."""
    yield lambda count: None
