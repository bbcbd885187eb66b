# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every store is: put, get, list, delete, verify; and the retry that they share."""

from __future__ import annotations

import abc
import time
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import ConfigError, IntegrityError, StoreError, StoreExistsError, StoreNotFoundError

Progress = t.Callable[[int], None]
"""Called with the number of bytes (not the total) that have moved since the last call."""

VERIFICATION_LEVELS = ("size", "server_digest", "remote_hash", "read_back")
"""How sure it is that the store holds what was sent, weakest first (DESIGN: "verified is a level")."""


class Digests(t.NamedTuple):
    """What a finished file must be: size in bytes, MD5 and SHA-256 in lowercase hex."""

    size: int
    md5: str
    sha256: str


class StoredObject(t.NamedTuple):
    """One finished object as the store lists it. ``modified`` is in seconds since the epoch; ``etag`` without quotes."""

    key: str
    size: int
    modified: t.Optional[float] = None
    etag: t.Optional[str] = None


class Verification(t.NamedTuple):
    """How the store proved what it holds. ``md5`` is the digest as the remote side told or as it was read back, if it was."""

    level: str
    size: int
    md5: t.Optional[str] = None
    etag: t.Optional[str] = None


class PutResult(t.NamedTuple):
    """The outcome of one put. ``existed`` is true where the same bytes already stood at the key and nothing was sent."""

    key: str
    existed: bool
    attempts: int
    verification: Verification


def reaches(level: str, wanted: str) -> bool:
    """Whether verification ``level`` is at least as strong as ``wanted``."""
    return VERIFICATION_LEVELS.index(level) >= VERIFICATION_LEVELS.index(wanted)


def check_key(key: str) -> str:
    """Return ``key``; raise ConfigError unless it is a relative path of plain names that cannot leave the store's root."""
    parts = key.split("/")
    if not key or "\0" in key or any(part in ("", ".", "..") for part in parts) or parts[-1].startswith(TEMP_PREFIX):
        raise ConfigError("not a valid key for a store", repr(key), "Use a relative path without '.', '..' and empty parts")
    return key


