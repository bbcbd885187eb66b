# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate one account and region of a trail."""

from __future__ import annotations

import datetime
import typing as t

from ..base.units import format_utc, parse_utc
from ..sources import trail_names
from ..sources.trail_bucket import WORKERS
from . import chain as chains, digests, logs
from .chain import Loaded, Window, url
from .facts import Finding
from .unpack import UnreadableError

if t.TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..base.progress import Progress
    from ..sources.trail_bucket import Place, StoredFile
    from ..sources.trail_names import TrailFile
    from .facts import Chain, KeySource, RegionError
    from .memory import Memory, Remembered
    from .trail import Trail

    ChainName = t.Tuple[str, str, str]

AHEAD = datetime.timedelta(hours=2)
"""A digest that ends so much later than the window may begin in it."""

Name = t.Tuple[str, str]
"""Bucket and key of a file."""


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
        self._results: t.Dict[ChainName, t.Tuple[t.Optional[Loaded], datetime.datetime, t.Optional[str]]] = {}

    def validate(self, public_keys: t.Optional[KeySource], progress: Progress) -> None:
        """Validate it. Raises LogArchiveError if it cannot be validated; the findings so far stay."""
        from concurrent.futures import ThreadPoolExecutor

        listing = self._trail.listing(self.place, self._window.start, self._window.end + AHEAD)
        with ThreadPoolExecutor(WORKERS) as pool:
            self._load([one for one in listing.digests if self._is_wanted(one.file)], pool)
            self._judge(public_keys)
            self._follow_links()
            first = self._cover()
            valid = [one for one in self._held.values() if one.digest is not None and not one.word]
            checked = logs.check(self._trail, self.place, valid, listing.logs, pool, progress)
        self.errors += checked.errors
        self.findings += checked.findings
        for chain in self.chains:
            chain["logs"], chain["valid_logs"] = checked.counts.get(chain["trail"], (0, 0))
        bucket = self._trail.bucket
        self.findings += logs.unnamed(self.place, bucket, listing.logs, checked.named, first, self._window)
        self.findings += logs.irregular(self.place, bucket, listing.irregular, self._window)

    # -- digests ------------------------------------------------------------------------------------------------------

    def _is_wanted(self, file: t.Optional[TrailFile]) -> bool:
        """Whether a digest may say something about the window, by its name."""
        if file is None or file.time is None or not file.trail or self._only not in (None, file.trail):
            return False
        return self._window.start <= file.time <= self._window.end + AHEAD

    def _load(self, listed: t.Sequence[StoredFile], pool: Executor) -> None:
        """Read these digests, and those in other buckets that they refer to."""
        wanted = [(self._trail.bucket, one.file) for one in listed if one.file is not None]
        tried = {(bucket, file.key) for bucket, file in wanted}
        while wanted:
            for loaded in pool.map(lambda item: self._load_one(*item), wanted):
                if loaded is not None and (loaded.digest is None or loaded.digest.start <= self._window.end):
                    self._held[loaded.bucket, loaded.file.key] = loaded
            wanted = []
            for one in list(self._held.values()):
                previous = one.digest and one.digest.previous
                if previous and previous.bucket != one.bucket and (previous.bucket, previous.key) not in self._held:
                    file = trail_names.parse(previous.key)
                    if file is not None and self._is_wanted(file):
                        wanted.append((previous.bucket, file))
            wanted = [item for item in wanted if (item[0], item[1].key) not in tried]
            tried.update((bucket, file.key) for bucket, file in wanted)

    def _load_one(self, bucket: str, file: TrailFile) -> t.Optional[Loaded]:
        try:
            held = self._trail.digest(bucket, file.key)
            return None if held is None else Loaded(bucket, file, digests.read(held.plain, held.metadata))
        except UnreadableError as error:
            return Loaded(bucket, file, None, "digest_unreadable", str(error))

    def _judge(self, public_keys: t.Optional[KeySource]) -> None:
        """Find out which digests are valid by themselves; asks for public keys that are not remembered."""
        known = dict(self._memory.public_keys)
        needed = {one.digest.fingerprint for one in self._held.values() if one.digest is not None}
        if public_keys is not None and needed - known.keys():
            starts = [one.digest.start for one in self._held.values() if one.digest is not None]
            # The key of a backfill digest is of the time at which it was made.
            fetched = public_keys(self.place.region, min(starts), max(self._window.end + AHEAD, self._window.now))
            known = {**fetched, **known}
            # One that is no key may be another one next time.
            self._memory.public_keys.update((name, key) for name, key in fetched.items() if digests.is_key(key))
        for name, one in self._held.items():
            self._held[name] = chains.judged(one, known)

    def _follow_links(self) -> None:
        """Compare the digests with what the next ones say about them, and all with the one that was verified last."""
        found = chains.links(self._held, self._should_be_held)
        for name, why in found.changed.items():
            if not self._held[name].word:
                self._held[name] = self._held[name]._replace(word="digest_changed", detail=why)
        for one in self._held.values():
            if one.word:
                self._add(one.word, one.file.trail, one.url, one.detail)
        for bucket, key, by in found.missing:
            self._add("digest_missing", by.file.trail, url(bucket, key), "%s refers to it" % by.url)
        for (_account, _region, trail), kept in self._remembered():
            if "key" in kept:
                self._compare_with_last(kept["bucket"], kept["key"], kept["sha256"], parse_utc(kept["end"]), trail.rpartition("@")[0])

    def _remembered(self) -> t.Iterator[t.Tuple[ChainName, Remembered]]:
        """The chains of this account and region that were validated before."""
        for key, kept in self._memory.chains.items():
            account, region, trail = key.split("/", 2)
            if (account, region) == self.place and self._only in (None, trail.rpartition("@")[0]):
                yield (account, region, trail), kept

    def _should_be_held(self, bucket: str, key: str) -> bool:
        file = trail_names.parse(key)
        return file is not None and self._is_wanted(file) and not self._trail.is_beyond(bucket, t.cast(datetime.datetime, file.time))

    def _compare_with_last(self, bucket: str, key: str, sha256: str, end: datetime.datetime, trail: str) -> None:
        file = trail_names.parse(key)
        if file is None or self._trail.is_beyond(bucket, end):
            return
        held = self._held.get((bucket, key)) or self._load_one(bucket, file)
        if held is None:
            self._add("tail_rewound", trail, url(bucket, key), "it was verified before, and ends at %s" % format_utc(end))
        elif held.digest is not None and held.digest.sha256 != sha256 and not held.word:
            self._add("digest_changed", trail, held.url, "it is another one than was verified before")

    def _cover(self) -> datetime.datetime:
        """Judge the time that each trail's digests cover; returns from when on log files must be named."""
        by_chain: t.Dict[ChainName, t.List[Loaded]] = {}
        for one in self._held.values():
            by_chain.setdefault(self._name(one.file), []).append(one)
        for name, _kept in self._remembered():
            by_chain.setdefault(name, [])
        if not by_chain:
            by_chain[self.place.account, self.place.region, self._only or ""] = []
        begins = []
        for name, held in sorted(by_chain.items()):
            shown = (name[0], name[1], name[2].rpartition("@")[0])
            start = self._known_start(name, held)
            covered = chains.coverage(shown, held, self._window, () if start is None else (start.key,))
            self.findings += covered.findings
            begins.append(self._window.start if start is None else max(start.start, self._window.start))
            valid = [one for one in held if one.digest is not None and not one.word]
            newest = max(valid, key=lambda one: t.cast(digests.Digest, one.digest).end, default=None)
            self._results[name] = (newest, covered.until, start and start.key)
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

    def _known_start(self, name: ChainName, held: t.Sequence[Loaded]) -> t.Optional[digests.Digest]:
        """The digest with which the chain may begin: one that was accepted before, or the first after the trail was enabled."""
        remembered = self._memory.chains.get("/".join(name), {}).get("start")
        starts = [one.digest for one in held if one.digest is not None and not one.word and one.digest.previous is None]
        starts = [digest for digest in starts if not digest.key.endswith(trail_names.BACKFILL + ".json.gz")]
        for digest in sorted(starts, key=lambda one: one.start):
            in_range = self._starts is not None and self._starts[0] <= digest.start <= self._starts[1]
            if digest.key == remembered or (remembered is None and in_range):
                return digest
        return None

    @staticmethod
    def _name(file: TrailFile) -> ChainName:
        return file.account, file.region, "%s@%s" % (file.trail, file.home)

    def _add(self, word: str, trail: str, subject: str, detail: str) -> None:
        self.findings.append(Finding(word, *self.place, trail, subject, detail))

    # -- memory -------------------------------------------------------------------------------------------------------

    def remember(self) -> None:
        """Put what was verified into the memory. The next validation goes on after this one; if this one has findings, where it began."""
        for name, (newest, until, start) in self._results.items():
            key = "/".join(name)
            if newest is None and key not in self._memory.chains:
                continue
            kept = self._memory.chains.setdefault(key, {})
            if newest is not None and newest.digest is not None and format_utc(newest.digest.end) >= kept.get("end", ""):
                kept["bucket"], kept["key"] = newest.bucket, newest.file.key
                kept["end"], kept["sha256"] = format_utc(newest.digest.end), newest.digest.sha256
            if start is not None:
                kept["start"] = start
            if not self.findings:
                kept["clean_until"] = max(format_utc(min(until, self._window.required)), kept.get("clean_until", ""))
            kept.setdefault("clean_until", format_utc(self._window.start))
