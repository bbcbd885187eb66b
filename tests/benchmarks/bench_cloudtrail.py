# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""cloudtrail-validate: a trail with 2,000 log files, beside ``aws cloudtrail validate-logs``.

Both are whole processes, against a server that takes 15 ms for each answer, as S3 does in its own region. Ours also lists versions, looks
for log files that no digest names, and writes what it verified.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import sys
import typing as t

import lab
from _measure import Benchmark, Sides, Target, run
from lab.trail_server import trail_server
from rigs import aws_cli
from rigs.trail import Trail, stamp

HOURS, LOGS = 20, 100
QUICK_LOGS = 5

OURS = "from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import end_with_main; end_with_main()"


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Make the trail and start the server."""
    aws = str(aws_cli.PYTHON.with_name("aws"))
    if not aws_cli.PYTHON.exists():
        raise lab.Unavailable("aws-cli is not installed: 'make build/venv-awscli/.stamp'")
    trail = Trail(HOURS, logs=QUICK_LOGS if quick else LOGS, records=20)
    with trail_server(folder / "objects", trail, delay=0.015) as endpoint_url:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_") and name != "PYTHONPATH"}
        environment.update(
            AWS_ENDPOINT_URL=endpoint_url,
            AWS_ACCESS_KEY_ID="AKIALAB",
            AWS_SECRET_ACCESS_KEY="lab",
            AWS_DEFAULT_REGION=trail.home,
            AWS_CONFIG_FILE=os.devnull,
            AWS_SHARED_CREDENTIALS_FILE=os.devnull,
            AWS_EC2_METADATA_DISABLED="true",
        )
        jobs = folder / "jobs"
        jobs.mkdir()
        document = {
            "name": "trail",
            "cloudtrail": {"bucket": trail.bucket, "endpoint_url": endpoint_url, "region": trail.home},
            "encryption": "none",
            "stores": [{"type": "file", "path": str(folder / "store")}],
            "state": str(folder / "state"),
            "spool": str(folder / "spool"),
        }
        path = jobs / "trail.json"
        path.touch(0o600)
        path.write_text(json.dumps(document))
        span = (stamp(trail.start), stamp(trail.end))

        def ours() -> float:
            command = [sys.executable, "-c", OURS, "audit", "validate", "--config", str(jobs), "--since", span[0], "--until", span[1]]
            report = folder / "report.json"
            command += ["--trail-start", span[0], "--report", str(report)]
            seconds = run(command, env=dict(environment, PYTHONPATH=os.pathsep.join(sys.path))).seconds
            checked = json.loads(report.read_text())[0]
            assert (checked["findings"], checked["valid_logs"]) == ([], len(trail.logs_of())), checked
            return seconds

        def peer() -> float:
            command = [aws, "cloudtrail", "validate-logs", "--trail-arn", trail.arn, "--s3-bucket", trail.bucket]
            return run([*command, "--start-time", span[0], "--end-time", span[1]], env=environment).seconds

        yield Sides(ours, peer)


BENCHMARKS = [Benchmark("cloudtrail-validate", prepare, Target("faster", 3.0))]
