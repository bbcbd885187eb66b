# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command: exit codes, JSON, keys, choosing archives, and imports. Terminals, pipes and secrets: tests/faults/test_command.py."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine import __version__
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli, options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files as config
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from rigs.host import Host, archives_in, file_store, files_below

pytest.importorskip("cryptography")

SELECT = {"patterns": ["*"], "period": "none"}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with a job that takes every log, at any time."""
    made = Host(tmp_path)
    for number, path in enumerate(made.write_logs(13, 14)):
        os.utime(path, (1705068000 + 3600 * number,) * 2)
    made.write_document(select=SELECT)
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(tmp_path / "jobs"))
    return made


def run(host, *arguments, code=0):
    """Run the command in this process (starting another takes longer than the work); returns its output and exit code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        returned = cli.main(arguments)
    assert returned == code, out.getvalue() + err.getvalue()
    return subprocess.CompletedProcess(arguments, returned, out.getvalue(), err.getvalue())


def json_of(host, *arguments, code=0):
    """The result of the command in JSON."""
    return json.loads(run(host, *arguments, "--json", code=code).stdout)


# -- from the first run to the last, in JSON and in words --------------------------------------------------------------


def test_every_command_from_the_first_run_to_the_last_prune(host):
    assert json_of(host, "status", code=1)[0]["state"] == "has never run"
    assert run(host, "list").stdout == "no archives\n"
    dry = json_of(host, "run", "--all", "--dry-run")[0]
    assert dry["check"] and not host.store.exists()
    (recap,) = json_of(host, "run", "syslog")
    assert (recap["outcome"], recap["exit_code"]) == ("done", 0)
    assert json_of(host, "run", "--all")[0]["outcome"] == "nothing to do"
    listed = json_of(host, "list")
    assert [row["stores"] for row in listed] == [{"file": "read_back"}] * 2
    assert [row["key"] for row in json_of(host, "list", "--store", "file")] == [row["key"] for row in listed]
    assert [row["error"] for row in json_of(host, "verify")] == [None, None]
    (state,) = json_of(host, "status")
    assert state["state"] == "fine"
    assert json_of(host, "key", "list")["changed"] is False
    assert json_of(host, "check-config")[0]["ok"] is True
    planned = json_of(host, "restore", "--to", str(host.folder / "to"), "--dry-run")
    assert {row["state"] for row in planned} == {"would be written"}
    assert not (host.folder / "to").exists()
    restored = json_of(host, "restore", "--to", str(host.folder / "to"))
    for row in restored:
        with open(row["path"], "rb") as one, open("/" + row["name"], "rb") as other:
            assert one.read() == other.read()
    host.write_document(select=SELECT, retention={"keep_last": 1, "max_delete_share": 1})
    plan = json_of(host, "prune", "--all", "--dry-run")[0]["pruned"]["file"]
    assert len(plan["removed"]) == 1
    assert {row["action"] for row in plan["plan"]} == {"keep", "remove"}
    assert len(archives_in(file_store(host.store))) == 2
    assert json_of(host, "prune", "syslog")[0]["pruned"]["file"]["removed"] == plan["removed"]
    assert len(archives_in(file_store(host.store))) == 1


def test_words_for_people(host):
    assert "would be archived" in run(host, "run", "--all", "--dry-run").stdout
    done = run(host, "run", "--all").stdout
    assert done.startswith("syslog: done\n") and "ok file: read_back" in done
    assert "2 archive(s)" in run(host, "list").stdout
    assert "ok      file  2 archive(s) by read_back" in run(host, "verify").stdout
    assert "2 file(s)" in run(host, "restore", "--to", str(host.folder / "to")).stdout
    assert "fine" in run(host, "status").stdout
    assert "current" in run(host, "key", "list").stdout
    assert "syslog.json: valid" in run(host, "check-config").stdout


