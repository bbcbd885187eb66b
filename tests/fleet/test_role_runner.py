# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role runner on a real host, after dependencies, permissions and keys. The tests use it one after the other, to removed."""

from __future__ import annotations

import datetime
import json
import typing as t

import pytest
from fleet.roles import as_user, difference, play, snapshot, succeed, wheels

ALL = ["dependencies", "permissions", "keys", "runner"]
ROLE = ["runner"]
DOCUMENTS = "/etc/log-archive/jobs.d"
LOG = "/var/log/log-archive/events.jsonl"
SYSLOG = {"select": {"paths": ["/var/log/events"], "patterns": ["syslog.%Y%m%d.%H"], "period": "hour", "catch_up": "7d"}}
PRIVATE = {"select": {"paths": ["/var/log/private.log"]}}
VARIABLES: t.Dict[str, t.Any] = {
    "log_archive_stores": {"local": {"type": "file", "path": "/var/backups/log-archive"}},
    "log_archive_jobs": {"syslog": SYSLOG, "private": PRIVATE},
    "log_archive_roots": {
        "state": ["/var/lib/log-archive"],
        "spool": ["/var/spool/log-archive"],
        "log": ["/var/log/log-archive"],
        "stores": ["/var/backups"],
        "select": ["/var/log"],
    },
    "permissions_operators": ["alice"],
}


@pytest.fixture(scope="module")
def fresh(host):
    """What the host looks like before the role: an operator, somebody else, a log that adm may read and one that only root may."""
    for user in ("alice", "eve"):
        host.run(["useradd", "--create-home", user])
    hour = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    host.path("/var/log/events").mkdir()
    for path, mode in (("/var/log/events/syslog." + hour.strftime("%Y%m%d.%H"), "640"), ("/var/log/private.log", "600")):
        host.path(path).write_text("a line\n", encoding="ascii")
        host.run(["chown", "root:adm", path])
        host.run(["chmod", mode, path])
    return snapshot(host)


def operate(host: t.Any, *arguments: str, user: str = "alice", cwd: str = "/") -> t.Any:
    """Run the command with sudo as a user of the host."""
    return as_user(host, user, "sudo", "--non-interactive", "log-archive", *arguments)


def test_a_check_of_a_fresh_host_tells_and_changes_nothing(host, fresh):
    played = succeed(host, ROLE, "--check", "--diff", **VARIABLES)
    assert played.changed == 4, "engine, command and rotation, settings of the host, documents"
    assert "WARNING: fs.protected_symlinks" not in played.output
    for path in ("/etc/log-archive/host.json", "/usr/local/bin/log-archive", "/etc/logrotate.d/log-archive", DOCUMENTS + "/private.json"):
        assert "+++ after: %s\n" % path in played.output
    assert '+  "name": "syslog",' in played.output
    assert not difference(fresh, snapshot(host))


def test_the_roles_before_it_are_missed_by_name(host, fresh):
    played = play(host, ROLE, **VARIABLES)
    assert played.code == 2
    assert "First run the roles infra_ops.log_archive.dependencies and infra_ops.log_archive.permissions" in " ".join(played.output.split())
    assert not difference(fresh, snapshot(host))


