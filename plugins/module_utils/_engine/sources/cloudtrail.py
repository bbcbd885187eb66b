# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a CloudTrail trail: the log files of closed hours and their signed digests."""

from __future__ import annotations

import typing as t

from . import trail_names
from .delivered import DeliveredCollector
from .trail_bucket import TrailBucket

if t.TYPE_CHECKING:
    from ..config.document import JobDocument


class CloudTrailCollector(DeliveredCollector):
    """The option ``cloudtrail`` of a job document."""

    kind = "cloudtrail"

    def __init__(self, document: JobDocument) -> None:
        if document["cloudtrail"] is None:
            raise AssertionError("the job has no cloudtrail options")
        self.options = document["cloudtrail"]
        self.folders = [trail_names.FOLDERS[word] for word in self.options["filter"]]
        super().__init__(document, self.options)

    @staticmethod
    def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
        found = DeliveredCollector.problems(options)
        if "filter" in options and not options["filter"]:
            found.append("filter: must not be empty; omit it to archive every file of the trail")
        return found

    def open(self) -> TrailBucket:
        return TrailBucket(self.options)

    def describe_nothing(self, bucket: TrailBucket) -> str:
        if self.options["organization"] is None:
            of = [name for name in bucket.names(bucket.root) if name.startswith("o-")]
            if of:
                return "; it has files of the organization %s (cloudtrail.organization)" % of[0]
        return ""
