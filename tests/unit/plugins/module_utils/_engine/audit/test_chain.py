# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digests of a chain: what covers a time, what a reference says, and what is remembered. No file is read."""

from __future__ import annotations

import gzip
import json
import pathlib
import typing as t
from datetime import timedelta

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import chain, digests, unpack
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.memory import Memory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import trail_names
from hypothesis import given, settings, strategies
from rigs import trail as trails
from rigs.examples import examples
from rigs.trail import HOUR, START, Trail

HOURS = 6
NAME = (trails.ACCOUNT, trails.REGION, trails.TRAIL)
KEYS = {trails.fingerprint(): t.cast(bytes, trails.public_key()["Value"])}


def loaded(trail: Trail) -> t.Dict[t.Tuple[str, str], chain.Loaded]:
    """Every digest of the trail, judged."""
    held = {}
    for key in trail.digests():
        one = trail.objects[key]
        file = trail_names.parse(key)
        assert file is not None
        digest = digests.read(gzip.decompress(one.body), one.metadata)
        held[trail.bucket, key] = chain.judged(chain.Loaded(trail.bucket, file, digest), KEYS)
    return held


TRAIL = Trail(HOURS, logs=0)
HELD = loaded(TRAIL)


def started(*keys: str) -> chain.Starts:
    """Known starts, the first of which is the beginning of all."""
    return chain.Starts(set(keys), set(keys[:1]))


def window(start: float = 0, end: float = HOURS) -> chain.Window:
    return chain.Window(START + HOUR * start, START + HOUR * end, START + HOUR * end, START + HOUR * end)


@given(strategies.sets(strategies.integers(0, HOURS - 1)), strategies.integers(0, HOURS - 1), strategies.integers(1, HOURS))
@settings(max_examples=examples(100), deadline=None)
def test_every_hour_without_a_digest_is_in_exactly_one_finding(gone: t.Set[int], first: int, hours: int) -> None:
    end = min(HOURS, first + hours)
    held = [one for number, one in enumerate(HELD.values()) if number not in gone and number >= first]
    covered = chain.coverage(NAME, held, window(first, end), started(TRAIL.digests()[0]))
    found = []
    for finding in covered.findings:
        assert finding.start is not None and finding.end is not None
        found += [
            number
            for number in range(first, end)
            if finding.start <= trails.stamp(START + HOUR * number) and trails.stamp(START + HOUR * (number + 1)) <= finding.end
        ]
    assert sorted(found) == [number for number in range(first, end) if number in gone]


def test_a_chain_may_begin_only_where_that_is_known() -> None:
    first = TRAIL.digests()[0]
    before = window(-3)
    assert chain.coverage(NAME, list(HELD.values()), before, started(first)).findings == []
    (finding,) = chain.coverage(NAME, list(HELD.values()), before, started()).findings
    assert (finding.word, finding.start, finding.end) == ("chain_start_unknown", trails.stamp(START - 3 * HOUR), trails.stamp(START))


def test_a_reference_to_a_digest_that_should_be_there() -> None:
    third = TRAIL.digests()[2]
    rest = {name: one for name, one in HELD.items() if name[1] != third}
    assert [(key, by.file.key) for _bucket, key, by in chain.links(rest, lambda bucket, key: True).missing] == [
        (TRAIL.digests()[number - 1], TRAIL.digests()[number]) for number in (3,)
    ]
    assert chain.links(rest, lambda bucket, key: False).missing == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"bucket": "elsewhere"}, "digest_moved"),
        ({"signature": None}, "digest_unsigned"),
        ({"signature": "00"}, "signature_wrong"),
        ({"signature": "no hex"}, "signature_wrong"),
        ({"fingerprint": "other"}, "key_missing"),
        ({"end_text": "2026-11-03T07:00:01Z"}, "signature_wrong"),
        ({"previous": digests.Previous("b", "k", None, "ff")}, "signature_wrong"),
    ],
)
def test_what_is_wrong_with_a_digest_by_itself(changes: t.Dict[str, t.Any], word: str) -> None:
    one = next(iter(HELD.values()))
    assert one.digest is not None
    assert chain.judged(one._replace(digest=one.digest._replace(**changes)), KEYS).word == word


def test_a_key_in_the_other_format_of_the_guide_is_taken() -> None:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = trails.signing_key(0).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    one = next(iter(HELD.values()))
    assert chain.judged(one, {trails.fingerprint(): key}).word == ""
    assert chain.judged(one, {trails.fingerprint(): b"no key"}).word == "key_unusable"


