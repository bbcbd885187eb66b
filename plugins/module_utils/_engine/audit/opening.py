# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate the trail of a job: in its bucket, or in the archives of its stores."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ..base.aws_service import open_service
from ..base.progress import no_progress
from ..sources.trail_bucket import Place
from .archived import ArchivedTrail
from .memory import Memory
from .trail import BucketTrail
from .validate import Wanted, earliest, validate

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..config.document import CloudTrailOptions
    from ..holdings.stock import Holdings
    from .facts import KeySource, Report
    from .trail import Trail


class Job(t.NamedTuple):
    """The trail of a job. name: of the job. state: where its memory is; None: it has none. check: a dry run, which keeps nothing.

    offline: whether CloudTrail is not asked for public keys, so that only keys that are remembered count.
    """

    name: str
    options: CloudTrailOptions
    state: t.Optional[str]
    check: bool = False
    offline: bool = False


def validate_bucket(job: Job, wanted: Wanted, progress: Progress = no_progress) -> Report:
    """Validate the trail in its bucket. Raises what ``validate`` and a store raise."""
    memory = Memory(job.state, job.name, "bucket")
    earliest(memory, wanted)
    with contextlib.closing(BucketTrail(job.options)) as trail:
        return _validate(job, trail, memory, wanted, progress)


def validate_archives(job: Job, holdings: Holdings, wanted: Wanted, progress: Progress = no_progress) -> Report:
    """Validate the trail in its archives. Raises what ``validate`` and ``restore_from_stores`` raise."""
    memory = Memory(job.state, job.name, "archives")
    start = earliest(memory, wanted)
    end = wanted.until or wanted.now
    with contextlib.closing(ArchivedTrail(holdings, job.options["bucket"], start, end, progress)) as trail:
        return _validate(job, trail, memory, wanted, progress)


def _validate(job: Job, trail: Trail, memory: Memory, wanted: Wanted, progress: Progress) -> Report:
    keys = None if job.offline else keys_of(job.options)
    report = validate(trail, memory, job.name, wanted._replace(places=_expected(job.options)), keys, progress)
    if not job.check:
        memory.save()
    return report


def _expected(options: CloudTrailOptions) -> t.List[Place]:
    """The accounts and regions that the options name; they must have digests."""
    return [Place(account, region) for account in options["accounts"] for region in options["regions"]]


def keys_of(options: CloudTrailOptions) -> KeySource:
    """Public keys from CloudTrail. Each region has its own."""

    def fetch(region: str, start: datetime.datetime, end: datetime.datetime) -> t.Dict[str, bytes]:
        with contextlib.closing(open_service("cloudtrail", options, region)) as service:
            found = service.pages("list_public_keys", "PublicKeyList", StartTime=start, EndTime=end)
            return {str(key["Fingerprint"]): bytes(key["Value"]) for key in found}

    return fetch
