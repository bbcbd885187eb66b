# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print, before anything is installed, whether the packages of the distribution would give this interpreter what it lacks.

Arguments: the package manager; ``update`` if it may update its lists, else ``check``; then ``name>=version`` and the name of its package,
in turn. The output is JSON. ``used``: whether this
interpreter uses packages of the distribution. ``lacking``: what they do not provide, with the reason. A package about which the
manager reports nothing, because it has no lists yet, is not lacking.
"""

import glob
import json
import os
import re
import subprocess
import sys

SYSTEM = "/usr/bin/python3"
APT_LISTS = "/var/lib/apt/lists/*_Packages*"
PATHS = """
import sys
print(sys.version_info[:2], sorted(path for path in sys.path if path.startswith("/usr/lib") and path.endswith("-packages")))
"""


def numbers(version):
    """'1:2.12.0+dfsg-2' as [2, 12, 0]."""
    upstream = re.match(r"(?:[0-9]+:)?([0-9.]*)", version).group(1)
    return [int(number) for number in re.findall(r"[0-9]+", upstream)]


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=dict(os.environ, LC_ALL="C"), timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def offered_by_apt(packages, update=False):
    """The version of each package; None for one that does not exist."""
    if update:
        # Not with Ansible's module, which would install python3-apt. If it fails, so does the installation.
        output("apt-get", "-qq", "update")
    if not glob.glob(APT_LISTS):
        return {}
    versions = dict.fromkeys(packages)
    name = None
    for line in output("apt-cache", "policy", *packages).splitlines():
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.strip().startswith("Candidate: ") and "(none)" not in line:
            versions[name] = line.split()[1]
    return versions


def offered_by_dnf(manager, packages):
    lines = output(manager, "-q", "repoquery", "--latest-limit", "1", "--qf", "%{name} %{version}\n", *packages).splitlines()
    return dict(line.split() for line in lines if len(line.split()) == 2)


def lacking(wanted, versions):
    for requirement, package in wanted:
        if package not in versions:
            continue
        least, version = requirement.split(">=")[1], versions[package]
        if version is None:
            yield "%s (there is no package %s)" % (requirement, package)
        elif numbers(version) < numbers(least):
            yield "%s (%s has version %s)" % (requirement, package, version)


def main():
    manager, update, arguments = sys.argv[1], sys.argv[2] == "update", sys.argv[3:]
    wanted = list(zip(arguments[::2], arguments[1::2]))
    packages = [package for _requirement, package in wanted]
    versions = {}
    if packages and manager == "apt":
        versions = offered_by_apt(packages, update)
    elif packages and manager in ("dnf", "dnf5", "yum"):
        versions = offered_by_dnf(manager, packages)
    used = output(sys.executable, "-I", "-c", PATHS) == output(SYSTEM, "-I", "-c", PATHS)
    print(json.dumps({"used": used, "lacking": list(lacking(wanted, versions))}))


if __name__ == "__main__":
    main()
