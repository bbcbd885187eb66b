# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an archive server needs of a host's jobs to prune for it."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.prune_documents import prune_documents
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise

STORE = {
    "type": "sftp",
    "name": "server",
    "host": "archive.example.com",
    "user": "la-web1",
    "path": "/archive",
    "private_key_file": "/etc/log-archive/ssh/id_ed25519",
    "private_key_passphrase": "secret",
    "append_only": True,
}
JOBS = {
    "syslog": {
        "name": "syslog",
        "host": "web1",
        "select": {"paths": ["/var/log"], "patterns": ["syslog.%Y%m%d"], "timezone": "Europe/Paris"},
        "encryption": {"keyring": "/etc/log-archive/keyring"},
        "stores": [{"type": "s3", "bucket": "b", "access_key_id": "a", "secret_access_key": "secret"}, STORE],
        "retention": {"keep_within": "30d"},
        "delete_sources": True,
    }
}


def made(jobs: t.Any = None, append_only: bool = True, **options: t.Any) -> t.Any:
    account = {"name": "la-web1", "chroot": "/srv/log-archive/la-web1", "append_only": append_only}
    ours = {"account": account, "address": "archive.example.com", "state": "/s", "log": "/l"}
    return prune_documents(JOBS if jobs is None else jobs, **dict(ours, **options))


def changed(store: t.Any = None, **job: t.Any) -> t.Any:
    """JOBS with another SFTP store or other options."""
    jobs = copy.deepcopy(JOBS)
    jobs["syslog"]["stores"][1].update(store or {})
    jobs["syslog"].update(job)
    return jobs


def test_a_document_prunes_one_store_and_holds_no_secret() -> None:
    documents = made()
    assert documents == {
        "syslog": {
            "name": "syslog",
            "host": "web1",
            "select": {"paths": ["/var/log"], "timezone": "Europe/Paris"},
            "encryption": {"keyring": "/nonexistent"},
            "stores": [
                {"type": "file", "name": "server", "path": "/srv/log-archive/la-web1/archive", "retention": {"keep_within": "30d"}},
            ],
            "state": "/s",
            "log": "/l",
        }
    }
    normalise(documents["syslog"])


def test_a_job_that_fetches_from_the_web_selects_nothing_on_the_server() -> None:
    jobs = changed(web={"url": "https://web1.example.com/dump.zip", "timezone": "Europe/Paris"})
    del jobs["syslog"]["select"]
    documents = made(jobs)
    assert documents["syslog"]["select"] == {"paths": ["/nonexistent"], "timezone": "Europe/Paris"}
    normalise(documents["syslog"])


def test_the_retention_of_the_store_wins() -> None:
    documents = made(changed({"retention": {"keep_last": 3}}))
    assert documents["syslog"]["stores"][0]["retention"] == {"keep_last": 3}


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/archive/", "/archive"), ("archive", "/archive"), ("//archive/x/../y", "/archive/y"), ("/archive/a/b", "/archive/a/b")],
)
def test_the_folder_as_the_server_sees_it(path: str, folder: str) -> None:
    assert made(changed({"path": path}))["syslog"]["stores"][0]["path"] == "/srv/log-archive/la-web1" + folder


def test_the_server_looks_for_the_names_of_the_store():
    assert made(changed({"layout": "flat"}))["syslog"]["stores"][0]["layout"] == "flat"


@pytest.mark.parametrize("path", ["/", ".", "/other", "/archive/../etc", "/archives", "../archive/../.."])
def test_a_folder_where_the_host_cannot_write_is_an_error(path: str) -> None:
    with pytest.raises(AnsibleFilterError, match="only below /archive"):
        made(changed({"path": path}))


def test_nothing_for_a_job_that_keeps_everything_or_has_no_store_here() -> None:
    assert made(changed(retention=None)) == {}
    assert made(changed(stores=JOBS["syslog"]["stores"][:1])) == {}
    assert made(changed({"user": "somebody"})) == {}
    assert made({}) == {}


def test_an_address_that_no_store_uses_is_an_error() -> None:
    with pytest.raises(AnsibleFilterError, match=r"archive.example.com:22\. Set archive_server_address"):
        made(address="10.0.0.1")
    with pytest.raises(AnsibleFilterError, match="Set archive_server_address and archive_server_port"):
        made(port=2222)
    assert made(changed({"port": 2222}), port="2222") != {}


def test_a_store_on_another_server_is_left_out() -> None:
    second = dict(STORE, name="second", host="10.0.0.2")
    documents = made(changed(stores=[STORE, second]))
    assert [store["name"] for store in documents["syslog"]["stores"]] == ["server"]


def test_host_and_server_must_agree_on_who_prunes() -> None:
    assert made(changed({"append_only": False}), append_only=False) == {}
    with pytest.raises(AnsibleFilterError, match="is true, so append_only must be the same for the store server of job syslog"):
        made(changed({"append_only": False}))
    with pytest.raises(AnsibleFilterError, match="is false, so append_only must be the same"):
        made(append_only=False)
