# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of the demo that follows a live log into SQL: an SFTPGo server's log, made up, with rotations; the follower is killed once."""

from __future__ import annotations

import contextlib
import datetime
import json
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time
import typing as t

FILES, LINES = 4, 2500
CHUNK = 250
"""Lines that the made-up server writes at once."""
PATIENCE = 120
"""Seconds until the follower must have stored what was written."""
TABLES = ("transfer", "command", "login", "failed_login", "http", "application")


class StreamFailed(Exception):
    """Lines are missing, or the follower did not work; the message states what happened."""


def follow_stream(folder: pathlib.Path, program: pathlib.Path) -> t.Tuple[int, int]:
    """Follow a log that is written and rotated; kill the follower in the middle and start it again. Returns (lines, transfers).

    folder: is created again; then it contains the log, the database and page.html. Raises StreamFailed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    logs, made = folder / "logs", folder / "made"
    logs.mkdir(parents=True)
    # So many lines take almost eight days.
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=8)
    sizes = ["--files", str(FILES), "--lines", str(LINES), "--start", start.strftime("%Y-%m-%dT%H:%M")]
    files = json.loads(_run(program, "generate", "sftpgo", str(made), "--json", *sizes))["files"]
    document = folder / "sftpgo.json"
    document.write_text(json.dumps(_document(folder), indent=2) + "\n", encoding="utf-8")
    follower = _start(program, document)
    try:
        for number, name in enumerate(files):
            lines = (made / name).read_bytes().splitlines(keepends=True)
            for first in range(0, len(lines), CHUNK):
                with open(logs / "sftpgo.log", "ab") as log:
                    log.writelines(lines[first : first + CHUNK])
                time.sleep(0.02)
            if number == 1:
                _wait(folder, LINES)
                follower.send_signal(signal.SIGKILL)
                follower.wait()
            if number < len(files) - 1:
                (logs / "sftpgo.log").rename(logs / name)
            if number == 2:
                follower = _start(program, document)
        _wait(folder, FILES * LINES)
    finally:
        follower.terminate()
        follower.wait()
    shutil.rmtree(made)
    _run(program, "stats", str(document), "--html", str(folder / "page.html"))
    rows, keys = _counts(folder)
    if not rows == keys == FILES * LINES:
        raise StreamFailed("%d lines were written, but the database has %d rows" % (FILES * LINES, rows))
    with contextlib.closing(sqlite3.connect(folder / "sftpgo.sqlite")) as database:
        return rows, database.execute("SELECT COUNT(*) FROM sftpgo_transfer WHERE error IS NULL").fetchone()[0]


def _document(folder: pathlib.Path) -> t.Dict[str, t.Any]:
    return {
        "name": "sftpgo",
        "follow": {"paths": [str(folder / "logs")], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"], "poll": "0.1"},
        "parse": {"profile": "sftpgo", "timezone": "UTC"},
        "sinks": [{"type": "sqlite", "path": str(folder / "sftpgo.sqlite")}],
        "state": str(folder / "state"),
    }


def _start(program: pathlib.Path, document: pathlib.Path) -> subprocess.Popen[bytes]:
    with open(document.parent / "follow.log", "ab") as log:
        return subprocess.Popen([program, "follow", str(document)], stdout=log, stderr=log)


def _run(program: pathlib.Path, *arguments: str) -> str:
    done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise StreamFailed("log-archive %s: %s" % (arguments[0], done.stderr.strip()))
    return done.stdout


def _counts(folder: pathlib.Path) -> t.Tuple[int, int]:
    """The number of rows, and of different positions among them."""
    rows = " UNION ALL ".join("SELECT generation, line_offset FROM sftpgo_%s" % table for table in TABLES)
    with contextlib.closing(sqlite3.connect(folder / "sftpgo.sqlite")) as database:
        counts = database.execute("SELECT COUNT(*), COUNT(DISTINCT generation || ':' || line_offset) FROM (%s)" % rows).fetchone()
    return counts[0], counts[1]


def _wait(folder: pathlib.Path, rows: int) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(sqlite3.OperationalError):  # Its tables do not exist yet.
            if _counts(folder)[0] >= rows:
                return
        if time.monotonic() > end:
            raise StreamFailed("the follower did not store %d lines within %d s; see %s" % (rows, PATIENCE, folder / "follow.log"))
        time.sleep(0.1)
