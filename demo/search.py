# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo of streams into a search server ('make demo-search'): events of two months, client ids encrypted by month, one killed follower.

It starts an OpenSearch node on this machine, which takes 600 MB of memory and, the first time, fetches its jars. All that the demo makes
lies in one folder (build/demo-search, or --folder). --keep leaves the node running until Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import typing as t

DEMO = pathlib.Path(__file__).resolve().parent
CHECKOUT = DEMO.parent
COLLECTIONS = CHECKOUT / "build" / "collections"
sys.path[:0] = [str(CHECKOUT / "tests"), str(COLLECTIONS)]
ENGINE = "ansible_collections.infra_ops.log_archive.plugins.module_utils._engine"
COMMAND = [sys.executable, "-c", "from %s.cli.main import end_with_main; end_with_main()" % ENGINE]
MONTHS, LINES = ("2021-04", "2021-05"), 5000
PATIENCE = 300
"""Seconds until the server must have every line."""


class Failed(Exception):
    """The demo cannot go on; the message gives the reason."""


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(description="Follow a made-up log into OpenSearch.")
    parser.add_argument("--folder", type=pathlib.Path, default=CHECKOUT / "build" / "demo-search", help="where to work")
    parser.add_argument("--keep", action="store_true", help="leave the server running until Ctrl-C")
    options = parser.parse_args(arguments)
    import lab
    from lab.search import search_node

    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    print("Starting OpenSearch", flush=True)
    try:
        with search_node("opensearch", options.folder / "node") as node:
            show(options.folder, node)
            if options.keep:
                print("\nOpenSearch listens on http://127.0.0.1:%d; Ctrl-C ends it" % node.port, flush=True)
                with contextlib.suppress(KeyboardInterrupt):
                    while True:
                        time.sleep(3600)
    except (Failed, lab.Unavailable, lab.NotReady) as error:
        print("The demo failed: %s" % error, file=sys.stderr)
        return 1
    return 0


def show(folder: pathlib.Path, node: t.Any) -> None:
    """Write, follow, count, search and reveal."""
    logs = folder / "logs"
    document = {
        "name": "events",
        "follow": {"paths": [str(logs)], "patterns": ["logs_*.txt"]},
        "parse": {"profile": "client_events", "timezone": "UTC"},
        "client_ids": {"keyring": str(folder / "client-keys"), "deterministic": True},
        "sinks": [node.sink(folder)],
        "state": str(folder / "state"),
    }
    path = folder / "events.json"
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for month in MONTHS:
        run("generate", "client-events", str(logs), "--month", month, "--lines", str(LINES))
    follower = start(path)
    try:
        wait(node, 1)
        follower.kill()
        follower.wait()
        print("The follower was killed at work, and started again", flush=True)
        follower = start(path)
        wait(node, LINES * len(MONTHS))
    finally:
        follower.terminate()
        follower.wait()
    found = node.documents("events-*")
    if len(found) != LINES * len(MONTHS):
        raise Failed("%d lines were written, and the server has %d documents" % (LINES * len(MONTHS), len(found)))
    print("%d lines, %d documents, each once:" % (LINES * len(MONTHS), len(found)))
    for index in sorted({hit["_index"] for hit in found}):
        print("  %-22s %6d" % (index, sum(hit["_index"] == index for hit in found)))
    error = next(hit["_source"] for hit in found if hit["_source"]["kind"] == "error")
    query = {"query": {"term": {"client_id": error["client_id"]}}}
    same = node.call("POST", "/events-error-*/_search", query)["hits"]["total"]["value"]
    print("A client as the server knows it:  %s" % error["client_id"])
    print("Its errors in that month:         %d" % same)
    plain = run("reveal", "--keyring", str(folder / "client-keys"), error["client_id"])
    print("Its id, with the key %-13s %s" % (error["client_key"] + ":", plain))
    if plain in json.dumps(found):
        raise Failed("the server has the id of a client as plaintext")


def start(path: pathlib.Path) -> subprocess.Popen[bytes]:
    """A follower of the stream."""
    return subprocess.Popen([*COMMAND, "follow", str(path)], env=environment(), stdout=subprocess.DEVNULL)


def run(*arguments: str) -> str:
    """The output of the command log-archive."""
    done = subprocess.run([*COMMAND, *arguments], env=environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed("log-archive %s: %s" % (arguments[0], done.stderr.strip()))
    return done.stdout.strip()


def environment() -> t.Dict[str, str]:
    """The environment of the command."""
    return dict(os.environ, PYTHONPATH=str(COLLECTIONS))


def wait(node: t.Any, lines: int) -> None:
    """Return when the server has so many documents."""
    end = time.monotonic() + PATIENCE
    while len(node.documents("events-*")) < lines:
        if time.monotonic() > end:
            raise Failed("the server does not have all lines after %d seconds" % PATIENCE)
        time.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
