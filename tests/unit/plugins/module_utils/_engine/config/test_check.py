# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks of job documents: every kind of mistake is reported, all of them at once."""

from __future__ import annotations

import copy
import re

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import check, spec as job_spec

GOOD = {
    "name": "syslog",
    "select": {"paths": ["/var/log"], "patterns": ["syslog.%Y%m%d.%H"], "period": "hour"},
    "encryption": {"keyring": "/etc/log-archive/keyring"},
    "stores": [{"type": "file", "path": "/backup"}],
}


def problems(**changes):
    document = dict(copy.deepcopy(GOOD), **changes)
    with pytest.raises(ConfigError) as caught:
        check.normalise(document, "jobs/syslog.json")
    assert caught.value.exit_code == 2
    assert "jobs/syslog.json" in str(caught.value)
    for problem in caught.value.problems:
        assert problem in str(caught.value)
    return caught.value.problems


def test_every_option_is_there_afterwards_with_its_default():
    document = check.normalise(copy.deepcopy(GOOD))
    assert document["encryption"]["format"] == "fernet"
    assert document["select"]["offset"] == -1
    assert document["stores"][0]["name"] == "file"
    assert document["stores"][0]["required"] is True
    assert document["retention"] is None
    assert set(document) == set(job_spec.JOB)


def test_no_encryption_is_one_word():
    assert check.normalise(dict(GOOD, encryption="none"))["encryption"] == {"format": "none", "keyring": None, "recipients": []}


AGE = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def test_recipients_take_the_place_of_a_keyring():
    assert check.normalise(dict(GOOD, encryption={"recipients": [AGE]}))["encryption"]["keyring"] is None


@pytest.mark.parametrize(
    ("encryption", "problem"),
    [
        ({}, "encryption.keyring: is missing"),
        ({"recipients": []}, "encryption.keyring: is missing"),
        ({"recipients": [AGE, AGE.upper()]}, r"encryption.recipients\[1\]: is listed twice"),
        ({"recipients": [AGE[:-1] + "q"]}, r"encryption.recipients\[0\]: .*checksum is wrong"),
        ({"recipients": ["ssh-ed25519 AAAA"]}, r"encryption.recipients\[0\]: .*not a recipient"),
        ({"recipients": ["AGE-SECRET-KEY-1QQQQ"]}, r"encryption.recipients\[0\]: it is a private key"),
        ({"recipients": AGE}, "encryption.recipients: "),
        ({"format": "none", "recipients": [AGE]}, "encryption.recipients: the format none does not encrypt"),
        ({"recipients": [AGE] * 51}, "encryption.recipients: there are 51; the limit is 50"),
    ],
    ids=["nothing", "empty", "twice", "typo", "ssh", "private", "text", "none", "many"],
)
def test_mistakes_in_recipients_are_named(encryption, problem):
    with pytest.raises(ConfigError) as raised:
        check.normalise(dict(GOOD, encryption=encryption))
    assert re.search(problem, str(raised.value))
    assert "QQQQ" not in str(raised.value)


def test_a_web_job_has_no_selection_and_a_selection_no_web():
    web = {name: value for name, value in GOOD.items() if name != "select"}
    document = check.normalise(dict(web, web={"url": "https://example.com/export.zip"}))
    assert document["select"] is None
    assert document["web"]["max_ratio"] == 1000
    assert check.normalise(copy.deepcopy(GOOD))["web"] is None


