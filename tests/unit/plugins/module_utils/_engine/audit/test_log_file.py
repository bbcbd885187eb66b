# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of log files, and what each bad file is reported as."""

from __future__ import annotations

import gzip
import io
import itertools
import zlib

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import log_file
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.log_file import LogFileError, records_in
from rigs.aws_logs import compressed, log_file as made, record

RECORDS = [record(number) for number in range(3)]


def read(data, step=1 << 16, reported=None):
    errors = [] if reported is None else reported
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    return list(records_in(pieces, "a.json.gz", errors.append))


@pytest.mark.parametrize("step", [1, 7, 1 << 16])
@pytest.mark.parametrize(
    "data", [made(RECORDS), compressed(made(RECORDS)), compressed(made(RECORDS)[:900]) + compressed(made(RECORDS)[900:])]
)
def test_all_records_of_a_file(data, step):
    assert read(data, step) == RECORDS


def test_a_file_without_records():
    assert read(compressed(made([]))) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty"),
        (compressed(b""), "the file is empty"),
        (b"plain text", "is not a log file of CloudTrail"),
        (compressed(b'{"eventVersion": "1.11"}'), "is not a log file of CloudTrail"),
        (compressed(made(RECORDS))[:-9], "the compressed file ends early"),
        (compressed(made(RECORDS))[:100] + b"\xff" * 99, "the file cannot be decompressed"),
        (b"\x1f\x8b" + b"0" * 50, "the file cannot be decompressed"),
        (compressed(made(RECORDS)[:-3]), "the file ends in the middle of its records"),
        (compressed(made(RECORDS) + b"x"), "the file has data after its records"),
    ],
)
def test_bad_files(data, problem):
    with pytest.raises(LogFileError, match=problem) as caught:
        read(data)
    assert caught.value.subject == "a.json.gz"


def test_records_that_are_none_are_reported_and_the_others_are_read():
    reported: list = []
    data = made([RECORDS[0], 7, "DEEP", "BAD", RECORDS[1]])
    data = data.replace(b'"DEEP"', b"[" * 90_000 + b"]" * 90_000).replace(b'"BAD"', b"{bad}")
    assert read(data, reported=reported) == RECORDS[:2]
    assert [error.message for error in reported] == ["record 2 is not an object", "record 3 is not JSON", "record 4 is not JSON"]


def test_a_bomb_ends_early_and_in_little_memory(monkeypatch):
    # 1 GiB of one text, in 1 MB.
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(b'{"Records":[{"a":"')
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _each in range(64)) + packer.flush()
    with pytest.raises(LogFileError, match="a record has more than 16777216 bytes"):
        read(bomb)
    monkeypatch.setattr(log_file, "MOST_BYTES", 3 << 20)
    with pytest.raises(LogFileError, match="more than 3 MiB without its compression"):
        read(compressed(made(itertools.repeat({"a": "b" * 1000}, 4000))))


def test_the_rest_of_a_damaged_file_is_lost_and_no_more():
    reported: list = []
    found = []
    data = io.BytesIO()
    with gzip.GzipFile(fileobj=data, mode="wb") as file:
        file.write(made(RECORDS)[:-100])
    with pytest.raises(LogFileError):
        for each in records_in([data.getvalue()], "a", reported.append):
            found.append(each)
    assert found == RECORDS[:2]
