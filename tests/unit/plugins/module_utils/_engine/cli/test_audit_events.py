# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive audit events`` with files: formats, filters, bad files, exit codes."""

from __future__ import annotations

import csv
import json
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
from rigs.aws_logs import ALICE, compressed, log_file, record


@pytest.fixture
def folder(tmp_path):
    day = tmp_path / "AWSLogs" / "123456789012" / "CloudTrail" / "eu-west-1"
    day.mkdir(parents=True)
    (day / "1_CloudTrail_eu-west-1_20261103T0205Z_b.json.gz").write_bytes(compressed(log_file([record(2), record(1, errorCode="X")])))
    (day / "1_CloudTrail_eu-west-1_20261103T0210Z_a.json").write_bytes(log_file([record(3)]))
    digests = tmp_path / "AWSLogs" / "123456789012" / "CloudTrail-Digest"
    digests.mkdir()
    (digests / "digest.json.gz").write_bytes(compressed(b"{}"))
    return tmp_path


def run(capsys, *arguments, code=0):
    assert main(["audit", "events", *map(str, arguments)]) == code
    return capsys.readouterr()


def test_a_table_has_the_seven_fields_and_the_id_by_time(folder, capsys):
    lines = run(capsys, "--file", folder).out.splitlines()
    assert lines[0].split("  ")[0] == "TIME"
    assert [line.split()[0] for line in lines[1:]] == ["2026-11-03T02:00:0%dZ" % number for number in (1, 2, 3)]
    for value in ("s3.amazonaws.com", "PutBucketPolicy", "eu-west-1", ALICE, "198.51.100.20", '{"x":"é"}', record(2)["eventID"]):
        assert value in lines[2]


def test_every_format_has_the_same_events(folder, capsys):
    ids = [record(number)["eventID"] for number in (2, 1, 3)]
    assert [json.loads(line)["event_id"] for line in run(capsys, "--file", folder, "--format", "jsonl").out.splitlines()] == ids
    assert [row["event_id"] for row in csv.DictReader(run(capsys, "--file", folder, "--format", "csv").out.splitlines())] == ids
    assert [json.loads(line) for line in run(capsys, "--file", folder, "--format", "raw").out.splitlines()] == [
        record(2), record(1, errorCode="X"), record(3),
    ]  # fmt: skip
    shown = json.loads(run(capsys, "--file", folder, "--json", "--errors").out)
    assert [event["event_id"] for event in shown["events"]] == ids[1:2]
    assert shown["problems"] == []


def test_what_cannot_be_read_does_not_end_the_rest(folder, capsys):
    (folder / "bad_CloudTrail_.json.gz").write_bytes(b"no gzip")
    (folder / "odd_CloudTrail_.json").write_bytes(log_file([record(4, eventTime=...), "text"]))
    os.mkfifo(folder / "pipe.json")
    found = run(capsys, "--file", folder, "--file", folder / "missing.json.gz", "--format", "jsonl", code=3)
    assert len(found.out.splitlines()) == 4
    for problem in (
        "bad_CloudTrail_.json.gz: the file is not a log file of CloudTrail",
        "odd_CloudTrail_.json: the event %s: it has no eventTime" % record(4)["eventID"],
        "odd_CloudTrail_.json: record 2 is not an object",
        "pipe.json: cannot read it: not a regular file",
        "missing.json.gz: cannot read it: No such file or directory",
    ):
        assert problem in found.err
    run(capsys, "--file", folder / "missing.json.gz", code=1)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "no job given"),
        (["--file", "x", "job"], "cannot be used together"),
        (["--file", "x", "--ip", "1/99"], "is not a network"),
        (["--file", "x", "--json", "--format", "csv"], "cannot be used together"),
        (["--file", "x", "--since", "2026-11-04", "--until", "2026-11-03"], "--since is later than --until"),
    ],
)
def test_wrong_usage(capsys, arguments, problem):
    assert problem in run(capsys, *arguments, code=2).err
