# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.ahead import QUEUED, ahead


def numbers(end: int, made: t.List[int]) -> t.Iterator[int]:
    for number in range(end):
        made.append(number)
        yield number
    raise OSError("the end")


@pytest.mark.parametrize("size", [1, 3])
def test_an_error_comes_after_the_items_before_it(size: int) -> None:
    taken = []
    with ahead(numbers(10, []), size) as items, pytest.raises(OSError, match="the end"):
        for item in items:
            taken.append(item)
    assert taken == list(range(10))


def test_the_thread_stays_within_its_bound_and_ends_with_the_caller() -> None:
    threads = []
    made: t.List[int] = []

    def noted() -> t.Iterator[int]:
        threads.append(threading.current_thread())
        yield from numbers(10_000, made)

    with ahead(noted(), 1) as items:
        assert next(items) == 0
    assert [thread.is_alive() for thread in threads] == [False]
    # Those that wait, the one that was taken, and the one that is made while the caller leaves.
    assert len(made) <= QUEUED + 2
