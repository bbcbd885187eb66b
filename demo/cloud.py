# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo of a CloudTrail trail ('make demo-cloud'): archive it, validate it, delete a part of it, and find that.

The trail is made up and signed with a key of the demo; a server on this machine has it. All that the demo makes lies in one folder
(build/demo-cloud, or --folder). It needs no account of AWS, and sends nothing elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t
import urllib.request

DEMO = pathlib.Path(__file__).resolve().parent
CHECKOUT = DEMO.parent
COLLECTIONS = CHECKOUT / "build" / "collections"
sys.path[:0] = [str(CHECKOUT / "tests"), str(COLLECTIONS)]
ENGINE = "ansible_collections.infra_ops.log_archive.plugins.module_utils._engine"
COMMAND = [sys.executable, "-c", "from %s.cli.main import end_with_main; end_with_main()" % ENGINE]
HOURS, REGIONS, LOGS = 6, ("eu-west-3", "us-east-1"), 10


class Failed(Exception):
    """The demo cannot go on; the message says why."""


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description="Archive and validate a made-up CloudTrail trail.")
    parser.add_argument("--folder", type=pathlib.Path, default=CHECKOUT / "build" / "demo-cloud", help="where to work")
    options = parser.parse_args(arguments)
    from lab.trail_server import trail_server
    from rigs.trail import Trail

    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    trail = Trail(HOURS, REGIONS, LOGS, records=20, start=hour - datetime.timedelta(hours=HOURS + 2))
    print("A trail of %d hours, %d regions and %d log files" % (HOURS, len(REGIONS), HOURS * LOGS * len(REGIONS)))
    try:
        with trail_server(options.folder / "server", trail, delay=0) as url:
            show(options.folder, url, trail)
    except Failed as error:
        print("The demo failed: %s" % error, file=sys.stderr)
        return 1
    return 0


def show(folder: pathlib.Path, url: str, trail: t.Any) -> None:
    """Archive, validate, delete, and validate again: the bucket, then the archives."""
    from rigs.trail import stamp

    jobs = folder / "jobs"
    jobs.mkdir()
    document = {
        "name": "trail",
        "cloudtrail": {"bucket": trail.bucket, "endpoint_url": url, "region": trail.home, "lookback": "1d"},
        "encryption": {"keyring": str(folder / "keyring")},
        "stores": [{"type": "file", "path": str(folder / "store")}],
        "state": str(folder / "state"),
        "spool": str(folder / "spool"),
    }
    path = jobs / "trail.json"
    path.touch(0o600)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    span = ("--since", stamp(trail.start), "--until", stamp(trail.end), "--trail-start", stamp(trail.start))
    run(jobs, "key", "create", "trail")
    run(jobs, "run", "trail")
    run(jobs, "audit", "validate", "trail", *span)
    gone = [*trail.digests("us-east-1")[-2:], trail.logs_of("us-east-1")[-1], trail.logs_of()[0]]
    print("\nNow somebody deletes the newest two digests of a region, and two log files")
    for key in gone:
        urllib.request.urlopen(urllib.request.Request("%s/%s/%s" % (url, trail.bucket, key), method="DELETE"), timeout=60).close()
    run(jobs, "audit", "validate", "trail", *span, "--html", str(folder / "report.html"), expected=4)
    print("\nThe archives have all of it")
    run(jobs, "audit", "validate", "trail", "--archives", *span)
    print("\nThe report is %s" % (folder / "report.html"))


def run(jobs: pathlib.Path, *arguments: str, expected: int = 0) -> None:
    """Run the command, and show what it prints."""
    print("\n$ log-archive %s" % " ".join(arguments), flush=True)
    known = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_CONFIG_FILE": os.devnull}
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**others, **known, "PYTHONPATH": str(COLLECTIONS), "LOG_ARCHIVE_CONFIG": str(jobs)}
    done = subprocess.run([*COMMAND, *arguments], env=environment, check=False)
    if done.returncode != expected:
        raise Failed("the command ended with %d, not with %d" % (done.returncode, expected))


if __name__ == "__main__":
    sys.exit(main())
