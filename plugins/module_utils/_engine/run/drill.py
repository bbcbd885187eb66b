# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore drill: restore a sample of the archives of each store, compare every byte, and keep a record of what was tried.

The sample depends on the seed and on the archives only: the same seed tries the same archives again. A host drills what its catalog has
(``of_store``). A machine without that catalog drills what the store lists (``of_listing``).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import heapq
import os
import typing as t

from ..archive.manifest import source_bytes
from ..base import beneath
from ..base.durable import TEMP_PREFIX
from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTEGRITY, IntegrityError, LogArchiveError
from ..base.progress import Progress, no_progress
from ..base.staging import failing_clearly, new_locked_folder, remove_unlocked
from ..holdings.restore import restore_whole, stands
from ..holdings.stock import Stock, nothing_found, require_names
from ..holdings.trust import Choice

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..holdings.inventory import StoredArchive
    from ..holdings.stock import Holdings, Warn
    from ..state.held import Held

PREFIX = TEMP_PREFIX + "drill-"
SAMPLE = 3
"""Archives of each job that a drill restores from each store, unless it is given."""


class Tried(t.NamedTuple):
    """An archive that was tried. start, end: its period, in UTC. key_id: of the key that opened it; None without one. Sizes are in bytes.

    proven: whether it was compared with what the host wrote for certain: its catalog, or an authenticated manifest. seconds: to fetch,
    authenticate, decrypt, extract and compare it. error: why it was not restored as it was archived; None if it was.
    """

    archive: str
    start: str
    end: str
    key_id: t.Optional[str]
    size: int
    source_bytes: int
    files: int
    proven: bool
    seconds: float
    error: t.Optional[str]


class StoreDrill(t.NamedTuple):
    """The drill of a job's archives in one store.

    archives: how many the store has by the catalog, or by its own listing; ``tried`` are the sample. error: why nothing could be tried, or
    what else is wrong with the listing. With the exit code 0 it is why the store was left out: not a failure. exit_code: of the worst
    error.
    """

    host: str
    job: str
    store: str
    seed: str
    archives: int
    tried: t.List[Tried]
    error: t.Optional[str]
    exit_code: int


def sample(keys: t.Iterable[str], count: int, seed: str) -> t.List[str]:
    """So many of these keys, by name. Each has the same chance, and those of one seed are always the same."""

    def place(key: str) -> bytes:
        return hashlib.sha256(("%s\0%s" % (seed, key)).encode("utf-8", "surrogateescape")).digest()

    return sorted(heapq.nsmallest(count, keys, key=place))


def of_store(holdings: Holdings, held: Held, count: int, seed: str, folder: str, progress: Progress = no_progress) -> StoreDrill:
    """Drill one store. holdings: of one host, job and store. held: what the catalog records of it. count: archives to try.

    folder: where the plaintext lies while it is compared, in a private folder that is removed. Raises nothing that the store causes.
    """
    (store,) = holdings.stores
    row = StoreDrill(t.cast(str, holdings.host), t.cast(str, holdings.job), store["name"], seed, held.count(), [], None, EXIT_DONE)
    if row.archives == 0:
        text = "the catalog has no archive in this store, so nothing was tried"
        return row._replace(error=text, exit_code=EXIT_FAILED)

    keys = sample(held.by_key(), count, seed)
    codes = []
    with contextlib.closing(Stock(holdings, Choice(keys), lambda text: None, False)) as stock:
        found = {archive.key: archive for archive in stock.chosen(Choice(keys))}
        for key in keys:
            (manifest,) = held.named(key).values()
            tried, code = _try(key, manifest, True, folder, functools.partial(_restore, stock, found, key, progress))
            row.tried.append(tried)
            codes.append(code)
    return row._replace(exit_code=max(codes))


def _restore(stock: Stock, found: t.Mapping[str, StoredArchive], key: str, progress: Progress, destination: str) -> None:
    """Restore one archive of the catalog. found: those of the sample that the store lists."""
    if stock.errors:
        raise stock.errors[0]
    if key in stock.failed:
        raise IntegrityError(stock.failed[key].why)
    require_names(list(found.values()), [stock], Choice([key]))
    restore_whole(stock, found[key], destination, progress)


