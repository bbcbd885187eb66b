# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder as SFTPGo leaves it: the live log and its rotated files. Names and rotation: lumberjack 2, as SFTPGo 2.7 uses it."""

from __future__ import annotations

import os
import typing as t
from datetime import timedelta

from ...base.durable import make_folders, new_file
from ...base.errors import LogArchiveError
from .sftpgo import generate_lines

if t.TYPE_CHECKING:
    from datetime import datetime

    from ...base.progress import Advance, Progress
    from .sftpgo import Line

LIVE = "sftpgo.log"


class Generated(t.TypedDict):
    """What was written. lines: by the class of the line (transfer, command, ...); bytes: before compression."""

    folder: str
    files: t.List[str]
    lines: t.Dict[str, int]
    bytes: int


def generate_folder(folder: str, files: int, lines: int, seed: int, start: datetime, compress: bool, progress: Progress) -> Generated:
    """Write ``files`` files of ``lines`` lines each to the folder, which is created if it is missing; the last one is the live log.

    start: the time of the first line, as the server's clock shows it. compress: compress the rotated files, as SFTPGo can. The same
    arguments give the same bytes. Raises LogArchiveError if the folder already contains a log of SFTPGo, or cannot be written.
    """
    source = generate_lines(seed, start)
    result: Generated = {"folder": folder, "files": [], "lines": {}, "bytes": 0}
    try:
        make_folders(folder, 0o755)
        present = sorted(name for name in os.listdir(folder) if name.startswith("sftpgo"))
        if present:
            raise LogArchiveError("the folder already contains %s" % present[0], folder, "Name another folder, or remove its logs first")
        with progress("generate %s" % folder, files * lines, "lines") as advance:
            for number in range(files):
                moment = _write(os.path.join(folder, LIVE), source, lines, result, advance)
                if number < files - 1:
                    _rotate(folder, moment, compress, result)
            result["files"].append(LIVE)
    except OSError as error:
        raise LogArchiveError("cannot write the logs: %s" % error.strerror, error.filename or folder) from error
    return result


def _write(path: str, source: t.Iterator[Line], lines: int, result: Generated, advance: Advance) -> datetime:
    """Write lines to a new file; returns the time of the last one."""
    with new_file(path, 0o644) as file:
        for _unused in range(lines):
            line = next(source)
            result["bytes"] += file.write(line.text.encode("utf-8"))
            result["lines"][line.kind] = result["lines"].get(line.kind, 0) + 1
            advance(1)
    return line.time


def _rotate(folder: str, moment: datetime, compress: bool, result: Generated) -> None:
    """Give the live log the name of a rotated one."""
    suffix = ".log.gz" if compress else ".log"
    name = ""
    while not name or name in result["files"]:
        name = moment.strftime("sftpgo-%Y-%m-%dT%H-%M-%S.") + "%03d" % (moment.microsecond // 1000) + suffix
        moment += timedelta(milliseconds=1)
    live, rotated = os.path.join(folder, LIVE), os.path.join(folder, name)
    if compress:
        import gzip
        import shutil

        with open(live, "rb") as plain, new_file(rotated, 0o644) as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            shutil.copyfileobj(plain, packed)
        os.unlink(live)
    else:
        os.rename(live, rotated)
    result["files"].append(name)
