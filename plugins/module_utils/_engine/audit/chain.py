# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digests of one trail in one account and region: whether each is the one that was delivered, and whether they leave no hole.

No file is read here. ``aws cloudtrail validate-logs`` walks from the newest digest that it finds to the oldest and reports what it meets;
what it does not meet (a deleted tail, a deleted beginning, two deleted digests in a row) it does not report. Here the time that must be
covered is given.
"""

from __future__ import annotations

import datetime
import typing as t

from ..base.units import format_utc
from . import digests
from .digests import Digest
from .facts import Finding
from .unpack import UnreadableError

if t.TYPE_CHECKING:
    from ..sources.trail_names import TrailFile

LAG = datetime.timedelta(hours=2)
"""CloudTrail delivers the digest of an hour within the next hour; after so long it is missing."""


class Window(t.NamedTuple):
    """The time that must be covered. required: up to here there must be digests. now: the clock. All are aware."""

    start: datetime.datetime
    end: datetime.datetime
    required: datetime.datetime
    now: datetime.datetime


class Loaded(t.NamedTuple):
    """A digest that is held. digest: None if it cannot be read. word, detail: what is wrong with it; '' if it is valid."""

    bucket: str
    file: TrailFile
    digest: t.Optional[Digest]
    word: str = ""
    detail: str = ""

    @property
    def url(self) -> str:
        """Where it is."""
        return url(self.bucket, self.file.key)


def url(bucket: str, key: str) -> str:
    """The URL of an object."""
    return "s3://%s/%s" % (bucket, key)


def judged(loaded: Loaded, public_keys: t.Mapping[str, bytes]) -> Loaded:
    """The digest with what is wrong with it by itself: its place and its signature. public_keys: DER, by fingerprint."""
    digest = loaded.digest
    if digest is None or loaded.word:
        return loaded
    if (digest.bucket, digest.key) != (loaded.bucket, loaded.file.key):
        return loaded._replace(word="digest_moved", detail="it was delivered as %s" % url(digest.bucket, digest.key))
    if not digest.signature:
        return loaded._replace(word="digest_unsigned", detail="the metadata of the object has no signature of the algorithm SHA256withRSA")
    if digest.fingerprint not in public_keys:
        return loaded._replace(word="key_missing", detail="the fingerprint is %s" % digest.fingerprint[:80])
    try:
        key = digests.load_key(public_keys[digest.fingerprint])
    except UnreadableError as error:
        return loaded._replace(word="key_unusable", detail="the fingerprint is %s: %s" % (digest.fingerprint[:80], error))
    if not digests.is_signed_by(digest, key):
        return loaded._replace(word="signature_wrong", detail="the digest, or its signature, was changed")
    return loaded


class Links(t.NamedTuple):
    """What the digests say about those before them. changed: by bucket and key, why a digest is not the one that the next one refers to.

    missing: each digest that is referred to and not held, with the one that refers to it.
    """

    changed: t.Dict[t.Tuple[str, str], str]
    missing: t.List[t.Tuple[str, str, Loaded]]


def links(held: t.Mapping[t.Tuple[str, str], Loaded], is_wanted: t.Callable[[str, str], bool]) -> Links:
    """Compare each valid digest's reference with the digest before it. is_wanted: whether a digest that is not held should be."""
    changed: t.Dict[t.Tuple[str, str], str] = {}
    missing = []
    for one in held.values():
        if one.digest is None or one.word or one.digest.previous is None:
            continue
        previous = one.digest.previous
        before = held.get((previous.bucket, previous.key))
        if before is None:
            if is_wanted(previous.bucket, previous.key):
                missing.append((previous.bucket, previous.key, one))
        elif before.digest is not None and before.digest.sha256 != previous.sha256:
            changed[before.bucket, before.file.key] = "its hash is not the one that %s has" % one.url
        elif before.digest is not None and before.digest.signature and before.digest.signature != previous.signature:
            changed[before.bucket, before.file.key] = "its signature is not the one that %s has" % one.url
    return Links(changed, missing)


class Starts(t.NamedTuple):
    """The keys of digests with which a chain may begin. first: those of them before which nothing is expected."""

    known: t.Set[str]
    first: t.Set[str]


class Coverage(t.NamedTuple):
    """findings: holes, and beginnings. begin: from when on there must be digests. until: the end of the time without a hole since then."""

    findings: t.List[Finding]
    begin: datetime.datetime
    until: datetime.datetime


def coverage(name: t.Tuple[str, str, str], held: t.Sequence[Loaded], window: Window, starts: Starts) -> Coverage:
    """Whether valid digests cover the window. name: account, region and trail.

    A backfill digest covers its time, too. It has a chain of backfill digests, which begins whenever there is one.
    """
    valid = [(one, one.digest) for one in held if one.digest is not None and not one.word]
    findings = []
    begin = reached = window.start
    until, is_first = None, True
    for one, digest in sorted(valid, key=lambda item: (item[1].start, item[1].end)):
        begins = digest.previous is None and not one.file.backfill
        is_unknown = begins and digest.key not in starts.known
        if begins and is_first and digest.key in starts.first:
            begin = reached = max(reached, digest.start)
        elif is_unknown:
            start = None if digest.start <= window.start else window.start
            text = "it refers to no digest before it"
            findings.append(_finding("chain_start_unknown", name, one.url, text, start, digest.start))
        is_first = is_first and one.file.backfill
        if digest.start > reached:
            # What may have been before an unknown start is a part of that finding.
            if not is_unknown or reached > window.start:
                findings.append(_finding("coverage_hole", name, "", _span(reached, digest.start), reached, digest.start))
            until = until or reached
        reached = max(reached, digest.end)
    if not valid:
        text = "no digest is valid for %s to %s" % (format_utc(window.start), format_utc(window.required))
        if window.required > window.start:
            findings.append(_finding("coverage_hole" if held else "no_digests", name, "", text, window.start, window.required))
        return Coverage(findings, begin, begin)
    if reached < window.required:
        findings.append(_finding("tail_missing", name, "", _span(reached, window.required), reached, window.required))
    return Coverage(findings, begin, until or reached)


def _span(start: datetime.datetime, end: datetime.datetime) -> str:
    return "%s to %s" % (format_utc(start), format_utc(end))


def _finding(
    word: str,
    name: t.Tuple[str, str, str],
    subject: str,
    detail: str,
    start: t.Optional[datetime.datetime] = None,
    end: t.Optional[datetime.datetime] = None,
) -> Finding:
    return Finding(word, *name, subject, detail, None if start is None else format_utc(start), None if end is None else format_utc(end))