def test_help_and_version(host):
    assert "exit codes:" in run(host, "--help").stdout
    assert "None" not in run(host, "--help").stdout
    for command in ("run", "list", "verify", "restore", "prune", "key", "check-config", "sample-config", "status"):
        assert "exit codes:" in run(host, command, "--help").stdout
        assert command in run(host, "--help").stdout
        reads_documents = "$LOG_ARCHIVE_CONFIG, or /etc/log-archive/jobs.d" in " ".join(run(host, command, "--help").stdout.split())
        assert reads_documents is (command != "sample-config")
        assert run(host, "help", command).stdout == run(host, command, "--help").stdout
    assert run(host, "help").stdout == run(host, "--help").stdout
    for arguments in (["--version"], ["version"], ["run", "--version"]):
        assert run(host, *arguments).stdout == "log-archive %s\n" % __version__


@pytest.mark.parametrize("arguments", [["--json", "status"], ["status", "--json"], ["--json", "--config", "{jobs}", "status"]])
def test_global_options_stand_before_or_after_the_command(host, monkeypatch, arguments):
    run(host, "run", "--all")
    if "--config" in arguments:
        monkeypatch.setenv("LOG_ARCHIVE_CONFIG", "/nonexistent")
    done = run(host, *[argument.format(jobs=host.folder / "jobs") for argument in arguments])
    assert json.loads(done.stdout)[0]["state"] == "fine"


# -- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["rnu"],
        ["run"],
        ["run", "syslog", "--all"],
        ["run", "missing"],
        ["run", "--all", "--confirm"],
        ["list", "--since", "yesterday-ish"],
        ["list", "--store", "nowhere"],
        ["restore"],
        ["key", "remove"],
        ["key", "import", "--key-file", "/nonexistent"],
        ["status", "--max-age", "5 parsecs"],
        ["prune"],
        ["prune", "--dry-run"],
        ["prune", "syslog", "--all"],
        ["prune", "syslog", "--max-delete-share", "1.5"],
        ["run", "--al"],
        ["run", "--all", "--dry"],
        ["--json"],
        ["--conf", "/etc", "list"],
        ["help", "rnu"],
        ["list", "--since", "2024-02-01", "--until", "2024-01-01"],
        ["verify", "--since", "2024-02-01", "--until", "2024-01-01"],
        ["restore", "--to", "/nonexistent", "--since", "2024-02-01", "--until", "2024-01-01"],
        ["key", "list", "--older-than", "90d"],
        ["key", "rotate", "--older-than", "90"],
        ["key", "rotate", "--key-id", "0123456789abcdef"],
        ["key", "create", "--make-current"],
        ["key", "remove", "--key-file", "x", "--key-id", "0123456789abcdef"],
        ["key", "list", "syslog", "--keyring", "/nonexistent"],
        ["status", "--max-age", "26"],
        ["run", "--all", "--dry-run", "--no-upload"],
        ["run", "--all", "--dry-run", "--confirm"],
        ["sample-config", "--config", "/etc"],
        ["list", "--config", "/nonexistent"],
        ["sample-config", "--output", "/nonexistent/x.json"],
    ],
)
def test_2_wrong_usage(host, arguments):
    done = run(host, *arguments, code=2)
    if "--json" not in arguments:
        assert done.stdout == ""
    assert done.stderr


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rnu", "syslog"], "there is no command 'rnu'. Did you mean 'run'? "),
        (["prun", "--all"], "there is no command 'prun'. Did you mean 'prune' or 'run'? "),
        (["vresion"], "Did you mean 'version'? "),
        (["xyz"], "there is no command 'xyz'. See 'log-archive --help'"),
        (["run", "--al"], "unrecognized arguments: --al. Did you mean '--all'? See 'log-archive run --help'"),
        (["list", "--sinec=2024-01-12"], "unrecognized arguments: --sinec=2024-01-12. Did you mean '--since'? "),
        (["key", "rotate", "--older-than", "90"], "'90': the duration has no unit. Write 90d for days, or another of w, d, h, m, s"),
        (["status", "--max-age", "1d12"], "not a duration"),
        (["key", "create", "--key-id", "x"], "'key create' has no option --key-id. It is for 'key remove'"),
        (["list", "--since", "2024-02-01", "--until", "2024-01-01"], "--since is later than --until. Swap them"),
        (["restore", "--to", "", "--latest"], "argument --to: the value is empty"),
        (["restore", "--to", "/nonexistent", "--host="], "argument --host: the value is empty"),
        (["restore", "--to", "/nonexistent", "--name", "a", "--name", ""], "argument --name: the value is empty"),
        (["list", "--store", ""], "argument --store: the value is empty"),
        (["verify", ""], "argument JOB: the value is empty"),
        (["run", "--all", "--config", ""], "argument --config: the value is empty"),
    ],
)
def test_wrong_usage_is_named_with_what_was_meant(host, arguments, hint):
    assert hint in run(host, *arguments, code=2).stderr


