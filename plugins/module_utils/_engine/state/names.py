# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of archived logs: those that they had, and those that a rotation gave them later."""

from __future__ import annotations

from ..base import hints as t
from ..base.named_tuple import NamedTuple
from .database import integer, integers

if t.TYPE_CHECKING:
    from ..sources.base import Source
    from .database import Database, Row


TIMES, MORE = 4, 100
"""So many times as many states as a folder has names, and so many more, are read at once."""
_LAST_STATES = (
    "SELECT substr(path, ?), CASE WHEN job = ? AND NOT changed THEN sources.size END, mtime_ns FROM sources INDEXED BY sources_by_path"
    " CROSS JOIN archives ON archives.id = archive WHERE path >= ? AND path < ? ORDER BY path, sources.rowid LIMIT ?"
)


class Archived(NamedTuple):
    """A log as it was archived, or as it was later recognised. sha256: of its bytes; archive: the id of the archive that has them."""

    archive: int
    path: str
    size: int
    mtime_ns: int
    sha256: str


class Names:
    """The names of archived logs in a catalog's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last_states(self, job: str, folder: str, names: int) -> t.Dict[str, t.Tuple[int, int]]:
        """Of the logs in a folder, the last state of each that the job has archived: {base name: (size, mtime in nanoseconds)}.

        folder: its path, which ends with '/'. names: how many names it has. Empty if the catalog has many more of them: of a folder with
        ten logs now and 100,000 in the years before, ``Catalog.archived_sources`` finds them sooner.
        """
        first = _bytes(folder)
        most = TIMES * names + MORE
        rows = self._database.execute(_LAST_STATES, (len(first) + 1, job, first, first[:-1] + b"0", most))
        if len(rows) == most:
            return {}
        return {name.decode("utf-8", "surrogateescape"): (size, int(mtime_ns)) for name, size, mtime_ns in rows if size is not None}

    def of_file(self, job: str, source: Source) -> t.List[Archived]:
        """The states that the job has archived of the very file (device and inode) with this size and modification time."""
        device, inode = source.identity
        return self._find(
            job,
            "mtime_ns = ? AND sources.size = ? AND device = ? AND inode = ?",
            (integer(source.mtime_ns), source.size, integer(device), integer(inode)),
        )

    def of_size(self, job: str, beginning: str, size: int) -> t.List[Archived]:
        """The states of this size that the job has archived of logs with paths that begin so."""
        first = _bytes(beginning)
        return self._find(job, "sources.size = ? AND path >= ? AND path < ?", (size, first, first + b"\xff"))

    def of_second(self, job: str, beginning: str, mtime_ns: int) -> t.List[Archived]:
        """The same by the modification time, in whole seconds."""
        first = _bytes(beginning)
        second = mtime_ns // 10**9 * 10**9
        return self._find(job, "mtime_ns BETWEEN ? AND ? AND path >= ? AND path < ?", (second, second + 10**9 - 1, first, first + b"\xff"))

    def add(self, archive: int, source: Source, sha256: str) -> None:
        """Record that an archive has the content of this log, too. sha256: of the log's bytes, which may be compressed."""
        self._database.execute(
            "INSERT INTO sources VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
            (archive, _bytes(source.path), source.size, integer(source.mtime_ns), sha256, *integers(source.identity)),
        )

    def sha256(self, archive: int, path: str, size: int, mtime_ns: int) -> t.Optional[str]:
        """The SHA-256 of an archived log with this name, size and modification time."""
        query = "SELECT sha256 FROM sources WHERE path = ? AND archive = ? AND size = ? AND mtime_ns = ?"
        rows = self._database.execute(query, (_bytes(path), archive, size, integer(mtime_ns)))
        return t.cast(str, rows[0][0]) if rows else None

    def _find(self, job: str, condition: str, values: t.Tuple[t.Any, ...]) -> t.List[Archived]:
        rows = self._database.execute(
            "SELECT archive, path, sources.size, mtime_ns, sha256 FROM sources JOIN archives ON archives.id = archive"
            " WHERE %s AND job = ? AND NOT changed" % condition,
            (*values, job),
        )
        return [_archived(row) for row in rows]


def _archived(row: Row) -> Archived:
    return Archived(row[0], row[1].decode("utf-8", "surrogateescape"), row[2], int(row[3]), row[4])


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
