# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A large manifest, which is read source by source: it means and is what it is if it is read as a whole."""

from __future__ import annotations

import json
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import large, manifest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.rows import Rows
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring

KEY = bytes(32)
ENVELOPE = envelope.FernetEnvelope(keyring.Key(keyring.key_id(KEY), KEY))
SOURCES = [
    {"path": "/%s" % name, "name": name, "size": 12345, "mtime_ns": -5, "mode": "0640", "sha256": "0" * 64, "more": [1.5, {"a": [None]}]}
    for name in ("a\udcff\n", 'b"\\', "\U0001f600", "ud800\\ud800")
]
GOOD: t.Dict[str, t.Any] = {
    "a later field": [{"b": -1.5e300}, [], 1234567890, "\U0001f600"],
    "version": 2,
    "engine": "0.1.0",
    "host": "web1",
    "job": "syslog",
    "created": "2024-01-12T15:00:00Z",
    "archive": {"name": "x.tgz.fernet", "size": 3, "md5": "1" * 32, "sha256": "2" * 64},
    "tgz": {"size": 2, "sha256": "3" * 64},
    "encryption": {"format": "fernet", "key_id": "0" * 16},
    "hmac": "4" * 64,
    "period": {"start": "2024-01-12T14:00:00Z", "end": "2024-01-12T15:00:00Z"},
    "sources": SOURCES,
    "zz": 1,
}
DATA = manifest.dump(t.cast(t.Any, GOOD))


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "LARGE", 0)


def changed(**changes: t.Any) -> bytes:
    return manifest.dump(t.cast(t.Any, {**GOOD, **changes}))


@pytest.mark.parametrize("window", [1, 2, 3, 5, 11, 60, 1 << 18])
def test_it_is_read_as_a_whole_one_is(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(large, "_WINDOW", window)
    seen: t.List[t.Any] = []
    found = large.read(DATA, lambda number, source: seen.append((number, source)))
    assert found == GOOD and seen == list(enumerate(SOURCES))
    assert found is not None and isinstance(found["sources"], Rows)
    assert manifest.dump(t.cast(t.Any, found)) == DATA
    assert manifest.size_of(t.cast(t.Any, found)) == len(DATA)


@pytest.mark.parametrize("window", [9, 1 << 18])
def test_what_is_not_in_canonical_form_is_not_read(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(large, "_WINDOW", window)
    wrong = [DATA[:length] for length in range(len(DATA))]
    wrong += [DATA + b"\n", b" " + DATA, DATA.replace(b'"zz":1', b'"zz": 1'), DATA.replace(b'"zz":1', b'"zz":1,"zz":1')]
    wrong += [DATA.replace(b'"size":12345', b'"size":12345 '), DATA.replace(b"},{", b"} ,{"), DATA.replace(b'"zz":1', b'"aa":1')]
    wrong += [DATA.replace(b"\\ud83d", b"\\uD83D"), DATA.replace(b'"job"', b'"j\\u006fb"'), DATA.replace(b"web1", "wéb1".encode())]
    wrong += [changed(sources=[]), changed(sources=[1]), changed(sources={"a": 1}), changed(zz="\ud800"), b"[" * 100_000]
    assert [large.read(data, lambda number, source: None) for data in wrong] == [None] * len(wrong)


@pytest.mark.usefixtures("everything_is_large")
def test_it_is_checked_as_a_whole_one_is() -> None:
    assert manifest.parse(DATA, "x") == GOOD
    with pytest.raises(IntegrityError, match=r"sources\[1\]\.size"):
        manifest.parse(changed(sources=[SOURCES[0], {**SOURCES[1], "size": -1}, {**SOURCES[1], "size": -2}]), "x")
    with pytest.raises(IntegrityError, match=r"sources\[0\]' is not an object"):
        manifest.parse(changed(sources=[[]]), "x")
    # What a later version states of a source may have another meaning.
    with pytest.raises(IntegrityError, match="newer version"):
        manifest.parse(changed(version=3, sources=[{"path": 1}]), "x")
    for data in (json.dumps(GOOD).encode(), DATA + b"\n", DATA.replace(b'"zz":1', b'"zz":1,"zz":1')):
        with pytest.raises(IntegrityError, match="canonical|not JSON"):
            manifest.parse(data, "x")
    with pytest.raises(IntegrityError, match="surrogates not allowed"):
        manifest.parse(changed(sources=[{**SOURCES[0], "path": "/\ud800"}]), "x")
    without = manifest.dump(t.cast(t.Any, {name: value for name, value in GOOD.items() if name != "hmac"}))
    with pytest.raises(IntegrityError, match="lacks 'hmac'"):
        manifest.parse(without, "x")


@pytest.mark.usefixtures("everything_is_large")
def test_one_of_version_1_may_have_another_form() -> None:
    old = {**GOOD, "version": 1}
    for data in (
        json.dumps(old, indent=1).encode(),
        json.dumps(old, ensure_ascii=False).encode("utf-8", "surrogateescape").replace(b"\xff", b""),
    ):
        assert manifest.parse(data, "x")["sources"] == json.loads(data)["sources"]


def test_its_hmac_and_its_digests_are_those_of_the_same_manifest() -> None:
    few = t.cast(t.Any, {name: value for name, value in GOOD.items() if name != "hmac"})
    many = t.cast(t.Any, {**few, "sources": Rows(rows=SOURCES)})
    sealed = manifest.sealed(many, ENVELOPE)
    assert sealed == manifest.sealed(few, ENVELOPE)
    assert manifest.authenticate(sealed, ENVELOPE, "x")
    assert manifest.sha256_of(many) == manifest.sha256_of(few)
    assert manifest.source_identities(many) == manifest.source_identities(few)
    other = t.cast(t.Any, {**sealed, "sources": Rows(rows=[*SOURCES[1:], SOURCES[0]])})
    with pytest.raises(IntegrityError, match="HMAC"):
        manifest.authenticate(other, ENVELOPE, "x")
