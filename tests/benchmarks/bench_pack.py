# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packing a syslog of 512 MiB: beside the way of infra-ops, beside tar, pigz and openssl, and how much memory it takes. Whole processes.

Ours makes the archive with every hash and its manifest, brought to the disk. infra-ops: ``tarfile`` (w:gz), ``Fernet.encrypt`` of the
whole, ``cp`` to the archive folder, MD5. The shell: no signature, no hash, no manifest.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import generate_syslog
import lab
from _measure import Benchmark, Sides, Target, run

MIB = 1 << 20

OURS = """
import datetime, os, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.envelope import FernetEnvelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import Key, key_id
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import source_at

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

source, folder, report = sys.argv[1:]
before = peak()
now = datetime.datetime(2024, 1, 12, 12, tzinfo=datetime.timezone.utc)
period = Period(now, now)
chosen = [source_at(source, period)]
secret = bytes(range(32))
key = Key(key_id(secret), secret)
contents = Contents(chosen, "web1", "syslog", period)
create_archive(os.path.join(folder, "archive.tgz.fernet"), contents, FernetEnvelope(key))
with open(report, "w") as file:
    file.write(str(peak() - before))
"""

INFRA_OPS = """
import base64, hashlib, os, sys, tarfile
from cryptography.fernet import Fernet

source, folder, archive_folder = sys.argv[1:]
tgz = os.path.join(folder, "log.tar.gz")
with tarfile.open(tgz, "w:gz") as tar:
    tar.add(source)
with open(tgz, "rb") as file:
    token = Fernet(base64.urlsafe_b64encode(bytes(range(32)))).encrypt(file.read())
with open(tgz + ".encrypted", "wb") as file:
    file.write(token)
if os.system("cp %s %s" % (tgz + ".encrypted", archive_folder)):
    raise SystemExit("cp failed")
with open(tgz + ".encrypted", "rb") as file:
    hashlib.md5(file.read()).hexdigest()
"""

SHELL = 'set -eu -o pipefail; tar -C "$1" -cf - "$2" | pigz | openssl enc -aes-128-cbc -K "$3" -iv "$3" -out "$4"'


def emptied(folder: pathlib.Path) -> pathlib.Path:
    """The folder, empty, and the disk at rest: what an earlier round left to be written is not part of this one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    os.sync()
    return folder


class Packing:
    """The ways to pack one generated log; each call is one round."""

    def __init__(self, folder: pathlib.Path, size: int) -> None:
        self.folder = folder
        self.source = folder / ("syslog.%d" % size)
        generate_syslog.write_single(str(self.source), size)
        self.report = folder / "peak"

    def ours(self) -> float:
        return run([sys.executable, "-c", OURS, self.source, emptied(self.folder / "ours"), self.report]).seconds

    def memory(self) -> float:
        self.ours()
        return int(self.report.read_text()) / MIB

    def infra_ops(self) -> float:
        work = emptied(self.folder / "peer")
        (work / "archive").mkdir()
        return run([sys.executable, "-c", INFRA_OPS, self.source, work, work / "archive"]).seconds

    def shell(self) -> float:
        out = emptied(self.folder / "peer") / "archive"
        return run(["bash", "-c", SHELL, "bash", self.folder, self.source.name, "00" * 16, out]).seconds


@contextlib.contextmanager
def beside_infra_ops(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    packing = Packing(folder, (16 if quick else 512) * MIB)
    yield Sides(packing.ours, packing.infra_ops)


@contextlib.contextmanager
def beside_the_shell(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    if shutil.which("pigz") is None:
        raise lab.Unavailable("pigz is not installed")
    subprocess.run(["openssl", "version"], check=True, stdout=subprocess.DEVNULL)
    packing = Packing(folder, (16 if quick else 512) * MIB)
    yield Sides(packing.ours, packing.shell)


@contextlib.contextmanager
def memory(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Peak resident memory above what the interpreter and the engine take, at 4 GiB; as the peer the same at 0.5 GiB."""
    large = Packing(folder, (64 if quick else 4096) * MIB)
    small = Packing(folder, (16 if quick else 512) * MIB)
    yield Sides(large.memory, small.memory)


BENCHMARKS = [
    Benchmark("pack", beside_infra_ops, Target("faster", 12)),
    Benchmark("pack-shell", beside_the_shell, Target("faster", 3)),
    Benchmark("pack-memory", memory, Target("value", 64), "MiB"),
]