def test_an_empty_value_that_means_something_is_taken(host):
    """The pattern that each line matches."""
    run(host, "run", "--all")
    assert "syslog.20240112.13" in run(host, "search", "").stdout


@pytest.mark.parametrize("columns", ["", "0", "-5", "many", "99999999999999999999"])
def test_help_needs_no_width_of_the_terminal(host, columns):
    # Not for longer: pytest uses it, too.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", columns)
        shown = run(host, "list", "--help").stdout
    assert "--since TIME" in shown


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", "")
    assert options.default_config("job") == "/etc/log-archive/jobs.d"


def test_durations_with_a_unit_are_taken(host):
    run(host, "run", "--all")
    assert json_of(host, "key", "rotate", "--older-than", "90d")["changed"] is False
    assert json_of(host, "status", "--max-age", "1d12h")[0]["state"] == "fine"
    assert json_of(host, "key", "rotate", "--older-than", "0s")["changed"] is True


def test_2_a_mistake_in_a_document_does_not_stop_the_other_jobs(host):
    (host.folder / "jobs" / "another.json").write_text('{"name": "another", "selct": 1}')
    done = run(host, "run", "--all", code=2)
    assert "did you mean 'select'?" in done.stderr
    assert "syslog: done" in done.stdout
    checked = json_of(host, "check-config", code=2)
    assert [result["ok"] for result in checked] == [False, True]
    assert len(checked[0]["error"]["problems"]) == 4


@pytest.mark.parametrize("command", [["status"], ["run", "--all"], ["orphans"], ["doctor"], ["check-config"]])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_in_the_place_of_a_document_does_not_hold_up_the_other_jobs(host, command, kind):
    """Operators may write to the folder of the documents."""
    path = host.folder / "jobs" / "bad.json"
    {"pipe": os.mkfifo, "device": lambda path: os.symlink("/dev/zero", path), "folder": os.mkdir}[kind](path)
    done = host.command(*command, timeout=lab.patience(30))
    assert done.returncode == 2, done.stdout + done.stderr
    assert command == ["doctor"] or "%s: cannot read the job document: it is not a regular file" % path in done.stderr
    assert command not in (["status"], ["run", "--all"]) or "syslog" in done.stdout


def test_1_failed(host):
    host.write_document(select={"paths": [str(host.folder / "missing")], "must_exist": True, **SELECT})
    assert json_of(host, "run", "--all", code=1)[0]["outcome"] == "failed"
    assert json_of(host, "status", code=1)[0]["state"] == "the last run failed"


def test_3_partly_done_then_done(host):
    stores = [*host.stores, {"type": "file", "name": "down", "path": str(host.folder / "a" / "b"), "attempts": 1}]
    host.write_document(select=SELECT, stores=stores)
    assert json_of(host, "run", "--all", code=3)[0]["outcome"] == "partly done"
    (state,) = json_of(host, "status", code=3)
    assert (state["state"], state["backlog"], state["spool"]["archives"]) == ("archives wait for a store", {"down": 2}, 2)
    (host.folder / "a").mkdir()
    assert json_of(host, "run", "--all")[0]["outcome"] == "done"
    assert json_of(host, "status")[0]["backlog"] == {}


@pytest.mark.parametrize("damage", ["flipped", "cut", "longer", "removed", "no manifest", "manifest is not JSON"])
def test_4_integrity(host, damage):
    run(host, "run", "--all")
    key = min(archives_in(file_store(host.store)))
    path = host.store / key
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[100] ^= 1
        path.write_bytes(data)
    elif damage == "cut":
        path.write_bytes(data[:-1])
    elif damage == "longer":
        path.write_bytes(data + b"A")
    elif damage == "removed":
        path.unlink()
    elif damage == "no manifest":
        (host.store / (key + ".manifest.json")).unlink()
    else:
        (host.store / (key + ".manifest.json")).write_bytes(b"{")
    failures = [row for row in json_of(host, "verify", code=4) if row["error"]]
    assert [row["key"] for row in failures] == [key]
    if damage in ("flipped", "cut", "longer"):
        run(host, "restore", "--to", str(host.folder / "to"), "--name", key, code=4)
        assert files_below(host.folder / "to") == []


