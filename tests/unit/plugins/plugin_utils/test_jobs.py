# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How variables become job documents."""

from __future__ import annotations

import copy
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import documents, jobs

STORES: t.Dict[str, t.Any] = {
    "local": {"type": "file", "path": "/backup", "retention": {"keep_within": "7d"}},
    "bucket": {"type": "s3", "bucket": "logs", "access_key_id": "AKIA", "secret_access_key": "s3cr3t-of-the-bucket"},
}
SYSLOG = {"select": {"paths": ["/var/log"], "patterns": ["syslog.%Y%m%d.%H"], "period": "hour"}}


def effective(**variables: t.Any) -> t.Dict[str, t.Any]:
    return documents.effective(jobs.KIND, "web1", {"log_archive_stores": STORES, **variables})


def mistakes(**variables: t.Any) -> t.List[str]:
    with pytest.raises(ConfigError) as caught:
        effective(**variables)
    assert str(caught.value).startswith("web1: %d mistake" % len(caught.value.problems))
    assert "s3cr3t" not in str(caught.value)
    return caught.value.problems


def test_the_defaults_of_files_and_folders_are_those_of_the_roles() -> None:
    yaml = pytest.importorskip("yaml")
    defaults = pathlib.Path(__file__).resolve().parents[4] / "roles" / "log_archive" / "defaults" / "main.yml"
    common = yaml.safe_load(defaults.read_text(encoding="utf-8"))
    assert {name: common[name] for name in jobs.PLACES} == jobs.PLACES


def test_without_a_job_there_is_none() -> None:
    assert documents.effective(jobs.KIND, "web1", {}) == {}
    assert effective(log_archive_jobs=None, log_archive_job_defaults={"archive": {"group": "day"}}) == {}


def test_a_document_holds_the_given_options_and_the_places() -> None:
    assert effective(log_archive_jobs={"syslog": SYSLOG}) == {
        "syslog": {
            "name": "syslog",
            "host": "web1",
            "encryption": {"keyring": "/etc/log-archive/keyring"},
            "spool": "/var/spool/log-archive",
            "state": "/var/lib/log-archive",
            "log": "/var/log/log-archive/events.jsonl",
            "stores": [dict(store, name=name) for name, store in STORES.items()],
            **SYSLOG,
        }
    }


def test_variables_set_the_places_and_a_job_may_change_or_remove_them() -> None:
    document = effective(
        log_archive_keyring="/k",
        log_archive_spool="/s",
        log_archive_log_dir="/l",
        log_archive_jobs={"a": dict(SYSLOG, spool="/own", log=None)},
    )["a"]
    assert (document["encryption"], document["spool"], document["state"]) == ({"keyring": "/k"}, "/own", "/var/lib/log-archive")
    assert "log" not in document


def test_variables_are_found_by_name_and_merged_in_alphabetical_order() -> None:
    some = [
        "log_archive_jobs__web",
        "log_archive_jobs_",
        "log_archive_jobsx",
        "x_log_archive_jobs",
        "log_archive_jobs__",
        "log_archive_job_defaults",
    ]
    assert jobs.KIND.names([*some, "log_archive_jobs__all", "log_archive_jobs"]) == [
        "log_archive_jobs",
        "log_archive_jobs__all",
        "log_archive_jobs__web",
    ]


def test_later_variables_win_key_by_key_and_replace_lists() -> None:
    document = effective(
        log_archive_jobs__b={"syslog": {"select": {"paths": ["/srv/log"], "quiet": "30s"}}},
        log_archive_jobs__a={"syslog": {"select": {"quiet": "1m", "recurse": True}}},
        log_archive_jobs={"syslog": SYSLOG},
    )["syslog"]
    assert document["select"] == {
        "paths": ["/srv/log"],
        "patterns": ["syslog.%Y%m%d.%H"],
        "period": "hour",
        "recurse": True,
        "quiet": "30s",
    }


