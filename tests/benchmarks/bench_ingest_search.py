# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""ingest-search: 200,000 events into OpenSearch, each exactly once, beside ``streaming_bulk`` of the client, which keeps no books.

Both are whole processes: start, imports, reading the file, encrypting client ids, sending the same fields. Ours also commits positions and
documents to SQLite, and creates each document under its own id. The peer lets the server choose the ids, and has the client's defaults.
Same node, same mappings, in turns, new indices each time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import sys
import typing as t

from _measure import Benchmark, Sides, Target, run
from lab.search import search_node

LINES, QUICK_LINES = 200_000, 5_000
ENGINE = "ansible_collections.infra_ops.log_archive.plugins.module_utils._engine"
OURS = "import sys; from %s.cli.main import main; sys.exit(main(['ingest', sys.argv[1]]))" % ENGINE
PEER = """\
import json, sys
from cryptography.fernet import Fernet
from opensearchpy import OpenSearch
from opensearchpy.helpers import streaming_bulk

def actions(path, prefix):
    encrypt = Fernet(Fernet.generate_key()).encrypt
    with open(path, "rb") as file:
        for line in file:
            event = json.loads(line)
            moment, client = event["timestamp"], event.get("CLIENTID")
            kind = "data" if client is None else "error"
            fields = {"@timestamp": moment + "Z", "stream": "events", "host": "app1", "time_text": moment, "kind": kind}
            fields.update(level=event["log_level"], thread=event["thread"])
            if client is None:
                fields["event_id"] = event["ID"]
            else:
                fields.update(client_id=encrypt(client.encode()).decode(), client_key="2021_April")
            yield {"_op_type": "create", "_index": "%s-%s-%s.%s" % (prefix, kind, moment[:4], moment[5:7]), "_source": fields}

path, port, prefix = sys.argv[1:]
count = 0
for ok, _item in streaming_bulk(OpenSearch([{"host": "127.0.0.1", "port": int(port)}]), actions(path, prefix)):
    count += ok
print(count)
"""


@contextlib.contextmanager
def prepare(folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    """Generate the log, start a node, and put its templates by a first, small stream."""
    lines = QUICK_LINES if quick else LINES
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    generate = OURS.replace("'ingest', sys.argv[1]", "'generate', 'client-events', *sys.argv[1:]")
    month = ["--month", "2021-04", "--lines", str(lines)]
    run([sys.executable, "-c", generate, str(folder / "logs"), *month], env=env)
    log = folder / "logs" / "logs_Apr_2021.txt"
    rounds = itertools.count()
    with search_node("opensearch", folder / "node", optimize=not quick) as node:

        def clear() -> None:
            node.call("DELETE", "/events-*-*")

        def check() -> None:
            node.call("POST", "/events-*/_refresh")
            assert node.call("GET", "/events-*/_count")["count"] == lines
            clear()

        def ours() -> float:
            place = folder / ("round-%d" % next(rounds))
            place.mkdir()
            document = {
                "name": "events",
                "host": "app1",
                "follow": {"paths": [str(log.parent)], "patterns": ["logs_*.txt"]},
                "parse": {"profile": "client_events", "timezone": "UTC"},
                "client_ids": {"keyring": str(folder / "keys")},
                "sinks": [node.sink(place)],
                "state": str(place / "state"),
            }
            (place / "events.json").write_text(json.dumps(document))
            seconds = run([sys.executable, "-c", OURS, str(place / "events.json")], env=env).seconds
            check()
            shutil.rmtree(place)
            return seconds

        def peer() -> float:
            seconds = run([sys.executable, "-c", PEER, str(log), str(node.port), "events"], env=env).seconds
            check()
            return seconds

        if not quick:
            # The first requests of a Java server are slow; and the peer's indices have the templates, too.
            ours()
            peer()
        yield Sides(ours, peer)


BENCHMARKS = [Benchmark("ingest-search", prepare, Target("faster", 0.9))]
