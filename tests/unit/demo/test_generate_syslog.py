# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated logs are the same for a seed, are dated as their names say, and compress like real ones."""

from __future__ import annotations

import datetime
import importlib.util
import os
import pathlib
import re
import zlib

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[3] / "demo" / "generate_syslog.py"
SPEC = importlib.util.spec_from_file_location("generate_syslog", SCRIPT)
assert SPEC and SPEC.loader
generate_syslog = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(generate_syslog)

LINE = re.compile(rb"[A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d web1 [A-Za-z/-]+(\[\d+\])?: [ -~]+")


def test_hours_are_named_dated_and_filled_as_asked(tmp_path: pathlib.Path) -> None:
    code = generate_syslog.main(["--root", str(tmp_path), "--hours", "26", "--end", "2024-01-12T12", "--lines", "50"])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert (code, len(names), names[0], names[-1]) == (0, 26, "syslog.20240111.11", "syslog.20240112.12")
    for path in tmp_path.iterdir():
        lines = path.read_bytes().splitlines()
        modified = datetime.datetime.fromtimestamp(os.stat(path).st_mtime, datetime.timezone.utc)
        assert len(lines) == 50
        assert all(LINE.fullmatch(line) for line in lines)
        assert [line[7:15] for line in lines] == sorted(line[7:15] for line in lines)
        assert modified.strftime("syslog.%Y%m%d.%H") == path.name
        assert lines[-1][:15].decode() == modified.strftime("Jan %d %H:%M:%S")


def test_the_same_arguments_make_the_same_bytes_and_others_do_not() -> None:
    start = datetime.datetime(2024, 1, 12, 12)
    content = generate_syslog.hour(start, 200)
    assert generate_syslog.hour(start, 200) == content
    for other in (generate_syslog.hour(start, 200, seed=2), generate_syslog.hour(start, 200, host="web2")):
        assert other != content


@pytest.mark.parametrize("size", [0, 1, 4096, 3_000_001])
def test_a_single_file_has_exactly_its_size(tmp_path: pathlib.Path, size: int) -> None:
    generate_syslog.write_single(str(tmp_path / "big"), size)
    content = (tmp_path / "big").read_bytes()
    assert len(content) == size
    assert content[-1:] in (b"", b"\n")
    assert all(LINE.fullmatch(line) for line in content.splitlines()[:-1])


def test_gzip_makes_of_both_what_it_makes_of_a_busy_servers_syslog(tmp_path: pathlib.Path) -> None:
    generate_syslog.write_single(str(tmp_path / "big"), 4 << 20)
    for content in (generate_syslog.hour(datetime.datetime(2024, 1, 12), 2000)[0], (tmp_path / "big").read_bytes()):
        assert 5 < len(content) / len(zlib.compress(content, 6)) < 8


def test_sizes_are_powers_of_1024() -> None:
    assert [generate_syslog.parse_size(text) for text in ("7", "2K", "512M", "4G", "1MiB")] == [7, 2048, 512 << 20, 4 << 30, 1 << 20]
    with pytest.raises(ValueError, match="512M"):
        generate_syslog.parse_size("half")
