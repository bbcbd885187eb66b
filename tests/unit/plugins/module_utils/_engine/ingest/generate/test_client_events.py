# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A generated month: the same seed gives the same bytes, and the profile reads every line."""

from __future__ import annotations

import json
import pathlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest import follower
from rigs.client_events import document


def test_a_month_as_the_profile_reads_it(tmp_path: pathlib.Path, capsys) -> None:
    logs = tmp_path / "logs"
    assert main(["generate", "client-events", str(logs), "--month", "2021-04", "--lines", "500", "--seed", "3", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["files"] == ["logs_Apr_2021.txt"]
    events = [json.loads(line) for line in (logs / "logs_Apr_2021.txt").read_text().splitlines()]
    assert len(events) == 500
    assert made["lines"]["error"] == sum("CLIENTID" in each for each in events) > 50
    assert all(len(each) == 4 and each["timestamp"].startswith("2021-04-") and each["log_level"] in ("ERROR", "INFO") for each in events)
    assert [each["timestamp"] for each in events] == sorted(each["timestamp"] for each in events)
    assert follower.catch_up(document(tmp_path))["sinks"][0]["rows"] == 500
    main(["generate", "client-events", str(tmp_path / "again"), "--month", "2021-04", "--lines", "500", "--seed", "3"])
    assert (tmp_path / "again" / "logs_Apr_2021.txt").read_bytes() == (logs / "logs_Apr_2021.txt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["client-events"], "not a month"),
        (["client-events", "--month", "April"], "not a month"),
        (["client-events", "--month", "2021-04", "--files", "2"], "client-events has no option --files"),
        (["sftpgo", "--month", "2021-04", "x"], "sftpgo has no option --month"),
        (["sftpgo"], "no folder given"),
        (["sftpgo", "x", "--files", "0"], "must be at least 1, not 0"),
        (["sftpgo", "x", "--start", "9999-12-31T23:59"], "--start: the year must be from 1970 to 9000, not 9999"),
        (["client-events", "--month", "1969-12"], "--month: the year must be from 1970 to 9000, not 1969"),
    ],
)
def test_mistakes_on_the_command_line(tmp_path, capsys, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["generate", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["sftpgo"], ["client-events", "--month", "2021-04"]])
def test_a_file_in_place_of_the_folder(tmp_path, capsys, arguments) -> None:
    (tmp_path / "logs").touch()
    assert main(["generate", arguments[0], str(tmp_path / "logs"), *arguments[1:]]) == 1
    assert "logs: cannot write the log" in (message := capsys.readouterr().err) and "Not a directory" in message
