# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The commands of the pages of tasks do what the pages promise: each block that is marked ``<!-- played: NAME -->`` runs in bash,
as pasted.

``<!-- printed -->`` marks what a block prints; ``...`` stands for any text, and for any number of lines.
"""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import textwrap
import typing as t
from datetime import datetime, timezone

import pytest
from rigs.host import COMMAND, ENGINE_PATH, Host

pytest.importorskip("cryptography")

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"<!-- played: (\w+) -->\n *```sh\n(.*?) *```\n(?:\n<!-- printed -->\n```\n(.*?)```)?", re.DOTALL)
LINE = b"Jan 12 12:00:01 web1 sshd[812]: Failed password for root from 203.0.113.9: user[root] Out of Memory segfault\n"


class Page:
    """A page of docs/, and the shell in which a person works through it. Files of the system are below ``root``."""

    def __init__(self, name: str, root: pathlib.Path, folder: pathlib.Path) -> None:
        text = (DOCS / name).read_text(encoding="utf-8")
        self.blocks = {block[1]: (textwrap.dedent(block[2]), block[3]) for block in BLOCK.finditer(text)}
        assert len(self.blocks) == text.count("<!-- played: ") and text.count("<!-- printed -->") <= len(self.blocks)
        self.played: t.List[str] = []
        self._root = root
        self._folder = folder
        self._environment = folder / "environment"

    def play(self, name: str, code: int = 0) -> str:
        """Run a block where the one before it ended, until a command fails. Returns what it printed."""
        script, printed = self.blocks[name]
        # The next block goes on in the same folder, with the same variables.
        keep = 'trap \'code=$?; { echo cd "$(printf %%q "$PWD")"; export -p; } > %s; exit $code\' EXIT' % shlex.quote(
            str(self._environment)
        )
        before = self._environment.read_text() if self._environment.exists() else ""
        script = "\n".join([before, keep, "set -e", re.sub(r"(?<![\w./$])/(?=(?:etc|srv|var)/)", "%s/" % self._root, script)])
        done = subprocess.run(["bash", "-c", script], cwd=self._folder, capture_output=True, text=True, check=False, env=self._given())
        assert done.returncode == code, done.stdout + done.stderr
        if printed is not None:
            pattern = re.escape(printed).replace(re.escape("...\n"), ".*").replace(re.escape("..."), "[^\n]*")
            assert re.fullmatch(pattern, done.stdout, re.DOTALL), done.stdout
        self.played.append(name)
        return done.stdout

    def _given(self) -> t.Dict[str, str]:
        program = self._folder / "bin" / "log-archive"
        if not program.exists():
            program.parent.mkdir()
            program.write_text('#!/bin/sh\nPYTHONPATH=%s exec %s "$@"\n' % (shlex.quote(ENGINE_PATH), shlex.join(COMMAND)))
            program.chmod(0o755)
        return dict(
            os.environ,
            PATH="%s:%s" % (program.parent, os.environ["PATH"]),
            LOG_ARCHIVE_CONFIG=str(self._root / "jobs"),
            TMPDIR=str(self._folder),
            TZ="UTC",
        )


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A host with four archived logs in each of two stores."""
    root = tmp_path / "root"
    (root / "srv" / "reports").mkdir(parents=True)
    places = {"bucket": root / "srv" / "archives", "second": root / "srv" / "second"}
    made = Host(root, [{"type": "file", "name": name, "path": str(path)} for name, path in places.items()])
    for path in made.write_logs(11, 12, 13, 14):
        path.write_bytes(path.read_bytes() + LINE)
    # It archives logs of 2024 whenever the test runs.
    changes = {"select": {"period": None, "catch_up": None}}
    made.write_document(**changes)
    assert made.run(now=datetime.now(timezone.utc), **changes)["exit_code"] == 0
    return made


def page(name: str, host: Host) -> Page:
    folder = host.folder.parent / "person"
    folder.mkdir()
    return Page(name, host.folder, folder)


def test_the_first_archive(tmp_path: pathlib.Path) -> None:
    opened = Page("first-archive.md", tmp_path, tmp_path)
    for name in list(opened.blocks)[:-1]:
        printed = opened.play(name)
        if name == "look":
            assert "authenticated" in printed and "203.0.113.9" in printed
        if name == "restore":
            assert "\nthe same\n" in printed and "all are as they were archived" in printed
    left = {path.name for path in tmp_path.iterdir()}
    opened.play("end")
    assert left - {path.name for path in tmp_path.iterdir()} == {"first-archive"}


def test_a_drill_on_a_host(host: Host) -> None:
    opened = page("drill.md", host)
    printed = opened.play("drill")
    assert printed.count("all are as they were archived") == 3
    assert "Restore drill: passed" in (host.folder / "srv" / "reports" / "drill.html").read_text()


def test_lines_are_found(host: Host) -> None:
    printed = page("find.md", host).play("find")
    assert printed.count("203.0.113.9: user[root]") >= 4


def test_a_lost_key_is_replaced_and_a_found_one_opens_its_archives(host: Host, tmp_path: pathlib.Path) -> None:
    opened = page("keys.md", host)
    opened.play("look")
    (key,) = host.keyring.glob("*.key")
    shutil.move(key, tmp_path / "person" / "found.key")
    (host.keyring / "current").unlink()
    host.write_logs(10)
    opened.play("lost")
    assert len(list((host.folder / "srv" / "second").rglob("*.fernet"))) == 5
    opened.play("found")
    assert host.command("verify", "--level", "authenticated").returncode == 0


def test_an_audit_finds_a_removed_archive_which_is_repaired_or_accepted(host: Host) -> None:
    opened = page("audit.md", host)
    assert "put" in opened.play("audit")
    both = [host.folder / "srv" / name for name in ("archives", "second")]

    def lose(*stores: pathlib.Path) -> None:
        for path in [path for store in stores for path in store.rglob("*.12.tgz.fernet*")]:
            path.unlink()
        opened.play("audit", code=4)

    lose(both[0])
    opened.play("repair")
    lose(*both)
    opened.play("accept")
    assert sorted(opened.blocks) == sorted(set(opened.played))
