# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/follow.md is correct: its commands as they are pasted, its document, its tables. tests/sinks has its accounts."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.files import without_comments
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.checkpoint import GAP_KINDS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.facts import RetryResult, StreamRow
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.records.refused import REASONS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.ingest.statistics.facts import Statistics
from rigs import command
from rigs.streams import upload

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "docs" / "follow.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    return re.search(r"<!-- tested: %s -->\n```\w+\n(.*?)```" % name, TEXT, re.DOTALL)[1]


def test_the_commands_work_as_pasted(tmp_path: pathlib.Path) -> None:
    (tmp_path / "bin").mkdir()
    command.install(tmp_path / "bin")
    environment = {
        **os.environ,
        "PATH": "%s:%s" % (tmp_path / "bin", os.environ["PATH"]),
        "LOG_ARCHIVE_STREAMS": str(tmp_path / "streams.d"),
    }

    def paste(name: str, code: int = 0) -> str:
        done = subprocess.run(["bash", "-ec", block(name)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    out = paste("try")
    assert "sftpgo: 3000 lines would be stored in sqlite" in out and "sftpgo: 3000 lines stored in sqlite" in out and "sftpgo  fine" in out
    assert (tmp_path / "page.html").exists()
    with open(tmp_path / "logs" / "sftpgo.log", "ab") as log:
        log.write(upload(7, username="x" * 300) + b"\nno JSON\n")
    subprocess.run(["log-archive", "ingest", "sftpgo"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    # What is still rejected is an error, so the blocks of the page that end with it do, too.
    text = block("rejected")
    assert text.startswith("log-archive streams sftpgo\n")
    done = subprocess.run(["bash", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "sftpgo  lines were rejected" in done.stdout and "long_value|username has 300 characters; its column takes 255|1" in done.stdout
    assert "sftpgo: 2 rejected lines in sqlite tried again, 1 stored, 1 rejected again" in done.stdout
    assert (done.returncode, done.stderr) == (3, "")
    assert "sftpgo  fine\n" in paste("accept")


def test_the_document_is_valid() -> None:
    import json

    given: t.Dict[str, t.Any] = json.loads("\n".join(without_comments(block("document"))))
    assert normalise_stream(given)["sinks"][1]["name"] == "central"


def test_the_tables_are_complete() -> None:
    assert set(re.findall(r"^\| `(\w+)` \| .* \|$", TEXT.partition("## Gaps")[2], re.MULTILINE)) >= set(GAP_KINDS)
    listed = TEXT.partition("The reasons:\n")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == set(REASONS)
    output = TEXT.partition("## Output for programs")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (`.*?`) \| (.*) \|$", output, re.MULTILINE))
    assert {"`%s`" % name for name in RetryResult.__annotations__} <= set(re.findall(r"`\w+`", rows.pop("`ingest --rejected`")))
    assert {"`%s`" % name for name in Statistics.__annotations__} <= set(re.findall(r"`\w+`", rows.pop("`stats`")))
    fields = {name for names in rows for name in re.findall(r"`(\w+)`", names)}
    assert fields == {*StreamRow.__annotations__, "ingest", "follow", "streams"}
