# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trail in the archives of a job with the source ``cloudtrail``: validated without AWS, whatever became of the bucket."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import json
import os
import typing as t

from ..base.errors import ArchiveNotFoundError
from ..base.progress import no_progress
from ..base.units import UTC
from ..holdings.restore import restore_from_stores
from ..holdings.trust import Choice
from ..sources import trail_names
from ..sources.trail_bucket import Place, StoredFile
from ..sources.trail_names import DIGESTS, LOGS, SIDECAR
from .trail import DigestFile, Listing, Trail
from .unpack import PIECE, UnreadableError, sha256_of_log, unpacked_digest

if t.TYPE_CHECKING:
    from ..base.progress import Progress
    from ..base.staging import ExtractedFile
    from ..holdings.stock import Holdings

LATE = datetime.timedelta(hours=3)
"""How long after its hour an archive may have files that belong to it."""
LARGEST_SIDECAR = 1 << 20

Name = t.Tuple[str, str]
"""Bucket and key of a file."""


class ArchivedTrail(Trail):
    """The trail in these holdings from one time to another. Each archive is restored to a private folder, read, and removed again.

    Raises what ``restore_from_stores`` raises.
    """

    origin = "archives"

    def __init__(
        self,
        holdings: Holdings,
        bucket: str,
        start: datetime.datetime,
        end: datetime.datetime,
        progress: Progress = no_progress,
        folder: t.Optional[str] = None,
    ) -> None:
        import tempfile

        super().__init__()
        # Digests stay there, compressed, until they are looked at: there may be many, and large ones that somebody forged.
        self._folder = tempfile.TemporaryDirectory(prefix="log-archive-", dir=folder)
        self.bucket = bucket
        self.location = "archives of %s" % bucket
        self._start = start
        self._stored: t.Dict[Name, StoredFile] = {}
        self._logs: t.Dict[Name, t.Union[str, UnreadableError]] = {}
        self._digests: t.Dict[Name, str] = {}
        self._numbers = itertools.count()
        self._metadata: t.Dict[Name, t.Mapping[str, str]] = {}
        choice = Choice(start=start - LATE, end=end + LATE)
        with contextlib.ExitStack() as stack:
            stack.callback(self.close)
            with tempfile.TemporaryDirectory(prefix="log-archive-", dir=folder) as destination, contextlib.suppress(ArchiveNotFoundError):
                for one in restore_from_stores([holdings], choice, destination, progress=progress, warn=self.notes.append):
                    if one.error is not None:
                        self.damaged[one.key] = str(one.error)
                    for file in one.files:
                        self._take(file)
                        with contextlib.suppress(FileNotFoundError):
                            os.unlink(file.path)
            # It is complete, and the caller's to close.
            stack.pop_all()

    def _take(self, file: ExtractedFile) -> None:
        bucket, _slash, key = file.name.partition("/")
        name = (bucket, key)
        if key.endswith(SIDECAR):
            self._take_sidecar(file, (bucket, key[: -len(SIDECAR)]))
            return
        known = trail_names.parse(key)
        if known is None:
            return
        with open(file.path, "rb") as stream:
            modified = datetime.datetime.fromtimestamp(int(os.fstat(stream.fileno()).st_mtime), UTC)
            self._stored[name] = StoredFile(key, file.size, modified, "", known)
            if known.folder == DIGESTS:
                self._digests[name] = os.path.join(self._folder.name, str(next(self._numbers)))
                os.replace(file.path, self._digests[name])
            elif known.folder == LOGS:
                try:
                    self._logs[name] = sha256_of_log(iter(lambda: stream.read(PIECE), b""))
                except UnreadableError as error:
                    self._logs[name] = error

    def _take_sidecar(self, file: ExtractedFile, name: Name) -> None:
        with open(file.path, "rb") as stream, contextlib.suppress(ValueError, KeyError, TypeError):
            metadata = json.loads(stream.read(LARGEST_SIDECAR))["metadata"]
            self._metadata[name] = {str(field): str(value) for field, value in metadata.items()}

    def places(self) -> t.List[Place]:
        return sorted({Place(one.file.account, one.file.region) for one in self._stored.values() if one.file is not None})

    def listing(self, place: Place, start: datetime.datetime, end: datetime.datetime) -> Listing:
        here = [
            (name, one.file.folder)
            for name, one in sorted(self._stored.items())
            if one.file is not None and name[0] == self.bucket and (one.file.account, one.file.region) == place
        ]
        return Listing(
            [self._stored[name] for name, folder in here if folder == DIGESTS],
            [self._stored[name] for name, folder in here if folder == LOGS],
            [],
        )

    def digest(self, bucket: str, key: str) -> t.Optional[DigestFile]:
        name = (bucket, key)
        if name not in self._digests:
            return None
        with open(self._digests[name], "rb") as stream:
            return DigestFile(unpacked_digest(iter(lambda: stream.read(PIECE), b"")), self._metadata.get(name, {}))

    def log(self, bucket: str, key: str) -> t.Optional[str]:
        held = self._logs.get((bucket, key))
        if isinstance(held, UnreadableError):
            raise held
        return held

    def close(self) -> None:
        self._folder.cleanup()

    def is_beyond(self, bucket: str, moment: datetime.datetime) -> bool:
        return moment < self._start
