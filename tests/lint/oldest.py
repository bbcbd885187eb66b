# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print a constraints file for pip with the oldest versions that requirements files allow: ``oldest.py requirements.txt``.

Only lower bounds (``name>=version``, with or without a marker) become constraints.
"""

from __future__ import annotations

import re
import sys
import typing as t

_BOUND = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*>=\s*([0-9][0-9.]*)[^;]*(;.*)?")


def oldest(text: str) -> t.List[str]:
    """The constraints for the lines of a requirements file: ``name==version``, with the line's marker."""
    bounds = (_BOUND.fullmatch(line.partition("#")[0].strip()) for line in text.splitlines())
    return ["%s==%s%s" % (bound[1], bound[2], bound[3] or "") for bound in bounds if bound]


def main(paths: t.Sequence[str]) -> None:
    for path in paths:
        with open(path, encoding="utf-8") as file:
            print("\n".join(oldest(file.read())))


if __name__ == "__main__":
    main(sys.argv[1:])
