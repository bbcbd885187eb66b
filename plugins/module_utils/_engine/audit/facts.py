# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a validation finds: the words of its findings, and the types of its report."""

from __future__ import annotations

import datetime
import typing as t

if t.TYPE_CHECKING:
    from ..base.errors import LogArchiveError

KeySource = t.Callable[[str, datetime.datetime, datetime.datetime], t.Dict[str, bytes]]
"""Returns the public keys of a region for a time, DER by fingerprint. Raises LogArchiveError."""

WORDS = {
    "log_missing": "a digest names the log file, and it is not there",
    "log_changed": "the log file does not have the hash in the digest",
    "log_unreadable": "the log file cannot be unpacked",
    "log_unnamed": "no valid digest names the log file",
    "digest_missing": "the next digest refers to the digest, and it is not there",
    "digest_changed": "the digest is not the one that was delivered",
    "digest_moved": "the digest was delivered under another name",
    "digest_unreadable": "the digest cannot be read",
    "digest_unsigned": "the digest has no signature",
    "signature_wrong": "the signature of the digest is wrong",
    "key_missing": "CloudTrail has no public key of the digest's fingerprint",
    "key_unusable": "the public key of the digest's fingerprint is not an RSA key",
    "coverage_hole": "no valid digest covers the time",
    "tail_missing": "no valid digest covers the time up to two hours ago",
    "tail_rewound": "the digest that was verified last is gone",
    "no_digests": "the region has no digests",
    "chain_start_unknown": "a chain of digests begins, and nothing proves that there was no earlier digest",
    "delete_marker": "the object was deleted; older versions of it exist",
    "archive_damaged": "no store can give an archive of the trail",
    "extra_version": "the object was replaced; older versions of it exist",
}
"""What each word means. A program may rely on the words."""


class Finding(t.NamedTuple):
    """Something that is missing, changed or unexplained.

    word: of WORDS. account, region, trail: where, '' if it is not about one. subject: the URL of an object, or ''. detail: a sentence
    about it. start, end: the time that it is about, in UTC, or None.
    """

    word: str
    account: str
    region: str
    trail: str
    subject: str
    detail: str
    start: t.Optional[str] = None
    end: t.Optional[str] = None


class Chain(t.TypedDict):
    """The digests of one trail in one account and region.

    digests, logs: how many were checked, and how many of them are valid. verified_until: the end of the newest valid digest.
    """

    account: str
    region: str
    trail: str
    digests: int
    valid_digests: int
    logs: int
    valid_logs: int
    verified_until: t.Optional[str]


class RegionError(t.TypedDict):
    """Why an account and region could not be validated, or not completely. kind: as of an error of the command."""

    account: str
    region: str
    kind: str
    error: str


def region_error(place: t.Tuple[str, str], error: LogArchiveError) -> RegionError:
    """The error of an account and region."""
    return {"account": place[0], "region": place[1], "kind": error.kind, "error": str(error)}


class Report(t.TypedDict):
    """The result of a validation. Times are in UTC.

    origin: "bucket" or "archives". since: the start of the time that is covered; by region it may begin later or earlier if it goes on
    from the last validation. verified: by chain ('account/region/trail'), the newest digest that was verified. notes: what was not checked.
    """

    name: str
    origin: str
    location: str
    since: str
    until: str
    checked_at: str
    version: str
    exit_code: int
    digests: int
    valid_digests: int
    logs: int
    valid_logs: int
    chains: t.List[Chain]
    findings: t.List[t.Dict[str, t.Any]]
    errors: t.List[RegionError]
    notes: t.List[str]
    verified: t.Dict[str, t.Dict[str, str]]
