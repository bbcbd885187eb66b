# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which runs are reported to whom, with receivers that need no server. Those that do are in tests/faults/test_notify.py."""

from __future__ import annotations

import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import notifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import RECEIVERS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.base import Receiver
from rigs.host import Host

GOOD = {"changed": False, "warnings": [], "errors": []}


@pytest.mark.parametrize(
    ("when", "run", "recovered", "wanted"),
    [
        (["always"], {}, False, True),
        (["change"], {}, False, False),
        (["change"], {"changed": True}, False, True),
        (["warning"], {}, False, False),
        (["warning"], {"warnings": ["x"]}, False, True),
        (["failure"], {"warnings": ["x"]}, False, False),
        (["failure"], {"errors": ["x"]}, False, True),
        (["recovery"], {}, True, True),
        (["recovery"], {}, False, False),
        (["change", "failure"], {"changed": True}, False, True),
        ([], {}, False, False),
        (None, {}, False, False),
        (None, {"warnings": ["x"], "changed": True}, False, False),
        (None, {"errors": ["x"]}, False, True),
        (None, {}, True, True),
    ],
)
def test_when(when, run, recovered, wanted):
    for kind in ("mail", "chat"):
        assert notifying.wants({"type": kind, "when": when}, [dict(GOOD, **run)], recovered) == wanted
    if when is not None:
        assert notifying.wants({"type": "log", "when": when}, [dict(GOOD, **run)], recovered) == (wanted or when == [])


def test_log_metrics_and_pings_get_every_run_by_default():
    for kind in ("log", "textfile", "ping"):
        assert notifying.wants({"type": kind, "when": None}, [GOOD], False)


def test_each_run_adds_a_line_and_replaces_the_metrics(tmp_path):
    host = Host(tmp_path / "host")
    targets = [{"type": "log", "path": str(tmp_path / "recaps")}, {"type": "textfile", "path": str(tmp_path)}]
    for hour in (14, 13):
        host.write_logs(hour)
        assert host.run(notify=targets)["warnings"] == []
    lines = [json.loads(line) for line in (tmp_path / "recaps").read_text().splitlines()]
    assert [len(line["archives"]) for line in lines] == [1, 1]
    path = tmp_path / "log_archive_syslog.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    assert 'log_archive_runs_total{archive_job="syslog",host="web1",exit_code="0"} 2\n' in path.read_text()
    assert 'log_archive_archives{archive_job="syslog",host="web1"} 2\n' in path.read_text()
    assert 'log_archive_verified_level{archive_job="syslog",host="web1",store="file"} 4\n' in path.read_text()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["host", "log_archive_syslog.prom", "recaps"]


def test_a_defect_of_a_receiver_is_a_warning_without_its_text(tmp_path, monkeypatch):
    def broken(_target, _message):
        raise KeyError("marker-of-a-secret")

    monkeypatch.setitem(RECEIVERS, "log", lambda: Receiver(broken, is_local=True))
    host = Host(tmp_path / "host")
    host.write_logs(14)
    recap = host.run(notify=[{"type": "log", "path": str(tmp_path / "recaps")}])
    assert (recap["warnings"], recap["exit_code"]) == (["notify[0] (log): unexpected KeyError"], 0)


def test_the_steps_of_a_run(tmp_path):
    host = Host(tmp_path)
    host.write_logs(13)
    host.stores.append({"type": "file", "name": "broken", "path": str(host.logs / "syslog.20240112.13" / "x"), "attempts": 1})
    (host.logs / "link").symlink_to("x")
    steps = host.run(retention={"keep_last": 5}, select={"patterns": ["*"], "period": "none"})["steps"]
    assert set(steps) == {"select", "pack", "store file", "store broken", "prune file", "prune broken"}
    assert steps["store file"] == {"state": "done", "errors": 0, "warnings": 0}
    assert steps["store broken"] == {"state": "failed", "errors": 1, "warnings": 0}
    assert steps["prune broken"]["state"] == "warning"


# -- the options ------------------------------------------------------------------------------------------------------


def problems(*targets, **changes):
    document = {
        "name": "syslog",
        "select": {"paths": ["/var/log"]},
        "encryption": "none",
        "stores": [{"type": "file", "path": "/backup"}],
        "log": "/var/log/events.jsonl",
        "notify": list(targets),
    }
    document.update(changes)
    try:
        normalise(document)
    except ConfigError as error:
        return error.problems
    return []


