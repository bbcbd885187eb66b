# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What journalctl prints about files that it cannot read, as versions 247 to 257 print it; test_journal.py has real ones."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.journal import damage

FOLDER = "/var/log/journal/22ad9ab3e2e26318a10d977b064f8af9/"
ARCHIVED, ACTIVE = FOLDER + "system@0cdf-10f5-0006.journal", FOLDER + "system.journal"


@pytest.mark.parametrize(
    ("line", "path", "warning"),
    [
        ("<31>Can't iterate through %s, ignoring: Bad message", ARCHIVED, ""),
        ("<31>Failed to open journal file %s: No data available", ARCHIVED, ""),
        ("<31>Failed to open journal file %s: Input/output error", ARCHIVED, ""),
        ("<28>Journal file %s is truncated, ignoring file.", ARCHIVED, ""),
        ("Journal file %s corrupted, ignoring file.", ARCHIVED, ""),
        ("<31>Skipping message we can't read: Bad message", "", ""),
        ("<31>Entry item 6 is bad, skipping over it.", "", ""),
        ("<28>Journal file %s is truncated, ignoring file.", ACTIVE, "Journal file %s is truncated, ignoring file." % ACTIVE),
        ("<31>Can't iterate through %s, ignoring: Bad message", ACTIVE, ""),
        # The user may not read it, and another warning says so; or it was renamed meanwhile.
        ("<31>Failed to open journal file %s: Permission denied", ARCHIVED, ""),
        ("<31>Failed to open journal file %s: No such file or directory", ARCHIVED, ""),
        ("<29>Hint: You are currently not seeing messages.", "", "Hint: You are currently not seeing messages."),
        ("<31>File %s added.", ARCHIVED, ""),
    ],
)
def test_what_a_printed_line_means(line: str, path: str, warning: str) -> None:
    printed = "<31>Journal filter: none\n%s\n<31>mmap cache statistics\n" % (line.replace("%s", path) if path else line)
    is_damage = path != ACTIVE and not any(each in line for each in ("Permission", "No such", "added", "Hint"))
    assert (damage.files_in(printed), damage.warning_in(printed)) == ({path} if is_damage else set(), warning)


def test_the_text_names_some_of_the_files() -> None:
    assert damage.text_of(["", ARCHIVED]) == "entries cannot be read in system@0cdf-10f5-0006.journal"
    assert damage.text_of([""]) == "entries cannot be read"
    assert damage.text_of(["/a%d@.journal" % number for number in range(7)]).endswith(", a4@.journal and 2 more")


def test_a_file_without_a_header_may_have_any_entry(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "system@1.journal"
    assert damage.last_entry(str(file)) == float("inf")
    file.write_bytes(b"LPKSHHRH")
    assert damage.last_entry(str(file)) == float("inf")
    file.write_bytes(b"\0" * 1000)
    assert damage.last_entry(str(file)) == float("inf")