def test_null_removes_a_job_or_an_option_also_one_of_the_defaults() -> None:
    documents = effective(
        log_archive_job_defaults={"retention": {"keep_within": "1y"}, "schedule": {"at": "23:00 daily"}},
        log_archive_jobs={"syslog": SYSLOG, "auth": SYSLOG},
        log_archive_jobs__host={"syslog": None, "auth": {"select": {"period": None}, "schedule": None}},
    )
    assert list(documents) == ["auth"]
    assert "period" not in documents["auth"]["select"] and "schedule" not in documents["auth"]
    assert documents["auth"]["retention"] == {"keep_within": "1y"}


def test_a_removed_job_can_be_given_again() -> None:
    documents = effective(
        log_archive_jobs={"a": SYSLOG}, log_archive_jobs__b={"a": None}, log_archive_jobs__c={"a": {"select": {"paths": ["/c"]}}}
    )
    assert documents["a"]["select"] == {"paths": ["/c"]}


def test_stores_are_named_overridden_or_complete() -> None:
    whole = {"name": "usb", "type": "file", "path": "/media/usb"}
    wanted = ["local", {"name": "bucket", "retention": {"keep_last": 3}}, whole, {"type": "file", "path": "/unnamed"}]
    stores = effective(log_archive_jobs={"a": dict(SYSLOG, stores=wanted)})["a"]["stores"]
    assert stores == [
        {"name": "local", **STORES["local"]},
        {"name": "bucket", "retention": {"keep_last": 3}, **STORES["bucket"]},
        whole,
        {"type": "file", "path": "/unnamed"},
    ]


def test_an_override_can_remove_an_option_of_the_store() -> None:
    job = dict(SYSLOG, stores=[{"name": "local", "retention": None}])
    assert effective(log_archive_jobs={"a": job})["a"]["stores"] == [{"name": "local", "type": "file", "path": "/backup"}]


def test_encryption_none_is_an_object_in_the_document_and_can_be_merged() -> None:
    jobs = {"plain": dict(SYSLOG, encryption="none"), "again": dict(SYSLOG, encryption="none")}
    documents = effective(log_archive_jobs=jobs, log_archive_jobs__b={"again": {"encryption": {"format": "fernet"}}})
    assert documents["plain"]["encryption"] == {"format": "none"}
    assert documents["again"]["encryption"] == {"format": "fernet", "keyring": "/etc/log-archive/keyring"}
    documents = effective(log_archive_job_defaults={"encryption": "none"}, log_archive_jobs={"a": SYSLOG})
    assert documents["a"]["encryption"] == {"format": "none"}


def test_the_default_selection_is_not_used_by_a_job_with_another_source() -> None:
    dump = {"web": {"url": "https://example.org/export.zip"}}
    documents = effective(log_archive_job_defaults={"select": {"quiet": "30s"}}, log_archive_jobs={"dump": dump, "syslog": SYSLOG})
    assert "select" not in documents["dump"]
    assert documents["syslog"]["select"]["quiet"] == "30s"
    problems = mistakes(log_archive_jobs={"dump": {**dump, **SYSLOG}})
    assert problems == ["dump: select: cannot be combined with web; give one of them"]


def test_jobs_do_not_share_filled_in_values() -> None:
    documents = effective(log_archive_jobs={"a": dict(SYSLOG, encryption={"keyring": "/a"}), "b": SYSLOG})
    assert [document["encryption"]["keyring"] for document in documents.values()] == ["/a", "/etc/log-archive/keyring"]


def test_the_variables_stay_as_they_are() -> None:
    given = {
        "log_archive_stores": STORES,
        "log_archive_jobs": {"a": SYSLOG},
        "log_archive_jobs__b": {"a": {"select": {"quiet": "1m"}, "stores": [{"name": "local", "verify": "size"}]}},
    }
    before = copy.deepcopy(given)
    documents.effective(jobs.KIND, "web1", given)
    assert given == before