def test_5_locked(host):
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable

    host.state.mkdir()
    with durable.lock(str(host.state / "syslog.lock"), wait=False):
        done = run(host, "run", "--all", code=5)
        assert "another run holds the lock (pid %d" % os.getpid() in done.stderr
        assert done.stderr.startswith("syslog: locked\n")
        (row,) = json_of(host, "run", "--all", code=5)
        assert (row["outcome"], row["exit_code"], row["error"]["kind"]) == ("locked", 5, "locked")
        assert json_of(host, "prune", "--all", code=5)[0]["outcome"] == "locked"
        run(host, "run", "--all", "--dry-run")
    run(host, "run", "--all")


# -- errors in JSON ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["list", "--config", "/nonexistent"], "no_jobs"),
        (["run", "--all", "--config", "/usr/bin"], "no_jobs"),
        (["run"], "usage"),
        (["rnu"], "usage"),
        (["run", "--al", "l"], "usage"),
        (["restore"], "usage"),
        (["run", "missing"], "config"),
        (["key", "import", "--key-file", "/nonexistent"], "keyring"),
    ],
)
def test_an_error_is_one_json_object_with_a_stable_kind(host, arguments, kind):
    answer = json_of(host, *arguments, code=2)
    assert sorted(answer) == ["error", "exit_code"]
    assert (answer["exit_code"], answer["error"]["kind"]) == (2, kind)
    error = answer["error"]
    assert error["message"] in error["text"] and (error["hint"] or "") in error["text"]


def test_a_job_that_failed_before_it_began_has_an_error_object_in_its_row(host):
    (host.folder / "jobs" / "another.json").write_text('{"name": "another", "selct": 1}')
    broken, fine = json_of(host, "run", "--all", code=2)
    assert broken["errors"] == [broken["error"]["text"]]
    assert (broken["error"]["kind"], len(broken["error"]["problems"])) == ("config", 4)
    assert "error" not in fine


def test_a_defect_is_one_line_with_its_place_and_no_text_that_may_be_secret(host, monkeypatch):
    def fail(*_):
        raise ValueError("marker-of-a-secret")

    monkeypatch.setattr(keyring, "list_keys", fail)
    done = run(host, "key", "list", "--json", code=1)
    assert json.loads(done.stdout)["error"]["kind"] == "unexpected"
    assert re.fullmatch(r"log-archive: unexpected ValueError in cli/keys.py line \d+, from cli/main.py line \d+.*\n", done.stderr)
    monkeypatch.setenv("LOG_ARCHIVE_TRACEBACK", "1")
    assert run(host, "key", "list", code=1).stderr.startswith("Traceback")


def test_a_defect_in_one_job_stops_no_other_job(host, monkeypatch):
    host.write_document(name="another")
    monkeypatch.setattr(job, "collect", lambda context: 1 / 0 if context.job == "another" else [])
    broken, fine = json_of(host, "run", "--all", code=1)
    assert (broken["job"], broken["error"]["kind"], fine["outcome"]) == ("another", "unexpected", "nothing to do")
    assert broken["errors"][0].startswith("unexpected ZeroDivisionError in run/job.py line ")
    assert [row["exit_code"] for row in json_of(host, "status", code=1)] == [1, 0], "the run that failed is in the catalog"