def test_a_store_by_itself_is_named_after_its_type():
    assert check.normalise_store({"type": "file", "path": "/backup"})["name"] == "file"
    assert check.normalise_store({"type": "file", "path": "/backup", "name": "local"})["name"] == "local"
    with pytest.raises(ConfigError) as caught:
        check.normalise_store({"type": "s3"}, "store")
    assert caught.value.problems == ["bucket: is missing; a store of type s3 requires it"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"encryption": {}}, "encryption.keyring: is missing (The folder of Fernet keys"),
        ({"encryption": "aes"}, "encryption: must be an object, not text"),
        ({"schedule": {}}, "schedule.at: is missing"),
        ({"schedule": {"at": "sometimes"}}, "schedule.at: 'sometimes': not a schedule"),
        ({"schedule": {"at": "23:00 daily", "spread": "wide"}}, "schedule.spread: "),
        ({"selct": {}}, "selct: unknown key; did you mean 'select'?"),
        ({"zzzzzz": 1}, "zzzzzz: unknown key; known keys: archive, cloudtrail, delete_sources"),
        ({"name": 5}, "name: must be text, not a number"),
        ({"name": "../x"}, "name: '../x' is not allowed; use letters, digits"),
        ({"name": None}, "name: is missing"),
        ({"select": []}, "select: must be an object, not a list"),
        ({"web": {"url": "https://example.com/x.zip"}}, "select: cannot be combined with web; give one of them"),
        ({"select": None}, "select: is missing (Which logs of this host to archive"),
        ({"select": None, "web": {"url": "http://example.com/x.zip"}}, "web.url: must begin with https://"),
        ({"select": None, "web": {"url": "https://example.com/x.zip", "max_size": "big", "user": "u"}}, "web.max_size: "),
        ({"select": {"paths": []}}, "select.paths: must not be empty"),
        ({"select": {"paths": "/var/log"}}, "select.paths: must be a list, not text"),
        ({"select": {"paths": ["log"]}}, "select.paths[0]: must be an absolute path, not 'log'"),
        (
            {"select": {"paths": ["/l"], "period": "hours"}},
            "select.period: must be one of hour, day, week, month, none, not 'hours'; did you mean 'hour'?",
        ),
        ({"select": {"paths": ["/l"], "offset": 1}}, "select.offset: must be at most 0, not 1"),
        ({"select": {"paths": ["/l"], "offset": True}}, "select.offset: must be a whole number, not true"),
        ({"select": {"paths": ["/l"], "quiet": "5 parsecs"}}, "select.quiet: "),
        ({"select": {"paths": ["/l"], "recurse": "yes"}}, "select.recurse: must be true or false, not text"),
        ({"select": {"paths": ["/l"], "timezone": "Europe/Pariss"}}, "select.timezone: "),
        ({"select": {"paths": ["/l"], "patterns": ["(["], "use_regex": True}}, "select.patterns: "),
        ({"select": {"paths": ["/l"], "min_size": "2K", "max_size": "1K"}}, "select.min_size: must not be larger than max_size"),
        ({"select": {"paths": ["/l"], "patterns": ["a.%Y%m%d"], "period": "hour"}}, "select.patterns: 'a.%Y%m%d' contains only the day"),
        ({"archive": {"suffix": "tgz"}}, "archive.suffix: 'tgz' is not allowed; use a '.' followed by"),
        ({"archive": {"name": "{stemm}"}}, "archive.name: "),
        ({"archive": {"group": "hour"}}, "archive.group: must be one of file, period, run, not 'hour'"),
        ({"stores": []}, "stores: must not be empty"),
        ({"stores": {}}, "stores: must be a list, not an object"),
        ({"stores": [5]}, "stores[0]: must be an object, not a number"),
        ({"stores": [{"type": "ftp"}]}, "stores[0].type: must be one of file, s3, sftp, not 'ftp'; did you mean 'sftp'?"),
        ({"stores": [{"path": "/x"}]}, "stores[0].type: is missing"),
        ({"stores": [{"type": "file", "path": "x"}]}, "stores[0].path: must be an absolute path, not 'x'"),
        ({"stores": [{"type": "file"}]}, "stores[0].path: is missing; a store of type file requires it"),
        ({"stores": [{"type": "file", "path": "/x", "bucket": "b"}]}, "stores[0].bucket: a store of type file does not have this option"),
        ({"stores": [{"type": "s3", "bucket": "b", "access_key_id": "a"}]}, "stores[0].access_key_id: requires secret_access_key"),
        (
            {"stores": [{"type": "s3", "bucket": "b", "access_key_id": "a", "secret_access_key": "b", "profile": "p"}]},
            "stores[0].profile: cannot be combined with access_key_id; give one of them",
        ),
        ({"stores": [{"type": "sftp", "host": "h", "user": "u", "path": "p"}]}, "stores[0].private_key_file: is missing"),
        (
            {
                "stores": [
                    {"type": "sftp", "host": "h", "user": "u", "path": "p", "private_key_file": "/k", "private_key_passphrase": "{{ x }}"}
                ]
            },
            "stores[0].private_key_passphrase: is a template that was not evaluated ('{{'), not a secret",
        ),
        (
            {"stores": [{"type": "sftp", "host": "h", "user": "u", "path": "~other/logs", "password": "x"}]},
            "stores[0].path: SFTP does not know the folder of another user ('~other/logs'); give its absolute path",
        ),
        ({"stores": [{"type": "file", "path": "/x", "layout": "plain"}]}, "stores[0].layout: must be one of tree, flat, not 'plain'"),
        (
            {"name": "j" * 100, "host": "h" * 100, "stores": [{"type": "file", "path": "/x", "layout": "flat"}]},
            "stores[0].layout: the names of the host and the job are 32 bytes too long for a store with flat names",
        ),
        ({"stores": [{"type": "file", "path": "/x"}, {"type": "file", "path": "/y"}]}, "stores[1].name: two stores are named 'file'"),
        ({"retention": {"keep_dayly": 3}}, "retention.keep_dayly: unknown key; did you mean 'keep_daily'?"),
        ({"retention": {}}, "retention: "),
        ({"retention": {"min_keep": 3}}, "retention: "),
        ({"retention": {"keep_last": 3, "max_delete_share": 2}}, "retention: "),
        ({"retention": {"keep_within": "5 days"}}, "retention: "),
        ({"retention": {"keep_last": 3, "name_template": "%Q"}}, "retention: "),
        ({"retention": {"keep_last": 3, "max_delete_share": float("nan")}}, "retention.max_delete_share: is not a number"),
        ({"spool": ""}, "spool: must not be empty"),
    ],
)
def test_a_mistake_names_its_key_and_what_is_allowed(changes, expected):
    found = problems(**changes)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_all_mistakes_are_reported_at_once():
    """Also those that show only when options are seen together."""
    found = problems(
        nmae="x",
        select={"paths": ["rel"], "timezone": "Mars/Base", "perod": "hour"},
        archive={"name": "{what}"},
        stores=[{"type": "file", "bukket": 1}, {"type": "file", "path": 5}, {"type": "s3", "name": "file", "attempts": 0}, 7],
        retention={},
    )
    keys = [problem.partition(":")[0] for problem in found]
    assert sorted(keys) == sorted(
        [
            "nmae",
            "select.paths[0]",
            "select.perod",
            "select.timezone",
            "archive.name",
            "stores[0].bukket",
            "stores[0].path",
            "stores[1].path",
            "stores[1].name",
            "stores[2].attempts",
            "stores[2].bucket",
            "stores[2].name",
            "stores[3]",
            "retention",
        ]
    )


@pytest.mark.parametrize("document", [None, [], "x", 5, True])
def test_a_document_that_is_no_object_is_refused(document):
    with pytest.raises(ConfigError, match="must be an object"):
        check.normalise(document)


def test_no_message_shows_a_secret():
    secret = "marker-of-a-secret"
    found = problems(
        stores=[
            {"type": "file", "path": "/x", "password": secret},
            {"type": "s3", "bucket": "b", "secret_access_key": secret, "session_token": [secret], "name": "!"},
            {"type": "sftp", "name": "x", "private_key_passphrase": secret},
        ]
    )
    assert found
    assert secret not in "".join(found)