def test_the_error_lists_every_mistake_with_its_key_and_what_is_allowed() -> None:
    problems = mistakes(
        log_archive_jobs={
            "a": {"select": {"paths": ["/var/log"], "period": "hourly", "patern": ["x"]}},
            "b": dict(SYSLOG, name="c", stores=["lokal", {"name": "tape", "verify": "size"}, {"type": "ftp"}]),
            "c": ["/var/log"],
        },
        log_archive_jobs__x=["a"],
    )
    assert [problem.partition(": ")[0] for problem in problems] == ["log_archive_jobs__x"] + ["a"] * 2 + ["b"] * 4 + ["c"]
    for part in (
        "a: select.period: must be one of hour, day, week, month, none, not 'hourly'; did you mean 'hour'?",
        "a: select.patern: unknown key; did you mean 'patterns'?",
        "b: name: must be 'b' or be left out, because the key is the name",
        "b: stores[0]: there is no store 'lokal' in log_archive_stores, which has bucket, local",
        "b: stores[1]: there is no store 'tape' in log_archive_stores, which has bucket, local",
        "b: stores[2].type: must be one of file, s3, sftp, not 'ftp'; did you mean 'sftp'?",
    ):
        assert part in problems


def test_a_job_without_any_store_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"syslog: stores: must not be empty"):
        documents.effective(jobs.KIND, "web1", {"log_archive_jobs": {"syslog": SYSLOG}})


def test_a_secret_of_the_wrong_type_is_not_shown() -> None:
    stores = {"bucket": dict(STORES["bucket"], secret_access_key=["s3cr3t-of-the-bucket"])}
    problems = mistakes(log_archive_stores=stores, log_archive_jobs={"syslog": SYSLOG})
    assert problems[0] == "syslog: stores[0].secret_access_key: must be text, not a list"


def test_a_store_that_is_no_dict_or_has_another_name_is_an_error() -> None:
    problems = mistakes(
        log_archive_stores={"a": "/backup", "b": {"name": "c", "type": "file", "path": "/b"}}, log_archive_jobs={"x": SYSLOG}
    )
    assert problems[:2] == [
        "log_archive_stores.a: must be a dict of a store's options",
        "log_archive_stores.b.name: must be 'b' or be left out, because the key is the name",
    ]


def test_a_name_that_is_no_text_is_an_error() -> None:
    assert any("name: must be text" in problem for problem in mistakes(log_archive_jobs={1: SYSLOG, "a": None}))


def test_paths_outside_of_the_roots_of_the_hosts_are_mistakes() -> None:
    roots = {"state": ["/var/lib"], "log": ["/var/log"], "select": ["/var/log", "/srv/log"]}
    jobs_of = {"a": dict(SYSLOG, state="/var/lib/../x"), "b": dict(SYSLOG, select=dict(SYSLOG["select"], paths=["/srv/logs"]))}
    assert effective(log_archive_roots=roots, log_archive_jobs={"a": SYSLOG})
    with pytest.raises(ConfigError) as caught:
        effective(log_archive_roots=roots, log_archive_jobs=jobs_of)
    assert caught.value.problems == [
        "a: state: /var/lib/../x does not lie below /var/lib",
        "b: select.paths[0]: /srv/logs does not lie below /var/log or /srv/log",
    ]
    with pytest.raises(ConfigError, match=r"log_archive_roots.stat: unknown key"):
        effective(log_archive_roots={"stat": []}, log_archive_jobs={"a": SYSLOG})


def test_an_earlier_name_that_is_a_job_or_that_two_jobs_claim_is_a_mistake() -> None:
    renamed = {**SYSLOG, "was": ["old"]}
    assert effective(log_archive_jobs={"new": renamed})["new"]["was"] == ["old"]
    assert mistakes(log_archive_jobs={"new": renamed, "old": SYSLOG}) == [
        "new: was: 'old' is another job of this host; remove that job, or this name"
    ]
    assert mistakes(log_archive_jobs={"new": renamed, "newer": renamed}) == [
        "new: was: the job 'newer' claims the earlier name 'old' too; only one job can take over its archives",
        "newer: was: the job 'new' claims the earlier name 'old' too; only one job can take over its archives",
    ]