def test_an_error_of_the_system_is_reported_without_a_traceback(host, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/var/lib/x")

    monkeypatch.setattr(config, "find", fail)
    done = run(host, "list", "--json", code=1)
    assert done.stderr == "log-archive: /var/lib/x: No space left on device\n"
    assert json.loads(done.stdout)["error"]["subject"] == "/var/lib/x"


def in_a_process(host, arguments, **streams):
    command = "import sys; from %s import main; sys.exit(main(sys.argv[1:]))" % cli.__name__
    options = dict({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}, **streams)
    return subprocess.run([sys.executable, "-c", command, *arguments], env=host.environment(), text=True, check=False, **options)


NO_ROOM = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@NO_ROOM
@pytest.mark.parametrize("arguments", [["sample-config"], ["--help"], ["help", "run"], ["version"], ["list", "--json"], ["status"]])
def test_output_that_cannot_be_written_is_an_error(host, arguments):
    run(host, "run", "--all")
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = in_a_process(host, arguments, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "log-archive: cannot write to standard output: No space left on device; the work goes on\n"


@NO_ROOM
@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize("streams", [("stdout",), ("stderr",), ("stdout", "stderr")])
def test_output_that_cannot_be_written_stops_no_job(two_unrun_jobs, json, streams):
    """Jobs that succeed print to standard output, those that fail to standard error."""
    two_unrun_jobs.write_document(name="a-failing", select=dict(SELECT, paths=[str(two_unrun_jobs.folder / "x")], must_exist=True))
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = in_a_process(two_unrun_jobs, ["run", "--all", *json], **dict.fromkeys(streams, full))
    assert done.returncode == 1
    assert "Traceback" not in (done.stderr or "")
    assert len(archives_in(file_store(two_unrun_jobs.store))) == 2


@NO_ROOM
def test_lost_output_does_not_hide_a_worse_exit_code(host):
    run(host, "run", "--all")
    min(path for path in host.store.rglob("*.fernet")).write_bytes(b"x")
    with open("/dev/full", "w", encoding="utf-8") as full:
        assert in_a_process(host, ["verify"], stdout=full).returncode == 4
        assert in_a_process(host, ["verify", "--sinec", "x"], stderr=full).returncode == 2


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_stop_no_job(host, closed):
    """The next file that is opened would get the descriptor of a closed stream, and what is printed would go into it."""
    command = "".join(" %d>&-" % number for number in closed)
    program = "import sys; from %s import main; sys.exit(main(sys.argv[1:]))" % cli.__name__
    shell = ["sh", "-c", '"$@"' + command, "sh", sys.executable, "-c", program, "run", "--all"]
    done = subprocess.run(shell, env=host.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done
    assert len(archives_in(file_store(host.store))) == 2
    assert json_of(host, "status")[0]["state"] == "fine"


# -- keys -------------------------------------------------------------------------------------------------------------


def test_the_error_names_a_missing_key(host, tmp_path):
    run(host, "run", "--all")
    (id,) = (info.id for info in keyring.list_keys(str(host.keyring)))
    shutil.rmtree(host.keyring)
    keyring.create(str(host.keyring))
    done = run(host, "restore", "--to", str(tmp_path / "to"), code=2)
    assert "the key %s is needed" % id in done.stderr
    assert files_below(tmp_path / "to") == []


def test_old_archives_open_after_a_rotation(host):
    run(host, "run", "--all")
    assert json_of(host, "key", "rotate")["changed"] is True
    host.write_logs(15)
    run(host, "run", "--all")
    assert len({row["key_id"] for row in json_of(host, "list")}) == 2
    assert len(json_of(host, "restore", "--to", str(host.folder / "to"))) == 3


@pytest.mark.parametrize("what", ["folder", "key"])
def test_a_keyring_that_others_can_read_is_refused_with_the_chmod_command(host, what):
    run(host, "run", "--all")
    (path,) = [host.keyring] if what == "folder" else host.keyring.glob("*.key")
    path.chmod(0o755)
    done = run(host, "restore", "--to", str(host.folder / "to"), code=2)
    assert "chmod 0%o %s" % (0o700 if what == "folder" else 0o600, path) in done.stderr
    assert not (host.folder / "to").exists() or os.listdir(host.folder / "to") == []


def test_another_key_of_the_same_id_does_not_open(host):
    """A swapped key file is detected before it is used."""
    run(host, "run", "--all")
    (path,) = host.keyring.glob("*.key")
    path.write_text("A" * 43 + "=\n")
    done = run(host, "restore", "--to", str(host.folder / "to"), code=2)
    assert "holds another key than its name states" in done.stderr


# -- choosing what to restore -----------------------------------------------------------------------------------------


@pytest.fixture
def two_unrun_jobs(host):
    for name, hour in (("one", 13), ("two", 14)):
        host.write_document(name=name, select=dict(SELECT, patterns=["syslog.20240112.%d" % hour]))
    (host.folder / "jobs" / "syslog.json").unlink()
    return host


@pytest.fixture
def two_jobs(two_unrun_jobs):
    run(two_unrun_jobs, "run", "--all")
    return two_unrun_jobs


@pytest.mark.parametrize("hour", [13, 14])
@pytest.mark.parametrize("by", ["name", "key", "path"])
def test_restore_by_name_looks_in_every_job(two_jobs, hour, by):
    name = "syslog.20240112.%d" % hour
    key = next(key for key in archives_in(file_store(two_jobs.store)) if name in key)
    given = {"name": name + ".tgz.fernet", "key": key, "path": str(two_jobs.logs / name)}[by]
    (row,) = json_of(two_jobs, "restore", "--to", str(two_jobs.folder / "to"), "--name", given)
    assert row["archive"] == key


def test_restore_of_a_name_that_no_job_has(two_jobs):
    done = run(two_jobs, "restore", "--to", str(two_jobs.folder / "to"), "--name", "syslog.20240112.15.tgz.fernet", code=1)
    assert "no archive has this name" in done.stderr
    assert "syslog.20240112.14.tgz.fernet" in done.stderr


def test_restore_by_time_and_latest(host):
    host.write_document()
    for hour in (13, 14):
        os.utime(host.logs / ("syslog.20240112.%d" % hour))
    host.write_document(select=dict(SELECT, patterns=["syslog.%Y%m%d.%H"]))
    run(host, "run", "--all")
    to = str(host.folder / "to")
    assert [row["size"] for row in json_of(host, "restore", "--to", to, "--dry-run", "--since", "2024-01-12T14:00Z")] == [3000]
    assert len(json_of(host, "restore", "--to", to, "--dry-run", "--until", "2024-01-13")) == 2
    assert len(json_of(host, "restore", "--to", to, "--dry-run", "--latest")) == 1
    run(host, "restore", "--to", to, "--since", "2024-01-13", code=1)


def test_restore_of_a_log_that_grew_gives_its_newest_content(host):
    host.write_document(select=dict(SELECT, patterns=["syslog.%Y%m%d.%H"]))
    run(host, "run", "--all")
    log = host.logs / "syslog.20240112.14"
    with log.open("ab") as file:
        file.write(b"a late line\n")
    run(host, "run", "--all")
    assert len([key for key in archives_in(file_store(host.store)) if log.name in key]) == 2
    to = host.folder / "to"
    json_of(host, "restore", "--to", str(to))
    assert (to / str(log).lstrip("/")).read_bytes() == log.read_bytes()


def test_the_status_names_a_store_that_cannot_be_compared_and_offline_asks_none(host):
    stores = [{"type": "file", "name": "far", "path": str(host.folder / "far" / "store"), "attempts": 1}]
    (host.folder / "far").mkdir()
    host.write_document(select=SELECT, stores=stores)
    run(host, "run", "--all")
    (host.folder / "far").rename(host.folder / "not mounted")
    (state,) = json_of(host, "status", "--max-age", "9999d", code=1)
    assert state["state"] == "cannot compare with the catalog: store far"
    (state,) = json_of(host, "status", "--max-age", "9999d", "--offline")
    assert (state["state"], state["exit_code"]) == ("fine", 0)


def test_restore_uses_the_next_store_if_the_first_is_unavailable(host):
    stores = [{"type": "file", "name": "gone", "path": str(host.folder / "a" / "b"), "attempts": 1}, *host.stores]
    run(host, "run", "--all")
    host.write_document(select=SELECT, stores=stores)
    done = run(host, "restore", "--to", str(host.folder / "to"))
    assert "log-archive: store gone: " in done.stderr
    assert "2 file(s)" in done.stdout


# -- starting ---------------------------------------------------------------------------------------------------------

LOADED = """
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print("\\n" + " ".join(sorted(name.partition(".")[0] for name in sys.modules)), file=sys.stderr)
"""
HEAVY = {"boto3", "botocore", "paramiko", "cryptography", "isal", "pybase64", "concurrent", "tarfile", "subprocess", "ssl"}


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["run", "--all"], HEAVY | {"locale", "hashlib"}),
        (["status"], HEAVY),
        (["list"], HEAVY),
        (["check-config"], HEAVY | {"sqlite3"}),
        (["sample-config"], HEAVY | {"sqlite3", "socket"}),
        (["key", "list"], (HEAVY | {"sqlite3"})),
    ],
)
def test_a_command_imports_only_what_it_needs(host, arguments, unwanted):
    store = {"type": "s3", "bucket": "b"}
    other = {"type": "sftp", "host": "h", "user": "u", "path": "p", "password": "x"}
    run(host, "run", "--all")
    host.write_document(select=SELECT, stores=[*host.stores, store, other])
    done = subprocess.run([sys.executable, "-c", LOADED, *arguments], env=host.environment(), capture_output=True, text=True, check=False)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "argparse" in loaded
    assert loaded & unwanted == set()


