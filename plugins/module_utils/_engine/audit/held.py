# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digests of an account and region that say something about a window: those that are listed, and those elsewhere that they refer to.

A trail may have moved: to another bucket, or to another prefix. Only a digest that is valid by itself is followed there, so that a forged
one sends no request to a bucket of somebody else.
"""

from __future__ import annotations

import datetime
import typing as t

from ..base.errors import LogArchiveError
from ..sources import trail_names
from ..sources.trail_bucket import is_about_one_file
from . import chain as chains, digests
from .chain import Loaded
from .facts import region_error
from .unpack import UnreadableError

if t.TYPE_CHECKING:
    from concurrent.futures import Executor

    from ..sources.trail_bucket import Place, StoredFile
    from ..sources.trail_names import TrailFile
    from .chain import Window
    from .facts import KeySource, RegionError
    from .memory import Memory
    from .trail import Trail

AHEAD = datetime.timedelta(hours=2)
"""A digest that ends so much later than the window may begin in it."""

Name = t.Tuple[str, str]
"""Bucket and key of a file."""


class HeldDigests:
    """The digests of one account and region. held: by bucket and key, each judged by itself. errors: those that cannot be read.

    public_keys: None if CloudTrail is not to be asked: only keys that are remembered count.
    """

    def __init__(self, trail: Trail, memory: Memory, place: Place, window: Window, public_keys: t.Optional[KeySource]) -> None:
        self.held: t.Dict[Name, Loaded] = {}
        self.errors: t.List[RegionError] = []
        self._trail = trail
        self._memory = memory
        self._place = place
        self._window = window
        self._public_keys = public_keys

    def is_in_window(self, file: t.Optional[TrailFile]) -> bool:
        """Whether a digest may say something about the window, by its name."""
        if file is None or file.time is None or not file.trail:
            return False
        return self._window.start <= file.time <= self._window.end + AHEAD

    def load(self, listed: t.Sequence[StoredFile], pool: Executor) -> None:
        """Read these digests, and those elsewhere that they refer to. Raises LogArchiveError if none can be read."""
        wanted = [(self._trail.bucket, one.file) for one in listed if one.file is not None and self.is_in_window(one.file)]
        tried = {(bucket, file.key) for bucket, file in wanted}
        while wanted:
            read = list(pool.map(lambda item: self._read(*item), wanted))
            errors = [error for _loaded, error in read if error is not None]
            if not self.held and errors and len(errors) == len(read):
                raise errors[0]
            self.errors += [region_error(self._place, error) for error in errors]
            new = self._keep([loaded for loaded, _error in read if loaded is not None])
            wanted = [item for item in map(self._before, new) if item is not None and (item[0], item[1].key) not in tried]
            tried.update((bucket, file.key) for bucket, file in wanted)

    def load_one(self, bucket: str, file: TrailFile) -> t.Optional[Loaded]:
        """A digest that is not one of these; None if it is not there."""
        loaded, error = self._read(bucket, file)
        if error is not None:
            self.errors.append(region_error(self._place, error))
        return loaded

    def _read(self, bucket: str, file: TrailFile) -> t.Tuple[t.Optional[Loaded], t.Optional[LogArchiveError]]:
        """A digest, and why it cannot be read. What the others prove stands all the same."""
        try:
            stored = self._trail.digest(bucket, file.key)
            return (None if stored is None else Loaded(bucket, file, digests.read(stored.plain, stored.metadata))), None
        except UnreadableError as error:
            return Loaded(bucket, file, None, "digest_unreadable", str(error)), None
        except LogArchiveError as error:
            if not is_about_one_file(error):
                raise
            return Loaded(bucket, file, None), error

    def _keep(self, loaded: t.Sequence[Loaded]) -> t.List[Loaded]:
        """Judge these digests and hold them; returns them. Asks for public keys that are not remembered."""
        in_time = [one for one in loaded if one.digest is None or one.digest.start <= self._window.end]
        read = [one.digest for one in in_time if one.digest is not None]
        known = dict(self._memory.public_keys)
        if self._public_keys is not None and {digest.fingerprint for digest in read} - known.keys():
            # The key of a backfill digest is of the time at which it was made.
            end = max(self._window.end + AHEAD, self._window.now)
            fetched = self._public_keys(self._place.region, min(digest.start for digest in read), end)
            known = {**fetched, **known}
            # One that is no key may be another one next time.
            self._memory.public_keys.update((name, key) for name, key in fetched.items() if digests.is_key(key))
        judged = [chains.judged(one, known) for one in in_time]
        self.held.update({(one.bucket, one.file.key): one for one in judged})
        return judged

    def _before(self, one: Loaded) -> t.Optional[t.Tuple[str, TrailFile]]:
        """The digest that a valid one refers to, if it may say something about the window."""
        previous = None if one.digest is None or one.word else one.digest.previous
        file = None if previous is None else trail_names.parse(previous.key)
        return None if previous is None or file is None or not self.is_in_window(file) else (previous.bucket, file)
