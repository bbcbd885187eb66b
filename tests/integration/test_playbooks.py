# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks that run the command, over local connections; one host is unreachable. Real fleets are in tests/fleet."""

from __future__ import annotations

import json
import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import typing as t

import lab
import pytest
from lab import quick_ansible
from lab.quick_ansible.warm import WarmAnsible
from rigs.command import install, program
from rigs.recipients import identity_file

pytest.importorskip("ansible")

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
DEAD = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_common_args": "-F none"}
PROGRAM = pathlib.Path(sys.executable).with_name("ansible-playbook")


class LocalFleet:
    """Hosts that are folders on this machine. Runs playbooks on them."""

    def __init__(self, folder: pathlib.Path, command: pathlib.Path, ansible: WarmAnsible) -> None:
        self.folder = folder
        self.command = command
        self._ansible = ansible
        self.hosts: t.Dict[str, t.Dict[str, t.Any]] = {}
        (folder / "logs").mkdir()
        for hour in range(3):
            (folder / "logs" / ("syslog.20240112.%02d" % hour)).write_text("a line of hour %d\n" % hour)

    def add(self, host: str) -> None:
        """Set up a host as the site playbook does."""
        home = self.folder / host
        (home / "jobs.d").mkdir(parents=True)
        document = {
            "name": "syslog",
            "host": host,
            "select": {"paths": [str(self.folder / "logs")], "patterns": ["syslog.%Y%m%d.%H"]},
            "encryption": {"keyring": str(home / "keyring")},
            "stores": [{"type": "file", "name": "local", "path": str(home / "store")}],
            "spool": str(home / "spool"),
            "state": str(home / "state"),
        }
        (home / "jobs.d" / "syslog.json").touch(0o600)
        (home / "jobs.d" / "syslog.json").write_text(json.dumps(document))
        subprocess.run([self.command, "key", "create", "--keyring", home / "keyring"], check=True, stdout=subprocess.DEVNULL)
        self.hosts[host] = {}

    def call(self, playbook: str, *arguments: str) -> t.Tuple[t.List[str], t.Dict[str, str]]:
        """The command line and the environment of a run."""
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ansible_become": False,
            "log_archive_command": str(self.command),
            "log_archive_config": str(self.folder / "{{ inventory_hostname }}" / "jobs.d"),
        }
        inventory = self.folder / "inventory.json"
        servers: t.Dict[str, t.Any] = {"archive_server": {"hosts": {}}}
        inventory.write_text(json.dumps({"all": {"hosts": self.hosts, "vars": variables, "children": servers}}))
        return [str(PROGRAM), "--inventory", str(inventory), "infra_ops.log_archive." + playbook, *arguments], dict(
            self._ansible.environment
        )

    def play(self, playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook without a terminal."""
        command, _environment = self.call(playbook, *arguments)
        return self._ansible.run(command, str(self.folder))

    def answered(self, answer: t.Optional[str], playbook: str, *arguments: str) -> t.Tuple[int, str]:
        """Run a playbook on a terminal and answer its question, or with None type yes and no Enter; returns its status and the output."""
        command, environment = self.call(playbook, *arguments)
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execve(command[0], command, environment)
        shown = b""
        while True:
            # Input that comes before the prompt is ready is lost: repeat the answer until it is read.
            heard, _w, _x = select.select([terminal], [], [], 1)
            if not heard:
                if b"anything else: do nothing:" in shown:
                    os.write(terminal, b"yes" if answer is None else answer.encode() + b"\r")
                continue
            try:
                data = os.read(terminal, 1 << 16)
            except OSError:
                break
            shown += data
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(terminal)
        assert b"anything else: do nothing:" in shown, shown.decode()
        return status, shown.decode()

    def run_by_runner(self, playbook: str, **variables: t.Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook as AWX does: by ansible-runner, which gives it a terminal that nobody sees."""
        command, environment = self.call(playbook)
        data = self.folder / "runner"
        (data / "env").mkdir(parents=True)
        (data / "env" / "extravars").write_text(json.dumps(variables))
        environment["PATH"] = "%s:%s" % (PROGRAM.parent, environment["PATH"])
        argv = [str(PROGRAM.with_name("ansible-runner")), "run", str(data), "--inventory", command[2], "--playbook", command[3]]
        return subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=lab.patience(120)
        )

    def stored(self, host: str) -> t.List[str]:
        """The names of the archives in a host's local store."""
        return sorted(path.name for path in (self.folder / host / "store").rglob("*.fernet"))


