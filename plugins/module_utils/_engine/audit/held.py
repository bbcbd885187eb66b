# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The digests of an account and region that say something about a window: those that are listed, and those elsewhere that they refer to.

A trail may have moved: to another bucket, or to another prefix. Only a digest that is valid by itself is followed there, so that a forged
one sends no request to a bucket of somebody else.
"""

from __future__ import annotations

import datetime
import threading
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
    from .trail import DigestFile, Trail

AHEAD = datetime.timedelta(hours=2)
"""A digest that ends so much later than the window may begin in it."""
BEFORE = datetime.timedelta(days=1)
"""How long before the window the digest that ends first in it may begin, at most."""

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
        self._known = dict(memory.public_keys)
        self._asked = False
        self._lock = threading.Lock()

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
            loaded = [one for one, _error in read if one is not None]
            new = [one for one in loaded if one.digest is None or one.digest.start <= self._window.end]
            self.held.update({(one.bucket, one.file.key): one for one in new})
            wanted = [item for item in map(self._before, new) if item is not None and (item[0], item[1].key) not in tried]
            tried.update((bucket, file.key) for bucket, file in wanted)

    def load_one(self, bucket: str, file: TrailFile) -> t.Optional[Loaded]:
        """A digest that is not one of these; None if it is not there."""
        loaded, error = self._read(bucket, file)
        if error is not None:
            self.errors.append(region_error(self._place, error))
        return loaded

    def _read(self, bucket: str, file: TrailFile) -> t.Tuple[t.Optional[Loaded], t.Optional[LogArchiveError]]:
        """A digest, judged by itself, and why it cannot be read. What the others prove stands all the same."""
        try:
            stored = self._trail.digest(bucket, file.key)
        except UnreadableError as error:
            return Loaded(bucket, file, None, "digest_unreadable", str(error)), None
        except LogArchiveError as error:
            if not is_about_one_file(error):
                raise
            return Loaded(bucket, file, None), error
        if stored is None:
            return None, None
        # One after another: a digest takes many times its bytes while it is parsed.
        with self._lock:
            return self._judged(bucket, file, stored), None

    def _judged(self, bucket: str, file: TrailFile, stored: DigestFile) -> Loaded:
        try:
            loaded = Loaded(bucket, file, digests.read(stored.plain, stored.metadata))
        except UnreadableError as error:
            return Loaded(bucket, file, None, "digest_unreadable", str(error))
        loaded = chains.judged(loaded, self._keys_for(loaded))
        if loaded.word and loaded.digest is not None:
            # What it names proves nothing, and may be large.
            return loaded._replace(digest=loaded.digest._replace(logs=[]))
        return loaded

    def _keys_for(self, loaded: Loaded) -> t.Dict[str, bytes]:
        """Public keys by fingerprint. Asks CloudTrail once, for one that is not remembered."""
        is_known = loaded.digest is None or loaded.digest.fingerprint in self._known
        if self._public_keys is not None and not self._asked and not is_known:
            # The key of a backfill digest is of the time at which it was made.
            end = max(self._window.end + AHEAD, self._window.now)
            fetched = self._public_keys(self._place.region, self._window.start - BEFORE, end)
            self._asked = True
            self._known = {**fetched, **self._known}
            # One that is not a key may be another one next time.
            self._memory.public_keys.update((name, key) for name, key in fetched.items() if digests.is_key(key))
        return self._known

    def _before(self, one: Loaded) -> t.Optional[t.Tuple[str, TrailFile]]:
        """The digest that a valid one refers to, if it may say something about the window."""
        previous = None if one.digest is None or one.word else one.digest.previous
        file = None if previous is None else trail_names.parse(previous.key)
        return None if previous is None or file is None or not self.is_in_window(file) else (previous.bucket, file)
