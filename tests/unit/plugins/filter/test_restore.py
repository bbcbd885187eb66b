# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters of the roles restore and retire."""

from __future__ import annotations

import typing as t

import pytest

pytest.importorskip("ansible")

from ansible_collections.infra_ops.log_archive.plugins.filter.former_documents import former_documents  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.filter.removable_archives import removable_archives  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.filter.restore_jobs import restore_jobs  # noqa: E402
from ansible_collections.infra_ops.log_archive.plugins.filter.restore_summary import restore_summary  # noqa: E402

LOCAL = {"type": "file", "name": "local", "path": "/var/backups/"}
BUCKET = {"type": "s3", "name": "bucket", "bucket": "logs", "required": False, "retention": {"keep_last": 1}}
SERVER = {"type": "sftp", "name": "server", "host": "archive1", "user": "la-web1", "path": "/archive", "append_only": True}
LOGIN = {"private_key_file": "/tmp/key", "known_hosts_file": "/tmp/known_hosts"}


def job(*stores: t.Any, host: str = "web1", **encryption: str) -> t.Dict[str, t.Any]:
    return {"host": host, "encryption": encryption or {"keyring": "/etc/keyring"}, "stores": list(stores)}


def names(jobs: t.Sequence[t.Mapping[str, t.Any]]) -> t.Dict[str, t.List[str]]:
    return {job["job"]: [store["name"] for store in job["stores"]] for job in jobs}


def test_at_home_every_store_is_used_in_order() -> None:
    (found,) = restore_jobs({"syslog": job(LOCAL, BUCKET, SERVER)}, at_home=True)
    assert found == {
        "job": "syslog",
        "was": [],
        "host": "web1",
        "keyring": "/etc/keyring",
        "unencrypted": False,
        "for_recipients": False,
        "stores": [
            LOCAL,
            {"type": "s3", "name": "bucket", "bucket": "logs"},
            {"type": "sftp", "name": "server", "host": "archive1", "user": "la-web1", "path": "/archive"},
        ],
        "on_server": [],
    }


def test_a_job_for_recipients_needs_no_keyring() -> None:
    (found,) = restore_jobs({"syslog": {**job(BUCKET), "encryption": {"recipients": ["age1x"]}}})
    assert (found["keyring"], found["for_recipients"]) == (None, True)


def test_the_documents_of_a_host_and_a_job_that_are_no_more() -> None:
    own = {**SERVER, "user": "la-files1"}
    documents = {"a": job(BUCKET, own, host="files1"), "b": job(BUCKET, LOCAL, host="files1")}
    made = former_documents(documents, host="web9", job="old", store="bucket", prefix="moved", account="la-web9", own_account="la-files1")
    assert list(made) == ["old"]
    assert (made["old"]["name"], made["old"]["host"], made["old"]["was"]) == ("old", "web9", [])
    assert made["old"]["stores"] == [{**BUCKET, "prefix": "moved"}, {**own, "user": "la-web9"}, LOCAL]
    assert documents["a"]["stores"] == [BUCKET, own]
    same = former_documents({"a": job(LOCAL)}, store="local", prefix="/moved")
    assert (same["a"]["host"], same["a"]["stores"]) == ("web1", [{**LOCAL, "path": "/moved"}])
    assert names(restore_jobs(made, account="la-web9", login={"private_key_file": "x"})) == {"old": ["bucket", "server"]}


def test_elsewhere_a_folder_of_the_host_is_used_only_by_name() -> None:
    documents = {"a": job(LOCAL, BUCKET), "b": job(LOCAL, format="none")}
    assert names(restore_jobs(documents)) == {"a": ["bucket"]}
    assert names(restore_jobs(documents, store="local")) == {"a": ["local"], "b": ["local"]}
    assert [found["unencrypted"] for found in restore_jobs(documents, store="local")] == [False, True]
    assert restore_jobs(documents, store="other") == []


def test_a_store_on_the_archive_server_needs_a_login() -> None:
    documents = {"a": job(SERVER), "b": job(BUCKET, dict(SERVER, port=2222)), "c": job(dict(SERVER, user="other"))}
    without = restore_jobs(documents, account="la-web1")
    assert names(without) == {"a": [], "b": ["bucket"], "c": ["server"]}
    assert [found["on_server"] for found in without] == [[{"host": "archive1", "port": 22}], [{"host": "archive1", "port": 2222}], []]
    with_login = restore_jobs(documents, account="la-web1", login=LOGIN)
    assert names(with_login) == {"a": ["server"], "b": ["bucket", "server"], "c": ["server"]}
    assert with_login[0]["stores"][0]["private_key_file"] == "/tmp/key"
    assert "private_key_file" not in with_login[2]["stores"][0]


def test_the_summary_tells_missing_archives_from_failures() -> None:
    results = [
        {"_job": "a", "ansible_loop_var": "_job", "files": [{"path": "/z", "size": 2}, {"path": "/b", "size": 3}]},
        {"item": "b", "files": [], "exit_code": 1, "error": "ArchiveNotFoundError", "msg": "no archive is in this range"},
        {"item": "c", "files": [{"path": "/c", "size": 1}], "exit_code": 4, "error": "IntegrityError", "msg": "damaged"},
        {"item": "d", "msg": "cannot start the interpreter"},
    ]
    assert restore_summary(results) == {
        "files": ["/b", "/c", "/z"],
        "bytes": 6,
        "missing": ["job b: no archive is in this range"],
        "errors": ["job c: damaged", "job d: cannot start the interpreter"],
    }


def test_the_archives_of_every_job_are_found_whatever_its_host() -> None:
    documents = {"a": job(LOCAL, BUCKET), "b": job(LOCAL, host="cluster"), "c": job(LOCAL)}
    found = removable_archives(documents, "web1")
    assert found["folders"] == ["/var/backups/cluster/b", "/var/backups/web1"]


def test_what_is_lost_depends_on_the_other_stores() -> None:
    documents = {"a": job(LOCAL, BUCKET), "b": job(LOCAL, SERVER), "c": job(SERVER, BUCKET), "d": job(BUCKET)}
    found = removable_archives(documents, "web1")
    assert (found["last_copies"], found["append_only"]) == ([], [])
    found = removable_archives(documents, "web1", account="la-web1")
    assert (found["last_copies"], found["append_only"]) == (["b"], ["b", "c"])
