# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate a CloudTrail trail: every hour of every region is covered by signed digests, and every log file is as they say.

Each account and region is validated by itself: what fails in one does not end the others.
"""

from __future__ import annotations

import datetime
import typing as t

from .. import __version__
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, EXIT_PARTLY, IntegrityError, LogArchiveError, UsageError
from ..base.progress import no_progress
from ..base.units import UTC, format_utc, parse_utc
from ..sources.trail_bucket import Place
from .chain import LAG, Window
from .facts import WORDS, Finding, region_error
from .region import Region

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from .facts import Chain, KeySource, RegionError, Report
    from .memory import Memory
    from .trail import Trail

START_SLACK = datetime.timedelta(hours=2)
"""How far from the time at which validation was enabled the first digest of a region may begin."""


class Wanted(t.NamedTuple):
    """What to validate. since: None goes on from the last validation. until: now by default. now: the clock, aware.

    trail: only the digests of the trail of this name. trail_start: when the trail, or its validation, was enabled: a chain of digests may
    begin then. places: accounts and regions that must be there.
    """

    now: datetime.datetime
    since: t.Optional[datetime.datetime] = None
    until: t.Optional[datetime.datetime] = None
    trail: t.Optional[str] = None
    trail_start: t.Optional[datetime.datetime] = None
    places: t.Sequence[Place] = ()


def earliest(memory: Memory, wanted: Wanted) -> datetime.datetime:
    """Where the validation begins: at ``since``, or where the last one ended. Raises UsageError if there is neither."""
    if wanted.since is not None:
        return wanted.since
    kept = [chain["clean_until"] for chain in memory.chains.values() if chain.get("clean_until")]
    if not kept:
        raise UsageError("nothing of this trail has been validated yet", hint="Give the time to begin at (--since)")
    return parse_utc(min(kept))


def validate(
    trail: Trail, memory: Memory, name: str, wanted: Wanted, public_keys: t.Optional[KeySource], progress: Progress = no_progress
) -> Report:
    """Validate a trail; what was verified is put into ``memory``, which the caller saves.

    name: of the job. public_keys: None if CloudTrail is not to be asked: only keys that are remembered count.
    Raises UsageError, and LogArchiveError if nothing can be validated at all.
    """
    begin, until = _span(memory, wanted)
    findings: t.List[Finding] = []
    chains: t.List[Chain] = []
    remembered = _by_place(memory)
    places = sorted({*trail.places(), *wanted.places, *remembered})
    errors: t.List[RegionError] = list(trail.errors)
    for place in places:
        start = begin
        kept = [parse_utc(chain["clean_until"]) for chain in remembered.get(place, {}).values() if chain.get("clean_until")]
        if wanted.since is None and kept:
            start = min(kept)
        window = Window(start, until, min(until, wanted.now - LAG), wanted.now)
        region = Region(trail, memory, place, window, wanted.trail, _start_range(wanted.trail_start))
        try:
            region.validate(public_keys, progress)
        except LogArchiveError as error:
            region.errors.append(region_error(place, error))
        findings += region.findings
        errors += region.errors
        chains += region.chains
        if not region.errors:
            region.remember()
    if not places and not errors:
        subject = trail.location if "://" in trail.location else ""
        findings.append(Finding("no_digests", "", "", "", subject, "%s has no file of a trail" % trail.location))
    for key, reason in trail.damaged.items():
        findings.append(Finding("archive_damaged", "", "", "", key, reason))
    report: Report = {
        "name": name,
        "origin": trail.origin,
        "location": trail.location,
        "since": format_utc(begin),
        "until": format_utc(until),
        "checked_at": format_utc(wanted.now.astimezone(UTC)),
        "version": __version__,
        "exit_code": _exit_code(findings, errors, chains),
        "digests": sum(chain["digests"] for chain in chains),
        "valid_digests": sum(chain["valid_digests"] for chain in chains),
        "logs": sum(chain["logs"] for chain in chains),
        "valid_logs": sum(chain["valid_logs"] for chain in chains),
        "chains": chains,
        "findings": [finding._asdict() for finding in findings],
        "errors": errors,
        "notes": list(trail.notes),
        "verified": {
            name: {field: str(value) for field, value in chain.items() if field in ("bucket", "key", "end", "sha256")}
            for name, chain in sorted(memory.chains.items())
        },
    }
    return report


def _span(memory: Memory, wanted: Wanted) -> t.Tuple[datetime.datetime, datetime.datetime]:
    """The times between which to validate. Raises UsageError if there are none."""
    begin, until = earliest(memory, wanted), wanted.until or wanted.now
    if begin > until and wanted.since is None:
        text = "the last validation ended at %s, which is later than the time to end at (%s)" % (format_utc(begin), format_utc(until))
        raise UsageError(text, hint="Check the clock of this host, or give a later time to end at (--until)")
    if begin > until:
        raise UsageError("the time to begin at (%s) is later than the time to end at" % format_utc(begin), hint="Swap them")
    return begin, until


def failure(report: Report) -> t.Optional[LogArchiveError]:
    """The error that reports the findings of a validation, or what could not be validated; None if there is nothing to report."""
    findings, errors = report["findings"], report["errors"]
    if findings:
        first = findings[0]
        about = first["subject"] or " ".join(filter(None, (first["account"], first["region"], first["trail"])))
        text = "the trail is not valid: %d finding(s); %s: %s (%s)" % (len(findings), first["word"], WORDS[first["word"]], first["detail"])
        return IntegrityError(text, about)
    if errors:
        return LogArchiveError("%d part(s) of the trail could not be validated; the first: %s" % (len(errors), errors[0]["error"]))
    return None


def _exit_code(findings: t.Sequence[Finding], errors: t.Sequence[RegionError], chains: t.Sequence[Chain]) -> int:
    if findings:
        return EXIT_INTEGRITY
    if errors:
        return EXIT_PARTLY if any(chain["valid_digests"] for chain in chains) else EXIT_FAILED
    return EXIT_DONE


def _by_place(memory: Memory) -> t.Dict[Place, t.Dict[str, t.Any]]:
    found: t.Dict[Place, t.Dict[str, t.Any]] = {}
    for name, chain in memory.chains.items():
        account, region, _trail = name.split("/", 2)
        found.setdefault(Place(account, region), {})[name] = chain
    return found


def _start_range(trail_start: t.Optional[datetime.datetime]) -> t.Optional[t.Tuple[datetime.datetime, datetime.datetime]]:
    return None if trail_start is None else (trail_start - START_SLACK, trail_start + START_SLACK)
