# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How variables become stream documents, and what their services may write to. What streams share with jobs is in test_jobs."""

from __future__ import annotations

import subprocess
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.stream_services import stream_services
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents, streams

PASSWORD = "s3cr3t-of-the-account"
SINKS = {"central": {"type": "postgresql", "host": "db.example.com", "database": "logs", "user": "follower", "password": PASSWORD}}
FOLLOW = {"paths": ["/var/log/sftpgo"], "patterns": ["sftpgo.log"]}


def effective(**variables: t.Any) -> t.Dict[str, t.Any]:
    return documents.effective(streams.KIND, "web1", {"log_archive_sinks": SINKS, **variables})


def test_a_document_has_the_options_and_the_places_of_the_host() -> None:
    found = effective(
        log_archive_streams={"sftpgo": {"follow": FOLLOW}, "gone": {}},
        log_archive_streams__web={"sftpgo": {"follow": {"backups": 5}}, "gone": None},
        log_archive_stream_defaults={"parse": {"timezone": "Europe/Paris"}},
        log_archive_state="/srv/state",
    )
    assert found == {
        "sftpgo": {
            "name": "sftpgo",
            "host": "web1",
            "state": "/srv/state",
            "log": "/var/log/log-archive/events.jsonl",
            "follow": {**FOLLOW, "backups": 5},
            "parse": {"timezone": "Europe/Paris"},
            "sinks": [{"name": "central", **SINKS["central"]}],
        }
    }


def test_every_mistake_is_listed_and_no_secret() -> None:
    wrong = {"follow": FOLLOW, "sinks": ["lokal", {"name": "central", "tls": "maybe"}], "pasrse": {}}
    with pytest.raises(ConfigError) as caught:
        effective(log_archive_streams={"a": wrong, "b": {"follow": FOLLOW}}, log_archive_roots={"select": ["/srv"]})
    problems = "\n".join(caught.value.problems)
    assert "a: sinks[0]: there is no sink 'lokal' in log_archive_sinks, which has central" in problems
    assert "a: sinks[1].tls: must be one of verify, none" in problems and "a: pasrse: unknown key" in problems
    assert "b: follow.paths[0]: /var/log/sftpgo does not lie below /srv" in problems
    assert PASSWORD not in str(caught.value)


def test_a_service_writes_only_to_the_folders_of_its_stream() -> None:
    stream = {
        "follow": FOLLOW,
        "parse": {"profile": "sftpgo"},
        "sinks": [
            "central",
            {"type": "sqlite", "path": "/srv/db/a b.sqlite"},
            {"type": "sqlite", "name": "s", "path": "/srv/state/s.sqlite"},
        ],
        "page": {"path": "/var/www/html/sftpgo.html"},
        "notify": [{"type": "textfile", "path": "/var/lib/prom"}, {"type": "log", "path": "/var/log/recap/streams.jsonl"}],
    }
    documents = effective(log_archive_streams={"sftpgo": stream}, log_archive_state="/srv/state")
    assert stream_services(documents, "web1") == [
        {
            "name": "sftpgo",
            "writable": ["/srv/db", "/srv/state", "/var/lib/prom", "/var/log/log-archive", "/var/log/recap", "/var/www/html"],
            "temporary": False,
            "home": False,
            "mounts": [
                "srv.mount",
                "srv-db.mount",
                "srv-state.mount",
                "var.mount",
                "var-lib.mount",
                "var-lib-prom.mount",
                "var-log.mount",
                "var-log-log\\x2darchive.mount",
                "var-log-recap.mount",
                "var-log-sftpgo.mount",
                "var-www.mount",
                "var-www-html.mount",
            ],
        }
    ]
    assert PASSWORD not in str(stream_services(documents, "web1"))
    events = {"follow": FOLLOW, "parse": {"profile": "client_events"}, "client_ids": {"keyring": "/srv/keys"}, "sinks": ["central"]}
    (made,) = stream_services(effective(log_archive_streams={"events": events}), "web1")
    assert "/srv/keys" in made["writable"]
    stream.update(sinks=[{"type": "mysql", "socket": "/tmp/mysql.sock", "database": "d", "user": "u"}], page={"path": "/home/a/page.html"})
    (found,) = stream_services(effective(log_archive_streams={"sftpgo": stream}), "web1")
    assert found["temporary"] and found["home"] and "tmp.mount" in found["mounts"]
    journal = {"follow": {"journal": {"units": ["a"], "directory": "/var/tmp/copied"}}, "sinks": ["central"]}
    (found,) = stream_services(effective(log_archive_streams={"journal": journal}), "web1")
    assert found["temporary"] and "var-tmp-copied.mount" in found["mounts"]


@pytest.mark.parametrize(
    ("watchdog", "timeout", "fits"),
    [("5min", None, True), ("60s", None, False), ("61", None, True), ("1h", "1h", False), ("0", "1h", True), ("2h", "1h", True)],
)
def test_the_watchdog_waits_longer_than_a_sink(watchdog: str, timeout: t.Any, fits: bool) -> None:
    central = {"name": "central", **({"timeout": timeout} if timeout else {})}
    found = effective(log_archive_streams={"sftpgo": {"follow": FOLLOW, "sinks": [central]}})
    if fits:
        assert stream_services(found, "web1", watchdog) == stream_services(found, "web1")
        return
    with pytest.raises(AnsibleFilterError) as caught:
        stream_services(found, "web1", watchdog)
    message = "web1: stream sftpgo: follow_watchdog (%s) must be longer than the timeout of the sink central (%s)"
    assert str(caught.value).startswith(message % (watchdog, timeout or "60"))


def test_a_sink_on_the_host_has_no_timeout() -> None:
    local = {"type": "sqlite", "path": "/srv/db/sftpgo.sqlite"}
    assert stream_services(effective(log_archive_streams={"sftpgo": {"follow": FOLLOW, "sinks": [local]}}), "web1", "1s")


@pytest.mark.parametrize("path", ["/.hidden/a", "/srv/.hidden/a.b", "/srv/a b/Zo\u00eb", "/srv/50%/x:y_z", "/srv/log-archive/\\back"])
def test_the_unit_of_a_mount_has_the_name_that_systemd_gives_it(path: str) -> None:
    stream = {"follow": {**FOLLOW, "paths": [path]}, "sinks": ["central"]}
    (found,) = stream_services(effective(log_archive_streams={"sftpgo": stream}), "web1")
    done = subprocess.run(["systemd-escape", "--path", "--suffix=mount", path], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in found["mounts"]