def of_listing(
    holdings: Holdings,
    choice: Choice,
    count: int,
    seed: str,
    folder: str,
    read_only: bool = False,
    warn: Warn = lambda text: None,
) -> t.Iterator[StoreDrill]:
    """Drill one store by what it lists, and yield the drill of each host and job that it has archives of.

    holdings: of one store. choice: the archives to take the sample from. count: archives to try of each host and job. folder:
    see ``of_store``. read_only: note no host keys of servers. warn: called with a sentence for what was passed over.
    Raises the error of the store if it cannot be listed, and ArchiveNotFoundError if it has no such archive.
    """
    (store,) = holdings.stores
    with contextlib.closing(Stock(holdings, choice, warn, read_only)) as stock:
        by_job: t.Dict[t.Tuple[str, ...], t.Dict[str, StoredArchive]] = {}
        chosen = stock.chosen(choice)
        if stock.errors:
            raise stock.errors[0]
        require_names(chosen, [stock], choice)
        for archive in chosen:
            by_job.setdefault(_host_and_job(archive.key), {})[archive.key] = archive
        if not by_job and not stock.failed:
            raise nothing_found([stock])
        for host, job in sorted(by_job.keys() | {_host_and_job(key) for key in stock.failed}):
            archives = by_job.get((host, job), {})
            wrong = ["%s: %s" % (key, item.why) for key, item in sorted(stock.failed.items()) if _host_and_job(key) == (host, job)]
            text = "%d archive(s) cannot be used, the first: %s" % (len(wrong), wrong[0]) if wrong else None
            row = StoreDrill(host, job, store["name"], seed, len(archives) + len(wrong), [], text, EXIT_INTEGRITY if wrong else EXIT_DONE)
            codes = [row.exit_code]
            for key in sample(archives, count, seed):
                archive = archives[key]
                restore = functools.partial(restore_whole, stock, archive)
                tried, code = _try(key, archive.manifest, archive.authenticated is True, folder, restore)
                row.tried.append(tried)
                codes.append(code)
            yield row._replace(exit_code=max(codes))


def _host_and_job(key: str) -> t.Tuple[str, ...]:
    return tuple(key.split("/")[:2])


def failure(rows: t.Sequence[StoreDrill]) -> t.Optional[LogArchiveError]:
    """The error that reports all that failed; None if nothing did."""
    failed = [row for row in rows if row.exit_code]
    if not failed:
        return None
    texts = [row.error for row in failed if row.error] + [
        "%s: %s" % (one.archive, one.error) for row in failed for one in row.tried if one.error
    ]
    error = LogArchiveError("the drill failed: %s%s" % (texts[0], "; %d more failed" % (len(texts) - 1) if texts[1:] else ""))
    error.exit_code = max(row.exit_code for row in failed)
    return error


def _try(key: str, manifest: Manifest, proven: bool, folder: str, restore: t.Callable[[str], object]) -> t.Tuple[Tried, int]:
    """Try one archive. restore: restores it below a folder. Returns what was seen, and the exit code for it."""
    import time

    began = time.monotonic()
    error: t.Optional[LogArchiveError] = None
    try:
        with failing_clearly(folder), private_folder(folder) as private:
            destination = os.path.join(private, "restored")
            restore(destination)
            compare(manifest, destination)
    except LogArchiveError as failed:
        error = failed
    return Tried(
        key,
        manifest["period"]["start"],
        manifest["period"]["end"],
        _key_of(manifest),
        manifest["archive"]["size"],
        source_bytes(manifest),
        len(manifest["sources"]),
        proven,
        round(time.monotonic() - began, 3),
        None if error is None else str(error),
    ), EXIT_DONE if error is None else error.exit_code


def compare(manifest: Manifest, folder: str) -> None:
    """Raise IntegrityError unless the restored logs, read again from the disk, are what the host archived by its own catalog."""
    wrong = [source["name"] for source in manifest["sources"] if not stands(source, folder)]
    if wrong:
        raise IntegrityError("%d of %d restored logs differ from what was archived" % (len(wrong), len(manifest["sources"])), wrong[0])


def _key_of(manifest: Manifest) -> t.Optional[str]:
    return manifest["encryption"].get("key_id")


@contextlib.contextmanager
def private_folder(parent: str) -> t.Iterator[str]:
    """A new folder for plaintext that only this user can enter. It is removed at the end, and those that killed drills left are removed
    first."""
    with beneath.open_folder(parent) as root, contextlib.ExitStack() as stack:
        remove_unlocked(root, PREFIX)
        name, _folder = new_locked_folder(root, PREFIX, stack)
        try:
            yield os.path.join(parent, name)
        finally:
            beneath.remove_tree(root, name)
