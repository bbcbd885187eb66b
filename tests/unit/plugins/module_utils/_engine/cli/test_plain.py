# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""cli.plain: it reads a command line exactly as argparse does, or not at all."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import parser, plain


@pytest.mark.parametrize("config", [None, "/srv/jobs"], ids=["default", "environment"])
@pytest.mark.parametrize(
    "line",
    [
        "run syslog",
        "run a b",
        "run --config /etc/jobs syslog",
        "run --json syslog",
        "run --json --config x a",
        "run --config a --config b c",
    ],
)
def test_a_plain_line_means_what_argparse_reads(line: str, config: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOG_ARCHIVE_CONFIG", raising=False)
    if config is not None:
        monkeypatch.setenv("LOG_ARCHIVE_CONFIG", config)
    found = plain.parse_plain(line.split())
    assert found is not None
    assert vars(found) == vars(parser.parse(line.split()))


@pytest.mark.parametrize("arguments", [["run", "--config", "", "syslog"], ["run", "syslog", ""]])
def test_empty_values_are_left_to_argparse(arguments: list[str]) -> None:
    assert plain.parse_plain(arguments) is None


@pytest.mark.parametrize(
    "line",
    [
        "",
        "run",
        "send syslog",
        "run --all",
        "run --dry-run syslog",
        "run --config",
        "run --config=x syslog",
        "run --config x",
        "run --config --json syslog",
        "run syslog --json",
        "run syslog --help",
        "run -- syslog",
        "run -",
        "--json run syslog",
        "help run",
    ],
)
def test_any_other_line_is_left_to_argparse(line: str) -> None:
    assert plain.parse_plain(line.split()) is None
