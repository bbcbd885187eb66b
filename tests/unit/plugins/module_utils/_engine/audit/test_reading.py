# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the bucket of a trail: a region that cannot be listed, a server that sends too much, files that are fetched ahead."""

from __future__ import annotations

import itertools
import typing as t
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import reading
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.events import Wanted
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreUnavailableError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import trail_names
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.trail_bucket import Place, StoredFile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.s3_errors import AccessDeniedError
from rigs.aws_logs import compressed, log_file, record

NOW = datetime(2026, 11, 3, 12, tzinfo=timezone.utc)
KEY = "AWSLogs/123456789012/CloudTrail/%s/2026/11/03/123456789012_CloudTrail_%s_20261103T%02d00Z_x.json.gz"


class Bucket:
    """A bucket with ``count`` files in each region; those of ``broken`` regions cannot be listed."""

    def __init__(self, count: int, broken: t.Optional[Exception] = None) -> None:
        self.count, self.broken = count, broken
        self.spans: t.List[t.Tuple[datetime, datetime]] = []
        self.reads = 0
        self.body: t.Callable[[], t.Iterable[bytes]] = lambda: [compressed(log_file([record(1)]))]

    def places(self, _folders: t.Any, _unlisted: t.Any) -> t.List[Place]:
        return [Place("123456789012", region) for region in ("a-1", "b-1")]

    def files(self, place: Place, folder: str, start: datetime, end: datetime) -> t.List[StoredFile]:
        self.spans.append((start, end))
        if place.region == "a-1" and self.broken is not None:
            raise self.broken
        if folder != "CloudTrail":
            return []
        keys = [KEY % (place.region, place.region, hour) for hour in range(self.count)]
        return [StoredFile(key, 1, NOW, "", trail_names.parse(key)) for key in keys] + [StoredFile("odd", 1, NOW, "", None)]

    def location(self, key: str) -> str:
        return key

    def read(self, _key: str, take: t.Any) -> t.Any:
        self.reads += 1
        return take({}, self.body())


def events(bucket: t.Any, problems: reading.Problems, wanted: Wanted = Wanted()) -> t.Iterator[t.Any]:  # noqa: B008
    with ThreadPoolExecutor(2) as pool:
        logs = reading._fetched(bucket, reading._stored_logs(bucket, wanted, NOW, problems.report), pool)
        yield from reading.events_in(logs, wanted, problems)


def test_a_region_that_cannot_be_listed_does_not_end_the_others() -> None:
    problems = reading.Problems()
    found = list(events(Bucket(3, AccessDeniedError("no", "a-1")), problems))
    assert len(found) == 3
    # Both of its folders.
    assert [error.message for error in problems.errors] == ["no", "no"]
    assert (problems.done, problems.failed) == (3, 0)


def test_a_server_that_is_down_ends_the_reading() -> None:
    with pytest.raises(StoreUnavailableError):
        list(events(Bucket(3, StoreUnavailableError("down", "a-1")), reading.Problems()))


def test_a_file_without_an_end_is_given_up() -> None:
    bucket, problems = Bucket(1), reading.Problems()
    bucket.body = lambda: itertools.repeat(bytes(1 << 20))
    assert list(events(bucket, problems)) == []
    assert [error.message for error in problems.errors] == ["the file has more than 64 MiB"] * 2
    assert problems.failed == 2


def test_only_a_few_files_are_fetched_ahead() -> None:
    bucket = Bucket(24)
    found = events(bucket, reading.Problems())
    next(found)
    found.close()
    assert bucket.reads <= 2 * reading.WORKERS


def test_files_are_looked_for_where_events_of_the_time_may_have_been_delivered() -> None:
    bucket = Bucket(0)
    list(events(bucket, reading.Problems(), Wanted(NOW - timedelta(hours=9), NOW - timedelta(hours=8))))
    assert set(bucket.spans) == {(NOW - timedelta(hours=9), NOW - timedelta(hours=8) + reading.LATE)}
    bucket.spans.clear()
    list(events(bucket, reading.Problems()))
    assert set(bucket.spans) == {(NOW - timedelta(days=1), NOW)}