@pytest.mark.parametrize(
    "target",
    [
        {"type": "log", "path": "/var/log/recaps.log", "format": "plain", "max_size": "1M", "keep": 2, "when": ["change"]},
        {"type": "mail", "to": ["root"]},
        {"type": "mail", "to": ["Ops <ops@example.com>"], "server": "smtp.example.com", "user": "u", "password": "p", "attach_log": True},
        {"type": "mail", "to": ["ops@example.com"], "server": "smtp.example.com", "tls": "none"},
        {"type": "chat", "url": "https://chat.example.com/hooks/abc"},
        {"type": "chat", "url": "slack://a/b/c"},
        {"type": "textfile", "path": "/var/lib/node_exporter"},
        {"type": "ping", "url": "https://hc.example.com/ping/uuid"},
    ],
)
def test_good_options(target):
    assert problems(target) == []


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ({"type": "log"}, ["notify[0].path: is missing; a notification of type log requires it"]),
        ({"type": "log", "path": "/var/log/events.jsonl"}, ["notify[0].path: is the event log of the job; use a separate file"]),
        (
            {"type": "textfile", "path": "/x", "when": ["always"]},
            ["notify[0].when: a notification of type textfile does not have this option"],
        ),
        ({"type": "mail", "to": ["ops@example.com"], "url": "x"}, ["notify[0].url: a notification of type mail does not have this option"]),
        ({"type": "mail", "to": []}, ["notify[0].to: is missing; a notification of type mail requires it"]),
        (
            {"type": "mail", "to": ["a@b@c", "root"], "server": "s"},
            ["notify[0].to[0]: 'a@b@c' is not a mail address", "notify[0].to[1]: 'root' is not a mail address"],
        ),
        ({"type": "mail", "to": ["root"], "from": "root"}, ["notify[0].from: 'root' is not a mail address"]),
        (
            {"type": "mail", "to": ["root"], "user": "u", "password": "p", "tls": "tls"},
            ["notify[0].tls: requires a server", "notify[0].user: requires a server", "notify[0].password: requires a server"],
        ),
        ({"type": "mail", "to": ["a@b.c"], "server": "s", "user": "u"}, ["notify[0].user: user and password must be given together"]),
        (
            {"type": "mail", "to": ["a@b.c"], "server": "s", "user": "u", "password": "p", "tls": "none"},
            ["notify[0].tls: none would send the password unencrypted; use starttls or tls"],
        ),
        ({"type": "mail", "to": ["a@b.c"], "server": "s", "port": 70000}, ["notify[0].port: must be at most 65535, not 70000"]),
        ({"type": "chat", "url": "marker-of-a-secret"}, ["notify[0].url: is not a URL"]),
        ({"type": "chat", "url": "https:///hooks/marker"}, ["notify[0].url: has no host"]),
        ({"type": "chat", "url": "https://h/hooks/mar ker"}, ["notify[0].url: is not a URL"]),
        ({"type": "chat", "url": "https://h:port/hooks/marker"}, ["notify[0].url: is not a URL"]),
        ({"type": "ping", "url": "ftp://example.com/marker"}, ["notify[0].url: must begin with http:// or https://"]),
        ({"type": "ping", "url": "https://[::1/marker"}, ["notify[0].url: is not a URL"]),
        ({"type": "ping", "url": "https://x/", "timeout": "soon"}, ["notify[0].timeout: 'soon': not a duration"]),
        ({"type": "pager"}, ["notify[0].type: must be one of log, mail, chat, textfile, ping, cloudwatch, eventbridge, not 'pager'"]),
        ({}, ["notify[0].type: is missing"]),
    ],
)
def test_mistakes_are_named(target, found):
    told = problems(target)
    assert len(told) == len(found) and all(each.startswith(start) for each, start in zip(told, found)), told
    assert "marker" not in str(told)


def test_a_log_to_attach_must_be_there():
    target = {"type": "mail", "to": ["root"], "attach_log": True}
    assert problems(target, log=None) == ["notify[0].attach_log: the job has no event log to attach; set log"]
