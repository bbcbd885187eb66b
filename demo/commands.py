# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the demo does with the command ``log-archive`` once the archives are there."""

from __future__ import annotations

import json
import pathlib
import shlex
import subprocess
import sys
import typing as t

from facts import Results
from files import Failed, remove, shown_path, write
from logs import LINES

ENGINE = pathlib.Path(__file__).resolve().parents[1] / "plugins" / "module_utils" / "_engine"

PAGE_DAYS = 14
"""The last days that the page of the fleet shows."""


def write_job_documents(folder: pathlib.Path, results: Results) -> None:
    """Write each job as the document that the command ``log-archive`` reads on a host, and a launcher for the command.

    A document has no secret: on a host, S3 takes its credentials from the standard AWS chain.
    """
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB

    for host in LINES:
        jobs = folder / "hosts" / host / "etc" / "log-archive" / "jobs.d"
        jobs.mkdir(parents=True, exist_ok=True)
        for name, result in results.of("archive_run", host).items():
            document = as_written(result["invocation"]["module_args"]["job"], JOB)
            for store in document["stores"]:
                for secret in ("access_key_id", "secret_access_key"):
                    store.pop(secret, None)
            write(jobs / (name + ".json"), json.dumps(document, indent=2) + "\n")
    python = folder / "state" / "python"
    python.mkdir(exist_ok=True)
    remove(python / "log_archive")
    (python / "log_archive").symlink_to(ENGINE)
    start = "from log_archive.cli.main import end_with_main; end_with_main()"
    launcher = "#!/bin/sh\n# What a host has as the command log-archive.\nPYTHONPATH=%s exec %s -Xutf8 -c '%s' \"$@\"\n"
    write(folder / "log-archive", launcher % (shlex.quote(str(python)), shlex.quote(sys.executable), start), 0o700)


def write_fleet_page(folder: pathlib.Path) -> str:
    """Write the page of the fleet, as the playbook status does, from what the command prints on each host; returns what it shows."""
    from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import fleet

    printed = {}
    for host in LINES:
        jobs = folder / "hosts" / host / "etc" / "log-archive" / "jobs.d"
        command = [str(folder / "log-archive"), "status", "--offline", "--json", "--coverage", str(PAGE_DAYS), "--config", str(jobs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        printed[host] = {"rc": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    write(folder / "fleet.html", fleet.page(printed))
    states: t.Dict[str, int] = {}
    for result in printed.values():
        for row in json.loads(result["stdout"]):
            for state, count in ((row.get("coverage") or {}).get("states") or {}).items():
                states[state] = states.get(state, 0) + count
    return "%d periods verified, %d missing: %s" % (states.get("verified", 0), states.get("missing", 0), shown_path(folder / "fleet.html"))


def search_archives(folder: pathlib.Path) -> str:
    """Find lines in the archives of a host, in its own folder, as a person on call would."""
    jobs = folder / "hosts" / "web1" / "etc" / "log-archive" / "jobs.d"
    document = json.loads((jobs / "syslog.json").read_text(encoding="utf-8"))
    # The servers of the other stores have stopped.
    store = next(store for store in document["stores"] if store["type"] == "file")
    options = ["--fixed", "--job", "syslog", "--store", store.get("name", "file"), "--count", "--config", str(jobs)]
    done = subprocess.run([str(folder / "log-archive"), "search", "Failed password", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("the search in the archives of web1 failed:\n%s%s" % (done.stdout, done.stderr))
    counts = [int(line.rpartition(":")[2]) for line in done.stdout.splitlines()]
    return "'log-archive search' found 'Failed password' in {:,} lines of {} archived logs; no log was restored".format(
        sum(counts), len(counts)
    )


def remove_and_audit(folder: pathlib.Path) -> str:
    """Remove an archive from a store as an intruder would, look what the ledger of its job shows, and put the archive back."""
    jobs = folder / "hosts" / "web1" / "etc" / "log-archive" / "jobs.d"
    document = json.loads((jobs / "syslog.json").read_text(encoding="utf-8"))
    # The servers of the other stores have stopped.
    document["stores"] = [store for store in document["stores"] if store["type"] == "file"]
    alone = folder / "state" / "audit.d"
    alone.mkdir(exist_ok=True)
    write(alone / "syslog.json", json.dumps(document))
    command = [str(folder / "log-archive"), "ledger", "verify", "--config", str(alone)]
    archive = next(iter(sorted(pathlib.Path(document["stores"][0]["path"]).rglob("web1/syslog/**/*.tgz.fernet"))))
    taken = folder / "state" / "taken"
    archive.rename(taken)
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=False)
    finally:
        taken.rename(archive)
    after = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode != 4 or archive.name not in found.stdout or after.returncode:
        raise Failed("the ledger did not show that an archive was removed:\n%s%s" % (found.stdout, after.stdout))
    text = "'log-archive ledger verify' named the archive that was removed (%s: gone without a tombstone; exit code 4); it is back"
    return text % archive.name


def validate_trail(folder: pathlib.Path) -> str:
    """Archive a made-up CloudTrail trail from a server on this machine, delete a part of it there, and look what validation finds."""
    import cloud

    try:
        files, words = cloud.demonstrate(folder, lambda _text: None)
    except cloud.Failed as error:
        raise Failed(str(error)) from error
    text = "a made-up CloudTrail trail of %d files archived; deletions in its bucket found (%s); its archives are valid"
    return text % (files, ", ".join(words))


def as_written(value: t.Any, spec: t.Mapping[str, t.Any]) -> t.Any:
    """The options that somebody has set, without those that have their default anyway."""
    if isinstance(value, list):
        return [as_written(item, spec) for item in value]
    written = {}
    for name, item in value.items():
        if item is not None and item != spec[name].get("default"):
            written[name] = as_written(item, spec[name]["options"]) if "options" in spec[name] else item
    return written