def test_the_host_archives_by_itself_and_a_second_run_changes_nothing(host, fresh):
    offline = {"dependencies_wheelhouse": wheels(host, "cryptography", "cffi", "pycparser", "isal", "pybase64")}
    succeed(host, ALL, **offline, **VARIABLES)
    # Without the packages of man, zsh and fish, their files are left out.
    host.run(["bash", "-c", ". /usr/share/bash-completion/completions/log-archive && complete -p log-archive"])
    assert ".SS log\\-archive run\n" in host.path("/opt/log-archive/lib/log_archive/../log-archive.1").read_text(encoding="ascii")
    assert not host.path("/usr/local/share/man/man1/log-archive.1").exists()
    before = snapshot(host)
    assert succeed(host, ROLE, **VARIABLES).changed == 0
    assert not difference(before, snapshot(host))
    told = host.run(
        ["stat", "--format=%a %U %G", "/usr/local/bin/log-archive", "/opt/log-archive/bin/log-archive", DOCUMENTS + "/syslog.json"]
    )
    assert told.stdout.splitlines() == ["755 root root", "755 root root", "660 root log-archive-operators"]
    # As cron runs it: root, from a folder that the user cannot enter, nearly without an environment.
    ran = host.run(["env", "-i", "/usr/local/bin/log-archive", "run", "syslog"], cwd="/root")
    assert "syslog: done" in ran.stdout
    found = host.run(["find", "/var/backups/log-archive", "-name", "*.fernet", "-printf", "%m %u"]).stdout
    assert found == "600 log-archive"
    assert host.run(["stat", "--format=%a %U %G", LOG]).stdout.split() == ["640", "log-archive", "log-archive-operators"]
    libraries = "import sys; sys.path.insert(0, '/opt/log-archive/lib'); import log_archive, cryptography; print(cryptography.__file__)"
    assert host.run(["/opt/log-archive/venv/bin/python", "-I", "-c", libraries]).stdout.startswith("/opt/log-archive/venv/")


def test_what_an_operator_can_and_cannot_do(host, fresh):
    assert operate(host, "run", "--all").returncode == 3, "the log that only root may read"
    for line in ("run syslog", "list --json", "verify syslog", "check-config"):
        done = operate(host, *line.split())
        assert done.returncode == 0, (line, done.stderr)
    assert "private" in operate(host, "status").stdout
    assert as_user(host, "alice", "log-archive", "check-config", "syslog").returncode == 0, "this needs no sudo"
    assert json.loads(as_user(host, "alice", "head", "--lines=1", LOG).stdout)["job"] == "syslog"
    document = DOCUMENTS + "/syslog.json"
    assert (
        as_user(
            host, "alice", "sh", "-c", "sed s/7d/6d/ %s > %s/new && mv %s/new %s" % (document, DOCUMENTS, DOCUMENTS, document)
        ).returncode
        == 0
    )
    assert operate(host, "run", "syslog", "--dry-run").returncode == 0, "with the operator's document"
    key = host.run(["sh", "-c", "echo /etc/log-archive/keyring/*.key"]).stdout.strip()
    secret = host.path(key).read_text(encoding="ascii").strip()
    as_user(host, "alice", "ln", "--symbolic", key, DOCUMENTS + "/linked.json")
    shown = operate(host, "check-config")
    assert shown.returncode == 2 and "linked.json" in shown.stderr
    assert secret not in shown.stdout + shown.stderr
    as_user(host, "alice", "rm", DOCUMENTS + "/linked.json")
    refused = ["restore syslog --to /tmp/r", "key list", "prune syslog", "check-config --config " + key, "run " + key]
    assert [line for line in refused if "a password is required" not in operate(host, *line.split()).stderr] == []
    code = ["/opt/log-archive/lib/log_archive/cli.py", "/opt/log-archive/bin/log-archive", "/usr/local/bin/log-archive"]
    for path in [*code, LOG, "/opt/log-archive/venv/bin/python", "/etc/logrotate.d/log-archive"]:
        assert as_user(host, "alice", "sh", "-c", "echo >> " + path).returncode != 0, path
        assert as_user(host, "log-archive", "sh", "-c", "echo >> " + path).returncode != 0 or path == LOG, path
    assert as_user(host, "alice", "cat", key).returncode != 0
    for line in ("status", "run syslog"):
        assert operate(host, *line.split(), user="eve").returncode != 0
    assert as_user(host, "eve", "log-archive", "check-config").returncode != 0


