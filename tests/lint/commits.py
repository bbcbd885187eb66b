# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the messages of the commits that the branch ``main`` does not have: ``commits.py [CHECKOUT [BASE]]``.

A subject is ``area: what the commit does``, at most 72 characters, with no full stop. Without the branch ``main``, as in a shallow clone,
there is nothing to check. The status is 1 if a message is wrong.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import typing as t

LONGEST = 72
SUBJECT = re.compile(r"[a-z][a-z0-9_.,/ -]*: \S.*[^.\s]$")


def mistakes(subject: str) -> t.List[str]:
    """What is wrong with the subject of a commit."""
    found = []
    if len(subject) > LONGEST:
        found.append("it has %d characters; the limit is %d" % (len(subject), LONGEST))
    if not SUBJECT.match(subject):
        found.append('it is not "area: what the commit does", without a full stop')
    return found


def subjects(checkout: pathlib.Path, base: str) -> t.List[str]:
    """The subjects of the commits that only the present branch has, but for merges."""
    command = ["git", "-C", str(checkout), "log", "--no-merges", "--format=%s", base + "..HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


if __name__ == "__main__":
    checkout, base = (*sys.argv[1:], *(".", "main")[len(sys.argv) - 1 :])
    wrong = ["%s\n  %s" % (each, "; ".join(mistakes(each))) for each in subjects(pathlib.Path(checkout), base) if mistakes(each)]
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
