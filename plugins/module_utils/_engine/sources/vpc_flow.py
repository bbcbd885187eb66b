# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of VPC flow logs, text or Parquet, of closed hours.

Keys: https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html. With partitions that Hive knows, each folder of a key names
what it is: ``aws-account-id=.../aws-service=vpcflowlogs/aws-region=.../year=2026/month=11/day=03/``. A partition for each hour adds a
folder.
"""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from ..base.units import UTC
from .delivered import DeliveredCollector
from .trail_bucket import Place, TrailBucket
from .trail_names import TrailFile

if t.TYPE_CHECKING:
    from ..config.document import CloudTrailOptions, JobDocument, VpcFlowOptions
    from .trail_bucket import Unlisted

FOLDER = "vpcflowlogs"
_ACCOUNT, _SERVICE, _REGION = "aws-account-id=", "aws-service=", "aws-region="
_KEY = re.compile(
    r"(?:.*/)?AWSLogs/(?:aws-account-id=)?(?P<account>\d{12})/(?:aws-service=)?vpcflowlogs/(?:aws-region=)?(?P<region>[a-z0-9-]+)/"
    r"(?:year=)?\d{4}/(?:month=)?\d\d/(?:day=)?\d\d/(?:(?:hour=)?\d\d/)?(?P<name>[^/]+)",
    re.ASCII,
)
_NAME = re.compile(r"\d{12}_vpcflowlogs_[a-z0-9-]+_fl-[0-9a-z]+_(\d{8}T\d{4})Z_.+", re.ASCII)


class FlowBucket(TrailBucket):
    """The bucket of flow logs. The account and the region of a place are folders, as the keys have them."""

    def __init__(self, options: VpcFlowOptions) -> None:
        super().__init__(t.cast("CloudTrailOptions", {**options, "organization": None}))

    def places(self, folders: t.Iterable[str], unlisted: Unlisted) -> t.List[Place]:
        found: t.Set[Place] = set()
        for account in self.names(self.root):
            number = account[len(_ACCOUNT) :] if account.startswith(_ACCOUNT) else account
            if not re.fullmatch(r"[0-9]{12}", number) or (self.options["accounts"] and number not in self.options["accounts"]):
                continue
            start = _REGION if account != number else ""
            for folder in folders:
                named = [start + region for region in self.options["regions"]]
                regions = named or self.names_or_report(self._above(account, folder), number, unlisted)
                found.update(Place(account, region) for region in regions if region.startswith(start))
        return sorted(found)

    def folder(self, place: Place, folder: str, day: str = "") -> str:
        if place.account.startswith(_ACCOUNT) and day:
            day = "year=%s/month=%s/day=%s/" % tuple(day.rstrip("/").split("/"))
        return "%s%s/%s" % (self._above(place.account, folder), place.region, day)

    def _above(self, account: str, folder: str) -> str:
        """The folder of the regions of an account."""
        return "%s%s/%s%s/" % (self.root, account, _SERVICE if account.startswith(_ACCOUNT) else "", folder)

    def parse(self, key: str) -> t.Optional[TrailFile]:
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        name = _NAME.fullmatch(found["name"])
        return TrailFile(key, found["account"], FOLDER, found["region"], None if name is None else _time(name[1]))


def _time(text: str) -> t.Optional[datetime]:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None


class VpcFlowCollector(DeliveredCollector):
    """The option ``vpc_flow`` of a job document."""

    kind = "vpc_flow"
    folders = (FOLDER,)

    def __init__(self, document: JobDocument) -> None:
        if document["vpc_flow"] is None:
            raise AssertionError("the job has no vpc_flow options")
        self.options = document["vpc_flow"]
        super().__init__(document, self.options)

    def open(self) -> TrailBucket:
        return FlowBucket(self.options)
