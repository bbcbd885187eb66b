# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Search the logs in the archives of a span of time, each from the first store that can give it. No log is written anywhere."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
import typing as t

from ..archive.manifest import content_of, source_bytes
from ..archive.search import Line, check, search
from ..base.errors import IntegrityError, KeyMissingError, LogArchiveError, StoreError, StoreNotFoundError, StoreUnavailableError
from ..base.progress import Advance, Progress, no_progress
from ..base.staging import failing_clearly, temporary_folder
from .stock import Holdings, Listed, Stock, Warn, check_found, chosen_of

if t.TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from ..archive.patterns import LinePattern, Wanted
    from ..crypto.envelope import Envelope
    from .inventory import StoredArchive
    from .trust import Choice


class Found(t.NamedTuple):
    """What was found in a part of one log, or what could not be searched. Without a member and an error: the whole archive was searched.

    key: of the archive. host, job: by its key. store: name of the store that gave it; None if none could. authenticated: whether its
    manifest is (see ``Trust.check``). member: name of the log in the archive. matched, lines: see ``archive.search.Hits``. error: why the
    archive, or the log, was not searched, or not to its end.
    """

    key: str
    store: t.Optional[str]
    authenticated: bool = False
    member: t.Optional[str] = None
    matched: int = 0
    lines: t.Sequence[Line] = ()
    error: t.Optional[LogArchiveError] = None

    @property
    def host(self) -> str:
        return self.key.split("/")[0]

    @property
    def job(self) -> str:
        return self.key.split("/")[1]


def search_stores(
    holdings: t.Sequence[Holdings],
    choice: Choice,
    wanted: Wanted,
    read_only: bool = False,
    progress: Progress = no_progress,
    warn: Warn = lambda text: None,
) -> t.Generator[Found, None, None]:
    """Search the logs in the chosen archives, oldest first, and yield what is found as soon as it is found.

    The archives are those of ``restore_from_stores``, with all states of a log. Each is fetched, as the store holds it, to a file without a
    name in $TMPDIR (/var/tmp), and authenticated there before any of it is decrypted: what is found is from an archive that has the SHA-256
    of its manifest. While one is searched, the next is fetched. The search ends after ``wanted.most`` matches.
    An archive that is damaged or forged in every store, or for which there is no key, is yielded with its error, and the next one is
    searched; the same with a log. If all stores of an archive fail, the further archives of the job are left out.
    read_only: note no host keys of servers. warn: called with a sentence for each store or copy that was passed over.
    Raises ConfigError for a search that cannot be made, ArchiveNotFoundError if a name or the whole range is not there, the error of the
    stores if none of a job answers, KeyringError if the keyring cannot be used, DiskFullError, LogArchiveError. What was yielded before is
    right.
    """
    pattern = check(wanted)
    with contextlib.ExitStack() as stack:
        stocks = [stack.enter_context(contextlib.closing(Stock(each, choice, warn, read_only))) for each in holdings]
        found = stack.enter_context(contextlib.closing(_search_stocks(stocks, choice, wanted, pattern, progress)))
        parts = found if wanted.most is None else _at_most(found, wanted.most)
        yield from _summed(parts) if wanted.only_count else parts


def failure(found: t.Iterable[Found]) -> t.Optional[LogArchiveError]:
    """The error that reports all that was not searched; None if there is nothing. found: those with an error."""
    errors = [part.error for part in found if part.error is not None]
    if not errors:
        return None
    if len(errors) == 1:
        return errors[0]
    damaged = [error for error in errors if isinstance(error, IntegrityError)]
    first = (damaged or errors)[0]
    error = (IntegrityError if damaged else LogArchiveError)(
        "%d archives or logs were not searched, or not to their end; the first because: %s" % (len(errors), first)
    )
    error.exit_code = first.exit_code
    return error


def _search_stocks(
    stocks: t.Sequence[Stock], choice: Choice, wanted: Wanted, pattern: LinePattern, progress: Progress
) -> t.Generator[Found, None, None]:
    nothing = True
    for stock, archives in chosen_of(stocks, choice):
        title = "search %s" % "/".join(part or "*" for part in (stock.holdings.host, stock.holdings.job))
        with progress(title, sum(source_bytes(archive.manifest) for archive in archives)) as advance:
            yield from _search_stock(stock, archives, wanted, pattern, advance)
        for key, damaged in stock.failed.items():
            yield Found(key, None, error=IntegrityError(damaged.why))
        nothing = nothing and not archives and not stock.failed
        stock.close()
    check_found(stocks, choice, nothing)


def _at_most(found: t.Iterable[Found], most: int) -> t.Iterator[Found]:
    """End after this many matches."""
    for part in found:
        if part.matched >= most:
            last = [number for number, line in enumerate(part.lines) if line.matched][:most][-1:]
            yield part._replace(matched=most, lines=part.lines[: last[0] + 1] if last else ())
            return
        most -= part.matched
        yield part


def _summed(found: t.Iterable[Found]) -> t.Iterator[Found]:
    """One for each log."""
    for _of, parts in itertools.groupby(found, lambda part: (part.key, part.store, part.member, part.error)):
        first, *others = parts
        yield first._replace(matched=first.matched + sum(other.matched for other in others))


