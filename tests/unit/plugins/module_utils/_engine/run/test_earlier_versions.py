# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the first version of this collection wrote is read by this one: document, keyring, catalog, spool, manifests and archives.

``rigs/written_by_first_0.1.0.tar.gz`` is a host as that version left it, with two archives in both of its stores, and a third that waits in
the spool for the second store. It was made by that version's own command, and is never made anew.
"""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import tarfile
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from rigs import host as rig

pytest.importorskip("cryptography")
WRITTEN = pathlib.Path(rig.__file__).with_name("written_by_first_0.1.0.tar.gz")
THEN = "/tmp/log-archive-fixture"
"""Where that host was."""
NAMES = ["syslog.20240112.%d" % hour for hour in (12, 13, 14)]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    with tarfile.open(WRITTEN) as tar:
        for member in tar:
            member.uname = member.gname = ""
            tar.extract(member, tmp_path, set_attrs=member.isreg())
    for private in ("keyring", "state", "spool"):
        (tmp_path / private).chmod(0o700)
    document = tmp_path / "jobs" / "syslog.json"
    # Its logs stay where they were, and so are missing: what was archived is known by its path.
    text = document.read_text().replace(THEN, str(tmp_path)).replace(str(tmp_path / "logs"), THEN + "/logs")
    # Looking for the logs of 40,000 hours takes seconds, and shows nothing here.
    document.write_text(text.replace('"40000h"', '"24h"'))
    return tmp_path


def call(folder: pathlib.Path, *arguments: str) -> t.Tuple[int, t.Any]:
    """The exit code and the JSON of the command."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        code = cli.main([*arguments, "--json", "--config", str(folder / "jobs")])
    return code, json.loads(output.getvalue())


def test_its_status_and_its_archives_are_shown(folder: pathlib.Path) -> None:
    # Its last run becomes older each day.
    code, (row,) = call(folder, "status", "--max-age", "36000d")
    assert (code, row["state"], row["backlog"], row["archives"]) == (3, "archives wait for a store", {"second": 1}, 3)
    assert row["findings"] == []
    code, listed = call(folder, "list")
    assert (code, [row["key"].rpartition("/")[2] for row in listed]) == (0, [name + ".tgz.fernet" for name in NAMES])


def test_a_run_completes_what_it_left_and_begins_a_whole_ledger(folder: pathlib.Path) -> None:
    code, (record,) = call(folder, "run", "--all")
    assert (code, [archive["key"].rpartition("/")[2] for archive in record["archives"]]) == (0, [NAMES[2] + ".tgz.fernet"])
    assert call(folder, "status")[1][0]["state"] == "fine"
    code, rows = call(folder, "verify")
    assert code == 0, rows
    code, rows = call(folder, "ledger", "verify")
    assert (code, [row["findings"] for row in rows]) == (0, [[]] * 3)
    assert not any(path.is_file() for path in (folder / "spool").rglob("*"))


@pytest.mark.parametrize("catalog", ["known", "lost"])
def test_its_archives_are_restored(folder: pathlib.Path, catalog: str) -> None:
    if catalog == "lost":
        (folder / "state" / "catalog.sqlite").unlink()
    code, _rows = call(folder, "restore", "--to", str(folder / "to"), "--since", "2024-01-01", "--store", "first", "syslog")
    assert code == 0
    for name in NAMES:
        written = (folder / "to" / THEN[1:] / "logs" / name).read_bytes()
        assert written == (folder / "logs" / name).read_bytes() != b""
