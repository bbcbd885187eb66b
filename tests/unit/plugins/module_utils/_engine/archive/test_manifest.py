# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest: canonical, complete, and checked before it is believed."""

from __future__ import annotations

import contextlib
import copy
import json

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import FIRST_SECOND, LAST_SECOND
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from hypothesis import given, settings, strategies
from rigs.examples import examples
from rigs.host import at
from rigs.nested import replaced

SOURCE = {"path": "/a\udcff\n", "name": "a\udcff\n", "size": 1, "mtime_ns": -5, "mode": "0640", "sha256": "0" * 64}
GOOD = {
    "version": 1,
    "engine": "0.1.0",
    "host": "web1",
    "job": "syslog",
    "created": "2024-01-12T15:00:00Z",
    "archive": {"name": "x.tgz.fernet", "size": 3, "md5": "1" * 32, "sha256": "2" * 64},
    "tgz": {"size": 2, "sha256": "3" * 64},
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
        manifest.parse(manifest.dump(dict(GOOD, version=3)), "x")


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


BOUNDS = [10**400, 10**30, 1 << 63, -1, True, 1.5, float("nan")]


@pytest.mark.parametrize("path", [("archive", "size"), ("tgz", "size"), ("sources", 0, "size"), ("sources", 0, "uid"), ("version",)])
@pytest.mark.parametrize("number", BOUNDS)
def test_a_number_is_whole_and_within_bounds(path, number):
    with pytest.raises(IntegrityError):
        manifest.parse(json.dumps(replaced(GOOD, path, number)).encode(), "x")


@pytest.mark.parametrize("mtime_ns", [(1 << 63) + 5, FIRST_SECOND * 10**9, (LAST_SECOND + 1) * 10**9 - 1])
def test_a_modification_time_is_a_date(mtime_ns):
    assert manifest.parse(manifest.dump(replaced(GOOD, ("sources", 0, "mtime_ns"), mtime_ns)), "x")["sources"][0]["mtime_ns"] == mtime_ns
    for wrong in (FIRST_SECOND * 10**9 - 1, (LAST_SECOND + 1) * 10**9, 10**400):
        with pytest.raises(IntegrityError, match="mtime_ns"):
            manifest.parse(manifest.dump(replaced(GOOD, ("sources", 0, "mtime_ns"), wrong)), "x")


@pytest.mark.parametrize("path", [path for path in leaves(GOOD) if path[0] != "sources"] + [("sources", 0, name) for name in SOURCE])
def test_text_that_no_file_name_can_be_is_refused(path):
    with pytest.raises(IntegrityError):
        manifest.parse(json.dumps(replaced(GOOD, path, "lone \ud800")).encode(), "x")


@pytest.mark.parametrize(
    ("start", "end"), [("2024-01-12T15:00:00Z", "2024-01-12T14:59:59Z"), ("٢024-01-12T14:00:00Z", "2024-01-12T15:00:00Z")]
)
def test_a_period_goes_forward_and_is_written_in_one_way(start, end):
    for path in [("period",), ("sources", 0, "period")]:
        with pytest.raises(IntegrityError, match="period"):
            manifest.parse(manifest.dump(replaced(GOOD, path, {"start": start, "end": end})), "x")


JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(strategies.characters()),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
PLACES = [*leaves(GOOD), *[("sources", 0, name) for name in (*SOURCE, "uid", "gid", "changed", "vanished", "period")], ("more",)]


@given(strategies.sampled_from(PLACES), JSON | strategies.sampled_from([10**400, -(10**30), "\ud800", "\x00"]))
@settings(max_examples=examples(400), deadline=None)
def test_any_json_in_any_place_is_refused_or_can_be_used(catalog, path, value):
    """Whoever gets a manifest from ``parse`` may write it, sort it, add it to a catalog and list it."""
    try:
        known = manifest.parse(json.dumps(replaced(GOOD, path, value)).encode(), "x")
    except IntegrityError as error:
        str(error).encode("utf-8", "backslashreplace")
        return
    archive = inventory.StoredArchive("h/j/2024/01/12/x", 3, None, known)
    assert manifest.parse(manifest.dump(known), "x") == known
    assert manifest.same_sources(known, known)
    assert inventory.choose([archive], inventory.Choice(latest=True)) == [archive]
    assert inventory.totals([archive])["source_bytes"] == manifest.source_bytes(known)
    catalog.forget(catalog.add("h", "j", archive.key, known, ["s"]))


@pytest.fixture(scope="module")
def catalog():
    with contextlib.closing(Catalog(None)) as opened:
        yield opened


def test_same_sources_are_the_same_bytes_of_the_same_paths():
    other = copy.deepcopy(GOOD)
    other["archive"]["sha256"] = "4" * 64
    other["sources"][0]["mtime_ns"] = 7
    assert manifest.same_sources(GOOD, other)
    other["sources"][0]["sha256"] = "1" * 64
    assert not manifest.same_sources(GOOD, other)


def test_period_and_digests():
    assert manifest.period_of(GOOD) == (at("2024-01-12 14:00"), at("2024-01-12 15:00"))
    assert manifest.digests(GOOD) == (3, "1" * 32, "2" * 64)


# -- the HMAC ---------------------------------------------------------------------------------------------------------

KEY = bytes(range(32))
ENVELOPE = envelope.FernetEnvelope(keyring.Key("fffa7151e66b8aa0", KEY))
PLAIN = envelope.PlainEnvelope()
CURRENT = dict(GOOD, version=2, encryption={"format": "fernet", "key_id": "fffa7151e66b8aa0"})


def test_a_sealed_manifest_is_canonical_and_authentic():
    pytest.importorskip("cryptography")
    sealed = manifest.sealed(CURRENT, ENVELOPE)
    assert manifest.parse(manifest.dump(sealed), "x") == sealed
    assert manifest.authenticate(sealed, ENVELOPE, "x") is True


@pytest.mark.parametrize("path", [path for path in PLACES if path[:1] != ("more",)] + [("more",), ("sources", 0)])
def test_the_hmac_binds_every_field(path):
    pytest.importorskip("cryptography")
    sealed = manifest.sealed(CURRENT, ENVELOPE)
    with pytest.raises(IntegrityError, match="HMAC differs"):
        manifest.authenticate(replaced(sealed, path, 99), ENVELOPE, "x")


def test_the_hmac_of_another_key_is_refused():
    pytest.importorskip("cryptography")
    sealed = manifest.sealed(CURRENT, ENVELOPE)
    with pytest.raises(IntegrityError, match="HMAC differs"):
        manifest.authenticate(sealed, envelope.FernetEnvelope(keyring.Key("fffa7151e66b8aa0", bytes(32))), "x")


def test_an_older_version_and_a_plain_archive_are_accepted_and_not_authenticated():
    assert manifest.authenticate(GOOD, ENVELOPE, "x") is False
    plain = manifest.sealed(dict(CURRENT, encryption={"format": "none", "key_id": None}), PLAIN)
    assert "hmac" not in plain
    assert manifest.authenticate(manifest.parse(manifest.dump(plain), "x"), PLAIN, "x") is False


@pytest.mark.parametrize("mac", [None, "", "0" * 63, "A" * 64, 3])
def test_a_new_manifest_without_an_hmac_is_refused_without_the_key(mac):
    damaged = CURRENT if mac is None else dict(CURRENT, hmac=mac)
    with pytest.raises(IntegrityError, match="hmac"):
        manifest.parse(manifest.dump(damaged), "x")


def test_a_new_manifest_has_one_form():
    sealed = dict(CURRENT, hmac="0" * 64)
    twice = manifest.dump(sealed).replace(b'"host":"web1"', b'"host":"web2","host":"web1"')
    for data in (json.dumps(sealed).encode(), manifest.dump(sealed) + b"\n", twice):
        with pytest.raises(IntegrityError, match="canonical"):
            manifest.parse(data, "x")


@pytest.mark.parametrize("value", [b"[],", b"{},", b"1,", b'"",'])
def test_json_that_takes_much_more_memory_than_its_text_is_not_read(value):
    data = b"[" + value * ((manifest.MOST_MEMORY // 64) // (1 + value.count(b"[") + value.count(b"{")) + 10) + b"1]"
    assert len(data) < manifest.LARGEST
    with pytest.raises(IntegrityError, match=r"MiB of memory or more; the limit is 512\.0 MiB"):
        manifest.parse(data, "x")


def test_the_largest_manifest_that_is_made_is_read():
    many = [dict(SOURCE, path="/var/log/%d" % number, name="var/log/%d" % number) for number in range(100)]
    data = manifest.dump(
        dict(GOOD, sources=[dict(source, uid=0, gid=0, changed=False, vanished=False, period=GOOD["period"]) for source in many])
    )
    assert manifest.memory_of(data) / len(data) * manifest.LARGEST < manifest.MOST_MEMORY


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], ["../a"], ["/a"], ["a/../b"], [""], ["a\0"], [".log-archive-x/a"]])
def test_logs_that_no_restore_accepts(names):
    with pytest.raises(IntegrityError):
        manifest.check_sources(dict(GOOD, sources=[dict(SOURCE, name=name) for name in names]), "x")


def test_logs_that_a_restore_accepts():
    manifest.check_sources(dict(GOOD, sources=[dict(SOURCE, name=name) for name in ("a", "b/a", "b/c", ".x", "a.b")]), "x")
