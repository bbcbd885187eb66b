# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many runs at once, runs that die while they hold the lock, many and huge sources, restores that are killed."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import typing as t

import lab
import pytest
from lab.https import Authority
from lab.webhook import webhook
from rigs.host import COMMAND, ENGINE_PATH, Host, archives_in, assert_complete, assert_tidy, file_store, files_below, random_bytes

ALL = {"patterns": ["*"], "period": "none", "recurse": True}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "host")


def wanted(host: Host) -> t.Dict[str, bytes]:
    return {os.path.join(host.logs, name): (host.logs / name).read_bytes() for name in files_below(host.logs)}


def test_twenty_runs_at_once(host: Host) -> None:
    """One works, the others report that it holds the lock; everything is archived once."""
    for hour in (12, 13, 14):
        (host.logs / ("syslog.20240112.%d" % hour)).write_bytes(random_bytes(1 << 20))
    host.write_document(select=ALL)
    runs = [
        subprocess.Popen(
            [*COMMAND, "run", "--all", "--json"], env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _number in range(20)
    ]
    outcomes = []
    for run in runs:
        out, err = run.communicate()
        assert "Traceback" not in err, err
        outcomes += [(run.returncode, recap["outcome"]) for recap in json.loads(out)]
    assert outcomes.count((0, "done")) == 1
    assert {code for code, _outcome in outcomes} <= {0, 5}
    assert_complete(file_store(host.store), host, wanted(host))
    assert host.spooled() == []
    assert_tidy(host.store)


def test_ten_jobs_of_one_host_start_together_for_the_first_time(host: Host) -> None:
    """They share the catalog, the spool and the store."""
    names = ["job%d" % number for number in range(10)]
    for name in names:
        (host.logs / name).write_bytes(random_bytes(1000))
        host.write_document(name=name, select=dict(ALL, patterns=[name]))
    runs = [
        subprocess.Popen([*COMMAND, "run", name], env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in names
    ]
    for run in runs:
        out, _err = run.communicate()
        assert run.returncode == 0, out
    assert_complete(file_store(host.store), host, wanted(host))
    assert host.spooled() == []


def stopped_run(host: Host, command: t.Sequence[str]) -> subprocess.Popen[str]:
    """A run that SIGSTOP holds in the middle of packing a log that is large enough to be caught at it."""
    (host.logs / "large").write_bytes(random_bytes(1 << 20) * 256)
    run = subprocess.Popen(command, env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not any(name.endswith(".part") for name in host.spooled()):
        assert run.poll() is None
        time.sleep(0.001)
    run.send_signal(signal.SIGSTOP)
    return run


def test_a_run_killed_while_it_holds_the_lock(host: Host) -> None:
    host.write_document(select=ALL)
    run = stopped_run(host, [*COMMAND, "run", "--all"])
    assert host.command("run", "--all").returncode == 5
    status = json.loads(host.command("status", "--json").stdout)[0]
    assert status["state"].startswith("runs now")
    run.send_signal(signal.SIGKILL)
    run.communicate()
    status = json.loads(host.command("status", "--json").stdout)[0]
    assert (status["state"], status["running"]) == ("the last run was killed; the next run completes it", False)
    os.truncate(host.logs / "large", 1000)
    assert host.command("run", "--all").returncode == 0
    assert_complete(file_store(host.store), host, wanted(host))
    assert host.spooled() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_run_that_is_interrupted(host: Host, number: signal.Signals, start_part: t.Any, tmp_path: pathlib.Path) -> None:
    """It removes what is unfinished, and records, logs and reports how it ended."""
    receiver = start_part(webhook(tmp_path / "webhook", authority=Authority(tmp_path)))
    ping = {"type": "ping", "url": receiver.url("/ping/1"), "ca_bundle": receiver.authority.certificate_file}
    host.write_document(select=ALL, notify=[ping])
    # What a shell starts in the background or with nohup, such as these tests, ignores these and hands that on.
    command = ["env", "--default-signal=INT,HUP", *COMMAND, "run", "--all", "--json"]
    run = stopped_run(host, command)
    run.send_signal(number)
    run.send_signal(signal.SIGCONT)
    out, err = run.communicate(timeout=lab.patience(60))
    assert "Traceback" not in err and "interrupted by %s" % number.name in err
    assert run.returncode == 128 + number
    assert json.loads(out)["error"]["kind"] == "interrupted"
    assert host.spooled() == []
    assert [post.path for post in receiver.posts] == ["/ping/1/start", "/ping/1/fail"]
    events = [json.loads(line) for line in host.events.read_text().splitlines()]
    assert [event["event"] for event in events] == ["run_started", "error", "run_ended"]
    assert number.name in events[1]["text"]
    (status,) = json.loads(host.command("status", "--json").stdout)
    assert (status["last_exit_code"], status["exit_code"]) == (1, 1)
    host.write_document(select=ALL)
    os.truncate(host.logs / "large", 1000)
    assert host.command("run", "--all").returncode == 0
    assert_complete(file_store(host.store), host, wanted(host))


# Not ru_maxrss: a new process inherits it from the one that has started it.
MEASURED = """
import re, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
code = main(sys.argv[1:])
with open("/proc/self/status") as status:
    print(re.search(r"VmHWM:\\s+(\\d+)", status.read())[1], file=sys.stderr)
sys.exit(code)
"""
MOST_MEMORY = 128 * 1024
"""KiB: the interpreter, cryptography, and what streams need; far below any size of what is packed here."""


def measured(host: Host, *arguments: str) -> int:
    """Run the command; returns its peak resident memory in KiB."""
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], env=host.environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stderr.split()[-1])


def test_5_gib_of_a_sparse_file(host: Host) -> None:
    """Over the 4 GiB of gzip's own size field, in memory that does not grow with it."""
    size = 5 << 30
    with open(host.logs / "sparse", "wb") as file:
        file.truncate(size)
        file.seek(size - 5)
        file.write(b"end!\n")
    host.write_document(select=ALL)
    assert measured(host, "run", "--all") < MOST_MEMORY
    (manifest,) = archives_in(file_store(host.store)).values()
    assert manifest["sources"][0]["size"] == size
    assert manifest["archive"]["size"] < 100 << 20


def test_a_gzip_bomb_fills_a_disk_at_most_and_no_memory(host: Host, small_filesystem: t.Any) -> None:
    # Not zeros, which are restored as a hole.
    (host.logs / "bomb").write_bytes(b"x" * (256 << 20))
    host.write_document(select=ALL)
    assert host.command("run", "--all").returncode == 0
    folder = small_filesystem(64 << 20)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "restore", "--to", str(folder / "to")],
        env=host.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no space left to extract the archive" in done.stderr
    assert int(done.stderr.split()[-1]) < MOST_MEMORY
    assert os.listdir(folder / "to") == []


