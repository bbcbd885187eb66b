# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names: safe in any store, told apart, and never longer than a file system takes."""

from __future__ import annotations

import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import naming
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import periods
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from hypothesis import given, strategies
from rigs.host import at

HOUR = periods.Period(at("2024-01-12 14:00"), at("2024-01-12 15:00"))
NEXT = periods.Period(at("2024-01-12 15:00"), at("2024-01-12 16:00"))
FIELDS = {"host": "web1", "job": "syslog"}


def source(path, period=HOUR):
    return selection.Source(path, 1, 0, period, "/", (0, 0))


@given(strategies.binary(min_size=1, max_size=300).filter(lambda name: b"/" not in name and b"\0" not in name))
def test_any_name_becomes_one_plain_name(name):
    safe = naming.safe_name(os.fsdecode(name))
    assert safe.isascii() and safe.isprintable()
    assert not safe.startswith(".")
    assert "/" not in safe
    assert 0 < len(safe) <= naming.LONGEST_NAME


def test_names_that_differ_stay_different():
    names = ["a", "a b", "a%20b", "ä", "\udce4", "x" * 250, "x" * 251, "x" * 250 + "y", ".hidden", "%2Ehidden"]
    assert len({naming.safe_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("by", naming.DEFAULT_TEMPLATES)
def test_every_source_is_in_exactly_one_group_and_groups_are_in_order(by):
    sources = [source("/b/two", NEXT), source("/a/one"), source("/b/one"), source("/a/two", NEXT)]
    groups = naming.group(sources, by, None, "hour", "UTC", FIELDS)
    assert sorted(path for group in groups for path in [s.path for s in group.sources]) == sorted(s.path for s in sources)
    assert len(groups) == {"file": 4, "period": 2, "run": 1}[by]
    assert [group.period.start for group in groups] == sorted(group.period.start for group in groups)


def test_default_names():
    sources = [source("/a/one"), source("/a/two", NEXT)]
    assert [group.name for group in naming.group(sources, "file", None, "hour", "UTC", FIELDS)] == ["one", "two"]
    assert [group.name for group in naming.group(sources, "period", None, "hour", "UTC", FIELDS)] == [
        "syslog.20240112T1400",
        "syslog.20240112T1500",
    ]
    assert [group.name for group in naming.group(sources, "run", None, "hour", "UTC", FIELDS)] == ["syslog.20240112T140000"]


def test_a_template_is_filled_in_but_what_it_inserts_is_not_a_template():
    (group,) = naming.group([source("/a/100%d{job}")], "file", "{stem}-%Y%d%m-{host}", "hour", "Europe/Paris", FIELDS)
    assert group.name == "100%25d%7Bjob%7D-20241201-web1"
    with pytest.raises(ConfigError):
        naming.group([source("/a/x")], "file", "{stemm}", "hour", "UTC", FIELDS)


def test_keys():
    period = periods.Period(at("2024-01-01 00:30").astimezone(periods.load_timezone("Asia/Tokyo")), at("2024-01-01 01:30"))
    assert naming.archive_key("h", "j", period, "x.tgz") == "h/j/2024/01/01/x.tgz"
    assert naming.manifest_key("h/j/x.tgz") == "h/j/x.tgz.manifest.json"
    assert naming.folder_key("h", "j") == "h/j/"


def test_revisions():
    assert [naming.revised("a/x.tgz", ".tgz", number) for number in (1, 2, 10)] == ["a/x.tgz", "a/x.r2.tgz", "a/x.r10.tgz"]
    assert naming.revised("a/x.other", ".tgz", 2) == "a/x.other.r2"


@pytest.mark.parametrize(
    ("first", "suffix"),
    [
        ("h/j/a.tgz.fernet", ".tgz.fernet"),
        ("app.r2.log.tgz", ".tgz"),
        ("a.tar.gz.enc", ".tar.gz.enc"),
        ("a.tgz.old", ".tgz.old"),
        ("a", ".tgz"),
    ],
)
@pytest.mark.parametrize("revision", [1, 2, 9, 10, 123])
def test_a_revision_is_recognised(first, suffix, revision):
    assert naming.unrevised(naming.revised(first, suffix, revision)) == (first, revision)


@pytest.mark.parametrize("key", ["a.r0.tgz", "a.r1.tgz", "a.r02.tgz", "a.r.tgz", ".r2.tgz", "a.r%s.tgz" % ("9" * 5000)])
def test_what_is_no_revision(key):
    assert naming.unrevised(key) == (key, 1)


def test_what_lies_where_archives_lie():
    assert naming.is_archive_key("h/j/2024/01/12/x")
    for key in ("x", "h/j/x", "h/j/2024/1/12/x", "h/j/2024/01/12/x/y", "a/h/j/2024/01/12/x", "h/j/2024/01/12/"):
        assert not naming.is_archive_key(key)
