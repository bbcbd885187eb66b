# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A 100 MB archive to Swift's S3 API, verified, beside boto3's ``upload_file``: at once, and over a line of 50 ms.

Both are whole processes: start, imports, client, upload. Ours also proves what arrived (Content-MD5 of each part, ETags recomputed, a
HEAD at the end) and replaces nothing. Same server, same file, in turns, a new key each time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import os
import pathlib
import sys
import typing as t

import lab
from _measure import Benchmark, Sides, Target, run

SIZE = 100 * 1000 * 1000
QUICK_SIZE = 12 * 1000 * 1000

OURS = """\
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store
bucket, endpoint_url, path, key, size, md5, sha256 = sys.argv[1:]
store = new_store("s3", bucket=bucket, endpoint_url=endpoint_url)
result = store.put(path, key, Digests(int(size), md5, sha256))
assert result.verification.level == "server_digest" and not result.existed, result
"""

PEER = """\
import sys
import boto3
import botocore.config
bucket, endpoint_url, path, key = sys.argv[1:]
config = botocore.config.Config(s3={"addressing_style": "path"})
boto3.client("s3", endpoint_url=endpoint_url, config=config).upload_file(path, bucket, key)
"""


@contextlib.contextmanager
def prepare(round_trip: float, folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Make the archive, start Swift and the line."""
    archive = folder / "archive.tgz.fernet"
    data = os.urandom(QUICK_SIZE if quick else SIZE)
    archive.write_bytes(data)
    digests = [str(len(data)), hashlib.md5(data, usedforsecurity=False).hexdigest(), hashlib.sha256(data).hexdigest()]
    del data
    keys = ("key-%d" % number for number in itertools.count())
    with lab.swift_s3(folder / "swift") as server, contextlib.ExitStack() as stack:
        bucket = server.make_bucket()
        client = server.client()
        endpoint = server.endpoint_url
        if round_trip:
            endpoint = "http://%s:%d" % (lab.HOST, stack.enter_context(lab.delay_proxy(folder, server.port, round_trip)))
        env = dict(
            os.environ,
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_DEFAULT_REGION=server.region,
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            PYTHONPATH=os.pathsep.join(sys.path),
        )

        def side(program: str, *more: str) -> float:
            key = next(keys)
            # What an earlier upload left to be written to the disk is not part of this one.
            os.sync()
            seconds = run([sys.executable, "-c", program, bucket, endpoint, archive, key, *more], env=env).seconds
            assert client.head_object(Bucket=bucket, Key=key)["ContentLength"] == int(digests[0])
            client.delete_object(Bucket=bucket, Key=key)
            return seconds

        yield Sides(functools.partial(side, OURS, *digests), functools.partial(side, PEER))


BENCHMARKS = [
    Benchmark("s3-put", functools.partial(prepare, 0.0), Target("faster", 1.0)),
    Benchmark("s3-put-50ms", functools.partial(prepare, 0.05), Target("faster", 1.0)),
]