class Store(abc.ABC):
    """One place where archives go.

    Keys are relative paths with '/' between the parts; each store puts its own root (folder, bucket and prefix, SFTP path)
    before them. A key is visible to ``list`` and ``get`` only once its object is whole. All methods raise StoreError and its
    children, IntegrityError where bytes differ, and MissingLibraryError; nothing else for what a server or network can do.

    attempts: how often a retryable failure is tried in all; retry_delay: seconds before the second try, doubled for each
    further one with jitter, 60 at most.
    """

    type: str = ""

    parallel_gets: int = 1
    """How many threads may call ``get`` of one store object at once."""

    def __init__(self, name: str, verify_level: str, attempts: int = 4, retry_delay: float = 1.0) -> None:
        self.name = name
        self.verify_level = verify_level
        self.attempts = attempts
        self.retry_delay = retry_delay

    # -- what each store does, once, without retry --------------------------------------------------------------------

    @abc.abstractmethod
    def location(self, key: str = "") -> str:
        """Where the key is, for people: a path or a URL without any secret."""

    @abc.abstractmethod
    def _put(self, path: str, key: str, digests: Digests, progress: Progress) -> Verification:
        """Send the local file to the key, atomically and without overwriting, and prove it at ``verify_level`` or better.

        What is found damaged after the transfer is removed again before IntegrityError is raised: no unproven object of ours
        stays at the key. Raise StoreExistsError where the key is taken.
        """

    @abc.abstractmethod
    def _verify(self, key: str, digests: Digests, level: str) -> Verification:
        """Prove by the cheapest means that reaches ``level`` that the key holds these bytes; IntegrityError where it does not."""

    @abc.abstractmethod
    def _get(self, key: str, sink: t.BinaryIO, progress: Progress) -> None:
        """Write the object's bytes to ``sink``, from its start (position 0, truncated: a retry begins again)."""

    @abc.abstractmethod
    def _list(self, prefix: str) -> t.List[StoredObject]:
        """All finished objects whose key begins with ``prefix`` (a string prefix; '' is everything), sorted by key."""

    @abc.abstractmethod
    def _delete(self, keys: t.Sequence[str]) -> t.Dict[str, t.Optional[str]]:
        """Delete the keys; per key None where it is gone now (also if it was not there), else why it is not."""

    @abc.abstractmethod
    def _clean(self, prefix: str) -> t.List[str]:
        """Remove unfinished uploads below ``prefix`` that we left behind; return their names."""

    def free_bytes(self) -> t.Optional[int]:
        """Bytes that can still be written, or None where the store cannot tell."""
        return None

    def _reset(self) -> None:  # noqa: B027 - a store without connections has nothing to drop
        """Drop connections before a retry."""

    def close(self) -> None:  # noqa: B027 - likewise
        """Release connections; the store may be used again and then reconnects."""

    # -- what callers use ---------------------------------------------------------------------------------------------

    def put(self, path: str, key: str, digests: Digests, progress: t.Optional[Progress] = None) -> PutResult:
        """Send a local file to ``key`` and prove that it arrived.

        Where the same bytes already stand there, nothing is sent and ``existed`` is true; where other bytes do,
        StoreExistsError is raised and nothing is changed.
        """
        check_key(key)
        tries = _Tries()
        try:
            verification = self._retrying(lambda: self._put(path, key, digests, progress or _ignore), tries)
        except StoreExistsError as taken:
            try:
                verification = self._retrying(lambda: self._verify(key, digests, self.verify_level), tries)
            except (IntegrityError, StoreNotFoundError):
                raise StoreExistsError(
                    "another object already stands there and is not overwritten",
                    self.location(key),
                    "Choose another name, or look at it with 'log-archive list' and remove it yourself",
                ) from taken
            return PutResult(key, True, tries.count, verification)
        return PutResult(key, False, tries.count, verification)

    def verify(self, key: str, digests: Digests, level: t.Optional[str] = None) -> Verification:
        """Prove that the key holds these bytes, at ``level`` (the store's own by default) or better."""
        check_key(key)
        return self._retrying(lambda: self._verify(key, digests, level or self.verify_level))

    def get(self, key: str, sink: t.BinaryIO, progress: t.Optional[Progress] = None) -> None:
        """Write the object's bytes to a seekable ``sink``."""
        check_key(key)

        def once() -> None:
            sink.seek(0)
            sink.truncate()
            self._get(key, sink, progress or _ignore)

        self._retrying(once)

    def list(self, prefix: str = "") -> t.List[StoredObject]:
        """All finished objects whose key begins with ``prefix``, sorted by key."""
        return self._retrying(lambda: self._list(prefix))

    def delete(self, keys: t.Sequence[str]) -> t.Dict[str, t.Optional[str]]:
        """Delete the keys; per key None where it is gone now, else why it is not."""
        for key in keys:
            check_key(key)
        return self._retrying(lambda: self._delete(keys)) if keys else {}

    def clean(self, prefix: str = "") -> t.List[str]:
        """Remove unfinished uploads of ours below ``prefix``; return their names. The caller holds the job's lock."""
        return self._retrying(lambda: self._clean(prefix))

    def _retrying(self, call: t.Callable[[], t.Any], tries: t.Optional[_Tries] = None) -> t.Any:
        tries = tries or _Tries()
        delay = self.retry_delay
        while True:
            tries.count += 1
            try:
                return call()
            except StoreError as error:
                if not error.retryable or tries.count >= self.attempts:
                    raise
            import random

            self._reset()
            time.sleep(min(60.0, delay) * random.uniform(0.5, 1.0))
            delay *= 2


class _Tries:
    count = 0


def _ignore(count: int) -> None:
    pass