def test_a_document_of_an_operator_reaches_no_key_and_leaves_no_root(host, fresh):
    key = host.run(["sh", "-c", "echo /etc/log-archive/keyring/*.key"]).stdout.strip()
    before = host.path(key).read_bytes()
    as_user(host, "alice", "ln", "--symbolic", key, "/home/alice/link")
    lines = host.path(DOCUMENTS + "/syslog.json").read_text(encoding="utf-8").splitlines()
    document = json.loads("".join(line for line in lines if not line.startswith("//")))
    attempts = [
        ({"log": key}, "it lies in"),
        ({"log": "/home/alice/link"}, "it lies in"),
        ({"state": "/home/alice/state"}, "does not lie below /var/lib/log-archive"),
        ({"stores": [{"type": "file", "path": "/var/backups/../lib/x"}]}, "does not lie below /var/backups"),
        ({"select": {"paths": ["/etc"]}}, "does not lie below /var/log"),
        ({"spool": "/var/lib/log-archive"}, "does not lie below /var/spool/log-archive"),
    ]
    for changes, message in attempts:
        text = json.dumps({**document, "name": "attack", **changes})
        host.run(["sh", "-c", "cat > /home/alice/attack.json; chown alice: /home/alice/attack.json"], input=text)
        as_user(host, "alice", "sh", "-c", "cat /home/alice/attack.json > %s/attack.json" % DOCUMENTS)
        for command in ("check-config", "run --all"):
            refused = operate(host, *command.split())
            assert refused.returncode != 0 and message in refused.stderr, (changes, command, refused.stderr)
    as_user(host, "alice", "rm", DOCUMENTS + "/attack.json", "/home/alice/attack.json", "/home/alice/link")
    assert host.path(key).read_bytes() == before
    assert operate(host, "check-config").returncode == 0


def test_jobs_outside_of_the_roots_are_mistakes_before_anything_changes(host, fresh):
    before = snapshot(host)
    played = play(host, ROLE, **{**VARIABLES, "log_archive_jobs": {"syslog": {**SYSLOG, "state": "/srv/state"}}})
    assert played.code == 2 and "state: /srv/state does not lie below /var/lib/log-archive" in " ".join(played.output.split())
    assert not difference(before, snapshot(host))


def test_a_kernel_that_does_not_protect_links_is_a_warning(host, fresh):
    host.run(["sh", "-c", "echo 0 > /run/zero; mount --bind /run/zero /proc/sys/fs/protected_symlinks"])
    try:
        played = succeed(host, ROLE, "--check", **VARIABLES)
        assert "WARNING: fs.protected_symlinks is 0 on web1" in " ".join(played.output.split())
        assert "fs.protected_symlinks is 0" in operate(host, "check-config").stderr
    finally:
        host.run(["umount", "/proc/sys/fs/protected_symlinks"])


def test_a_mistake_in_a_variable_leaves_the_documents_as_they_are(host, fresh):
    before = snapshot(host)
    jobs = {"syslog": {"select": {"paths": ["/var/log/events"], "period": "fortnight"}}, "other": {"select": {"path": ["/x"]}}}
    played = play(host, ROLE, **{**VARIABLES, "log_archive_jobs": jobs})
    assert played.code == 2
    words = " ".join(played.output.split())
    assert "fortnight" in words and "select.path: unknown key" in words, "all mistakes of all jobs at once"
    assert not difference(before, snapshot(host))


def test_a_job_leaves_only_once_its_spool_is_sent(host, fresh):
    """It was refused by name while its store was down; then it sends what waited, and goes."""
    hour = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
    host.path("/var/log/events/syslog." + hour.strftime("%Y%m%d.%H")).write_text("another line\n", encoding="ascii")
    host.run(["sh", "-c", "cd /var/backups && mv log-archive away && touch log-archive"])
    assert host.run(["log-archive", "run", "syslog"], check=False).returncode == 3
    only = {**VARIABLES, "log_archive_jobs": {"private": PRIVATE}}
    before = snapshot(host)
    assert succeed(host, ROLE, "--check", **only).changed == 2, "what waits would be sent, a document would go"
    refused = play(host, ROLE, **only)
    assert refused.code == 2
    words = " ".join(refused.output.split())
    assert "syslog left the inventory, and archives that wait in the spool of web1 could not be sent" in words
    changed = difference(before, snapshot(host))
    assert {
        path for path in changed if not path.startswith(("/var/log/log-archive", "/var/lib/log-archive", "/var/spool/log-archive"))
    } == set()
    host.run(["sh", "-c", "cd /var/backups && rm log-archive && mv away log-archive"])
    sent = succeed(host, ROLE, **only)
    assert sent.changed == 2, "what waited was sent, a document went"
    assert not host.path(DOCUMENTS + "/syslog.json").exists()
    assert host.run(["find", "/var/spool/log-archive", "-type", "f"]).stdout == ""
    assert len(host.run(["find", "/var/backups/log-archive", "-name", "*.fernet"]).stdout.split()) == 2
    # The archives stay, and status reports that no job looks after them.
    left = [row for row in json.loads(host.run(["log-archive", "status", "--json"], check=False).stdout) if "orphan" in row]
    assert [(row["job"], row["stores"]) for row in left] == [("syslog", {"local": 2})]
    renamed = {**VARIABLES, "log_archive_jobs": {"private": PRIVATE, "events": {**SYSLOG, "was": ["syslog"]}}}
    succeed(host, ROLE, **renamed)
    assert "events: nothing to do" in host.run(["log-archive", "run", "events"]).stdout
    assert [row["key"].split("/")[1] for row in json.loads(host.run(["log-archive", "list", "syslog", "--json"]).stdout)] == ["syslog"] * 2


