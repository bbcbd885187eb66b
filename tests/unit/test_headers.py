# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every file that we ship says whose it is and under which licence, in its first lines."""

from __future__ import annotations

import pathlib

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = [".", "changelogs", "demo", "docs", "extensions", "meta", "playbooks", "plugins", "roles", "tests"]
SUFFIXES = {".cfg", ".ini", ".j2", ".py", ".sh", ".toml", ".yaml", ".yml"}
HEADER = ["SPDX-FileCopyrightText: infra_ops.log_archive contributors", "SPDX-License-Identifier: GPL-3.0-or-later"]
PACKED_SUFFIXES = {".gz", ".tgz", ".whl", ".zip", ".deb", ".jar"}
# Archives of an earlier release, which tests read.
PACKED = {"tests/rigs/written_by_first_0.1.0.tar.gz"}


def sources() -> list[pathlib.Path]:
    found = [path for path in CHECKOUT.glob("*") if path.suffix in SUFFIXES or path.name == "Makefile"]
    for folder in FOLDERS[1:]:
        found += [path for path in (CHECKOUT / folder).rglob("*") if path.suffix in SUFFIXES]
    # antsibull-changelog writes this one anew at each release.
    generated = {CHECKOUT / "changelogs" / "changelog.yaml"}
    return sorted(path for path in found if path.is_file() and "output" not in path.parts and path not in generated and path.name[0] != ".")


@pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(CHECKOUT))) for path in sources()])
def test_a_file_begins_with_its_licence(path: pathlib.Path) -> None:
    lines = [line.strip("#{}- \n") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith(("#!", "---"))]
    assert lines[:2] == HEADER


def test_no_packed_file_is_beside_the_sources() -> None:
    """Such as a wheel that a tool downloaded. In the top folder, 'ansible-galaxy collection build' leaves its tarball."""
    files = [*CHECKOUT.glob("*")]
    for folder in FOLDERS[1:]:
        files += [path for path in (CHECKOUT / folder).rglob("*") if "output" not in path.parts]
    packed = {path.relative_to(CHECKOUT).as_posix() for path in files if path.suffix in PACKED_SUFFIXES}
    assert {path for path in packed if not path.startswith("infra_ops-")} == PACKED
