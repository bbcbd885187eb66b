# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of a CloudTrail trail's files in its bucket. The folder of a file decides what it is, whatever its name ends with.

https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-find-log-files.html and, for digests,
cloudtrail-log-file-validation-digest-file-structure.html.
"""

from __future__ import annotations

import datetime
import re
import typing as t

from ..base.named_tuple import NamedTuple
from ..base.units import UTC

LOGS, DIGESTS, INSIGHTS = "CloudTrail", "CloudTrail-Digest", "CloudTrail-Insight"
FOLDERS = {"logs": LOGS, "digests": DIGESTS, "insights": INSIGHTS}
"""By the word that the option ``filter`` has for it."""
MOST_DAYS = 40
"""Days that are listed one by one."""
SIDECAR = ".metadata.json"
"""Ends the name of the file that an archive has beside a digest: its metadata, with the signature (see ``cloudtrail``)."""

_FOLDER = re.compile(
    r"(?P<root>(?:.*/)?)AWSLogs/(?:(?P<organization>o-[a-z0-9]+)/)?(?P<account>\d{12})/(?P<folder>CloudTrail(?:-Digest|-Insight)?)/"
    r"(?P<region>[a-z0-9-]+)/\d{4}/\d\d/\d\d/(?P<name>[^/]+)",
    re.ASCII,
)
_LOG = re.compile(r"\d{12}_CloudTrail(?:-Insight)?_[a-z0-9-]+_(\d{8}T\d{4})Z_[^_/]+\.json\.gz", re.ASCII)
_DIGEST = re.compile(r"\d{12}_CloudTrail-Digest_[a-z0-9-]+_(.+)_([a-z0-9-]+)_(\d{8}T\d{6})Z(_backfill)?\.json\.gz", re.ASCII)


class TrailFile(NamedTuple):
    """What a key states. folder: LOGS, DIGESTS or INSIGHTS. time: when a log was delivered, or a digest ends; None if the name has none.

    trail, home: of a digest, the trail's name and home region; '' for other files. backfill: whether it is a backfill digest.
    """

    key: str
    account: str
    folder: str
    region: str
    time: t.Optional[datetime.datetime]
    trail: str = ""
    home: str = ""
    backfill: bool = False


def parse(key: str) -> t.Optional[TrailFile]:
    """What the key states; None if it is not a file of a trail."""
    found = _FOLDER.fullmatch(key)
    if found is None:
        return None
    common = (key, found["account"], found["folder"], found["region"])
    if found["folder"] == DIGESTS:
        digest = _DIGEST.fullmatch(found["name"])
        if digest is None:
            return TrailFile(*common, None)
        return TrailFile(*common, _time(digest[3], "%Y%m%dT%H%M%S"), digest[1], digest[2], digest[4] is not None)
    log = _LOG.fullmatch(found["name"])
    return TrailFile(*common, None if log is None else _time(log[1], "%Y%m%dT%H%M"))


def _time(text: str, form: str) -> t.Optional[datetime.datetime]:
    try:
        return datetime.datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def root_of(prefix: str, organization: t.Optional[str]) -> str:
    """The prefix of all keys of a trail, up to the accounts."""
    prefix = prefix.strip("/")
    return "%sAWSLogs/%s" % (prefix + "/" if prefix else "", organization + "/" if organization else "")


def folders(start: datetime.datetime, end: datetime.datetime) -> t.Iterator[str]:
    """The folders that have the UTC days from one time to another: of the days, 'YYYY/MM/DD/', or, for many of them, of their months.

    Each is listed by itself: a year takes 12 requests instead of 365, and a few days do not take a month.
    """
    day, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
    by_month = (last - day).days > MOST_DAYS
    while day <= last:
        yield "%04d/%02d/" % (day.year, day.month) if by_month else "%04d/%02d/%02d/" % (day.year, day.month, day.day)
        day = (day.replace(day=1) + datetime.timedelta(days=32)).replace(day=1) if by_month else day + datetime.timedelta(days=1)