# -- the template -----------------------------------------------------------------------------------------------------


def test_check_config_accepts_the_sample_config(host):
    path = host.folder / "jobs" / "syslog.json"
    path.unlink()
    run(host, "sample-config", "--output", str(path))
    assert path.read_text() == config.sample()
    run(host, "check-config")
    run(host, "sample-config", "--output", str(path), code=2)


STREAM_LINE = b'{"time":"2026-11-03T01:59:58Z","message":"x"}\n'


def test_check_config_finds_streams_that_follow_each_other(host, monkeypatch):
    """a, b and c follow each other's databases; d only follows one of them."""
    folder = host.folder / "streams.d"
    folder.mkdir()
    for name, other in ("a", "c"), ("b", "a"), ("c", "b"), ("d", "a"):
        (folder / name).mkdir()
        follow, sink = {"paths": [str(folder / other)], "patterns": ["*"]}, {"type": "sqlite", "path": str(folder / name / "db")}
        (folder / ("%s.json" % name)).write_text(json.dumps({"name": name, "follow": follow, "sinks": [sink], "state": str(host.folder)}))
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(folder))
    monkeypatch.delenv("LOG_ARCHIVE_STREAMS", raising=False)
    checked = json_of(host, "check-config", code=2)
    assert [result["ok"] for result in checked] == [False, False, False, True]
    assert checked[1]["error"]["problems"] == [
        "follow: reads %s (sinks[0].path of the stream 'a'), which reads what this stream writes, so that they would never end; "
        "choose another folder, or other patterns" % (folder / "a" / "db")
    ]
    (folder / "b.json").unlink()
    json_of(host, "check-config")


