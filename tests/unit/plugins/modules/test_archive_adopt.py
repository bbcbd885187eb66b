# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module archive_adopt, in this process: what it returns, in check mode too, and when it fails."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.modules import archive_adopt
from rigs.host import Host, files_below
from rigs.modules import module_args
from rigs.old_scripts import encrypted, new_key, tgz

pytest.importorskip("cryptography")


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host with an archive of a script in its store, and its key in fernet.key."""
    host = Host(tmp_path)
    host.store.mkdir()
    key = new_key(tmp_path / "fernet.key")
    (host.store / "20241201.token").write_bytes(encrypted(key, tgz(("dump.sql", b"x"))))
    return host


def adopt(host: Host, **given: t.Any) -> t.Dict[str, t.Any]:
    arguments = {
        "job": host.given(),
        "store": "file",
        "template": "%Y%d%m.token",
        "key_files": [str(host.folder / "fernet.key")],
        "_ansible_diff": True,
        **given,
    }
    out = io.StringIO()
    with module_args(arguments), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        archive_adopt.main()
    return t.cast("t.Dict[str, t.Any]", json.loads(out.getvalue()))


def test_check_mode_reports_and_the_second_call_changes_nothing(host: Host) -> None:
    before = files_below(host.folder)
    checked = adopt(host, _ansible_check_mode=True)
    assert (checked["changed"], files_below(host.folder)) == (True, before)
    assert checked["objects"][0]["period"] == {"start": "2024-01-12T00:00:00Z", "end": "2024-01-13T00:00:00Z"}
    done = adopt(host)
    assert (done["changed"], done["objects"]) == (True, checked["objects"])
    assert done["diff"]["after"] == "web1/syslog/2024/01/12/adopted:20241201.token\n"
    again = adopt(host, key_files=[])
    assert (again["changed"], again["objects"][0]["state"]) == (False, "present")


def test_it_fails_with_the_reason_and_the_rows(host: Host) -> None:
    (host.store / "20243102.token").write_bytes(b"x")
    result = adopt(host)
    assert (result["failed"], result["changed"]) == (True, True)
    assert [row["state"] for row in result["objects"]] == ["adopted", "refused"]
    assert "date does not exist" in result["msg"]
    assert "no store of this name" in adopt(host, store="bucket")["msg"]
