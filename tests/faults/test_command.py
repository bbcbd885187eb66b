# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command as a process: terminals, closed pipes, encodings, and that it prints no secret."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

import lab
import pytest
from rigs.host import COMMAND, JOB, Host, archives_in, file_store, files_below

from faults.test_kill import sftp_options

SELECT = {"patterns": ["*"], "period": "none"}
SECRET = "marker-of-a-secret-17"


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


def on_a_terminal(host, *arguments, typed=b"", **options):
    """Run with all three standard streams on a new terminal; returns (exit code, all that it showed)."""
    master, slave = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], stdin=slave, stdout=slave, stderr=slave, env=host.environment(), **options)
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


def test_a_progress_bar_on_a_terminal_and_none_elsewhere(host):
    # 0.5 s are needed before it shows; the size makes sure of it on any machine.
    (host.logs / "large").write_bytes(os.urandom(1 << 20) * 192)
    code, shown = on_a_terminal(host, "run", "--all")
    assert code == 0
    assert "pack large.tgz.fernet [" in shown
    assert "\x1b[K" in shown
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


def test_no_secret_is_told_anywhere(host, openssh):
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