def test_jobs_that_are_no_more_go_and_documents_of_operators_stay(host, fresh):
    own = {"name": "own", "select": {"paths": ["/var/log"]}, "encryption": {"keyring": "/etc/log-archive/keyring"}}
    own["stores"] = [{"type": "file", "path": "/var/backups/log-archive"}]
    as_user(host, "alice", "sh", "-c", "printf %%s '%s' > %s/own.json" % (json.dumps(own), DOCUMENTS))
    refused = host.run(["log-archive", "run", "private"], check=False)
    assert (refused.returncode, "/var/log/private.log: no permission to read it" in refused.stderr) == (3, True)
    # Now only this one, and the right to read it; what the operator changed in syslog's document is not asked any more.
    only = {**VARIABLES, "log_archive_jobs": {"private": PRIVATE}, "runner_read_all_logs": True}
    assert succeed(host, ROLE, **only).changed == 2, "the command, a document"
    assert sorted(path.name for path in host.path(DOCUMENTS).iterdir()) == ["own.json", "private.json"]
    assert "done     private" in host.run(["log-archive", "run", "private"]).stdout
    # It reads, and is still not root.
    script = "sed 's|/opt/log-archive/bin/log-archive|sh -c \"id -un; cat /etc/shadow >/dev/null \\&\\& echo read; echo > /etc/x\"|' "
    tried = host.run(["sh", "-c", script + "/usr/local/bin/log-archive > /root/tried; sh /root/tried; rm /root/tried"], check=False)
    assert tried.stdout.split() == ["log-archive", "read"] and not host.path("/etc/x").exists()


def test_the_log_is_rotated(host, fresh):
    lines = host.path(LOG).read_text(encoding="ascii").splitlines()
    host.run(["logrotate", "--force", "/etc/logrotate.d/log-archive"])
    assert host.path(LOG + ".1").read_text(encoding="ascii").splitlines() == lines
    assert host.run(["stat", "--format=%a %U %G", LOG]).stdout.split() == ["640", "log-archive", "log-archive-operators"]


def test_the_undo_leaves_what_the_other_roles_and_operators_made(host, fresh):
    gone = {"runner_state": "absent", **VARIABLES}
    before = snapshot(host)
    assert succeed(host, ROLE, "--check", **gone).changed == 3, "a document, rotation and command, the engine"
    assert not difference(before, snapshot(host))
    succeed(host, ROLE, **gone)
    left = {
        path
        for path in difference(fresh, snapshot(host))
        if not path.startswith(("/opt/log-archive/venv", "/var/", "/etc/log-archive/keyring"))
    }
    assert left == {
        "/etc/group",
        "/etc/gshadow",
        "/etc/log-archive",
        "/etc/log-archive/jobs.d",
        "/etc/log-archive/jobs.d/own.json",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/sudoers.d/log-archive",
        "/opt/log-archive",
    }
    assert succeed(host, ROLE, **gone).changed == 0
