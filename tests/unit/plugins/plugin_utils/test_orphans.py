# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs, stores and hosts: the lines that a playbook shows, and the calls that act on it."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import orphans

PASSWD = {
    "rc": 0,
    "stdout_lines": [
        "root:x:0:0:root:/root:/bin/bash",
        "la-web1:x:990:990:Log archives of web1:/srv/log-archive/la-web1:/usr/sbin/nologin",
        "la-web9:x:991:991:Log archives of web9:/srv/log-archive/la-web9:/usr/sbin/nologin",
        "la-2001-db8--9:x:992:992:Log archives of 2001.db8..9:/srv/log-archive/la-2001-db8--9:/usr/sbin/nologin",
        "other:x:1000:1000:Log archives of:/home/other:/bin/sh",
        "+::::::",
    ],
}
INVENTORY = ["web1", "web2", "2001:db8::9"]


def printed(*rows: t.Any, rc: int = 0) -> t.Dict[str, t.Any]:
    return {"rc": rc, "stdout": json.dumps(rows)}


def orphan(job: str, archives: int = 0, **stores: int) -> t.Dict[str, t.Any]:
    return {"orphan": "job", "job": job, "spool": {"archives": archives, "bytes": 0}, "stores": stores, "state": "no document names it"}


def held(location: str, *hosts: str, **more: t.Any) -> t.Dict[str, t.Any]:
    return {"store": "s", "location": location, "hosts": list(hosts), "own": ["web1"], "error": None, **more}


def test_an_account_of_a_host_outside_of_the_inventory_is_found() -> None:
    web9 = {"account": "la-web9", "host": "web9", "folder": "/srv/log-archive/la-web9"}
    assert orphans.former_accounts(PASSWD, INVENTORY) == [web9]
    assert orphans.former_accounts(None, INVENTORY) == orphans.former_accounts({"unreachable": True, "msg": "no"}, INVENTORY) == []


def test_a_server_that_does_not_show_its_accounts_is_named() -> None:
    passwds = {
        "files2": {"unreachable": True, "msg": "no route"},
        "files3": {"rc": 2, "msg": "", "stderr": "no such file"},
        "files1": PASSWD,
        "files4": None,
    }
    failures = [
        "files2: its accounts cannot be read: no route",
        "files3: its accounts cannot be read: no such file",
    ]
    line = "files1: account la-web9 of web9, which the inventory no longer has (its archives are in /srv/log-archive/la-web9)"
    assert orphans.account_lines(passwds, INVENTORY, []) == [line, *failures]
    assert orphans.account_lines(passwds, INVENTORY, ["la-web9"]) == failures


def test_what_is_left_is_shown_once_hosts_without_a_result_first() -> None:
    results = {
        "web2": printed(orphan("old"), rc=3),
        "web1": {"unreachable": True, "msg": "no route"},
        "web3": {"no_jobs": True},
        "web4": None,
        "web7": {**printed(orphan("old"), rc=2), "stderr": "log-archive: there may be more orphans: a.json: it is no JSON\n"},
    }
    listed = {
        "web2": printed(held("sftp://la@files1:22/archive", "web1", "web9"), held("/srv/store", "web9")),
        "web1": printed(held("sftp://la@files1:22/archive", "web9"), held("/srv/store", error="it is not a folder")),
        "web5": {"rc": 2, "stdout": json.dumps({"error": {"kind": "usage", "text": "unrecognized arguments: --hosts"}})},
        "web6": None,
    }
    assert orphans.fleet(results, listed, INVENTORY, ["files1"], ["an account"]) == [
        "web1: what is left there is not known, because its log-archive gave no result",
        "web4: what is left there is not known, because its log-archive gave no result",
        "web7: there may be more orphans: a.json: it is no JSON",
        "web2: orphan old: no document names it",
        "web7: orphan old: no document names it",
        "web5: its log-archive cannot list the hosts in stores: run infra_ops.log_archive.site",
        "web1: store s has archives of web9, which the inventory no longer has (sftp://la@files1:22/archive)",
        "web1: store s cannot be listed: it is not a folder",
        "web2: store s has archives of web9, which the inventory no longer has (/srv/store)",
        "an account",
    ]


def test_servers_outside_of_the_inventory_are_named_without_user_and_path() -> None:
    rows = [
        held("s3://bucket/prefix"),
        held("sftp://la@files1:2222/archive"),
        held("sftp://[::1]:22/a"),
        held("/srv/store"),
        held("s3://bucket"),
    ]
    lines = orphans.fleet({"web1": printed()}, {"web1": printed(*rows)}, INVENTORY, ["files1"], [])
    assert lines[0] == orphans.NOTHING
    assert " cannot be seen from here on s3://bucket, sftp://[::1]:22: look there" in lines[1]


def test_each_action_is_asked_only_of_a_host_that_has_the_orphan() -> None:
    result = printed(orphan("old", 3), orphan("older", local=2), rc=3)
    every = ["old", "older", "unknown"]
    asked = {"send": every, "adopt": every, "remove_archives": every, "remove": every}
    jobs = {"syslog": {"name": "syslog", "was": ["older"]}, "app": {"name": "app"}}
    assert orphans.actions(result, asked, jobs, {"stores_of": "syslog", "store": "s3", "spool": True, "records": True}) == [
        ["send", "old", "--stores-of", "syslog", "--store", "s3"],
        ["adopt", "older", "--into", "syslog"],
        ["remove-archives", "older", "--stores-of", "syslog", "--store", "s3"],
        ["remove", "old", "--store", "s3", "--spool", "--records"],
        ["remove", "older", "--store", "s3", "--spool", "--records"],
    ]
    nothing = {name: [] for name in asked}
    assert orphans.actions(result, {**nothing, "remove": ["old"]}, {}, {"stores_of": "", "store": ""}) == [["remove", "old"]]
    assert orphans.actions({"unreachable": True}, asked, {}, {}) == []
