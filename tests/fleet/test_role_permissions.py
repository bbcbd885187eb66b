# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role permissions on a real host. The tests use it one after the other, from fresh to removed."""

from __future__ import annotations

import re
import typing as t

import pytest
from fleet.roles import as_user, difference, play, snapshot, succeed

ROLE = ["permissions"]
STORE = "/var/backups/log-archive"
JOBS = {"permissions_jobs": ["syslog", "var-log"], "permissions_operators": ["alice"], "permissions_store_folders": [STORE, "/srv"]}
COMMAND = "/usr/local/bin/log-archive"


@pytest.fixture(scope="module")
def fresh(host):
    """What the host looks like before the role: three people, and a group that may read logs."""
    for user in ("alice", "bob", "eve"):
        host.run(["useradd", "--create-home", user])
    host.run(["groupadd", "--system", "systemd-journal"])
    return snapshot(host)


def numbers(host: t.Any, user: str) -> t.Set[str]:
    """The names of a user's groups."""
    return set(host.run(["id", "--name", "--groups", user]).stdout.split())


def may(host: t.Any, user: str, *arguments: str) -> bool:
    """Whether sudo lets a user run the command with these arguments without asking for a password."""
    return as_user(host, user, "sudo", "--non-interactive", "--list", COMMAND, *arguments).returncode == 0


