# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Work that one thread does ahead of another, with a bound on what waits between them."""

from __future__ import annotations

import contextlib
import itertools
import typing as t

Item = t.TypeVar("Item")

BATCH = 8
"""Pieces that one thread hands to another at once: each handing over costs as much as writing a piece."""
QUEUED = 4
"""Batches that may wait between two threads."""


def batches(items: t.Iterator[Item], size: int = BATCH) -> t.Iterator[t.List[Item]]:
    """The items in lists of ``size``; the last may be shorter. An error is raised after the items that came before it."""
    while True:
        batch: t.List[Item] = []
        try:
            for item in itertools.islice(items, size):
                batch.append(item)
        except Exception:
            if batch:
                yield batch
            raise
        if not batch:
            return
        yield batch


@contextlib.contextmanager
def ahead(items: t.Iterator[Item], size: int = BATCH) -> t.Iterator[t.Iterator[Item]]:
    """Run an iterator in a separate thread, a few items ahead; its error is raised in the thread that takes the item.

    size: items that are handed over at once.
    """
    import queue
    import threading

    waiting: t.Any = queue.Queue(QUEUED)
    abandoned = threading.Event()

    def produce() -> None:
        end: t.Any = StopIteration()
        try:
            for batch in batches(items, size):
                waiting.put(batch)
                if abandoned.is_set():
                    break
        except BaseException as error:
            end = error
        waiting.put(end)

    def consume() -> t.Iterator[Item]:
        while True:
            item = waiting.get()
            if isinstance(item, StopIteration):
                return
            if isinstance(item, BaseException):
                raise item
            yield from item

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        abandoned.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get(timeout=0.05)
        thread.join()
