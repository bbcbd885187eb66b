# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""s3-put: a 150 MB archive to Swift's S3 API, which checks digests, verified, beside ``aws s3 cp``.

Both are whole processes: start, imports, client, upload. Ours also proves what arrived (Content-MD5 of each part, ETags recomputed, a
HEAD at the end). Same server, same file, in turns, a new key each time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import shutil
import sys
import typing as t

import lab
from _measure import Benchmark, Sides, Target, run

SIZE = 150 * 1000 * 1000
QUICK_SIZE = 20 * 1000 * 1000
AWSCLI_VENV = pathlib.Path(__file__).resolve().parents[2] / "build" / "venv-awscli"

OURS = """\
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store
bucket, endpoint_url, path, key, size, md5, sha256 = sys.argv[1:]
store = new_store("s3", bucket=bucket, endpoint_url=endpoint_url)
result = store.put(path, key, Digests(int(size), md5, sha256))
assert result.verification.level == "server_digest" and not result.existed, result
"""


def aws_command() -> str:
    """The ``aws`` of the peer's virtualenv, or the one that is installed."""
    found = shutil.which("aws", path=str(AWSCLI_VENV / "bin")) or shutil.which("aws")
    if found is None:
        raise lab.Unavailable("awscli is not installed: 'python3 -m venv %s && %s/bin/pip install awscli'" % (AWSCLI_VENV, AWSCLI_VENV))
    return found


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Make the archive and start Swift."""
    aws = aws_command()
    archive = folder / "archive.tgz.fernet"
    data = os.urandom(QUICK_SIZE if quick else SIZE)
    archive.write_bytes(data)
    digests = [str(len(data)), hashlib.md5(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()]
    del data
    keys = ("key-%d" % number for number in itertools.count())
    with lab.swift_s3(folder / "swift") as server:
        bucket = server.make_bucket()
        client = server.client()
        env = dict(
            os.environ,
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_DEFAULT_REGION=server.region,
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            PYTHONPATH=os.pathsep.join(sys.path),
        )
        # The peer has its own libraries.
        peer_env = {name: value for name, value in env.items() if name != "PYTHONPATH"}

        def side(command: t.Callable[[str], t.List[str]], environment: t.Dict[str, str]) -> float:
            key = next(keys)
            # What an earlier upload left to be written to the disk is no part of this one.
            os.sync()
            seconds = run(command(key), env=environment).seconds
            assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == int(digests[0])
            client.delete_object(Bucket=bucket, Key=key)
            return seconds

        def ours(key: str) -> t.List[str]:
            return [sys.executable, "-c", OURS, bucket, server.endpoint_url, str(archive), key, *digests]

        def peer(key: str) -> t.List[str]:
            return [aws, "--endpoint-url", server.endpoint_url, "s3", "cp", "--no-progress", str(archive), "s3://%s/%s" % (bucket, key)]

        yield Sides(functools.partial(side, ours, env), functools.partial(side, peer, peer_env))


BENCHMARKS = [Benchmark("s3-put", prepare, Target("faster", 1.0))]
