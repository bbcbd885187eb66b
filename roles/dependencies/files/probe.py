# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print the version of this interpreter and the requirements (arguments ``name>=version``) that it lacks."""

import importlib.util
import json
import re
import sys


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
            "venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
            "missing": list(missing(sys.argv[1:])) if sys.version_info >= (3, 9) else [],
        }
    )
)