@pytest.mark.parametrize("group", ["run"])
def test_10000_small_files_in_one_archive(host: Host, group: str) -> None:
    for number in range(10_000):
        path = host.logs / str(number % 100) / ("log.%d" % number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d\n" % number)
        os.utime(path, (1705068000, 1705068000))
    host.write_document(select=ALL, archive={"group": group})
    done = host.command("run", "--all", "--json")
    assert done.returncode == 0, done.stderr
    assert len(archives_in(file_store(host.store))) == 1
    assert_complete(file_store(host.store), host, wanted(host))
    assert json.loads(host.command("run", "--all", "--json").stdout)[0]["outcome"] == "nothing to do"


def unfinished(to: pathlib.Path) -> int:
    """The bytes of files below the folder of a restore that is under way; -1 while there is none."""
    sizes = [-1]
    for path in to.glob(".log-archive-restore-*/**/*"):
        # It may be gone, or have its name by now.
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size if path.is_file() else 0)
    return max(sizes)


def test_a_killed_restore_leaves_only_what_the_next_one_removes(host: Host) -> None:
    (host.logs / "large").write_bytes(random_bytes(48 << 20))
    host.write_document(select=ALL)
    assert host.command("run", "--all").returncode == 0
    to = host.folder / "to"
    killed = 0
    # How much of the log lies there when it is killed: nothing yet, its first bytes, a half.
    for least in (-1, 0, 1, 24 << 20):
        restore = subprocess.Popen(
            [*COMMAND, "restore", "--to", str(to)], env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        lab.wait_until(lambda: restore.poll() is not None or unfinished(to) >= least, "it restores nothing", pause=0.001)  # noqa: B023
        restore.kill()
        restore.communicate()
        killed += restore.returncode == -signal.SIGKILL
        left = [name for name in files_below(to) if not name.startswith(".log-archive-restore-")] if to.exists() else []
        assert left in ([], [str(host.logs / "large")[1:]])
    assert killed >= 2
    # Killed when all its files were in place, a restore leaves this too.
    assert host.command("restore", "--to", str(to)).returncode == 0
    (to / ".log-archive-restore-0").mkdir()
    assert host.command("restore", "--to", str(to)).returncode == 0
    assert [name for name in os.listdir(to) if name.startswith(".")] == []
    assert (to / str(host.logs / "large")[1:]).read_bytes() == (host.logs / "large").read_bytes()


def test_five_restores_to_one_folder_at_once(host: Host) -> None:
    host.write_logs(12, 13, 14)
    host.write_document(select=ALL)
    assert host.command("run", "--all").returncode == 0
    to = host.folder / "to"
    restores = [
        subprocess.Popen(
            [*COMMAND, "restore", "--to", str(to)], env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _number in range(5)
    ]
    for restore in restores:
        out, _err = restore.communicate()
        assert restore.returncode == 0, out
    assert sorted("/" + name for name in files_below(to)) == sorted(wanted(host))


def test_a_limit_on_memory(host: Host) -> None:
    """A whole run within 700 MiB of address space, threads' stacks and libraries included."""
    (host.logs / "large").write_bytes(random_bytes(64 << 20))
    host.write_document(select=ALL)
    done = subprocess.run(
        ["prlimit", "--as=%d" % (700 << 20), *COMMAND, "run", "--all"],
        env=dict(host.environment(), PYTHONPATH=ENGINE_PATH),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
