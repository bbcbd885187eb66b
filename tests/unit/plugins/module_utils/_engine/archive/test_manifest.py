# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest: canonical, complete, and checked before it is believed."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from hypothesis import given, strategies
from rigs.host import at

SOURCE = {"path": "/a\udcff\n", "name": "a\udcff\n", "size": 1, "mtime_ns": -5, "mode": "0640", "sha256": "0" * 64}
GOOD = {
    "version": 1,
    "engine": "0.1.0",
    "host": "web1",
    "job": "syslog",
    "created": "2024-01-12T15:00:00Z",
    "archive": {"name": "x.tgz.fernet", "size": 3, "md5": "m", "sha256": "s"},
    "tgz": {"size": 2, "sha256": "t"},
    "encryption": {"format": "fernet", "key_id": "0" * 16},
    "period": {"start": "2024-01-12T14:00:00Z", "end": "2024-01-12T15:00:00Z"},
    "sources": [SOURCE],
}


def test_canonical_bytes_and_back():
    data = manifest.dump(GOOD)
    assert data == manifest.dump(dict(reversed(list(GOOD.items()))))
    assert data.isascii() and data.count(b"\n") == 1 and data.endswith(b"\n") and b" " not in data
    assert manifest.parse(data, "x") == GOOD


def test_fields_of_later_versions_are_accepted_but_not_another_meaning():
    assert manifest.parse(manifest.dump(dict(GOOD, recipients=[1])), "x")["recipients"] == [1]
    with pytest.raises(IntegrityError, match="newer version"):
        manifest.parse(manifest.dump(dict(GOOD, version=2)), "x")


def leaves(value, path=()):
    for name, inner in value.items():
        yield (*path, name)
        if isinstance(inner, dict):
            yield from leaves(inner, (*path, name))


@pytest.mark.parametrize("path", [path for path in leaves(GOOD) if path != ("engine",)])
@pytest.mark.parametrize("wrong", ["missing", None, [], {"a": 1}])
def test_each_field_is_needed_and_of_its_type(path, wrong):
    damaged = copy.deepcopy(GOOD)
    inner = damaged
    for name in path[:-1]:
        inner = inner[name]
    if wrong == "missing":
        del inner[path[-1]]
    elif path == ("sources",) and wrong == []:
        return
    else:
        inner[path[-1]] = wrong
    with pytest.raises(IntegrityError) as caught:
        manifest.parse(json.dumps(damaged).encode(), "the manifest")
    assert caught.value.subject == "the manifest"


@pytest.mark.parametrize("field", sorted(set(SOURCE)))
def test_each_field_of_a_source_is_needed(field):
    damaged = copy.deepcopy(GOOD)
    del damaged["sources"][0][field]
    with pytest.raises(IntegrityError, match=r"sources\[0\]\.%s" % field):
        manifest.parse(manifest.dump(damaged), "x")


@pytest.mark.parametrize("when", ["yesterday", "2024-13-01T00:00:00Z", "2024-01-12", ""])
def test_a_period_is_a_time(when):
    with pytest.raises(IntegrityError, match="not a time"):
        manifest.parse(manifest.dump(dict(GOOD, period={"start": when, "end": when})), "x")


@given(strategies.binary(max_size=200))
def test_no_bytes_at_all_are_more_than_an_integrity_failure(data):
    with pytest.raises(IntegrityError):
        manifest.parse(data, "x")


@pytest.mark.parametrize("data", [b"[" * 100_000, b"9" * 10_000, b'"x"', b"null", b"[]", b'{"sources": 1}'])
def test_json_that_is_no_manifest(data):
    with pytest.raises(IntegrityError):
        manifest.parse(data, "x")


def test_same_sources_are_the_same_bytes_of_the_same_paths():
    other = copy.deepcopy(GOOD)
    other["archive"]["sha256"] = "another ciphertext"
    other["sources"][0]["mtime_ns"] = 7
    assert manifest.same_sources(GOOD, other)
    other["sources"][0]["sha256"] = "1" * 64
    assert not manifest.same_sources(GOOD, other)


def test_period_and_digests():
    assert manifest.period_of(GOOD) == (at("2024-01-12 14:00"), at("2024-01-12 15:00"))
    assert manifest.digests(GOOD) == (3, "m", "s")
