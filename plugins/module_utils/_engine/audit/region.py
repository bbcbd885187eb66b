# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate one account and region of a trail."""

from __future__ import annotations

import datetime
import typing as t

from ..base.units import format_utc, parse_utc
from ..sources import trail_names
from ..sources.trail_bucket import WORKERS
from . import chain as chains, logs
from .chain import Loaded, Starts, Window, url
from .facts import Finding
from .held import AHEAD, HeldDigests

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..sources.trail_bucket import Place
    from ..sources.trail_names import TrailFile
    from .digests import Digest
    from .facts import Chain, KeySource, RegionError
    from .held import Name
    from .memory import Memory, Remembered
    from .trail import Trail

    ChainName = t.Tuple[str, str, str]


class Region:
    """One account and region. findings, errors, chains: as of the report, once ``validate`` has run. trail: only the trail of this name.

    starts: between which times a chain may begin.
    """

    def __init__(
        self,
        trail: Trail,
        memory: Memory,
        place: Place,
        window: Window,
        only: t.Optional[str] = None,
        starts: t.Optional[t.Tuple[datetime.datetime, datetime.datetime]] = None,
    ) -> None:
        self.place = place
        self.findings: t.List[Finding] = []
        self.errors: t.List[RegionError] = []
        self.chains: t.List[Chain] = []
        self._trail = trail
        self._memory = memory
        self._window = window
        self._only = only
        self._starts = starts
        self._held: t.Dict[Name, Loaded] = {}
        self._results: t.Dict[ChainName, t.Tuple[t.Optional[Loaded], datetime.datetime, t.List[str]]] = {}

    def validate(self, public_keys: t.Optional[KeySource], progress: Progress) -> None:
        """Validate it. Raises LogArchiveError if it cannot be validated; the findings so far stay."""
        from concurrent.futures import ThreadPoolExecutor

        listing = self._trail.listing(self.place, self._window.start, self._window.end + AHEAD)
        digests = HeldDigests(self._trail, self._memory, self.place, self._window, public_keys)
        with ThreadPoolExecutor(WORKERS) as pool:
            # Those of other trails, too: they name log files that are in the same folders.
            digests.load(listing.digests, pool)
            self._held = digests.held
            self._follow_links(digests)
            first = self._cover()
            valid = [one for one in self._held.values() if one.digest is not None and not one.word]
            wanted = [one for one in valid if self._is_wanted(one.file)]
            checked = logs.check(self._trail, self.place, wanted, listing.logs, pool, progress)
        self.errors += digests.errors + checked.errors
        self.findings += checked.findings
        for chain in self.chains:
            chain["logs"], chain["valid_logs"] = checked.counts.get(chain["trail"], (0, 0))
        bucket = self._trail.bucket
        named = {(log.bucket, log.key) for one in valid if one.digest is not None for log in one.digest.logs}
        self.findings += logs.unnamed(self.place, bucket, listing.logs, named, first, self._window)
        self.findings += logs.irregular(self.place, bucket, listing.irregular, self._window)

    # -- digests ------------------------------------------------------------------------------------------------------

    def _is_wanted(self, file: TrailFile) -> bool:
        """Whether a digest is one of the trail that is validated."""
        return self._only in (None, file.trail)

    def _follow_links(self, loaded: HeldDigests) -> None:
        """Compare the digests with what the next ones say about them, and all with the one that was verified last."""
        found = chains.links(self._held, lambda bucket, key: self._should_be_held(loaded, bucket, key))
        for name, why in found.changed.items():
            if not self._held[name].word:
                self._held[name] = self._held[name]._replace(word="digest_changed", detail=why)
        for one in self._held.values():
            if one.word and self._is_wanted(one.file):
                self._add(one.word, one.file.trail, one.url, one.detail)
        for bucket, key, by in found.missing:
            self._add("digest_missing", by.file.trail, url(bucket, key), "%s refers to it" % by.url)
        for (_account, _region, trail), kept in self._remembered():
            if "key" in kept:
                self._compare_with_last(loaded, kept, trail.rpartition("@")[0])

    def _remembered(self) -> t.Iterator[t.Tuple[ChainName, Remembered]]:
        """The chains of this account and region that were validated before."""
        for key, kept in self._memory.chains.items():
            account, region, trail = key.split("/", 2)
            if (account, region) == self.place and self._only in (None, trail.rpartition("@")[0]):
                yield (account, region, trail), kept

    def _should_be_held(self, loaded: HeldDigests, bucket: str, key: str) -> bool:
        file = trail_names.parse(key)
        if file is None or not self._is_wanted(file) or not loaded.is_in_window(file):
            return False
        return not self._trail.is_beyond(bucket, t.cast(datetime.datetime, file.time))

    def _compare_with_last(self, loaded: HeldDigests, kept: Remembered, trail: str) -> None:
        bucket, key, end = kept["bucket"], kept["key"], parse_utc(kept["end"])
        file = trail_names.parse(key)
        if file is None or self._trail.is_beyond(bucket, end):
            return
        held = self._held.get((bucket, key))
        is_reported = held is not None and held.word != ""
        held = held or loaded.load_one(bucket, file)
        if held is None:
            self._add("tail_rewound", trail, url(bucket, key), "it was verified before, and ends at %s" % format_utc(end))
        elif is_reported:
            return
        elif held.digest is None and held.word:
            self._add(held.word, trail, held.url, held.detail)
        elif held.digest is not None and held.digest.sha256 != kept["sha256"]:
            self._add("digest_changed", trail, held.url, "it is not the digest that was verified before")

    def _cover(self) -> datetime.datetime:
        """Judge the time that each trail's digests cover; returns from when on log files must be named."""
        by_chain: t.Dict[ChainName, t.List[Loaded]] = {}
        for one in self._held.values():
            if self._is_wanted(one.file):
                by_chain.setdefault(self._name(one.file), []).append(one)
        for name, _kept in self._remembered():
            by_chain.setdefault(name, [])
        if not by_chain:
            by_chain[self.place.account, self.place.region, self._only or ""] = []
        begins = []
        for name, held in sorted(by_chain.items()):
            shown = (name[0], name[1], name[2].rpartition("@")[0])
            starts = self._known_starts(name, held)
            covered = chains.coverage(shown, held, self._window, starts)
            self.findings += covered.findings
            begins.append(covered.begin)
            valid = [one for one in held if one.digest is not None and not one.word]
            newest = max(valid, key=lambda one: t.cast("Digest", one.digest).end, default=None)
            self._results[name] = (newest, covered.until, sorted(starts.known))
            self.chains.append(
                {
                    "account": shown[0],
                    "region": shown[1],
                    "trail": shown[2],
                    "digests": len(held),
                    "valid_digests": len(valid),
                    "logs": 0,
                    "valid_logs": 0,
                    "verified_until": None if newest is None or newest.digest is None else format_utc(newest.digest.end),
                }
            )
        return min(begins)

    def _known_starts(self, name: ChainName, held: t.Sequence[Loaded]) -> Starts:
        """The digests with which the chain may begin: those that were accepted before, and those that begin if an operator states that the
        trail was enabled."""
        remembered = set(self._memory.chains.get("/".join(name), {}).get("starts", ()))
        given = set()
        if self._starts is not None:
            for one in held:
                begins = one.digest is not None and not one.word and one.digest.previous is None and not one.file.backfill
                if one.digest is not None and begins and self._starts[0] <= one.digest.start <= self._starts[1]:
                    given.add(one.digest.key)
        known = remembered | given
        # Before a later start there was a chain that has ended. That is not a finding if only the time since then is validated.
        first = {min(known, key=lambda key: key.rpartition("/")[2])} if known else set()
        if self._starts is not None and self._window.start >= self._starts[0]:
            first |= given
        return Starts(known, first)

    @staticmethod
    def _name(file: TrailFile) -> ChainName:
        return file.account, file.region, "%s@%s" % (file.trail, file.home)

    def _add(self, word: str, trail: str, subject: str, detail: str) -> None:
        self.findings.append(Finding(word, *self.place, trail, subject, detail))

    # -- memory -------------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Put what was verified into the memory. The next validation goes on after this one; if this one has findings, where it began."""
        for name, (newest, until, starts) in self._results.items():
            key = "/".join(name)
            if newest is None and key not in self._memory.chains:
                continue
            kept = self._memory.chains.setdefault(key, {})
            if newest is not None and newest.digest is not None and format_utc(newest.digest.end) >= kept.get("end", ""):
                kept["bucket"], kept["key"] = newest.bucket, newest.file.key
                kept["end"], kept["sha256"] = format_utc(newest.digest.end), newest.digest.sha256
            if starts:
                kept["starts"] = starts
            if not self.findings:
                kept["clean_until"] = max(format_utc(min(until, self._window.required)), kept.get("clean_until", ""))
            kept.setdefault("clean_until", format_utc(self._window.start))
