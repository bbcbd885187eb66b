# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring an archive of 512 MiB of syslog, beside ``Fernet.decrypt`` of the whole and ``tarfile``. Whole processes.

Ours authenticates first, compares every file with the manifest and gives it its name last.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import sys
import typing as t

import generate_syslog
from _measure import Benchmark, Sides, Target, run
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import periods
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from bench_pack import MIB, emptied

SECRET = bytes(range(32))

OURS = """
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import load
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.restore import restore
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.envelope import FernetEnvelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import Key, key_id

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

archive, destination, report = sys.argv[1:]
before = peak()
secret = bytes(range(32))
manifest = load(archive + ".manifest.json")
with open(archive, "rb") as file:
    restore(file, FernetEnvelope(Key(key_id(secret), secret)), destination, archive, manifest)
with open(report, "w") as file:
    file.write(str(peak() - before))
"""

PEER = """
import base64, io, sys, tarfile
from cryptography.fernet import Fernet

archive, destination = sys.argv[1:]
with open(archive, "rb") as file:
    tgz = Fernet(base64.urlsafe_b64encode(bytes(range(32)))).decrypt(file.read())
with tarfile.open(fileobj=io.BytesIO(tgz), mode="r:gz") as tar:
    tar.extractall(destination)
"""


class Restoring:
    """The ways to restore one archive; each call is one round."""

    def __init__(self, folder: pathlib.Path, size: int) -> None:
        self.folder = folder
        self.archive = folder / ("%d.tgz.fernet" % size)
        self.report = folder / "peak"
        source = folder / ("syslog.%d" % size)
        generate_syslog.write_single(str(source), size)
        now = datetime.datetime(2024, 1, 12, 12, tzinfo=datetime.timezone.utc)
        period = periods.Period(now, now)
        chosen = [selection.source_at(str(source), period)]
        enclosing = envelope.FernetEnvelope(keyring.Key(keyring.key_id(SECRET), SECRET))
        create_archive(str(self.archive), Contents(chosen, "web1", "syslog", period), enclosing)
        source.unlink()

    def ours(self) -> float:
        return run([sys.executable, "-c", OURS, self.archive, emptied(self.folder / "ours"), self.report]).seconds

    def memory(self) -> float:
        self.ours()
        return int(self.report.read_text()) / MIB

    def peer(self) -> float:
        return run([sys.executable, "-c", PEER, self.archive, emptied(self.folder / "peer")]).seconds


@contextlib.contextmanager
def beside_tarfile(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    restoring = Restoring(folder, (16 if quick else 512) * MIB)
    yield Sides(restoring.ours, restoring.peer)


@contextlib.contextmanager
def memory(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Peak resident memory above what the interpreter and the engine take, at 4 GiB; as the peer the same at 0.5 GiB."""
    yield Sides(Restoring(folder, (64 if quick else 4096) * MIB).memory, Restoring(folder, (16 if quick else 512) * MIB).memory)


BENCHMARKS = [
    Benchmark("restore", beside_tarfile, Target("faster", 3)),
    Benchmark("restore-memory", memory, Target("value", 64), "MiB"),
]
