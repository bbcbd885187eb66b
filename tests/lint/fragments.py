# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that changelog fragments go with what changed: ``fragments.py [CHECKOUT]``. The status is 1 if one is missing.

Two rules:

- every module, plugin, role and playbook that the last release did not have is named in a fragment;
- a change below plugins/, roles/ or playbooks/ since the last release needs at least one new fragment. Refactoring may use the
  section ``trivial``, which no changelog shows.

A release is a tag with its version, ``0.1.0`` or ``v0.1.0``. If the clone does not have the tag of the version in galaxy.yml (shallow
clones have no tags), that version counts as not released: its fragments stay in the repository, so the rules can be checked all the same.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import typing as t

import yaml

FOLDERS = ("plugins", "roles", "playbooks")
# Nothing that a user could name.
INTERNAL = re.compile(r"plugins/(module_utils|plugin_utils|doc_fragments)/|/_|^_")


class Changes(t.NamedTuple):
    """What the last release does not have: paths that changed, paths that are new, texts of the fragments."""

    changed: t.List[str]
    new: t.List[str]
    fragments: t.Dict[str, str]


def git(checkout: pathlib.Path, *arguments: str) -> t.List[str]:
    """The lines that git prints; none if it fails."""
    done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def last_release(checkout: pathlib.Path, versions: t.Sequence[str]) -> t.Optional[str]:
    """The tag of the newest of these versions that has one in this clone."""
    tags = set(git(checkout, "tag", "--list"))
    return next((tag for version in reversed(versions) for tag in (version, "v" + version) if tag in tags), None)


def released_fragments(releases: t.Mapping[str, t.Any], until: t.Sequence[str]) -> t.Set[str]:
    return {name for version in until for name in releases[version].get("fragments", [])}


def look(checkout: pathlib.Path) -> Changes:
    """Compare the checkout, as it lies there, with the last release."""
    version = yaml.safe_load((checkout / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    releases = yaml.safe_load((checkout / "changelogs" / "changelog.yaml").read_text(encoding="utf-8"))["releases"]
    versions = sorted(releases, key=lambda text: [int(part) for part in re.findall(r"\d+", text)])
    tag = last_release(checkout, versions)
    before = versions[: versions.index(tag.lstrip("v")) + 1] if tag else [each for each in versions if each != version]
    used = released_fragments(releases, before)
    fragments = {
        path.name: path.read_text(encoding="utf-8")
        for path in (checkout / "changelogs" / "fragments").glob("*.yml")
        if path.name not in used
    }
    present = [str(path.relative_to(checkout)) for folder in FOLDERS for path in (checkout / folder).rglob("*") if path.is_file()]
    present = [path for path in present if "__pycache__" not in path]
    if tag:
        changed = git(checkout, "diff", "--name-only", tag, "--", *FOLDERS)
        released = set(git(checkout, "ls-tree", "-r", "--name-only", tag))
        changed += git(checkout, "ls-files", "--others", "--exclude-standard", "--", *FOLDERS)
    else:
        # If there was an earlier version, its tag is not here: what is new since then cannot be known.
        changed, released = present, set(present) if before else set()
    return Changes(sorted(changed), sorted(set(present) - released), fragments)


def names(paths: t.Iterable[str]) -> t.Set[str]:
    """The names of modules, plugins, roles and playbooks among these paths."""
    found = set()
    for path in paths:
        if INTERNAL.search(path):
            continue
        parts = path.split("/")
        if parts[0] == "roles" and len(parts) > 2:
            found.add(parts[1])
        elif (parts[0] == "plugins" and len(parts) == 3 and path.endswith(".py")) or (parts[0] == "playbooks" and len(parts) == 2):
            found.add(parts[-1].rpartition(".")[0])
    return found


def mistakes(checkout: pathlib.Path) -> t.List[str]:
    """What is missing, one sentence each."""
    found = look(checkout)
    text = "\n".join(found.fragments.values())
    missing = [
        "No changelog fragment names %s, which is new. Add it to a file in changelogs/fragments." % name
        for name in sorted(names(found.new))
        if not re.search(r"\b%s\b" % re.escape(name), text)
    ]
    if found.changed and not found.fragments:
        listed = ", ".join(found.changed[:3]) + (", ..." if len(found.changed) > 3 else "")
        missing.append("There is no changelog fragment for the changes since the last release (%s). See CONTRIBUTING.md." % listed)
    return missing


if __name__ == "__main__":
    wrong = mistakes(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "."))
    print("\n".join(wrong), end="\n" if wrong else "")
    sys.exit(1 if wrong else 0)
