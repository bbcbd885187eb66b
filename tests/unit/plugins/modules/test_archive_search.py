# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module archive_search, in this process: its result, and when it fails."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.modules import archive_search
from rigs.host import Host
from rigs.modules import module_args

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    made = Host(tmp_path_factory.mktemp("host"))
    for number, path in enumerate(made.write_logs(13, 14)):
        pathlib.Path(path).write_bytes(b"start\nneedle \xff %d\n" % number)
    made.run()
    return made


def search(site: Host, **given: t.Any) -> t.Dict[str, t.Any]:
    arguments = {"store": {"type": "file", "path": str(site.store)}, "keyring": str(site.keyring), "pattern": "needle", **given}
    out = io.StringIO()
    with module_args(arguments), contextlib.redirect_stdout(out), pytest.raises(SystemExit):
        archive_search.main()
    return t.cast("t.Dict[str, t.Any]", json.loads(out.getvalue()))


def test_lines_are_returned_with_their_places(host: Host) -> None:
    result = search(host, host="web1", job="syslog", start="2024-01-12")
    first, second = result["lines"]
    assert first.pop("log").endswith("/logs/syslog.20240112.13")
    assert first == {
        "archive": "web1/syslog/2024/01/12/syslog.20240112.13.tgz.fernet",
        "host": "web1",
        "job": "syslog",
        "store": "file",
        "authenticated": True,
        "line": 2,
        "text": "needle \\xff 0",
        "matched": True,
        "cut": False,
    }
    assert second["text"] == "needle \\xff 1"
    rest = {name: result[name] for name in ("changed", "counts", "matched", "archives", "complete", "failed_archives")}
    assert rest == {"changed": False, "counts": [], "matched": 2, "archives": 2, "complete": True, "failed_archives": []}


def test_the_search_ends_at_the_maximum(host: Host) -> None:
    result = search(host, max=1)
    assert (len(result["lines"]), result["complete"]) == (1, False)


def test_lines_are_counted(host: Host) -> None:
    result = search(host, pattern="START", ignore_case=True, count=True, names=["syslog.20240112.14.tgz.fernet"])
    assert ([row["count"] for row in result["counts"]], result["lines"]) == ([1], [])


def test_to_find_nothing_is_no_failure(host: Host) -> None:
    assert search(host, pattern="nowhere")["matched"] == 0
    result = search(host, start="2030-01-01")
    assert (result["lines"], result.get("failed", False)) == ([], False)
    assert "no archive is in this range" in str(result["warnings"])


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"pattern": "("}, "ConfigError"),
        ({"names": ["unknown"]}, "ArchiveNotFoundError"),
        ({"start": "2024-01-13", "end": "2024-01-12"}, "ConfigError"),
        ({"keyring": "/nonexistent"}, "KeyMissingError|KeyringError"),
    ],
    ids=["pattern", "name", "range", "keyring"],
)
def test_mistakes_fail(host: Host, given: t.Dict[str, t.Any], error: str) -> None:
    result = search(host, **given)
    assert result["failed"]
    assert result["error"] in error.split("|")


def test_a_damaged_archive_fails_with_the_lines_of_the_others(host: Host, tmp_path: pathlib.Path) -> None:
    (path,) = host.store.rglob("syslog.20240112.13.tgz.fernet")
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-10] + b"0000000000")
        result = search(host)
    finally:
        path.write_bytes(whole)
    assert (result["failed"], result["exit_code"], result["error"]) == (True, 4, "IntegrityError")
    assert [line["text"] for line in result["lines"]] == ["needle \\xff 1"]
    assert [failed["archive"].rpartition("/")[2] for failed in result["failed_archives"]] == ["syslog.20240112.13.tgz.fernet"]
