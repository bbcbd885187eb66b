# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The interface of every store: put, get, list, delete, verify. It adds retries to what each store does once."""

from __future__ import annotations

import abc
import contextlib
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import (
    ConfigError,
    IntegrityError,
    LogArchiveError,
    SourceError,
    StoreError,
    StoreExistsError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from ..base.net import Retries
from ..base.progress import Advance
from ..base.units import format_size, parse_duration
from .layout import ADOPTED, LAYOUTS, beginnings, is_key

if t.TYPE_CHECKING:
    import io

    from ..base.beneath import Identity, Local
    from ..base.walk import Folder
    from ..config.document import StoreOptions

Result = t.TypeVar("Result")
Looked = t.TypeVar("Looked")
Outcome = t.Dict[str, t.Optional[str]]
"""The result of a deletion by key: None if it is gone (even if it did not exist), else why it is not."""

MOST_OBJECTS = 1_000_000
"""Objects of one listing. A job that makes an archive each hour needs 57 years for as many; they take about 350 MiB of memory."""
LARGEST_LISTING = 256 << 20
"""Bytes of the keys and ETags of one listing together."""
Pieces = t.Generator[t.Union[bytes, memoryview], None, None]
ADVANCE = 1 << 20
"""Bytes. A failed transfer that moved fewer has made no progress."""


class Digests(t.NamedTuple):
    """The expected size (bytes), MD5 and SHA-256 (lowercase hex) of a finished file."""

    size: int
    md5: str
    sha256: str


def digests_of(stream: t.BinaryIO) -> Digests:
    """Size, MD5 and SHA-256 of the rest of a stream."""
    import hashlib

    size = 0
    md5 = hashlib.new("md5", usedforsecurity=False)
    sha256 = hashlib.sha256()
    for chunk in iter(lambda: stream.read(1 << 20), b""):
        size += len(chunk)
        md5.update(chunk)
        sha256.update(chunk)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


class StoredObject(t.NamedTuple):
    """One finished object as the store lists it. ``modified`` is in seconds since the epoch; ``etag`` without quotes."""

    key: str
    size: int
    modified: t.Optional[float] = None
    etag: t.Optional[str] = None


class Verification(t.NamedTuple):
    """How the store proved its content. level: of VERIFICATION_LEVELS. md5: as the server reported it or as it was read back, else None."""

    level: str
    size: int
    md5: t.Optional[str] = None
    etag: t.Optional[str] = None


class PutResult(t.NamedTuple):
    """The outcome of a put. existed: the key already held the same bytes and nothing was sent. attempts: how many were made."""

    key: str
    existed: bool
    attempts: int
    verification: Verification


def are_keys(keys: t.Collection[str]) -> bool:
    """Whether all of them are keys, as ``is_key``, which looks at each by itself; False if some may not be."""
    together = "/%s/" % "/\n/".join(keys)
    return not any(part in together for part in ("\0", "//", "/./", "/../", "/" + TEMP_PREFIX))


def check_key(key: str) -> str:
    """Return ``key``; raise ConfigError unless it is a relative path of plain names that cannot leave the store's root."""
    if not is_key(key):
        raise ConfigError("not a valid key of a store", repr(key), "Use a relative path without '.', '..' and empty parts")
    return key


def final_name(name: str) -> str:
    """The name without the mark of an unfinished upload, if it has one."""
    folder, slash, last = name.rpartition("/")
    return folder + slash + last[len(TEMP_PREFIX) :] if last.startswith(TEMP_PREFIX) else name


def required(value: t.Optional[str], option: str, store: str) -> str:
    """The value of a required option; ConfigError if it is missing."""
    if not value:
        raise ConfigError("the option %s is missing" % option, store)
    return value


def listing_too_large(location: str) -> StoreError:
    """The error for a listing beyond the limits. Code that collects a part of one counts too, and raises it."""
    return StoreError(
        "the store lists more than %d objects, or more than %s of names" % (MOST_OBJECTS, format_size(LARGEST_LISTING)),
        location,
        "List a part of it: one host, or one job of a host. In a flat store, move the files of other programs elsewhere",
    )


@contextlib.contextmanager
def open_spooled(path: Local) -> t.Iterator[io.FileIO]:
    """Open a local file that is sent. A failure is SourceError: it is not the store's."""
    from ..base.beneath import open_local

    try:
        stream = open_local(path)
    except OSError as error:
        raise unreadable(path, error) from error
    with stream:
        yield stream


def read_spooled(stream: io.FileIO, path: Local, count: int) -> bytes:
    """Between 1 and ``count`` bytes of a local file that is sent; IntegrityError at its end."""
    try:
        data = stream.read(count)
    except OSError as error:
        raise unreadable(path, error) from error
    if not data:
        raise IntegrityError("the archive in the spool is shorter than expected", str(path))
    return data


def unreadable(path: Local, error: OSError) -> SourceError:
    """The error for a local file that cannot be read."""
    return SourceError("cannot read the archive in the spool: %s" % (error.strerror or error), str(path))


@contextlib.contextmanager
def containing(location: str) -> t.Iterator[None]:
    """Turn every exception that is not one of the engine into an error of the store at ``location``.

    Libraries raise more than they document, and a server decides what they see: a redirect without an end is a RecursionError, a wrong
    byte a UnicodeError, a missing field a KeyError. None of them may end the work on other stores. The text of an unknown exception is
    not shown: it may hold a secret.
    """
    try:
        yield
    except LogArchiveError:
        raise
    except Exception as error:
        from ..base.net import find_cause

        cause = find_cause(error)
        if cause is not None and not cause.is_certificate:
            raise StoreUnavailableError("the connection failed: %s" % cause.message, location) from error
        message = "the store failed with an unexpected %s" % type(error).__name__ if cause is None else cause.message
        raise StoreError(message, location, "Check that its options name the right server, and what answers there") from error


class Store(abc.ABC):
    """A place for archives.

    Keys are relative paths with '/' between the parts; the layout of the store makes the name of an object from its key, and each store
    puts its own root (folder, bucket and prefix, SFTP path) before names. Methods that begin with '_' know only names.
    A key is visible to ``list`` and ``get`` only once its object is whole. All methods raise StoreError and its
    children, IntegrityError if bytes differ, and MissingLibraryError; no other error comes from a server or the network.

    options: as ``config`` checked them (``config.store_spec.STORE``). Making a store connects to nothing; it raises ConfigError.
    """

    default_level: str
    """The verification level if the option ``verify`` gives none."""

    remote: bool = True
    """Whether the archives go to another machine. The confirmation of a run is only asked for such a store."""

    parallel_gets: int = 1
    """How many threads may call ``get`` of one store object at once."""

    def __init__(self, options: StoreOptions) -> None:
        self.type = options["type"]
        self.name = options["name"] or self.type
        self.verify_level = options["verify"] or self.default_level
        self.attempts = options["attempts"]
        self.retry_delay = parse_duration(options["retry_delay"])
        self.layout = LAYOUTS[options["layout"]]
        self.hidden: t.Set[str] = set()
        """Names that ``delete`` removed from the listing; the server keeps their bytes as versions."""

    def leave_no_trace(self) -> None:  # noqa: B027 - most stores write nothing beside the store
        """From now on write nothing on this machine by connecting and reading."""

    # -- what each store does, once, without retry --------------------------------------------------------------------

    @abc.abstractmethod
    def _location(self, name: str = "") -> str:
        """The place of the name for people: a path or a URL without any secret."""

    @abc.abstractmethod
    def _put(self, path: Local, name: str, digests: Digests, progress: Advance) -> Verification:
        """Send the local file to the name, atomically and without overwriting, and prove it at ``verify_level`` or better.

        If the object is found damaged after the transfer, remove it before raising IntegrityError: no unproven object of ours stays
        at the name. Raise StoreExistsError if the name is taken.
        """

    @abc.abstractmethod
    def _replace(self, path: Local, name: str, digests: Digests) -> None:
        """Put the local file in the place of what the name holds, atomically: a reader finds the old bytes or the new ones, whole."""

    @abc.abstractmethod
    def _verify(self, name: str, digests: Digests, level: str) -> Verification:
        """Prove that the name holds these bytes, by the cheapest means that reaches ``level``; raise IntegrityError if it does not."""

    @abc.abstractmethod
    def _get(self, name: str, start: int) -> Pieces:
        """The object's bytes from offset ``start``, in order; each piece is valid until the next is read."""

    @abc.abstractmethod
    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        """All finished objects with a name that begins with ``prefix`` (a string prefix; '' is everything), by name, as they come: no list
        of unknown length is kept, because a server need not end it. In a flat layout no folder below the root is searched."""

    @abc.abstractmethod
    def _folders(self) -> t.Iterator[str]:
        """The names of the folders directly below the root, as they come; nothing if there is no root yet. Not for a flat layout."""

    @abc.abstractmethod
    def _delete(self, names: t.Sequence[str], outcome: Outcome) -> None:
        """Delete the objects. Add each name to ``outcome`` as soon as its result is known: a connection may be lost at any time."""

    @abc.abstractmethod
    def _clean(self, prefix: str) -> t.List[str]:
        """Remove our unfinished uploads below ``prefix``; return their names."""

    def folder(self) -> t.Optional[Identity]:
        """Device and inode of the folder that holds the store; None if it is not on this host, or does not exist yet."""
        return None

    def keeps_versions(self) -> bool:
        """Whether the bytes of what ``delete`` removes stay in the store as versions."""
        return False

    def free_bytes(self) -> t.Optional[int]:
        """Bytes that can still be written, or None if the store does not know."""
        return None

    def _reset(self) -> None:  # noqa: B027 - a store without connections has nothing to drop
        """Drop connections before a retry."""

    def close(self) -> None:  # noqa: B027 - likewise
        """Release connections; the store may be used again and then reconnects."""

    # -- what callers use ---------------------------------------------------------------------------------------------

    def location(self, key: str = "") -> str:
        """The place of the key, or of what begins with it, for people: a path or a URL without any secret."""
        return self._location(self.layout.shown(key))

    def keeps_bytes(self, key: str) -> bool:
        """Whether ``delete`` removed the key and the server keeps its bytes as a version."""
        return self.layout.shown(key) in self.hidden

    def put(self, path: Local, key: str, digests: Digests, progress: t.Optional[Advance] = None) -> PutResult:
        """Send a local file to ``key`` and prove that it arrived.

        If the key already holds the same bytes, nothing is sent and ``existed`` is true; if it holds other bytes, StoreExistsError is
        raised and nothing is changed.
        """
        name = self._name(key)
        retries = Retries(self.attempts, self.retry_delay)
        try:
            verification = self._retrying(lambda: self._put(path, name, digests, progress or _ignore), retries)
            return PutResult(key, False, retries.count, verification)
        except StoreExistsError as error:
            taken = error
        try:
            verification = self._retrying(lambda: self._verify(name, digests, self.verify_level), retries)
        except (IntegrityError, StoreNotFoundError):
            raise StoreExistsError(
                "a different object is stored under this name; it was not overwritten",
                self.location(key),
                "Choose another name, or inspect the object with 'log-archive list' and remove it yourself",
            ) from taken
        return PutResult(key, True, retries.count, verification)

    def replace(self, path: Local, key: str, digests: Digests) -> None:
        """Put a small local file, a manifest, in the place of the object ``key``, atomically, and prove it. It can be repeated."""
        name = self._name(key)
        self._retrying(lambda: self._replace(path, name, digests))
        self.verify(key, digests)

    def verify(self, key: str, digests: Digests, level: t.Optional[str] = None) -> Verification:
        """Prove that the key holds these bytes, at ``level`` (the store's own by default) or better."""
        name = self._name(key)
        return self._retrying(lambda: self._verify(name, digests, level or self.verify_level))

    def get(self, key: str, sink: t.BinaryIO, progress: t.Optional[Advance] = None, most: t.Optional[int] = None) -> None:
        """Write the object's bytes to a seekable ``sink``. most: bytes that it may have; IntegrityError as soon as there are more."""
        name = self._name(key)
        sink.seek(0)
        sink.truncate()
        size = 0

        def get_once() -> None:
            nonlocal size
            # Continue where the last attempt ended. Whoever reads the sink checks the whole.
            start = size
            # The sink is the caller's: its errors are not the store's.
            with contextlib.closing(self._pieces(name, start)) as pieces:
                try:
                    for piece in pieces:
                        if most is not None and size + len(piece) > most:
                            raise IntegrityError("the store sends more than the expected %d bytes" % most, self.location(key))
                        sink.write(piece)
                        size += len(piece)
                        (progress or _ignore)(len(piece))
                except StoreError as error:
                    error.advanced = size - start >= ADVANCE
                    raise

        Retries(self.attempts, self.retry_delay).call(get_once, _is_retryable, self._reset)

    def list(self, prefix: str = "") -> t.List[StoredObject]:
        """All finished objects with a key that begins with ``prefix``, sorted by key.

        An adopted archive is listed under its own key, beside its manifest, and not under the name that another program gave it.
        Names that cannot be keys are left out: other tools, or a server that lies, made them. StoreError for more than MOST_OBJECTS, or
        if their names have more than LARGEST_LISTING bytes together.
        """
        return self._retrying(lambda: self._listed(prefix))

    def survey(self, prefix: str, look: t.Callable[[Folder], Looked]) -> t.Optional[t.Dict[str, t.Optional[Looked]]]:
        """What ``look`` returns of each folder below ``prefix``, which ends with '/', by how the keys of its objects begin.

        None for a folder with adopted archives, which are elsewhere. None at all if the store does not have its objects in folders of this
        host: then there is nothing cheaper than ``list``. Raises StoreError.
        """
        return None

    def hosts(self) -> t.List[str]:
        """The names of the hosts that have archives here, sorted; no object is listed below them. Folders of other programs are among them.

        StoreError for more than MOST_OBJECTS, or if the names have more than LARGEST_LISTING bytes together.
        """
        if self.layout.is_flat:
            return sorted({item.key.split("/")[0] for item in self.list() if "/" in item.key})
        return self._retrying(lambda: _folder_names(self._folders(), self._location()))

    def delete(self, keys: t.Sequence[str], outcome: t.Optional[Outcome] = None) -> Outcome:
        """Delete the keys; returns the result of each. With ``outcome`` the results are added to it, also before an error is raised."""
        results: Outcome = {} if outcome is None else outcome
        names = {self._name(key): key for key in keys if key not in results}
        done: Outcome = {}
        try:
            if names:
                self._retrying(lambda: self._delete([name for name in names if name not in done], done))
        finally:
            results.update((names[name], why) for name, why in done.items())
        return results

    def clean(self, prefix: str = "") -> t.List[str]:
        """Remove our unfinished uploads below ``prefix``; return their names. The caller holds the job's lock."""
        return self._retrying(lambda: self._clean(self.layout.beginning(prefix)))

    def _name(self, key: str) -> str:
        """The name of the object with this key. Raises ConfigError if the key is not valid."""
        return self.layout.name_of(check_key(key))

    def _listed(self, prefix: str) -> t.List[StoredObject]:
        found: t.Dict[str, StoredObject] = {}
        size = 0
        is_flat = self.layout.is_flat
        for count, item in enumerate(self._list(self.layout.beginning(prefix)), 1):
            name = item.key
            key = self.layout.key_of(name) if is_flat or ADOPTED in name else name
            if key is not None:
                found[key] = item if key == name else item._replace(key=key)
                size += len(key) + len(item.etag or "")
            if count > MOST_OBJECTS or size > LARGEST_LISTING:
                raise listing_too_large(self.location(prefix))
        originals = self.layout.originals(found)
        if originals:
            more = (self._list(beginning) for beginning in beginnings(originals)) if prefix else [iter(found.values())]
            _add_adopted(found, originals, more, self.location(prefix))
        keys = sorted(found)
        if not are_keys(keys):
            keys = list(filter(is_key, keys))
        return [found[key] for key in keys if key.startswith(prefix)]

    def _retrying(self, call: t.Callable[[], Result], retries: t.Optional[Retries] = None) -> Result:
        def contained() -> Result:
            with containing(self._location()):
                return call()

        return (retries or Retries(self.attempts, self.retry_delay)).call(contained, _is_retryable, self._reset)

    def _pieces(self, name: str, start: int) -> Pieces:
        with contextlib.closing(self._get(name, start)) as pieces:
            while True:
                with containing(self._location(name)):
                    piece = next(pieces, None)
                if piece is None:
                    return
                yield piece


def _folder_names(folders: t.Iterable[str], location: str) -> t.List[str]:
    """These names, as they come from a store, sorted; StoreError if there are too many."""
    found = []
    size = 0
    for name in folders:
        found.append(name)
        size += len(name)
        if len(found) > MOST_OBJECTS or size > LARGEST_LISTING:
            raise listing_too_large(location)
    return sorted(name for name in found if is_key(name) and "/" not in name)


def _add_adopted(
    found: t.Dict[str, StoredObject],
    originals: t.Mapping[str, t.Sequence[str]],
    listings: t.Iterable[t.Iterable[StoredObject]],
    location: str,
) -> None:
    """List the objects that were adopted under the keys of their archives, and no longer under their names."""
    there = {}
    for listing in listings:
        for count, item in enumerate(listing, 1):
            if item.key in originals:
                there[item.key] = item
            if count > MOST_OBJECTS:
                raise listing_too_large(location)
    for name, item in there.items():
        found.pop(name, None)
        found.update((key, item._replace(key=key)) for key in originals[name])


def _is_retryable(error: LogArchiveError) -> bool:
    return isinstance(error, StoreError) and error.retryable


def _ignore(count: int) -> None:
    pass
