# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of a document without the options that have a mistake: checks that need a whole document still find more mistakes in it."""

from __future__ import annotations

import copy
import re
import typing as t


def without_mistakes(given: t.Any, problems: t.Iterable[str]) -> t.Any:
    """A copy of a document without the options that these problems ('key: what is wrong') name. Its other options may still be wrong."""
    left = copy.deepcopy(given)
    for problem in problems:
        _remove(left, re.findall(r"\[\d+\]|[^.\[\]]+", problem.partition(":")[0]))
    return left


def _remove(value: t.Any, way: t.Sequence[str]) -> None:
    for number, step in enumerate(way):
        last = number == len(way) - 1
        if step.startswith("["):
            index = int(step[1:-1])
            # An element stays, because the numbers of those behind it are in messages.
            if last or not isinstance(value, list) or index >= len(value):
                return
            value = value[index]
        elif not isinstance(value, dict) or step not in value:
            return
        elif last or (number == len(way) - 2 and way[-1].startswith("[")):
            del value[step]
            return
        else:
            value = value[step]