def test_a_folder_of_streams_that_cannot_be_read_is_no_host_without_streams(host, monkeypatch):
    run(host, "run", "--all")
    (host.folder / "file").touch()
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(host.folder / "file" / "streams.d"))
    rows = json_of(host, "status", "--max-age", "36000d", code=2)
    assert [row["exit_code"] for row in rows] == [0, 2]
    assert "cannot read the folder of stream documents: Not a directory" in rows[1]["state"]
    assert "cannot read the folder of stream documents" in run(host, "doctor", code=2).stdout
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(host.folder / "none"))
    assert len(json_of(host, "status", "--max-age", "36000d")) == 1


def test_streams_from_the_first_line_to_a_rejected_one(tmp_path, monkeypatch):
    folder, logs = tmp_path / "streams.d", tmp_path / "logs"
    folder.mkdir()
    logs.mkdir()
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(folder))
    follow = {"paths": [str(logs)], "patterns": ["app.log"]}
    sinks = [{"type": "sqlite", "path": str(tmp_path / "db.sqlite")}]
    (folder / "app.json").write_text(json.dumps({"name": "app", "follow": follow, "sinks": sinks, "state": str(tmp_path / "state")}))
    assert json_of(None, "streams", code=1)[0]["state"].startswith("nothing was stored yet: ")
    (logs / "app.log").write_bytes(STREAM_LINE * 2)
    assert run(None, "ingest", "app", "--dry-run").stdout == "app: 2 lines would be stored in sqlite\n"
    assert not (tmp_path / "db.sqlite").exists() and not (tmp_path / "state").exists()
    assert json_of(None, "ingest", "app")[0]["sinks"][0]["rows"] == 2
    assert json_of(None, "ingest", "app", "--dry-run")[0]["sinks"][0]["lines"] == 0
    (logs / "app.log").write_bytes(STREAM_LINE * 2 + b"no json\n")
    assert run(None, "ingest", "--all").stdout == "app: 1 line stored in sqlite, 1 of them rejected\n"
    assert "lines were rejected" in run(None, "streams", code=3).stdout
    assert run(None, "ingest", "app", "--rejected", code=3).stdout == (
        "app: 1 rejected line in sqlite tried again, 0 stored, 1 rejected again\n"
    )
    assert "CREATE TABLE IF NOT EXISTS generic_line" in run(None, "ingest", "app", "--print-schema").stdout
    # The statements for one database are wrong in another one.
    central = {"type": "postgresql", "name": "central", "database": "logs", "user": "follower"}
    both = folder.parent / "both.json"
    both.write_text(json.dumps({"name": "both", "follow": follow, "sinks": [*sinks, central]}))
    refused = run(None, "ingest", str(both), "--print-schema", code=2)
    assert (refused.stdout, "sqlite (sqlite), central (postgresql). Name a sink with --sink" in refused.stderr) == ("", True)
    schema = run(None, "ingest", str(both), "--print-schema", "--sink", "central").stdout
    assert schema.startswith("-- stream both, sink central (postgresql)\n") and "sink sqlite" not in schema
    assert "has no sink of this name" in run(None, "ingest", str(both), "--print-schema", "--sink", "none", code=2).stderr
    # Commands for all documents of a host find them too.
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(tmp_path / "jobs.d"))
    assert run(None, "check-config").stdout == run(None, "check-config", "app").stdout == "%s: valid\n" % (folder / "app.json")
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(folder / "app.json"))
    assert [row["stream"] for row in json_of(None, "streams", "app", code=3)] == ["app"]
    assert run(None, "check-config").stdout == "%s: valid\n" % (folder / "app.json")
    assert "app  lines were rejected" in run(None, "status", code=3).stdout
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(folder))
    # One that cannot be used does not stop the others.
    (folder / "a.json").write_text('{"name": "a", "odd": 1, "more": 1}')
    shown = run(None, "streams", "a", code=2).stdout.splitlines()
    assert len(shown) > 2 and shown[1].startswith("  - odd: unknown key")
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", "%s/" % folder)
    assert "mistakes in the stream document" in run(None, "check-config", code=2).stderr
    monkeypatch.setenv("LOG_ARCHIVE_STREAMS", str(folder))
    (logs / "app.log").write_bytes(STREAM_LINE * 2 + b"no json\n" + STREAM_LINE)
    done = run(None, "ingest", "--all", code=2)
    assert (done.stdout, "stream a: " in done.stderr) == ("app: 1 line stored in sqlite\n", True)
    assert [row["stream"] for row in json_of(None, "ingest", "--all", code=2)] == ["a", "app"]
    (folder / "a.json").unlink()
    for wrong in (
        ["ingest"],
        ["ingest", "app", "--all"],
        ["ingest", "app", "--print-schema", "--json"],
        ["ingest", "app", "--sink", "sqlite"],
        ["follow"],
        ["follow", "none"],
    ):
        run(None, *wrong, code=2)
    run(None, "streams", "--accept", code=2)
    assert "app  fine\n  sqlite: 4 lines, 1 file, 1 rejected and accepted\n" in run(None, "streams", "app", "--accept").stdout
    assert json_of(None, "streams")[0]["accepted"] == 1


@pytest.mark.parametrize(
    ("call", "rest"),
    [
        ("run syslog", ". The next run completes what is left"),
        ("--json ingest --all", ". The next call continues"),
        ("search x", ""),
        ("generate sftpgo logs", ""),
        ("audit events trail", ""),
        ("--help", ""),
    ],
)
def test_a_command_that_is_interrupted_states_what_completes_its_work(monkeypatch, call, rest):
    def interrupted(_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "parse", interrupted)
    assert run(None, *call.split(), code=130).stderr == "log-archive: interrupted by SIGINT%s\n" % rest


def test_restore_of_all_jobs_leaves_out_a_bad_document(host):
    run(host, "run", "--all")
    (host.folder / "jobs" / "another.json").write_text("{")
    done = run(host, "restore", "--to", str(host.folder / "to"), code=2)
    assert "another.json" in done.stderr and "2 file(s)" in done.stdout
    assert json_of(host, "restore", "another", "--to", str(host.folder / "to"), code=2) == []
