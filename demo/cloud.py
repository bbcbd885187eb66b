# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo of a CloudTrail trail ('make demo-cloud', and a step of 'make demo'): archive it, delete a part of it, and find that.

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
    """The demo cannot go on; the message gives the reason."""


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description="Archive and validate a made-up CloudTrail trail.")
    parser.add_argument("--folder", type=pathlib.Path, default=CHECKOUT / "build" / "demo-cloud", help="where to work")
    options = parser.parse_args(arguments)
    try:
        demonstrate(options.folder, print)
    except Failed as error:
        print("The demo failed: %s" % error, file=sys.stderr)
        return 1
    return 0


def demonstrate(folder: pathlib.Path, say: t.Callable[[str], None]) -> t.Tuple[int, t.List[str]]:
    """Show it in this folder, which is created again; returns the number of files of the trail, and the words of what validation found.

    say: called with each text to print. Raises Failed.
    """
    from lab.trail_server import trail_server
    from rigs.trail import Trail

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    hour = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    trail = Trail(HOURS, REGIONS, LOGS, records=20, start=hour - datetime.timedelta(hours=HOURS + 2))
    say("A trail of %d hours, %d regions and %d log files" % (HOURS, len(REGIONS), HOURS * LOGS * len(REGIONS)))
    files = len(trail.objects)
    with trail_server(folder / "server", trail, delay=0) as url:
        show(folder, url, trail, say)
    (report,) = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return files, sorted({finding["word"] for finding in report["findings"]})


def show(folder: pathlib.Path, url: str, trail: t.Any, say: t.Callable[[str], None]) -> None:
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
    run(say, jobs, "key", "create", "trail")
    run(say, jobs, "run", "trail")
    run(say, jobs, "audit", "validate", "trail", *span)
    gone = [*trail.digests("us-east-1")[-2:], trail.logs_of("us-east-1")[-1], trail.logs_of()[0]]
    say("\nNow somebody deletes the newest two digests of a region, and two log files")
    for key in gone:
        urllib.request.urlopen(urllib.request.Request("%s/%s/%s" % (url, trail.bucket, key), method="DELETE"), timeout=60).close()
    filed = ("--html", str(folder / "report.html"), "--report", str(folder / "report.json"))
    run(say, jobs, "audit", "validate", "trail", *span, *filed, expected=4)
    say("\nThe archives have all of it")
    run(say, jobs, "audit", "validate", "trail", "--archives", *span)
    say("\nThe report is %s" % (folder / "report.html"))


def run(say: t.Callable[[str], None], jobs: pathlib.Path, *arguments: str, expected: int = 0) -> None:
    """Run the command, and show what it prints. Raises Failed if it ends with another exit code than ``expected``."""
    say("\n$ log-archive %s" % " ".join(arguments))
    known = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_CONFIG_FILE": os.devnull}
    others = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**others, **known, "PYTHONPATH": str(COLLECTIONS), "LOG_ARCHIVE_CONFIG": str(jobs)}
    done = subprocess.run([*COMMAND, *arguments], env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    say(done.stdout.rstrip())
    if done.returncode != expected:
        text = "log-archive %s ended with %d, not with %d:\n%s"
        raise Failed(text % (" ".join(arguments), done.returncode, expected, done.stdout))


if __name__ == "__main__":
    sys.exit(main())