def _search_stock(
    stock: Stock, archives: t.Sequence[StoredArchive], wanted: Wanted, pattern: LinePattern, advance: Advance
) -> t.Iterator[Found]:
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    following = iter(archives)
    waiting: t.List[_Fetched] = []
    try:
        # One is searched while the next is fetched.
        waiting += [_Fetched(stock, archive, pool) for archive in itertools.islice(following, 1)]
        while waiting:
            with contextlib.closing(waiting.pop(0)) as fetched:
                try:
                    copy = fetched.result()
                except LogArchiveError as error:
                    if not isinstance(error, (StoreError, IntegrityError, KeyMissingError)):
                        raise
                    yield Found(fetched.archive.key, None, error=error)
                    if fetched.stores_fail:
                        return  # They would fail for the next one too, and take as long.
                    copy = None
                waiting += [_Fetched(stock, archive, pool) for archive in itertools.islice(following, 1)]
                if copy is not None:
                    yield from _search_copy(copy, fetched.file, wanted, pattern, advance)
    finally:
        for fetched in waiting:
            fetched.close()
        # It may wait for a server, for minutes.
        pool.shutdown(wait=False)


def _search_copy(copy: _Copy, file: t.BinaryIO, wanted: Wanted, pattern: LinePattern, advance: Advance) -> t.Iterator[Found]:
    try:
        for hits in search(file, copy.envelope, copy.subject, pattern, wanted, advance, copy.content):
            yield Found(copy.key, copy.store, copy.authenticated, hits.name, hits.matched, hits.lines, hits.error)
    except IntegrityError as error:
        yield Found(copy.key, copy.store, copy.authenticated, error=error)
    else:
        yield Found(copy.key, copy.store, copy.authenticated)


class _Copy(t.NamedTuple):
    """A copy of an archive that was fetched and authenticated. content: see ``archive.reading.contents``."""

    key: str
    store: str
    authenticated: bool
    subject: str
    envelope: Envelope
    content: t.Optional[str]


class _Fetched:
    """An archive that is fetched in another thread, from the first store that can give it. file: the archive as that store holds it."""

    def __init__(self, stock: Stock, archive: StoredArchive, pool: ThreadPoolExecutor) -> None:
        self.archive = archive
        self.stores_fail = False
        """No store could be read, so that nothing is known of the archive."""
        self._stock = stock
        self._ciphertext = _Ciphertext()
        self.file = t.cast(t.BinaryIO, self._ciphertext)
        self._copies = stock.copies(archive)
        self._first = next(self._copies)
        self._fetching = pool.submit(self._fetch, *self._first)

    def close(self) -> None:
        """End the fetching, and remove the file."""
        self._ciphertext.close()

    def result(self) -> _Copy:
        """The first copy that a store could give. Raises the error of the first store if none could."""
        errors: t.List[LogArchiveError] = []
        for listed, copy in itertools.chain([self._first], self._copies):
            try:
                return self._fetch(listed, copy) if errors else self._fetching.result()
            except (StoreError, IntegrityError, KeyMissingError) as error:
                if isinstance(error, StoreUnavailableError):
                    self._stock.unavailable.add(listed.store.name)
                errors.append(error)
                if len(self._stock.holdings.stores) > 1:
                    self._stock.warn("store %s: %s" % (listed.store.name, error))
        self.stores_fail = all(isinstance(error, StoreError) and not isinstance(error, StoreNotFoundError) for error in errors)
        raise errors[0]

    def _fetch(self, listed: Listed, copy: StoredArchive) -> _Copy:
        subject = listed.store.location(copy.key)
        envelope = listed.trust.envelope(copy.manifest, subject)
        expected = copy.manifest["archive"]
        with failing_clearly(self._ciphertext.folder):
            self._ciphertext.open()
            listed.store.get(copy.key, self.file, most=expected["size"])
            self.file.seek(0)
            # A token of another archive would have a signature by the same key.
            if self._ciphertext.sha256() != expected["sha256"]:
                raise IntegrityError("the archive does not match its manifest: its SHA-256 differs", subject)
            envelope.authenticate(self.file, expected["sha256"], subject)
        return _Copy(copy.key, listed.store.name, copy.authenticated is True, subject, envelope, content_of(copy.manifest))


class _Closed(Exception):
    """Nobody waits for the file any more. It ends the thread that writes or reads it."""


class _Ciphertext:
    """A file without a name, as far as ``Store.get`` and an envelope need one. It knows the SHA-256 of what was written."""

    def __init__(self) -> None:
        self.folder = temporary_folder()
        self._file: t.Optional[t.BinaryIO] = None
        self._sha256 = hashlib.sha256()
        self._closed = threading.Event()

    def open(self) -> None:
        import tempfile

        if self._file is None:
            self._file = t.cast(t.BinaryIO, tempfile.TemporaryFile(dir=self.folder))  # noqa: SIM115

    def close(self) -> None:
        self._closed.set()
        if self._file is not None:
            self._file.close()

    def sha256(self) -> str:
        return self._sha256.hexdigest()

    def truncate(self) -> int:
        self._sha256 = hashlib.sha256()
        return self._opened().truncate()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._opened().seek(position, whence)

    def tell(self) -> int:
        return self._opened().tell()

    def seekable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._sha256.update(data)
        return self._opened().write(data)

    def read(self, size: int = -1) -> bytes:
        return self._opened().read(size)

    def _opened(self) -> t.BinaryIO:
        if self._closed.is_set() or self._file is None:
            raise _Closed
        return self._file
