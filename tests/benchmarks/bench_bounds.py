# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packing and restoring beside their bound: the CPU seconds of the single steps that nobody can leave out, divided by the cores.

Each step runs alone, in one thread of this process, on the bytes of the archive that is packed or restored, in the same round. What is
between the bound and us is the start of the process, the tar, handing pieces from thread to thread, and waiting. The parts are printed.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import hashlib
import hmac
import os
import pathlib
import sys
import time
import typing as t

import pybase64
from _measure import Benchmark, Sides, Target
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import CHUNK
from bench_pack import MIB, Packing
from bench_restore import SECRET, Restoring
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from isal import isal_zlib

PIECE = 1 << 18
Pieces = t.Iterable[bytes]


def pieces_of(data: bytes, size: int = PIECE) -> t.List[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


class Bound:
    """The parts of a bound: each step's CPU seconds in one thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: t.Dict[str, float] = {}

    def add(self, step: str, work: t.Callable[[], Pieces]) -> t.List[bytes]:
        """Carry out a step; returns what it makes. Keeping that is not part of the work: the step that is measured drops each piece."""
        gc.collect()
        begin = time.thread_time()
        collections.deque(work(), maxlen=0)
        self._parts[step] = time.thread_time() - begin
        return list(work())

    def seconds(self) -> float:
        """Print the parts; return the bound."""
        cores = len(os.sched_getaffinity(0))
        bound = sum(self._parts.values()) / cores
        parts = ", ".join("%s %.3f" % part for part in self._parts.items())
        print("%s: (%s) / %d cores = %.3f s" % (self._name, parts, cores, bound), file=sys.stderr)
        return bound


def read(path: pathlib.Path) -> Pieces:
    with open(path, "rb", buffering=0) as file:
        yield from iter(lambda: file.read(PIECE), b"")


def hashed(new: t.Callable[[], t.Any], pieces: Pieces) -> t.Callable[[], Pieces]:
    def work() -> Pieces:
        one = new()
        for piece in pieces:
            one.update(piece)
        return [one.digest()]

    return work


def md5() -> t.Any:
    return hashlib.md5(usedforsecurity=False)


def signature() -> t.Any:
    return hmac.new(SECRET[:16], digestmod="sha256")


def deflate(pieces: Pieces) -> Pieces:
    """As an archive is packed: level 1 of ISA-L."""
    compressor = isal_zlib.compressobj(1, isal_zlib.DEFLATED, 31)
    for piece in pieces:
        yield compressor.compress(piece)
    yield compressor.flush()


def inflate(pieces: Pieces) -> Pieces:
    inflater = isal_zlib.decompressobj(31)
    for piece in pieces:
        while piece:
            yield inflater.decompress(piece, CHUNK)
            piece = inflater.unconsumed_tail


def encrypt(pieces: Pieces) -> Pieces:
    return map(Cipher(algorithms.AES(SECRET[16:]), modes.CBC(bytes(16))).encryptor().update, pieces)


def decrypt(iv: bytes, pieces: Pieces) -> Pieces:
    return map(Cipher(algorithms.AES(SECRET[16:]), modes.CBC(iv)).decryptor().update, pieces)


def decode(pieces: Pieces) -> Pieces:
    return (pybase64.b64decode(piece, altchars=b"-_", validate=True) for piece in pieces)


def packing_bound(source: pathlib.Path) -> float:
    """What packing this file takes at the least."""
    bound = Bound("pack-bound")
    data = bound.add("read", lambda: read(source))
    bound.add("SHA-256 of the log", hashed(hashlib.sha256, data))
    tgz = pieces_of(b"".join(bound.add("deflate", lambda: deflate(data))))
    data.clear()
    bound.add("SHA-256 of the tgz", hashed(hashlib.sha256, tgz))
    ciphertext = pieces_of(b"".join(bound.add("AES-CBC", lambda: encrypt(tgz))), 3 * PIECE // 4)
    bound.add("HMAC", hashed(signature, ciphertext))
    token = bound.add("base64", lambda: map(pybase64.urlsafe_b64encode, ciphertext))
    bound.add("SHA-256 of the token", hashed(hashlib.sha256, token))
    bound.add("MD5 of the token", hashed(md5, token))
    return bound.seconds()


def restoring_bound(archive: pathlib.Path) -> float:
    """What restoring this archive takes at the least: it is authenticated before anything is decrypted, and again as it is decrypted."""
    bound = Bound("restore-bound")
    raw = bound.add("base64", lambda: decode(read(archive)))
    bound.add("HMAC", hashed(signature, raw))
    bound.add("HMAC again", hashed(signature, raw))
    joined = b"".join(raw)
    tgz = bound.add("AES-CBC", lambda: decrypt(joined[9:25], pieces_of(joined[25:-32])))
    tar = bound.add("inflate", lambda: inflate(tgz))
    bound.add("SHA-256 of the log", hashed(hashlib.sha256, tar))
    return bound.seconds()


@contextlib.contextmanager
def packing(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    one = Packing(folder, (16 if quick else 512) * MIB)
    yield Sides(one.ours, lambda: packing_bound(one.source))


@contextlib.contextmanager
def restoring(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    one = Restoring(folder, (16 if quick else 512) * MIB)
    yield Sides(one.ours, lambda: restoring_bound(one.archive))


BENCHMARKS = [
    Benchmark("pack-bound", packing, Target("faster", 0.92)),
    Benchmark("restore-bound", restoring, Target("faster", 0.85)),
]