def test_a_check_of_a_fresh_host_tells_and_changes_nothing(host, fresh):
    played = succeed(host, ROLE, "--check", "--diff", **JOBS)
    assert played.changed == 1
    for subject in ("group log-archive", "user log-archive", "user alice", "/etc/log-archive/jobs.d", STORE, "/etc/sudoers.d/log-archive"):
        assert "+++ after: %s\n" % subject in played.output
    assert "%s run syslog" % COMMAND in played.output
    assert not difference(fresh, snapshot(host))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"permissions_operators": ["alice", "mallory"]}, "mallory: no such user on this host"),
        ({"permissions_command": "/usr/local/bin/log-archive, ALL"}, "because a sudo rule contains it"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(host, fresh, variables, message):
    played = play(host, ROLE, **{**JOBS, **variables})
    assert played.code == 2
    assert message in " ".join(played.output.split())
    assert not difference(fresh, snapshot(host))


def test_a_user_a_group_and_folders_with_their_modes(host, fresh):
    # There before the role, with what another user wrote.
    host.path("/var/lib/log-archive").mkdir()
    host.path("/var/lib/log-archive/catalog").write_text("of root", encoding="ascii")
    assert succeed(host, ROLE, **JOBS).changed == 1
    places = [
        "/etc/log-archive",
        "/etc/log-archive/jobs.d",
        "/var/spool/log-archive",
        "/var/lib/log-archive",
        "/var/lib/log-archive/catalog",
    ]
    told = host.run(["stat", "--format=%a %U %G %n", *places, "/var/log/log-archive", "/etc/sudoers.d/log-archive", STORE, "/srv"]).stdout
    assert told.splitlines() == [
        "755 root root /etc/log-archive",
        "2770 root log-archive-operators /etc/log-archive/jobs.d",
        "700 log-archive log-archive /var/spool/log-archive",
        "700 log-archive log-archive /var/lib/log-archive",
        "644 log-archive log-archive /var/lib/log-archive/catalog",
        "2750 log-archive log-archive-operators /var/log/log-archive",
        "440 root root /etc/sudoers.d/log-archive",
        "700 log-archive log-archive /var/backups/log-archive",
        "755 root root /srv",
    ]
    assert numbers(host, "log-archive") == {"log-archive", "log-archive-operators", "adm", "systemd-journal"}
    assert numbers(host, "alice") == {"alice", "log-archive-operators"}
    fields = host.run(["getent", "passwd", "log-archive"]).stdout.strip().split(":")
    assert int(fields[2]) < 1000 and fields[5:] == ["/var/lib/log-archive", "/usr/sbin/nologin"]
    assert host.run(["passwd", "--status", "log-archive"]).stdout.split()[1] == "L", "no password opens it"


def test_a_second_run_changes_nothing(host, fresh):
    # Not even who became an operator by other ways.
    host.run(["usermod", "--append", "--groups", "log-archive-operators", "bob"])
    before = snapshot(host)
    assert succeed(host, ROLE, **JOBS).changed == 0
    assert not difference(before, snapshot(host))


def test_others_are_no_operators_any_more_where_it_is_said(host, fresh):
    told = succeed(host, ROLE, "--check", "--diff", permissions_operators_only=True, permissions_user="root", **JOBS)
    assert "-member bob" in told.output
    assert "+owner=root group=log-archive-operators mode=2750" in told.output, "documents that root runs only root writes"
    assert "log-archive-operators" in numbers(host, "bob")
    assert succeed(host, ROLE, permissions_operators_only=True, **JOBS).changed == 1
    assert numbers(host, "bob") == {"bob"} and "log-archive-operators" in numbers(host, "alice") & numbers(host, "log-archive")


def test_who_may_do_what(host, fresh):
    for path, text in (("/etc/log-archive/jobs.d/syslog.json", "{}"), ("/var/log/log-archive/events.jsonl", "{}\n")):
        as_user(host, "log-archive", "sh", "-c", "umask 027; printf '%s' '{}' > " + path)
        assert host.path(path).read_text(encoding="ascii").strip() == text.strip()
    host.run(["sh", "-c", "cd /etc/log-archive/jobs.d && chown root syslog.json && chmod 660 syslog.json"])
    host.run(["install", "-d", "-o", "log-archive", "-g", "log-archive", "-m", "700", "/etc/log-archive/keyring"])
    as_user(host, "log-archive", "sh", "-c", "echo key > /etc/log-archive/keyring/0123456789abcdef.key")
    # Command for sh, and who may: the user of the jobs, an operator, anybody.
    matrix = {
        "cat /etc/log-archive/jobs.d/syslog.json": (True, True, False),
        "printf '{ }' > /etc/log-archive/jobs.d/syslog.json": (True, True, False),
        "touch /etc/log-archive/jobs.d/of-$(id -un).json": (True, True, False),
        "cat /var/log/log-archive/events.jsonl": (True, True, False),
        "echo >> /var/log/log-archive/events.jsonl": (True, False, False),
        "touch /var/log/log-archive/new-$(id -un)": (True, False, False),
        "cat /etc/log-archive/keyring/0123456789abcdef.key": (True, False, False),
        "ls /etc/log-archive/keyring": (True, False, False),
        "mv /etc/log-archive/keyring /etc/log-archive/aside": (False, False, False),
        "ls /var/lib/log-archive": (True, False, False),
        "ls /var/spool/log-archive": (True, False, False),
        "touch /var/spool/log-archive/new": (True, False, False),
        "echo > /etc/sudoers.d/log-archive": (False, False, False),
        "touch /etc/log-archive/new": (False, False, False),
    }
    seen = {
        line: tuple(as_user(host, user, "sh", "-c", line).returncode == 0 for user in ("log-archive", "alice", "eve")) for line in matrix
    }
    assert seen == matrix


def test_what_sudo_allows(host, fresh):
    # sudo tells only of a command that is there.
    host.path(COMMAND).write_text("#!/bin/sh\n", encoding="ascii")
    host.path(COMMAND).chmod(0o755)
    allowed = ["status", "list", "verify --json", "check-config", "run --all", "run syslog", "run var-log --dry-run", "verify syslog"]
    allowed += ["orphans", "orphans --json", "send syslog", "send --all --dry-run"]
    refused = ["restore syslog --to /tmp", "key list", "prune syslog", "run /etc/log-archive/keyring/0123456789abcdef.key", "run other"]
    refused += [
        "check-config --config /etc/log-archive/keyring",
        "run syslog --config /tmp",
        "status syslog var-log",
        "sample-config --output /x",
        "orphans remove old --records",
        "orphans send old --stores-of syslog",
        "send other",
    ]
    assert [line for line in allowed if not may(host, "alice", *line.split())] == []
    assert [line for line in refused if may(host, "alice", *line.split())] == []
    assert not any(may(host, user, *line.split()) for line in allowed for user in ("eve", "log-archive"))
    assert as_user(host, "alice", "sudo", "--non-interactive", "AWS_CONFIG_FILE=/tmp/x", COMMAND, "status").returncode != 0
    host.path(COMMAND).unlink()


def test_the_undo_keeps_what_cannot_be_made_again_and_its_owner(host, fresh):
    gone = {"permissions_state": "absent", **JOBS}
    played = succeed(host, ROLE, **gone)
    assert "/var/lib/log-archive, /etc/log-archive/keyring" in played.output
    for path in ("/etc/log-archive/keyring/0123456789abcdef.key", "/etc/log-archive/jobs.d/of-alice.json", "/var/lib/log-archive/catalog"):
        assert host.path(path).exists(), path
    assert host.run(["stat", "--format=%U", "/etc/log-archive/keyring"]).stdout == "log-archive\n"
    assert "log-archive-operators" in numbers(host, "alice"), "documents of operators stay, and so their group"
    host.run(["rm", "-r", "/etc/log-archive/keyring", "/etc/log-archive/jobs.d"])
    before = snapshot(host)
    checked = succeed(host, ROLE, "--check", "--diff", permissions_remove_spool=True, **gone)
    assert not difference(before, snapshot(host))
    done = succeed(host, ROLE, "--diff", permissions_remove_spool=True, **gone)
    assert not difference(fresh, snapshot(host))
    removed = [re.findall("^--- before: (.*)$", played.output, re.MULTILINE) for played in (checked, done)]
    assert removed[0] == removed[1]
    assert {"/var/lib/log-archive", "/etc/log-archive", "user log-archive", "group log-archive"} <= set(removed[0])
    assert succeed(host, ROLE, permissions_remove_spool=True, **gone).changed == 0


def test_a_user_that_was_there_before_is_neither_changed_nor_removed(host, fresh):
    before = host.run(["getent", "passwd", "bob"]).stdout
    succeed(host, ROLE, permissions_user="bob", **JOBS)
    assert host.run(["getent", "passwd", "bob"]).stdout == before
    assert numbers(host, "bob") == {"bob", "log-archive-operators", "adm", "systemd-journal"}
    succeed(host, ROLE, permissions_user="bob", permissions_state="absent", **JOBS)
    assert host.run(["getent", "passwd", "bob"]).stdout == before