@pytest.fixture(scope="session")
def ansible(collections_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[WarmAnsible]:
    """Runs playbooks; all fleets of the session use it."""
    home = tmp_path_factory.mktemp("ansible")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment.update(
        quick_ansible.environment(),
        ANSIBLE_HOME=str(home),
        ANSIBLE_COLLECTIONS_PATH=str(collections_path),
        ANSIBLE_NOCOLOR="1",
        ANSIBLE_PIPELINING="1",
    )
    warm = WarmAnsible([], environment, home / "warm-ansible.log")
    yield warm
    warm.close()


@pytest.fixture(scope="session")
def installed_command(collections_path: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The command of all hosts, which no test changes."""
    engine = collections_path / "ansible_collections/infra_ops/log_archive/plugins/module_utils/_engine"
    return install(tmp_path_factory.mktemp("command"), engine=engine)


@pytest.fixture
def local_fleet(tmp_path: pathlib.Path, installed_command: pathlib.Path, ansible: WarmAnsible) -> LocalFleet:
    return LocalFleet(tmp_path, installed_command, ansible)


def states(output: str) -> t.Dict[str, t.Dict[str, int]]:
    """Ansible's own recap."""
    return {
        host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", counts)}
        for host, counts in re.findall(r"^(\S+) +: (ok=.*)$", output, re.MULTILINE)
    }


BAD = [
    ("archive", ["-e", "log_archive_upload=perhaps"], "value of log_archive_upload must be one of: yes, no, ask"),
    ("archive", ["-e", "log_archive_only_jobs=../../etc/passwd"], "must be a list of job names"),
    ("archive", ["-e", "log_archive_only_jobs=--config=/tmp"], "must be a list of job names"),
    ("archive", ["-e", "log_archive_max_fail_percent=many"], "log_archive_max_fail_percent"),
    ("status", ["-e", "log_archive_fail_when_bad=perhaps"], "log_archive_fail_when_bad"),
    ("status", ["-e", "log_archive_only_jobs=a/b"], "must be a list of job names"),
    ("verify", ["-e", "log_archive_level=thorough"], "value of log_archive_level must be one of"),
    ("prune", ["-e", '{"log_archive_only_jobs": {"a": 1}}'], "log_archive_only_jobs"),
    ("list", ["-e", "log_archive_list_host=web9"], "log_archive_list_host=web9 needs log_archive_only_store=NAME"),
    ("orphans", ["-e", "log_archive_orphans_send=old"], "log_archive_orphans_send needs log_archive_orphans_stores_of=JOB"),
    ("restore", ["-e", "log_archive_restore_host=web1"], "log_archive_restore_to"),
    ("restore", ["-e", "log_archive_restore_to=/x"], "log_archive_restore_host"),
    (
        "restore",
        ["-e", "log_archive_restore_host=web1 log_archive_restore_to=/x"],
        "at least one of log_archive_start, log_archive_end and log_archive_names",
    ),
    ("restore", ["-e", "log_archive_restore_host=web1 log_archive_restore_to=x log_archive_start=2024-01-01"], "absolute path"),
    (
        "restore",
        ["-e", "log_archive_restore_host=web1 log_archive_restore_to=/x log_archive_start=2024-01-01 log_archive_only_jobs=other"],
        "no such job",
    ),
    ("restore", ["-e", "log_archive_restore_host=web9"], "log_archive_restore_host: web9 is not in the inventory"),
    (
        "restore",
        ["-e", "log_archive_restore_host=web1 log_archive_restore_on=web9"],
        "log_archive_restore_on: web9 is not in the inventory",
    ),
    (
        "restore",
        ["-e", "log_archive_restore_host=web1 log_archive_restore_on=localhost", "--limit", "web1"],
        "log_archive_restore_on: the limit web1 excludes localhost",
    ),
    ("wheelhouse", [], "log_archive_wheelhouse"),
    ("rotate_keys", ["-e", "log_archive_keys_older_than=soon"], "must be a duration"),
    ("remove", ["-e", "log_archive_remove_keys=perhaps"], "log_archive_remove_keys"),
    ("site", ["-e", "log_archive_max_fail_percent=many"], "log_archive_max_fail_percent"),
    ("site", ["-e", '{"log_archive_jobs": {"syslog": {"selct": {}}}}'], "did you mean 'select'"),
    ("site", ["-e", "schedule_type=at"], "schedule_type must be one of"),
]


@pytest.mark.parametrize(("playbook", "arguments", "message"), BAD, ids=["%s-%d" % (row[0], number) for number, row in enumerate(BAD)])
def test_a_bad_input_is_named_before_anything_is_done(local_fleet: LocalFleet, playbook: str, arguments: t.List[str], message: str) -> None:
    local_fleet.add("web1")
    done = local_fleet.play(playbook, *arguments)
    assert done.returncode != 0
    assert message in done.stdout + done.stderr
    assert not any(counts["changed"] for counts in states(done.stdout).values())
    assert local_fleet.stored("web1") == []


def test_every_host_runs_what_it_can_and_failures_come_first(local_fleet: LocalFleet) -> None:
    for host in ("web1", "web2"):
        local_fleet.add(host)
    local_fleet.hosts = {"dead": DEAD, **local_fleet.hosts, "bare": {}}
    (local_fleet.folder / "web2" / "jobs.d" / "syslog.json").write_text("{}")
    # One host at a time, and the first one is dead: the others still run.
    done = local_fleet.play("archive", "-e", "log_archive_batch=1")
    assert done.returncode != 0
    assert local_fleet.stored("web1") != []
    counts = states(done.stdout)
    assert {host: counts[host]["failed"] for host in counts} == {"dead": 1, "web1": 0, "web2": 1, "bare": 0}
    recap = done.stdout[done.stdout.index("TASK [Show the result, failures first") :]
    assert "unreachable" in recap
    assert recap.index("dead") < recap.index("web1")
    assert recap.index("web2") < recap.index("web1")
    again = local_fleet.play("archive", "--limit", "web1")
    assert (again.returncode, states(again.stdout)["web1"]["changed"]) == (0, 0)


def test_one_message_covers_all_hosts_and_a_lost_message_is_no_failure(local_fleet: LocalFleet) -> None:
    for host in ("web1", "web2"):
        local_fleet.add(host)
    log = local_fleet.folder / "fleet.jsonl"
    notify = [{"type": "log", "path": str(log)}, {"type": "ping", "url": "https://127.0.0.1:9/secret-of-the-url"}]
    done = local_fleet.play("archive", "-e", json.dumps({"log_archive_fleet_notify": notify}), "-vvv")
    assert done.returncode == 0, done.stdout
    recaps = [json.loads(line) for line in log.read_text().splitlines()]
    assert {(recap["host"], recap["job"]) for recap in recaps} == {("web1", "syslog"), ("web2", "syslog")}
    assert "notify[1] (ping)" in done.stdout
    assert "secret-of-the-url" not in done.stdout.partition("TASK [Notify")[2]


def test_no_batch_starts_after_too_many_failures(local_fleet: LocalFleet) -> None:
    local_fleet.hosts = {"dead": DEAD}
    local_fleet.add("web1")
    done = local_fleet.play("archive", "-e", "log_archive_batch=1", "-e", "log_archive_max_fail_percent=50")
    assert done.returncode != 0
    assert local_fleet.stored("web1") == []
    assert states(done.stdout)["web1"]["failed"] == 1, "a host that did not run is not reported as fine"


def test_a_host_without_jobs_that_was_never_set_up_fails_nothing(local_fleet: LocalFleet) -> None:
    local_fleet.hosts = {"new": {"log_archive_command": "/nonexistent/log-archive"}}
    local_fleet.add("web1")
    for playbook in ("archive", "status", "verify"):
        done = local_fleet.play(playbook, "-e", "log_archive_batch=1", "-e", "log_archive_max_fail_percent=0")
        assert done.returncode == 0, done.stdout
        assert states(done.stdout)["new"]["failed"] == 0
    assert len(local_fleet.stored("web1")) == 3
    local_fleet.hosts["new"]["log_archive_jobs"] = {"syslog": {"select": {"paths": ["/x"], "patterns": ["a.%Y"]}}}
    done = local_fleet.play("status", "-e", "log_archive_fail_when_bad=true")
    assert states(done.stdout)["new"]["failed"] == 1
    assert "not set up: the host does not have the command log-archive. Run infra_ops.log_archive.site" in done.stdout


def test_a_command_that_fails_is_a_result_and_check_mode_runs_none(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    command, environment = local_fleet.call("archive")
    arguments = json.dumps({"command": str(local_fleet.command), "arguments": ["no-such-command"]})
    argv = [str(PROGRAM.with_name("ansible")), "web1", "-i", command[2], "-m", "infra_ops.log_archive.command_run", "-a", arguments]
    for check, shown in ([], '"rc": 2'), (["--check"], "SKIPPED"):
        done = subprocess.run([*argv, *check], env=environment, capture_output=True, text=True, check=False, timeout=lab.patience(120))
        assert done.returncode == 0, done.stdout + done.stderr
        assert shown in done.stdout


def test_check_mode_archives_nothing(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    done = local_fleet.play("archive", "--check")
    assert (done.returncode, states(done.stdout)["web1"]["changed"]) == (0, 1)
    assert local_fleet.stored("web1") == []
    assert not (local_fleet.folder / "web1" / "state").exists()


# A store off the host; its port is closed.
ELSEWHERE = {
    "type": "s3",
    "name": "bucket",
    "bucket": "logs",
    "endpoint_url": "http://127.0.0.1:9",
    "region": "us-east-1",
    "access_key_id": "id",
    "secret_access_key": "s3cret-of-the-bucket",
    "attempts": 1,
}


@pytest.fixture
def sending(local_fleet: LocalFleet) -> LocalFleet:
    """A host that has archived before (its first run lists each store) and has three new logs to send to another store."""
    local_fleet.add("web1")
    assert local_fleet.play("archive").returncode == 0
    document = local_fleet.folder / "web1" / "jobs.d" / "syslog.json"
    job = json.loads(document.read_text())
    document.write_text(json.dumps(dict(job, stores=[*job["stores"], ELSEWHERE])))
    for hour in range(3, 6):
        (local_fleet.folder / "logs" / ("syslog.20240112.%02d" % hour)).write_text("a line of hour %d\n" % hour)
    return local_fleet


def waiting(fleet: LocalFleet) -> t.List[str]:
    return sorted(path.name for path in (fleet.folder / "web1" / "spool").rglob("*.fernet"))


def test_upload_no_is_no_failure_but_a_store_that_is_down_is(sending: LocalFleet) -> None:
    # As AWX hands over the answer "no".
    done = sending.play("archive", "-e", '{"log_archive_upload": false}')
    assert done.returncode == 0, done.stdout
    assert len(waiting(sending)) == 3
    assert len(sending.stored("web1")) == 6
    done = sending.play("archive", "-e", '{"log_archive_upload": true}')
    assert done.returncode != 0
    assert states(done.stdout)["web1"]["failed"] == 1


def test_upload_ask_follows_the_answer(sending: LocalFleet) -> None:
    silent = sending.play("archive", "-e", "log_archive_upload=ask")
    assert silent.returncode != 0
    assert "nothing was done" in silent.stdout
    assert len(sending.stored("web1")) == 3
    code, shown = sending.answered("", "archive", "-e", "log_archive_upload=ask")
    assert code != 0
    assert "1 host(s) have 3 archive(s)" in shown
    assert len(sending.stored("web1")) == 3
    code, shown = sending.answered("no", "archive", "-e", "log_archive_upload=ask")
    assert code == 0, shown
    assert len(waiting(sending)) == 3
    # The store is down: the failed attempt shows that the answer was read.
    code, shown = sending.answered("yes", "archive", "-e", "log_archive_upload=ask")
    assert code != 0
    assert "store bucket" in shown


def test_upload_ask_without_an_answer_in_time_means_no(sending: LocalFleet) -> None:
    code, shown = sending.answered(None, "archive", "-e", "log_archive_upload=ask", "-e", "_log_archive_ask_seconds=3")
    assert code == 0, shown
    assert "no answer in 3 seconds: archive, and keep them in the spool" in shown
    assert len(waiting(sending)) == 3


def test_upload_ask_is_refused_under_ansible_runner(sending: LocalFleet) -> None:
    done = sending.run_by_runner("archive", log_archive_upload="ask")
    assert done.returncode != 0
    assert "nobody can answer the question in ansible-runner or AWX" in done.stdout.replace("\r\n", " ")
    assert waiting(sending) == [] and len(sending.stored("web1")) == 3


def test_status_fails_on_problems_only_on_request(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    never_run = local_fleet.play("status")
    assert never_run.returncode == 0
    assert "has never run" in never_run.stdout
    assert local_fleet.play("status", "-e", "log_archive_fail_when_bad=true").returncode != 0
    assert local_fleet.play("archive").returncode == 0
    # Its logs are from 2024, but only the time of the last success counts.
    assert local_fleet.play("status", "-e", "log_archive_fail_when_bad=true").returncode == 0
    local_fleet.hosts["dead"] = DEAD
    done = local_fleet.play("status")
    assert done.returncode != 0
    assert states(done.stdout)["web1"]["failed"] == 0


def commands_of(section: str) -> t.List[t.List[str]]:
    """The playbook and the arguments of each command in a section of docs/changing.md, without site, which needs real hosts."""
    text = (CHECKOUT / "docs" / "changing.md").read_text(encoding="utf-8").partition("\n## %s\n" % section)[2].partition("\n## ")[0]
    lines = re.findall(r"^ansible-playbook -i inventory.yml infra_ops\.log_archive\.(.*)$", text, re.MULTILINE)
    assert lines[0] == "site", section
    return [shlex.split(line) for line in lines[1:]]


def test_a_store_is_added_and_then_renamed_by_the_documentation(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    assert local_fleet.play("archive").returncode == 0
    second = local_fleet.folder / "web1" / "second"
    document = local_fleet.folder / "web1" / "jobs.d" / "syslog.json"
    given = json.loads(document.read_text())
    given["stores"].append({"type": "file", "name": "second", "path": str(second)})
    document.write_text(json.dumps(given))
    plan, sync, verify = commands_of("Add a store")
    lacking = local_fleet.play(*verify)
    assert lacking.returncode != 0
    assert "FAILED  second  -: it lacks 3 archive(s) that the job keeps" in lacking.stdout
    planned = local_fleet.play(*plan)
    assert (planned.returncode, states(planned.stdout)["web1"]["changed"], second.exists()) == (0, 1, False)
    done = local_fleet.play(*sync)
    assert (done.returncode, states(done.stdout)["web1"]["changed"]) == (0, 1)
    assert "second: 3 copied" in done.stdout
    # To move it would be the same with a source. Now it gets another name.
    assert commands_of("Move a store")[0] == [*sync[:1], "-e", "log_archive_sync_from=local", *sync[1:]]
    given["stores"][1]["name"] = "renamed"
    document.write_text(json.dumps(given))
    sync, verify, forget = commands_of("Rename a store")
    assert "renamed: 0 copied (0 B), 3 there already, 0 failed" in local_fleet.play(*sync).stdout
    verified = local_fleet.play(*verify)
    assert verified.returncode == 0
    assert "ok      renamed  3 archive(s)" in verified.stdout
    forgotten = local_fleet.play(*forget)
    assert (forgotten.returncode, "Nothing is left" in forgotten.stdout) == (0, True)


def test_orphans_are_listed_sent_adopted_and_removed_each_by_its_own_word(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    local_fleet.add("web2")
    jobs = local_fleet.folder / "web1" / "jobs.d"
    store = local_fleet.folder / "web1" / "store"
    given = json.loads((jobs / "syslog.json").read_text())
    old = jobs / "old.json"
    old.write_text(json.dumps({**given, "name": "old"}))
    store.write_text("")  # A file in the place of the store's folder.
    assert subprocess.run([local_fleet.command, "run", "old", "--config", jobs], capture_output=True, check=False).returncode == 3
    store.unlink()
    old.unlink()
    line = "web1: orphan old: no document names this job: 3 archive(s)"
    listed = local_fleet.play("orphans")
    assert (listed.returncode, states(listed.stdout)["web1"]["changed"]) == (0, 0)
    assert line in listed.stdout
    assert line in local_fleet.play("status").stdout
    refused = local_fleet.play("orphans", "-e", "log_archive_orphans_remove=old")
    assert refused.returncode != 0
    assert "wait in the spool, and may be in no store" in refused.stdout
    send = ["-e", "log_archive_orphans_send=old", "-e", "log_archive_orphans_stores_of=syslog"]
    checked = local_fleet.play("orphans", *send, "--check")
    assert (checked.returncode, states(checked.stdout)["web1"]["changed"], local_fleet.stored("web1")) == (0, 1, [])
    sent = local_fleet.play("orphans", *send, "-e", "log_archive_orphans_remove_accounts=la-web9")
    assert (states(sent.stdout)["web1"]["changed"], states(sent.stdout)["web2"]["changed"]) == (1, 0)
    assert sent.returncode != 0 and "No host has the orphan la-web9" in " ".join(sent.stdout.split())
    assert len(local_fleet.stored("web1")) == 3
    assert "web1: orphan old: no document names this job: 3 archive(s) in store local" in sent.stdout
    removed = local_fleet.play("orphans", "-e", "log_archive_orphans_remove=old", "-e", "log_archive_orphans_forget=true")
    assert (removed.returncode, len(local_fleet.stored("web1"))) == (0, 3)
    assert "Nothing is left" in removed.stdout


def test_orphans_are_adopted_and_archives_of_others_are_removed_from_their_store(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    jobs = local_fleet.folder / "web1" / "jobs.d"
    given = json.loads((jobs / "syslog.json").read_text())
    for name in ("old", "older"):
        path = jobs / (name + ".json")
        path.write_text(json.dumps({**given, "name": name}))
        subprocess.run([local_fleet.command, "run", name, "--config", jobs], capture_output=True, check=True)
        path.unlink()
    (local_fleet.folder / "web1" / "store" / "web9" / "syslog").mkdir(parents=True)
    refused = local_fleet.play("orphans", "-e", "log_archive_orphans_adopt=old", "--check")
    assert refused.returncode != 0
    assert "No job of web1 lists old in 'was'" in " ".join(refused.stdout.split())
    (jobs / "syslog.json").write_text(json.dumps({**given, "was": ["old"]}))
    inventory = {"log_archive_jobs": {"syslog": {name: given[name] for name in ("select", "encryption", "stores")}}}
    inventory["log_archive_jobs"]["syslog"]["was"] = ["old"]
    words = {"adopt": "old", "remove_archives": "older", "stores_of": "syslog", "remove": "older"}
    arguments = ["-e", json.dumps({**inventory, **{"log_archive_orphans_" + name: value for name, value in words.items()}})]
    checked = local_fleet.play("orphans", *arguments, "--check")
    assert (checked.returncode, states(checked.stdout)["web1"]["changed"], len(local_fleet.stored("web1"))) == (0, 1, 6), checked.stdout
    done = local_fleet.play("orphans", *arguments)
    assert (done.returncode, states(done.stdout)["web1"]["changed"], len(local_fleet.stored("web1"))) == (0, 1, 3)
    assert "orphan old" not in done.stdout
    place = local_fleet.folder / "web1" / "store"
    assert "web1: store local has archives of web9, which the inventory no longer has (%s)" % place in " ".join(done.stdout.split())
    listed = subprocess.run([local_fleet.command, "list", "--json", "--config", jobs], capture_output=True, check=True)
    assert [row["job"] for row in json.loads(listed.stdout)] == ["old"] * 3


def other_version(fleet: LocalFleet, host: str, version: str, changes: t.Mapping[str, t.Tuple[str, str]]) -> None:
    """Give a host the command of another version: the engine with a few lines changed. changes: by file, a text and what replaces it."""
    library = fleet.folder / version / "lib"
    shutil.copytree(fleet.command.parent / "lib", library, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in {"__init__.py": ('__version__ = "', '__version__ = "%s" or "' % version), **changes}.items():
        path = library / "log_archive" / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new), encoding="utf-8")
    command = fleet.folder / version / "log-archive"
    command.write_text(program(sys.executable, library), encoding="utf-8")
    command.chmod(0o755)
    fleet.hosts[host] = {"log_archive_command": str(command)}


def test_hosts_with_an_earlier_and_a_later_version_work_with_this_controller(local_fleet: LocalFleet) -> None:
    """The earlier command lacks the newest options; the later one has an option no more, and rows with more facts."""
    for host in ("web2", "web3"):
        local_fleet.add(host)
    hosts, level = '    parser.add_argument(\n        "--hosts"', '    parser.add_argument("--level"'
    lacks = "    from argparse import ArgumentParser as P\n\n"
    other_version(local_fleet, "web2", "0.0.1", {"cli/archives.py": (hosts, lacks + hosts.replace("parser.", "P()."))})
    later = {"cli/archives.py": (level, lacks + level.replace("parser.", "P()."))}
    later["state/status.py"] = ('"job": job,', '"job": job, "new": {},')
    other_version(local_fleet, "web3", "9.0.0", later)
    archived = local_fleet.play("archive")
    assert (archived.returncode, [len(local_fleet.stored(host)) for host in ("web2", "web3")]) == (0, [3, 3])
    verified = local_fleet.play("verify", "-e", "log_archive_level=read_back")
    assert [states(verified.stdout)[host]["failed"] for host in ("web2", "web3")] == [0, 1]
    text = " ".join(verified.stdout.split())
    assert "has another version than the controller. If the version of the controller is the later one, run " in text
    assert "unrecognized arguments: --level" in text
    local_fleet.hosts["dead"] = DEAD
    left = local_fleet.play("orphans")
    assert left.returncode != 0 and states(left.stdout)["web2"]["failed"] == 0
    assert "web2: its log-archive cannot list the hosts in stores: run infra_ops.log_archive.site" in left.stdout
    assert "dead: what is left there is not known" in left.stdout and "Nothing is left" not in left.stdout


def test_doctor_names_what_is_wrong_and_what_mends_it(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    shutil.rmtree(local_fleet.folder / "web1" / "keyring")
    done = local_fleet.play("doctor")
    assert done.returncode != 0
    assert "failed   syslog: keys: %s" % (local_fleet.folder / "web1" / "keyring") in done.stdout
    assert "-> log-archive key create syslog" in done.stdout
    assert "ok       syslog: folders" not in done.stdout
    assert "ok       syslog: folders" in local_fleet.play("doctor", "-e", "log_archive_verbose=true").stdout


def test_search_finds_lines_on_hosts_and_in_stores_of_hosts_that_are_down(local_fleet: LocalFleet) -> None:
    for host in ("web1", "web2"):
        local_fleet.add(host)
        command = [local_fleet.command, "run", "--all", "--config", local_fleet.folder / host / "jobs.d"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    # web2 is lost: its keys have copies on the controller, and its store is shared. Nothing is known of the keys of web3.
    home = local_fleet.folder / "web2"
    escrow = local_fleet.folder / "escrow" / "web2"
    shutil.copytree(home / "keyring", escrow)
    document = json.loads((home / "jobs.d" / "syslog.json").read_text())
    jobs = {"syslog": {name: document[name] for name in ("select", "encryption", "stores")}}
    local_fleet.hosts["web2"] = {**DEAD, "log_archive_jobs": jobs, "log_archive_escrow": str(escrow.parent)}
    local_fleet.hosts["web3"] = {**DEAD, "log_archive_jobs": jobs}
    report = local_fleet.folder / "report.json"
    # A hyphen in front is no option of the command.
    options = ["-e", "log_archive_pattern='-?line of hour [12]'", "-e", "log_archive_only_store=local"]
    done = local_fleet.play("search", *options, "-e", "log_archive_search_report=%s" % report)
    assert "4 matching lines; 2 hosts searched, 1 failed" in done.stdout
    assert "web2: does not answer; the controller searched its stores" in done.stdout
    assert "web3: FAILED: unreachable: web3 does not answer, and its archives cannot be searched" in done.stdout
    assert [states(done.stdout)[host]["failed"] for host in ("web1", "web2", "web3")] == [0, 0, 1]
    found = [(row["host"], row["line"], row["text"], row["authenticated"]) for row in json.loads(report.read_text())]
    assert found == [(host, 1, "a line of hour %d" % hour, True) for host in ("web1", "web2") for hour in (1, 2)]
    assert report.stat().st_mode & 0o777 == 0o600


def test_a_drill_restores_a_sample_and_is_filed(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    local_fleet.add("web2")
    assert local_fleet.play("archive").returncode == 0
    victim = next((local_fleet.folder / "web2" / "store").rglob("*.fernet"))
    victim.unlink()
    page = local_fleet.folder / "drill.html"
    done = local_fleet.play("drill", "-e", "log_archive_drill_sample=3", "-e", "log_archive_drill_report=%s" % page)
    assert done.returncode != 0
    assert (states(done.stdout)["web1"]["failed"], states(done.stdout)["web2"]["failed"]) == (0, 1)
    assert "syslog: store local: 3 of 3 archives restored, 0 failed" in done.stdout
    assert "syslog: store local: 2 of 3 archives restored, 1 failed" in done.stdout
    assert "<h1>Restore drill: failed</h1>" in page.read_text() and victim.name in page.read_text()
    filed = json.loads(page.with_suffix(".json").read_text())
    assert {host: len(found["stores"][0]["tried"]) for host, found in filed["hosts"].items()} == {"web1": 3, "web2": 3}


def test_a_drill_on_the_controller_needs_only_the_stores_and_the_copies_of_the_keys(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    local_fleet.add("web2")
    assert local_fleet.play("archive").returncode == 0
    # Both hosts are down. Their stores are shared; the keys of web1 have copies.
    escrow = local_fleet.folder / "escrow"
    shutil.copytree(local_fleet.folder / "web1" / "keyring", escrow / "web1")
    for host in ("web1", "web2"):
        document = json.loads((local_fleet.folder / host / "jobs.d" / "syslog.json").read_text())
        jobs = {"syslog": {name: document[name] for name in ("select", "encryption", "stores")}}
        local_fleet.hosts[host] = {**DEAD, "log_archive_jobs": jobs, "log_archive_escrow": str(escrow)}
    options = ["-e", "log_archive_drill_on=controller", "-e", "log_archive_only_store=local", "-e", "log_archive_drill_sample=2"]
    report = local_fleet.folder / "drill.html"
    done = local_fleet.play("drill", *options, "-e", "log_archive_drill_report=%s" % report)
    assert "syslog: store local: 2 of 3 archives restored, 0 failed" in done.stdout
    assert "The controller cannot try the archives of web2." in done.stdout
    found = states(done.stdout)
    # The report is what changed.
    counted = [[found[host][name] for name in ("failed", "changed", "unreachable")] for host in ("web1", "web2")]
    assert counted == [[0, 1, 0], [1, 0, 0]]
    (stores,) = (filed["stores"] for filed in json.loads(report.with_suffix(".json").read_text())["hosts"].values() if filed["stores"])
    key_ids = {path.stem for path in (escrow / "web1").glob("*.key")}
    assert [(one["key_id"] in key_ids, one["proven"]) for one in stores[0]["tried"]] == [(True, True)] * 2
    assert not list(local_fleet.folder.rglob("log-archive-drill-*"))


def test_verify_names_a_damaged_archive(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    assert local_fleet.play("archive").returncode == 0
    assert local_fleet.play("verify", "-e", "log_archive_level=read_back", "-e", "log_archive_only_store=local").returncode == 0
    victim = next((local_fleet.folder / "web1" / "store").rglob("*.fernet"))
    content = bytearray(victim.read_bytes())
    content[50] ^= 1
    victim.write_bytes(content)
    done = local_fleet.play("verify")
    assert done.returncode != 0
    assert "FAILED  local" in done.stdout
    assert victim.name in done.stdout


def test_prune_shows_its_plan_in_check_mode_and_then_applies_it(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    assert local_fleet.play("archive").returncode == 0
    document = local_fleet.folder / "web1" / "jobs.d" / "syslog.json"
    document.write_text(json.dumps(dict(json.loads(document.read_text()), retention={"keep_last": 2})))
    plan = local_fleet.play("prune", "--check")
    assert (plan.returncode, states(plan.stdout)["web1"]["changed"]) == (0, 1)
    assert re.search(r"remove .*syslog\.20240112\.00", plan.stdout)
    assert not re.search(r"keep .*syslog", plan.stdout)
    assert re.search(r"keep .*syslog\.20240112\.01", local_fleet.play("prune", "--check", "-e", "log_archive_verbose=true").stdout)
    assert len(local_fleet.stored("web1")) == 3
    assert "'5' is not a number above 0 and up to 1" in local_fleet.play("prune", "-e", "log_archive_max_delete_share=5").stdout
    assert local_fleet.play("prune", "-e", "log_archive_max_delete_share=1").returncode == 0
    assert [name[:18] for name in local_fleet.stored("web1")] == ["syslog.20240112.01", "syslog.20240112.02"]
    again = local_fleet.play("prune")
    assert (again.returncode, states(again.stdout)["web1"]["changed"]) == (0, 0)
    report = local_fleet.folder / "list.json"
    listed = local_fleet.play("list", "-e", "log_archive_list_report=%s" % report)
    # The file is what changed.
    assert (listed.returncode, states(listed.stdout)["web1"]["changed"]) == (0, 1), listed.stdout
    assert re.search(r"web1 +syslog +2024-01-12T01:00:00Z +2024-01-12T03:00:00Z +2 .* local=2 +0", listed.stdout)
    assert [(row["host"], row["archives"]) for row in json.loads(report.read_text())] == [("web1", 2)]
    every = ["-e", "log_archive_list_host=* log_archive_only_store=local log_archive_verbose=true log_archive_start=2024-01-12T02:00Z"]
    done = local_fleet.play("list", *every)
    found = done.stdout
    assert states(found)["web1"]["changed"] == 0
    assert "syslog.20240112.02" in found and "syslog.20240112.01" not in found and "local=held" in found


def test_restore_on_the_host_itself_and_on_another_host(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    assert local_fleet.play("archive").returncode == 0
    document = json.loads((local_fleet.folder / "web1" / "jobs.d" / "syslog.json").read_text())
    # A store that fails, before the one that has the archives.
    document["stores"].insert(0, dict(ELSEWHERE))
    keyring = str(local_fleet.folder / "web1" / "keyring")
    local_fleet.hosts["web1"] = {"log_archive_jobs": {"syslog": document}, "log_archive_keyring": keyring}
    local_fleet.hosts["web2"] = {}

    def restore(to: str, *arguments: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        given = {"restore_host": "web1", "restore_to": str(local_fleet.folder / to), "start": "2024-01-12T01:00Z", **inputs}
        words = " ".join("log_archive_%s=%s" % item for item in given.items())
        return local_fleet.play("restore", "-vvv", "-e", words, *arguments)

    def restored(to: str) -> t.List[str]:
        return sorted(path.name for path in (local_fleet.folder / to).rglob("syslog.*"))

    checked = restore("checked", "--check")
    assert checked.returncode == 0, checked.stdout
    assert "2 file(s), 34 Bytes, would be restored to" in checked.stdout
    assert restored("checked") == []
    home = restore("home")
    assert home.returncode == 0, home.stdout
    assert restored("home") == ["syslog.20240112.01", "syslog.20240112.02"]
    # The folder of web1 is a store for web2 only if it is named, because it is shared.
    other = restore("other", restore_on="web2", only_store="local", names="syslog.20240112.01.tgz.fernet")
    assert other.returncode == 0, other.stdout
    assert restored("other") == ["syslog.20240112.01"]
    assert states(other.stdout)["web2"]["changed"] == 1
    nothing = restore("nothing", start="2025-01-01", only_store="local")
    assert nothing.returncode != 0 and "no archive is in this range" in nothing.stdout
    # What a host and a job wrote that the inventory no longer has: by their names in the store, with copies of the keys.
    escrow = local_fleet.folder / "escrow"
    shutil.copytree(keyring, escrow / "web9")
    shutil.rmtree(local_fleet.folder / "web1" / "state")
    former = {**document, "name": "old", "host": "web9", "stores": document["stores"][1:]}
    (local_fleet.folder / "old.json").write_text(json.dumps(former))
    subprocess.run([local_fleet.command, "run", local_fleet.folder / "old.json"], check=True, stdout=subprocess.DEVNULL)
    names = {"restore_host": "web9", "restore_job": "old", "restore_on": "web1", "only_store": "local", "escrow": str(escrow)}
    gone = restore("gone", **names)
    assert gone.returncode == 0, gone.stdout
    assert restored("gone") == ["syslog.20240112.01", "syslog.20240112.02"]
    for done in (checked, home, other, nothing, gone):
        for key in pathlib.Path(keyring).glob("*.key"):
            assert key.read_text().strip() not in done.stdout
        assert ELSEWHERE["secret_access_key"] not in done.stdout


def test_restore_for_recipients_with_a_private_key_that_stays_on_the_controller(local_fleet: LocalFleet) -> None:
    local_fleet.add("web1")
    recipient, identity = identity_file(local_fleet.folder, "age")
    path = local_fleet.folder / "web1" / "jobs.d" / "syslog.json"
    document = dict(json.loads(path.read_text()), encryption={"recipients": [recipient]})
    path.write_text(json.dumps(document))
    assert local_fleet.play("archive").returncode == 0
    local_fleet.hosts["web1"] = {"log_archive_jobs": {"syslog": document}}
    local_fleet.hosts["web2"] = {}

    def restore(to: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        given = {"restore_host": "web1", "restore_to": str(local_fleet.folder / to), "start": "2024-01-12T01:00Z", **inputs}
        return local_fleet.play("restore", "-vvv", "-e", " ".join("log_archive_%s=%s" % item for item in given.items()))

    opened = [restore("home", restore_identities=identity)]
    opened.append(restore("other", restore_on="web2", only_store="local", restore_identities=identity))
    secret = pathlib.Path(identity).read_text().splitlines()[-1]
    keys = subprocess.run(
        [local_fleet.command, "--config", str(path.parent), "key", "unwrap", "/".join([str(local_fleet.folder), "logs/syslog.20240112.01"])]
        + ["--identity", identity],
        check=True,
        capture_output=True,
        text=True,
    )
    for to, done in zip(("home", "other"), opened):
        assert done.returncode == 0, done.stdout
        assert sorted(found.name for found in (local_fleet.folder / to).rglob("syslog.*")) == ["syslog.20240112.01", "syslog.20240112.02"]
        assert secret not in done.stdout and keys.stdout.strip() not in done.stdout
    _text, stranger = identity_file(local_fleet.folder, "age", "stranger")
    wrong = restore("wrong", restore_identities=stranger)
    assert wrong.returncode != 0 and "is a recipient of the archive" in wrong.stdout + wrong.stderr


def test_a_wheelhouse_has_a_folder_for_the_kind_of_the_hosts(local_fleet: LocalFleet) -> None:
    pytest.importorskip("uv")
    job = {"select": {"paths": ["/var/log"]}, "stores": [{"type": "file", "path": "/srv"}]}
    local_fleet.hosts = {"web1": {"log_archive_jobs": {"syslog": job}, "dependencies_python": sys.executable}, "bare": {}, "dead": DEAD}
    folder = local_fleet.folder / "wheels"
    wanted = ["-e", "log_archive_wheelhouse=%s" % folder]
    checked = local_fleet.play("wheelhouse", "--check", *wanted)
    assert "would be made: " in checked.stdout and not folder.exists(), checked.stdout
    done = local_fleet.play("wheelhouse", *wanted)
    assert {host: counts["failed"] for host, counts in states(done.stdout).items()} == {"web1": 0, "bare": 0, "dead": 1}, done.stdout
    kind = "python%d.%d-%s-%s" % (*sys.version_info[:2], os.confstr("CS_GNU_LIBC_VERSION").replace(" ", ""), os.uname().machine)
    assert [path.name for path in folder.iterdir()] == [kind]
    projects = {path.name.split("-")[0] for path in (folder / kind).glob("*.whl")}
    assert {"cryptography", "cffi", "isal"} <= projects and not {"boto3", "msgspec"} & projects, "no store and no stream needs these"


def test_the_example_inventory_merges_as_its_comments_describe(tmp_path: pathlib.Path, collections_path: pathlib.Path) -> None:
    example = CHECKOUT / "inventory.example"
    if not example.exists():
        pytest.skip("the collection's tarball has no example")
    inventory = tmp_path / "inventory.yml"
    shutil.copy(example, inventory)
    play = tmp_path / "show.yml"
    play.write_text(
        json.dumps(
            [
                {
                    "hosts": "all:!archive_server",
                    "gather_facts": False,
                    "connection": "local",
                    "tasks": [
                        {
                            "ansible.builtin.copy": {
                                "content": "{{ lookup('infra_ops.log_archive.jobs') | to_json }}",
                                "dest": "%s/{{ inventory_hostname }}.json" % tmp_path,
                            }
                        }
                    ],
                }
            ]
        )
    )
    environment = dict(os.environ, **quick_ansible.environment(), ANSIBLE_COLLECTIONS_PATH=str(collections_path))
    environment.update(LOG_ARCHIVE_S3_SECRET_KEY="not-a-secret", ANSIBLE_HOME=str(tmp_path / "ansible"))
    command = [str(PROGRAM), "-i", str(inventory), "-e", "ansible_python_interpreter=" + sys.executable, str(play)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = {host: json.loads((tmp_path / (host + ".json")).read_text()) for host in ("web1", "db1", "files1")}
    assert {host: sorted(each) for host, each in jobs.items()} == {
        "web1": ["syslog"],
        "db1": ["syslog"],
        "files1": ["intranet-dump", "syslog", "var-log"],
    }
    syslogs = {host: each["syslog"] for host, each in jobs.items()}
    assert syslogs["web1"]["retention"] == {"keep_hourly": 24}
    assert syslogs["db1"]["retention"] == {"keep_hourly": 24, "keep_daily": 31, "keep_monthly": 12}
    assert [store["name"] for store in jobs["files1"]["var-log"]["stores"]] == ["local", "sftp"]
    assert [store.get("retention") for store in syslogs["db1"]["stores"]] == [{"keep_within": "18h"}, None, None]
    assert {each["stores"][2]["user"] for each in syslogs.values()} == {"la-web1", "la-db1", "la-files1"}
    assert all(each["select"]["catch_up"] == "7d" and each["schedule"]["spread"] == "10m" for each in syslogs.values())


def test_each_playbook_checks_its_inputs_first_and_shows_how_to_run_it() -> None:
    import yaml

    inputs = yaml.safe_load((CHECKOUT / "playbooks" / "vars" / "inputs.yml").read_text(encoding="utf-8"))["_log_archive_inputs"]
    assert all(name.startswith("log_archive_") and each["description"] and each["type"] for name, each in inputs.items())
    taken = set()
    for path in sorted((CHECKOUT / "playbooks").glob("*.yml")):
        text = path.read_text(encoding="utf-8")
        if path.name == "awx.yml":
            continue
        assert "ansible-playbook -i inventory.yml infra_ops.log_archive.%s" % path.stem in text, path.name
        checking = [play for play in yaml.safe_load(text) if play["tasks"][0].get("ansible.builtin.import_tasks") == "tasks/check.yml"]
        assert len(checking) == 1, path.name
        takes = checking[0]["vars"]["_log_archive_takes"]
        assert set(takes) <= set(inputs), path.name
        assert path.stem == "restore" or {"log_archive_target", "log_archive_batch"} <= set(takes), path.name
        # Every input that the text uses is checked.
        assert {name for name in inputs if re.search(r"(?<!_)%s\b" % name, text)} <= set(takes), path.name
        taken |= set(takes)
    assert taken == set(inputs)


def test_the_controller_witnesses_ledgers_and_an_audit_shows_what_was_removed(local_fleet: LocalFleet) -> None:
    for host in ("web1", "web2"):
        local_fleet.add(host)
        local_fleet.hosts[host]["log_archive_escrow"] = str(local_fleet.folder / "escrow")
    state = local_fleet.folder / "web1" / "state"
    assert local_fleet.play("archive").returncode == 0
    seen = local_fleet.folder / "witness" / "web1" / "syslog.json"
    assert json.loads(seen.read_text())["seq"] == 3
    shutil.copytree(state, local_fleet.folder / "snapshot")
    (local_fleet.folder / "logs" / "syslog.20240112.03").write_text("a line of hour 3\n")
    assert local_fleet.play("archive").returncode == 0
    assert json.loads(seen.read_text())["seq"] == 4
    # The machine is restored from a snapshot, and somebody removes an archive of the other one.
    shutil.rmtree(state)
    shutil.copytree(local_fleet.folder / "snapshot", state)
    gone = next((local_fleet.folder / "web2" / "store").rglob("syslog.20240112.01.tgz.fernet"))
    gone.unlink()
    page = local_fleet.folder / "audit.html"
    local_fleet.hosts["dead"] = DEAD
    done = local_fleet.play("audit", "-e", "log_archive_audit_report=%s" % page)
    assert {host: counts["failed"] for host, counts in states(done.stdout).items() if host != "localhost"} == dict.fromkeys(
        ("dead", "web1", "web2"), 1
    ), done.stdout
    del local_fleet.hosts["dead"]
    text = page.read_text()
    for found in (
        "dead: unreachable: ",
        "web1: witness: ledger of syslog: it ends at entry 3: its end was cut off, or an older state of the host was restored",
        "web2: syslog: missing: ",
        "/%s: the archive is gone, but the ledger has no tombstone for it" % gone.name,
    ):
        assert found in text
        assert found in done.stdout
    assert json.loads(seen.read_text())["seq"] == 4
    # The same state as a page; a dry run writes none.
    fleet = local_fleet.folder / "fleet.html"
    for check, exists in (("--check", False), ("--diff", True)):
        done = local_fleet.play("status", "-e", "log_archive_page=%s" % fleet, check)
        assert states(done.stdout)["localhost" if "localhost" in states(done.stdout) else "web1"]["changed"] == 1, done.stdout
        assert fleet.exists() is exists
    assert fleet.stat().st_mode & 0o777 == 0o600
    shown = json.loads(re.search(r'id="data">(.*?)</script>', fleet.read_text())[1])
    assert {(job["h"], job["j"]) for job in shown["jobs"]} == {("web1", "syslog"), ("web2", "syslog")}
    assert len(shown["dates"]) == 90
    # What the operator says is accepted, for that host alone.
    done = local_fleet.play("status", "-e", "log_archive_accept_ledger=web1", "--limit", "web1")
    assert done.returncode == 0, done.stdout
    assert json.loads(seen.read_text())["seq"] == 3
