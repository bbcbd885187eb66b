# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what a stream writes gets in its own way: a log that it follows, or a file or database that two of its parts write to."""

from __future__ import annotations

import os
import typing as t

DATABASE = ("", "-wal", "-shm", "-journal")
"""What SQLite adds to the name of a database, for its files."""
STATE = ("lock", "accepted.json", "alarms.json")
"""Ends of the names of a stream's files in the folder ``state``."""
THIS_HOST = ("localhost", "127.0.0.1", "::1")
PORTS = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
"""By type of a database server: its usual port."""


def own_files_problems(normal: t.Mapping[str, t.Any]) -> t.List[str]:
    """A stream that follows what it writes would never end, and one part of it would damage the file of another."""
    own = list(_own(normal))
    folders = [_real_folder(path) for _option, path in own]
    text = "%s: the stream would follow its own file %s; choose another folder, or other patterns"
    problems = {option: text % (option, path) for option, path in _followed(normal["follow"], own, folders).items()}
    first: t.Dict[str, str] = {}
    for (option, path), folder in zip(own, folders):
        other = first.setdefault(os.path.join(folder, os.path.basename(path)), option)
        if other == option or option in problems:
            continue
        if _part(option) == _part(other) == "sinks":
            problems[option] = "%s: two sinks have the same file; each needs its own positions" % option
        elif option != "log" or _part(other) != "notify":
            # A log of events and one of notifications may be one file.
            problems[option] = "%s: is a file of %s; choose another name" % (option, other)
    return [*problems.values(), *_database_problems(normal["sinks"])]


def circles(streams: t.Sequence[t.Mapping[str, t.Any]]) -> t.Dict[str, str]:
    """By name of a stream: that it follows a file of a stream which follows, itself or through others, what this one writes."""
    own = {each["name"]: list(_own(each)) for each in streams}
    folders = {name: [_real_folder(path) for _option, path in files] for name, files in own.items()}
    edges: t.Dict[str, t.Dict[str, t.Dict[str, str]]] = {}
    for each in streams:
        others = {name: _followed(each["follow"], own[name], folders[name]) for name in own if name != each["name"]}
        edges[each["name"]] = {name: found for name, found in others.items() if found}
    problems = {}
    for name, others in edges.items():
        for other, found in others.items():
            if name in _reached(edges, other):
                option, path = next(iter(found.items()))
                text = "follow: reads %s (%s of the stream '%s'), which reads what this stream writes, so that they would never end; "
                problems[name] = text % (path, option, other) + "choose another folder, or other patterns"
    return problems


def _reached(edges: t.Mapping[str, t.Iterable[str]], start: str) -> t.Set[str]:
    """All that can be reached from here."""
    found: t.Set[str] = set()
    left = [start]
    while left:
        new = set(edges[left.pop()]) - found
        found |= new
        left += new
    return found


def is_file_of(normal: t.Mapping[str, t.Any], path: str) -> bool:
    """Whether a stream writes or follows a file with this path, other than its page."""
    real = os.path.realpath(path)
    if any(os.path.realpath(own) == real for option, own in _own(normal) if option != "page.path"):
        return True
    return bool(_followed(normal["follow"], [("", path)], [_real_folder(path)]))


def _real_folder(path: str) -> str:
    return os.path.join(os.path.realpath(os.path.dirname(path)), "")


def _own(normal: t.Mapping[str, t.Any]) -> t.Iterator[t.Tuple[str, str]]:
    """The files that a stream writes, each with the option that names it."""
    for index, sink in enumerate(normal["sinks"]):
        if sink["path"]:
            for suffix in DATABASE:
                yield "sinks[%d].path" % index, sink["path"] + suffix
    if normal["page"]:
        yield "page.path", normal["page"]["path"]
    for index, target in enumerate(normal["notify"]):
        if target["type"] == "log" and target["path"]:
            yield "notify[%d].path" % index, target["path"]
    if normal["log"]:
        yield "log", normal["log"]
    for end in STATE:
        yield "state", os.path.join(normal["state"], "%s.stream.%s" % (normal["name"], end))


def _followed(follow: t.Mapping[str, t.Any], own: t.Sequence[t.Tuple[str, str]], folders: t.Sequence[str]) -> t.Dict[str, str]:
    """Those of these files that a stream follows: the first of each option."""
    from ..ingest.tail.walk import Names

    names, roots = Names(t.cast("t.Any", follow)), [os.path.join(os.path.realpath(root), "") for root in follow["paths"]]
    found: t.Dict[str, str] = {}
    for (option, path), folder in zip(own, folders):
        inside = any(folder == root or (follow["recurse"] and folder.startswith(root)) for root in roots)
        if inside and names.kind(os.path.basename(path)) is not None:
            found.setdefault(option, path)
    return found


def _part(option: str) -> str:
    return option.partition("[")[0]


def _database_problems(sinks: t.Sequence[t.Mapping[str, t.Any]]) -> t.Iterator[str]:
    """The positions of a stream are in the database of its sink: a second sink there would find that each line is stored already."""
    first: t.Dict[t.Any, int] = {}
    for index, sink in enumerate(sinks):
        if sink["type"] not in PORTS or not sink["database"]:
            continue
        host = "localhost" if sink["host"].lower() in THIS_HOST else sink["host"].lower()
        port = PORTS[sink["type"]]
        server = sink["socket"] or (host, sink["port"] or port)
        other = first.setdefault((port, server, sink["database"]), index)
        if other != index:
            text = "sinks[%d].database: is also that of sinks[%d], but each sink needs a database for its own positions; create another one"
            yield text % (index, other) + (", even if 'table' is in this one" if sink["table"] and sink["type"] != "postgresql" else "")
