# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore drill: restore a sample of the archives of each store, compare every byte, and keep a record of what was tried.

The sample depends on the seed and on the archives only: the same seed tries the same archives again.
"""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import os
import typing as t

from ..archive.manifest import source_bytes
from ..base import beneath
from ..base.durable import TEMP_PREFIX
from ..base.errors import EXIT_DONE, EXIT_FAILED, IntegrityError, LogArchiveError
from ..base.progress import Progress, no_progress
from ..base.staging import failing_clearly, new_locked_folder, remove_unlocked
from ..holdings.restore import restore_from_stores, stands
from ..holdings.trust import Choice

if t.TYPE_CHECKING:
    from ..archive.facts import Manifest
    from ..holdings.stock import Holdings
    from ..state.held import Held

PREFIX = TEMP_PREFIX + "drill-"


class Tried(t.NamedTuple):
    """An archive that was tried. start, end: its period, in UTC. key_id: of the key that opened it; None without one. Sizes are in bytes.

    seconds: to fetch, authenticate, decrypt, extract and compare it. error: why it was not restored as it was archived; None if it was.
    """

    archive: str
    start: str
    end: str
    key_id: t.Optional[str]
    size: int
    source_bytes: int
    files: int
    seconds: float
    error: t.Optional[str]


class StoreDrill(t.NamedTuple):
    """The drill of a job's archives in one store, as the catalog has them.

    archives: how many the store has; ``tried`` are the sample. error: why nothing could be tried. exit_code: of the worst error.
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
    codes = []
    for key in sample(held.by_key(), count, seed):
        (manifest,) = held.named(key).values()
        tried, code = _try(holdings, key, manifest, folder, progress)
        row.tried.append(tried)
        codes.append(code)
    return row._replace(exit_code=max(codes))


def _try(holdings: Holdings, key: str, manifest: Manifest, folder: str, progress: Progress) -> t.Tuple[Tried, int]:
    import time

    began = time.monotonic()
    error: t.Optional[LogArchiveError] = None
    try:
        with failing_clearly(folder), private_folder(folder) as private:
            destination = os.path.join(private, "restored")
            for restored in restore_from_stores([holdings], Choice([key]), destination, progress=progress):
                if restored.error is not None:
                    raise restored.error
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
