# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command as a process: terminals, closed pipes, encodings, and that it prints no secret."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
import typing as t
import unicodedata

import lab
import pytest
from rigs.host import COMMAND, JOB, Host, archives_in, file_store, files_below

from faults.test_kill import sftp_options

SELECT = {"patterns": ["*"], "period": "none"}
SECRET = "marker-of-a-secret-17"
COLUMNS = 60
"""Of the terminal."""


@pytest.fixture
def host(tmp_path):
    """A host with a job that takes every log, whatever the time."""
    made = Host(tmp_path)
    made.write_logs(13, 14)
    made.write_document(select=SELECT)
    return made


def said(host, *arguments, code=0):
    done = host.command(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


# -- terminals and pipes ----------------------------------------------------------------------------------------------


def on_a_terminal(host, *arguments, typed=b"", argv=None, environment=None, **options):
    """Run the command, or ``argv``, with all three standard streams on a new terminal; returns (exit code, all that it showed)."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    called = argv or [*COMMAND, *arguments]
    variables = {**host.environment(), **({"TERM": "xterm"} if environment is None else environment)}
    process = subprocess.Popen(called, stdin=slave, stdout=slave, stderr=slave, env=variables, **options)
    os.close(slave)
    shown = b""
    if typed:
        os.write(master, typed)
    deadline = time.monotonic() + lab.patience(60)
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
    os.close(master)
    return process.wait(lab.patience(10)), shown.decode()


@pytest.mark.parametrize(("typed", "sent"), [(b"y\nyes\n", 2), (b"n\ny\n", 1), (b"\n\n", 0), (b"\x04\x04", 0)])
def test_confirm_asks_before_each_upload_that_leaves_the_host(host, openssh, typed, sent):
    store = {
        "type": "sftp",
        "host": openssh.host,
        "port": openssh.port,
        "user": openssh.user,
        "private_key_file": openssh.private_key_file,
        "known_hosts_file": openssh.known_hosts_file,
        "path": "confirm-%s" % os.path.basename(host.folder),
    }
    host.write_document(select=SELECT, stores=[*host.stores, store])
    code, shown = on_a_terminal(host, "run", "--all", "--confirm", typed=typed)
    assert shown.count("[y/N]") == 2
    assert "Traceback" not in shown
    assert code == (0 if sent == 2 else 3)
    assert len(archives_in(file_store(host.store))) == 2
    assert len([name for name in files_below(os.path.join(openssh.root_folder, store["path"])) if name.endswith(".fernet")]) == sent


def test_confirm_needs_a_terminal_on_which_the_question_is_seen(host):
    master, slave = pty.openpty()
    for streams in ({"stderr": subprocess.PIPE}, {"stderr": subprocess.DEVNULL}, {"stdin": subprocess.DEVNULL}):
        given = dict({"stdin": slave, "stdout": slave, "stderr": slave}, **streams)
        done = subprocess.run(
            [*COMMAND, "run", "--all", "--confirm"], env=host.environment(), check=False, timeout=lab.patience(60), **given
        )
        assert done.returncode == 2
        if done.stderr:
            assert b"--confirm needs a terminal to ask on (standard error)" in done.stderr
    assert not archives_in(file_store(host.store))
    os.close(master)
    os.close(slave)


IMPATIENT = """
import json, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
progress.SHOWN_AFTER = progress.INTERVAL = 0
progress.at_work.__wrapped__.__defaults__ = (0.0001,)
for arguments in json.loads(sys.argv[1]):
    print("<%d>" % main(arguments), flush=True)
"""
"""Runs commands that show at once what they otherwise show after a second, so that no test depends on the speed of the machine."""


def screen_of(text: str) -> t.List[str]:
    """The lines that a terminal shows in the end, as far as the command controls it."""
    lines, column = [""], 0
    for part in re.findall(r"\x1b\[K|[^\x1b]|\x1b", text):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
        elif part == "\x1b[K":
            lines[-1] = lines[-1][:column]
        else:
            assert part != "\x1b", text
            if column == COLUMNS:
                lines.append("")
                column = 0
            width = 2 if unicodedata.east_asian_width(part) in "WF" else 1
            lines[-1] = lines[-1][:column].ljust(column) + part * width + lines[-1][column + width :]
            column += width
    return lines


def test_progress_on_a_terminal_leaves_nothing_behind(host, tmp_path):
    second = {"type": "file", "name": "second", "path": str(tmp_path / "second")}
    streams = tmp_path / "streams"
    streams.mkdir(mode=0o700)
    stream = {
        "name": "sftpgo",
        "follow": {"paths": [str(tmp_path / "sftpgo")], "patterns": ["sftpgo.log"], "rotated": ["sftpgo-*.log"]},
        "parse": {"profile": "sftpgo", "timezone": "UTC"},
        "sinks": [{"type": "sqlite", "path": str(tmp_path / "db.sqlite")}],
        "state": str(tmp_path / "streams-state"),
    }
    (streams / "sftpgo.json").touch(0o600)
    (streams / "sftpgo.json").write_text(json.dumps(stream))
    said(host, "run", "--all")
    host.stores.append(second)
    host.write_document(select=SELECT)
    (host.logs / "later").write_bytes(os.urandom(1 << 20))
    (host.logs / "wide").write_bytes(b"a wide line\n" * 1000)
    calls = [
        ["generate", "sftpgo", str(tmp_path / "sftpgo"), "--lines", "300", "--files", "1"],
        ["run", "--all"],
        ["sync", "--all"],
        ["verify"],
        ["search", "wide", "--max", "3"],
        ["drill"],
        ["restore", "--to", str(tmp_path / "restored")],
        ["ledger", "verify"],
        ["prune", JOB],
        ["orphans"],
        ["metrics"],
        ["status"],
        ["ingest", "--all", "--config", str(streams)],
        ["stats", "sftpgo", "--config", str(streams)],
    ]
    script = [sys.executable, "-c", IMPATIENT, json.dumps(calls)]
    code, shown = on_a_terminal(host, argv=script)
    assert code == 0 and re.findall(r"<(\d)>\r\n", shown) == ["0"] * len(calls), shown
    for call, part in zip(calls, re.split(r"<0>\r\n", shown)):
        lines = screen_of(part)
        assert lines[-1] == "" and not [line for line in lines if "at work for" in line or re.search(r" \[[#.]{20}\] ", line)], (call, part)
    # Each shows that it is at work; those that move bytes show how many.
    assert shown.count("at work for 0 s") >= len(calls) / 2
    for title in ("generate", "pack later", "file <- later", "sync second", "verify second", "restore"):
        assert re.search(r"\r\x1b\[K%s[^\r]* \[[#.]{20}\] " % title, shown), title
    assert re.search(r" 300 lines  [0-9.]+ lines/s\r", shown)
    # Elsewhere there is nothing of that.
    for changes in ({"TERM": "dumb"}, {"TERM": "xterm", "argv": [*script[:3], json.dumps([["verify", "--json"], ["list", "--json"]])]}):
        argv = changes.pop("argv", [*script[:3], json.dumps([["verify"], ["status"]])])
        assert "\x1b" not in on_a_terminal(host, argv=argv, environment=changes)[1]
    assert "\r" not in said(host, "run", "--all").stderr


def test_a_reader_that_goes_away_is_no_error(host):
    said(host, "run", "--all")
    for command in (["list"], ["list", "--json"], ["sample-config"], ["status"], ["run", "--all"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = host.command(*command, stdout=writer, stderr=subprocess.PIPE, capture_output=False)
        os.close(writer)
        assert done.stderr == "", command
        assert done.returncode == 0, command


def test_a_reader_that_goes_away_stops_no_job(host):
    for name, hour in (("a", 13), ("b", 14)):
        host.write_document(name=name, select=dict(SELECT, patterns=["syslog.20240112.%d" % hour]))
    (host.folder / "jobs" / "syslog.json").unlink()
    reader, writer = os.pipe()
    os.close(reader)
    host.command("run", "--all", stdout=writer, stderr=subprocess.PIPE, capture_output=False)
    os.close(writer)
    assert len(archives_in(file_store(host.store))) == 2


def test_names_that_the_terminal_cannot_show(host):
    (host.logs / "ünï\udcff").write_bytes(b"x")
    (host.logs / "link\udcff").symlink_to("x")
    for language in ("C", "C.UTF-8", "en_US.ISO-8859-1"):
        done = subprocess.run(
            [*COMMAND, "run", "--all"],
            env=host.environment(LC_ALL=language, PYTHONIOENCODING="ascii" if language != "C.UTF-8" else "utf-8"),
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    for command in (["list"], ["restore", "--to", str(host.folder / "to")]):
        done = subprocess.run([*COMMAND, *command], env=host.environment(PYTHONIOENCODING="ascii"), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


# -- secrets ----------------------------------------------------------------------------------------------------------


def test_no_output_contains_a_secret(host, openssh):
    """Neither a password that is refused, nor the passphrase of a key, nor a key: not in output, catalog, spool, events or argv."""
    stores = [
        *host.stores,
        {"type": "sftp", "name": "refused", "host": openssh.host, "port": openssh.port, "user": openssh.user, "password": SECRET}
        | {"path": "x", "known_hosts_file": openssh.known_hosts_file, "attempts": 1},
        {"type": "s3", "bucket": "b", "endpoint_url": "http://127.0.0.1:9", "access_key_id": "id", "secret_access_key": SECRET}
        | {"session_token": SECRET, "attempts": 1, "timeout": "2"},
    ]
    path = host.write_document(select=SELECT, stores=stores)
    (key_file,) = host.keyring.glob("*.key")
    key = key_file.read_text().strip()
    shown = ""
    process = subprocess.Popen(
        [*COMMAND, "run", "--all"], env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with open("/proc/%d/cmdline" % process.pid, encoding="utf-8") as command_line:
        shown += command_line.read()
    shown += "".join(process.communicate())
    assert process.returncode == 3
    for command in (
        ["run", "--all", "--json"],
        ["list", "--json"],
        ["verify"],
        ["status", "--json"],
        ["check-config", "--json"],
        ["key", "list"],
    ):
        done = host.command(*command)
        shown += done.stdout + done.stderr
    path.chmod(0o644)
    done = host.command("run", "--all")
    assert done.returncode == 2
    shown += done.stdout + done.stderr
    data = shown.encode()
    for folder in (host.state, host.spool, host.store):
        for name in files_below(folder):
            data += (folder / name).read_bytes()
    data += host.events.read_bytes()
    assert b"refused" in data
    assert SECRET.encode() not in data
    assert key.encode() not in data


def test_no_upload_keeps_everything_on_this_host_until_a_run_without_it(host, openssh, tmp_path):
    host.stores.append(sftp_options(openssh, str(tmp_path / "sftp")))
    host.write_document(select=SELECT)
    held_back = host.command("run", JOB, "--no-upload")
    assert (held_back.returncode, "ERROR" in held_back.stdout) == (3, False), held_back
    assert len(archives_in(file_store(host.store))) == 2 and not (tmp_path / "sftp").exists()
    assert host.command("run", JOB).returncode == 0
    assert len(archives_in(file_store(tmp_path / "sftp"))) == 2
    assert host.command("run", JOB, "--no-upload", "--confirm").returncode == 2