@given(strategies.recursive(strategies.none() | strategies.text() | strategies.integers(), lambda inner: strategies.lists(inner)))
@settings(max_examples=examples(30), deadline=None)
def test_a_digest_of_any_json_is_unreadable_and_no_defect(value: t.Any) -> None:
    plain = json.loads(gzip.decompress(TRAIL.objects[TRAIL.digests()[0]].body))
    for name in plain:
        changed = json.dumps({**plain, name: value}).encode()
        try:
            digests.read(changed, {})
        except unpack.UnreadableError:
            pass
    with pytest.raises(unpack.UnreadableError):
        digests.read(json.dumps(value).encode(), {})


# -- unpacking --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_unpacking_gives_what_was_packed(size: int) -> None:
    data = b"log line\n" * 300_000
    packed = gzip.compress(data)
    pieces = [packed[at : at + size] for at in range(0, min(len(packed), 10_000_000), size)]
    assert b"".join(unpack.unpack(pieces, len(data))) == data
    with pytest.raises(unpack.UnreadableError, match="more than"):
        list(unpack.unpack(pieces, len(data) - 1))


@pytest.mark.parametrize(
    "data",
    [b"", b"no gzip", gzip.compress(b"x")[:-1], gzip.compress(b"x") + b"y", gzip.compress(b"x") * 2],
    ids=["nothing", "text", "cut", "a byte more", "two members"],
)
def test_what_is_no_gzip_file_is_unreadable(data: bytes) -> None:
    with pytest.raises(unpack.UnreadableError):
        list(unpack.unpack([data], 100))


# -- names ------------------------------------------------------------------------------------------------------------


def test_the_folder_of_a_file_decides_what_it_is() -> None:
    trail = Trail(1, logs=1, prefix="a/b", organization="o-abcdef1234")
    digest = trail_names.parse(trail.digests()[0])
    assert digest == trail_names.TrailFile(
        trail.digests()[0], trail.account, "CloudTrail-Digest", trails.REGION, START + HOUR, trails.TRAIL, trails.REGION
    )
    log = trail_names.parse(trail.logs_of()[0])
    assert log is not None and (log.folder, log.time) == ("CloudTrail", START + HOUR / 2)
    odd = trail_names.parse(trail.folder("CloudTrail", trails.REGION, START) + "x_CloudTrail-Digest_y.json.gz")
    assert odd is not None and (odd.folder, odd.time) == ("CloudTrail", None)
    backfill = trail_names.parse(trail.digest_key(START, backfill=True))
    assert backfill is not None and backfill.backfill and backfill.trail == trails.TRAIL
    assert trail_names.parse("AWSLogs/123456789012/Config/eu-west-3/2026/11/03/x.json.gz") is None


def test_the_folders_of_a_time_are_days_or_months() -> None:
    assert list(trail_names.folders(START - timedelta(hours=7), START)) == ["2026/11/02/", "2026/11/03/"]
    assert len(list(trail_names.folders(START - timedelta(days=40), START))) == 41
    assert list(trail_names.folders(START - timedelta(days=41), START)) == ["2026/09/", "2026/10/", "2026/11/"]


# -- memory -----------------------------------------------------------------------------------------------------------


def test_a_chain_never_goes_back_whoever_saves_last(tmp_path: pathlib.Path) -> None:
    state = str(tmp_path / "state")
    early, late = Memory(state, "trail", "bucket"), Memory(state, "trail", "bucket")
    late.chains["1/r/t@h"] = {"end": "2026-11-03T08:00:00Z", "key": "late", "bucket": "b", "sha256": "0"}
    late.public_keys["b"] = b"2"
    late.save()
    early.chains["1/r/t@h"] = {"end": "2026-11-03T07:00:00Z", "key": "early", "bucket": "b", "sha256": "0"}
    early.public_keys["a"] = b"1"
    early.save()
    held = Memory(state, "trail", "bucket")
    assert held.chains["1/r/t@h"]["key"] == "late" and held.public_keys == {"a": b"1", "b": b"2"}
    assert Memory(state, "trail", "archives").chains == {} and Memory(state, "trail", "archives").public_keys == held.public_keys
    assert Memory(None, "trail", "bucket").chains == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"chains": []}', '{"chains": {"x": {}}}', '{"chains": {"1/r/t@h": {"end": 5}}}'])
def test_a_memory_that_is_damaged_is_an_error(tmp_path: pathlib.Path, text: str) -> None:
    state = tmp_path / "state"
    (state / "audit").mkdir(parents=True, mode=0o700)
    (state / "audit" / "trail.bucket.json").write_text(text)
    state.chmod(0o700)
    with pytest.raises(LogArchiveError, match="cannot read what earlier validations have verified"):
        Memory(str(state), "trail", "bucket")


@pytest.mark.parametrize("name", ["../x", "a/b", "", "."])
def test_a_name_that_is_a_path_is_refused(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(ConfigError):
        Memory(str(tmp_path), name, "bucket")
