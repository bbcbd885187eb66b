# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print facts about this interpreter as JSON, and the requirements (arguments ``name>=version``) that it lacks.

``python``: its version, and ``full`` with the third number. ``venv``: whether it can make virtualenvs. ``release``: the kind of the host
for which wheels are made, such as ``python3.9-glibc2.31-x86_64``.
"""

import importlib.util
import json
import os
import re
import sys


def libc():
    try:
        return os.confstr("CS_GNU_LIBC_VERSION").replace(" ", "")
    except (AttributeError, OSError, ValueError):
        return "other"


def numbers(version):
    return [int(number) for number in re.findall(r"[0-9]+", version)[:3]]


def missing(requirements):
    from importlib import metadata

    for requirement in requirements:
        name, least = requirement.split(">=")
        try:
            if numbers(metadata.version(name)) >= numbers(least):
                continue
        except metadata.PackageNotFoundError:
            pass
        yield requirement


# An interpreter that is too old for the rest must still print its version.
print(
    json.dumps(
        {
            "python": "%d.%d" % sys.version_info[:2],
            "full": "%d.%d.%d" % sys.version_info[:3],
            "release": "python%d.%d-%s-%s" % (sys.version_info[0], sys.version_info[1], libc(), os.uname().machine),
            "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
            "missing": list(missing(sys.argv[1:])) if sys.version_info >= (3, 9) else [],
        }
    )
)
