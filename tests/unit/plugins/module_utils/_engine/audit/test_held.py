# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digests that a validation holds: what a forged one names takes no memory, and CloudTrail is asked for keys once."""

from __future__ import annotations

import gzip
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.chain import Window
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.held import HeldDigests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.memory import Memory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.trail import DigestFile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import trail_names
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.trail_bucket import Place, StoredFile
from rigs import trail as trails
from rigs.trail import HOUR, START, Trail

TRAIL = Trail(6, logs=3, records=1)


class InMemory:
    """The trail without a bucket."""

    bucket = TRAIL.bucket

    def digest(self, _bucket: str, key: str) -> t.Optional[DigestFile]:
        one = TRAIL.objects.get(key)
        return None if one is None else DigestFile(gzip.decompress(one.body), one.metadata)


def test_what_a_forged_digest_names_is_not_held_and_keys_are_asked_for_once() -> None:
    asked = []

    def public_keys(region: str, start: datetime, end: datetime) -> t.Dict[str, bytes]:
        asked.append((region, start < START, end >= TRAIL.end))
        return {trails.fingerprint(): t.cast(bytes, trails.public_key()["Value"])}

    window = Window(START, TRAIL.end, TRAIL.end, TRAIL.end + 2 * HOUR)
    forged = TRAIL.digests()[2]
    TRAIL.add_digest(TRAIL.logs_of()[:1], START + 2 * HOUR, START + 3 * HOUR, key_number=1)
    loaded = HeldDigests(t.cast(t.Any, InMemory()), Memory(None, "trail", "bucket"), Place("1", "eu-west-3"), window, public_keys)
    with ThreadPoolExecutor(4) as pool:
        loaded.load([StoredFile(key, 1, START, "", trail_names.parse(key)) for key in TRAIL.digests()], pool)
    named = {key: len(one.digest.logs) for (_bucket, key), one in loaded.held.items() if one.digest is not None}
    assert named == {key: 0 if key == forged else 3 for key in TRAIL.digests()}
    assert loaded.held[TRAIL.bucket, forged].word == "key_missing"
    assert asked == [("eu-west-3", True, True)]
