# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which objects of a store are archives of an earlier script, by their names."""

from __future__ import annotations

import re
import typing as t

from ..archive.naming import MANIFEST_SUFFIX, archive_key, head_of, is_archive_key, original_of
from ..base import globs
from ..base.errors import ConfigError
from ..base.periods import NamePattern, Period, compile_pattern
from ..stores.layout import LONGEST_ADOPTED, adopted_name, is_key

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..stores.base import StoredObject

_DIGITS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "j": 3, "G": 4, "V": 2}
"""How many digits a time code takes; the others take any characters."""
MOST_UNMATCHED = 1000
"""Objects with other names that are returned; a bucket may have a million."""
NEW, PRESENT, REFUSED, UNMATCHED = "new", "present", "refused", "unmatched"


class Candidate(t.NamedTuple):
    """An object that may be an archive of an earlier script.

    name: of the object. state: new (to be adopted), present (this job has a manifest of it), refused (the name matches, and it cannot be
    adopted), or unmatched. key: of the archive that it is or becomes. period: that the template gives. why: it is refused or unmatched.
    """

    name: str
    size: int
    state: str
    key: t.Optional[str] = None
    period: t.Optional[Period] = None
    why: t.Optional[str] = None


class Found(t.NamedTuple):
    """What a store lists. candidates: by name, at most ``MOST_UNMATCHED`` of those that are unmatched. unmatched: how many there are.
    own: how many objects this software put there. elsewhere: how many others are in folders in which the template finds nothing."""

    candidates: t.List[Candidate]
    unmatched: int
    own: int
    elsewhere: int


class Reading(t.NamedTuple):
    """What a name gives. fits: whether it has the form of the template. why: it gives no period, or its period is not certain."""

    fits: bool
    period: t.Optional[Period] = None
    why: t.Optional[str] = None


class Template:
    """A template of the names that a script gave its archives: a glob with time codes, for the whole name of an object in its store.

    Raises ConfigError if it is not valid, or gives no period.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        if not is_key(text):
            hint = "Give the name below the root of the store, as in old/%Y%d%m.tgz, without the path of the store"
            raise ConfigError(
                "no object of a store has such a name: it is empty or that of an unfinished upload, or a part between slashes is empty,"
                " '.' or '..'",
                repr(text),
                hint,
            )
        self._pattern = compile_pattern(text, use_regex=False)
        if self._pattern.unit is None:
            hint = "Use the codes of strftime, as in %Y%d%m.tgz"
            raise ConfigError("the template has no date, so it gives no period", repr(text), hint)
        self._rightmost = NamePattern(text, False, greedy=True)
        self._shape = re.compile(globs.translate(text, _shape_of), re.DOTALL)
        literal = re.split(r"[%*?\[]", text, maxsplit=1)[0]
        self._folder = literal[: literal.rfind("/") + 1]
        self._depth = None if "**" in text else text.count("/")

    def covers(self, name: str) -> bool:
        """Whether the name is in a folder in which the template finds archives."""
        return name.startswith(self._folder) and self._depth in (None, name.count("/"))

    def read(self, name: str, timezone: str) -> Reading:
        """The period of an archive with this name."""
        match = self._pattern.match(name, timezone)
        if match is None:
            if self._shape.fullmatch(name) is not None:
                return Reading(True, why="the name has the form of the template, but its date does not exist")
            return Reading(False, why="the name does not match the template")
        # Of a longer name, which cannot be adopted, the many readings could take a long time.
        other = self._rightmost.match(name, timezone) if len(name) <= LONGEST_ADOPTED else None
        if other is not None and other.period != match.period:
            why = "the name is ambiguous: the template can read more than one date in it; use one with fewer wildcards"
            return Reading(True, match.period, why)
        return Reading(True, match.period)


def _shape_of(code: str) -> str:
    return "%" if code == "%" else "[0-9]{%d}" % _DIGITS[code] if code in _DIGITS else "[^/]+?"


class Job(t.NamedTuple):
    """The job that adopts. names: its own, and its earlier ones. timezone: of the times in names. now: aware."""

    host: str
    names: t.Sequence[str]
    timezone: str
    now: datetime


def find(listed: t.Sequence[StoredObject], template: Template, job: Job) -> Found:
    """The candidates among all objects of a store."""
    keys = {item.key for item in listed}
    by_name: t.Dict[str, t.List[str]] = {}
    for key in sorted(keys):
        original = original_of(key)
        if original is not None and not key.endswith(MANIFEST_SUFFIX):
            by_name.setdefault(original, []).append(key)
    candidates = []
    unmatched = own = elsewhere = 0
    for item in listed:
        original = original_of(item.key)
        if original is None:
            is_own = _is_own(item.key, keys)
            if is_own or not template.covers(item.key):
                own, elsewhere = own + is_own, elsewhere + (not is_own)
                if not is_own or not template.read(item.key, job.timezone).fits:
                    continue
                why = "it is an archive, a manifest or a ledger of this software"
                candidates.append(Candidate(item.key, item.size, REFUSED, why=why))
            else:
                judged = _judged(item, template, job)
                unmatched += judged.state == UNMATCHED
                if judged.state != UNMATCHED or unmatched <= MOST_UNMATCHED:
                    candidates.append(judged)
        else:
            own += 1
            if [item.key] == by_name.get(original, [])[:1] and template.covers(original):
                candidates.append(_adopted(item, by_name[original], original, template, job))
    return Found(sorted(candidates), unmatched, own, elsewhere)


def _is_own(key: str, keys: t.Container[str]) -> bool:
    return key.endswith(MANIFEST_SUFFIX) or key + MANIFEST_SUFFIX in keys or is_archive_key(key) or head_of(key) is not None


def _judged(item: StoredObject, template: Template, job: Job) -> Candidate:
    """The candidate for an object without a manifest."""
    fits, period, why = template.read(item.key, job.timezone)
    if period is None:
        return Candidate(item.key, item.size, REFUSED if fits else UNMATCHED, why=why)
    if why is None and period.start > job.now:
        why = "its period is in the future"
    name = adopted_name(item.key)
    if why is None and name is None:
        why = "its name has more than %d bytes (each but letters, digits and some others counts as three)" % LONGEST_ADOPTED
    if why is not None or name is None:
        return Candidate(item.key, item.size, REFUSED, None, period, why)
    return Candidate(item.key, item.size, NEW, archive_key(job.host, job.names[0], period, name), period)


def _adopted(item: StoredObject, keys: t.Sequence[str], original: str, template: Template, job: Job) -> Candidate:
    """The candidate for an object that has manifests, of archives with these keys."""
    period = template.read(original, job.timezone).period
    mine = [key for key in keys if key.split("/")[0] == job.host and key.split("/")[1] in job.names]
    others = sorted(set(keys) - set(mine))
    if others:
        host, name = others[0].split("/")[:2]
        why = "it is already adopted, by the job %s of the host %s" % (name, host)
        return Candidate(original, item.size, REFUSED, None, period, why)
    if len(mine) > 1:
        why = "it has more than one manifest (%s); remove the wrong one" % ", ".join(mine)
        return Candidate(original, item.size, REFUSED, None, period, why)
    return Candidate(original, item.size, PRESENT, mine[0], period)
