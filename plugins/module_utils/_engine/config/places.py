# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the paths of a job document may lie: not among keys and settings, not in the folders of other jobs, and below the host's roots.

People who may write job documents need not be allowed to read keys. Each path is checked as it is written and without its symbolic
links. What uses a path later looks again, at the folders that it opens (``base.beneath``).
"""

from __future__ import annotations

import os

from ..base import beneath, hints as t, protected
from ..base.errors import ConfigError
from .spec import JOB

if t.TYPE_CHECKING:
    from .document import JobDocument, NotifyTarget
    from .stream_document import StreamDocument

Given = t.Mapping[str, t.Any]
"""A job document as it was written; nothing in it is checked."""

_LOOKED_AT_IN_USE = ("state", "spool", "stores")
_OF_STATE = (".lock", ".removals.json", ".rewrap.json", ".web.json")


class Place:
    """A path of a job. option: its name in the document; kind: of ``host_spec.ROOTS``."""

    def __init__(self, option: str, kind: str, path: str) -> None:
        self.option = option
        self.kind = kind
        self.path = path


def check(document: JobDocument, others: t.Sequence[Given] = (), subject: t.Optional[str] = None, look: bool = False) -> None:
    """Raise ConfigError if a path of the job lies where it must not; ``problems`` names every one.

    others: the documents of the other jobs of the host. subject: the name of the document in messages. look: look at every path. Without
    it state, spool and file stores are checked as they are written (unless roots are fixed for them): a store may be a mount of a server
    that does not answer, which must not stop a run with other stores. All three are looked at when they are used.
    """
    problems: t.List[str] = []
    places = _places(document)
    real = _real_paths(places, problems, look)
    sound = [place for place in places if place.path in real]
    keyrings = sorted(filter(None, {document["encryption"]["keyring"], *map(_keyring, others)}))
    problems += _in_keyrings(sound, real, keyrings)
    problems += _conflicts(sound, real, others, look)
    problems += _same_places(sound, real)
    problems += _outside_of_roots(sound + _selected(document), real)
    if not problems:
        below = _below_stores(document, sound)
        real.update(_real_paths(below, problems, look))
        below = [place for place in below if place.path in real]
        problems += _in_keyrings(below, real, keyrings)
        problems += _conflicts(sound, real, others, look, below)
    _refuse(problems, "job", subject)


def _in_keyrings(places: t.Sequence[Place], real: t.Mapping[str, str], keyrings: t.Sequence[str]) -> t.Iterator[str]:
    """Paths that lie in a keyring, which need not exist yet."""
    for keyring in keyrings:
        written, there = os.path.abspath(keyring), os.path.realpath(keyring)
        for place in places:
            if _is_within(os.path.abspath(place.path), written) or _is_within(real[place.path], there):
                yield "%s: %s lies in the keyring %s" % (place.option, place.path, keyring)


def check_stream(document: StreamDocument, subject: t.Optional[str] = None) -> None:
    """The same for a stream document: none of its paths lies among keys and settings, or outside of the roots of the host."""
    problems: t.List[str] = []
    places = _places_of_stream(document)
    real = _real_paths(places, problems, True)
    places = [place for place in places if place.path in real]
    problems += _outside_of_roots(places + _followed(document), real)
    _refuse(problems, "stream", subject)


def _places_of_stream(document: StreamDocument) -> t.List[Place]:
    """The paths at which the stream writes."""
    places = [Place("state", "state", document["state"])]
    if document["log"]:
        places.append(Place("log", "log", document["log"]))
    places += _of_notify(document["notify"])
    if document["page"]:
        places.append(Place("page.path", "notify", document["page"]["path"]))
    for index, sink in enumerate(document["sinks"]):
        if sink["path"]:
            places.append(Place("sinks[%d].path" % index, "stores", sink["path"]))
    return places


def _followed(document: StreamDocument) -> t.List[Place]:
    """The folders that the stream follows."""
    return [Place("follow.paths[%d]" % index, "select", path) for index, path in enumerate(document["follow"]["paths"])]


def _refuse(problems: t.Sequence[str], kind: str, subject: t.Optional[str]) -> None:
    if problems:
        many = "s" if len(problems) > 1 else ""
        raise ConfigError("%d path%s not allowed in the %s document" % (len(problems), many, kind), subject, problems=problems)


def missing(document: t.Union[JobDocument, StreamDocument]) -> t.Iterator[str]:
    """Folders that must exist before a run, and do not: of the logs, of the metrics, of the page, and the parents of file stores."""
    if document["log"]:
        yield from _missing("log", os.path.dirname(document["log"]))
    for index, target in enumerate(document["notify"]):
        if target["path"]:
            folder = target["path"] if target["type"] == "textfile" else os.path.dirname(target["path"])
            yield from _missing("notify[%d].path" % index, folder)
    page = t.cast("StreamDocument", document).get("page")
    if page:
        yield from _missing("page.path", os.path.dirname(page["path"]))
    for index, store in enumerate(t.cast("JobDocument", document).get("stores") or ()):
        if store["type"] == "file" and store["path"]:
            yield from _missing("stores[%d].path" % index, os.path.dirname(store["path"].rstrip("/")))


def _missing(option: str, folder: str) -> t.Iterator[str]:
    if not os.path.isdir(folder):
        yield "%s: the folder %s does not exist; create it, or check that it is mounted" % (option, folder)


def _real_paths(places: t.Sequence[Place], problems: t.List[str], look: bool) -> t.Dict[str, str]:
    """By path, the path without its symbolic links. A path among keys and settings is added to the problems instead."""
    real: t.Dict[str, str] = {}
    for place in places:
        try:
            if look or place.kind not in _LOOKED_AT_IN_USE:
                real[place.path] = beneath.real_path(place.path)
            elif _is_within(os.path.abspath(place.path), protected.SETTINGS):
                raise protected.refusal(place.path, protected.SETTINGS)
            else:
                real[place.path] = os.path.abspath(place.path)
        except ConfigError as error:
            problems.append("%s: %s" % (place.option, error))
        except OSError as error:
            problems.append("%s: %s: %s" % (place.option, place.path, error.strerror))
    return real


def outside_of(document: JobDocument, roots: t.Mapping[str, t.Optional[t.Sequence[str]]]) -> t.List[str]:
    """The paths of the job that do not lie below these roots, as they are written: for a document of another host."""
    return _outside_of(_places(document) + _selected(document), roots)


def outside_of_stream(document: StreamDocument, roots: t.Mapping[str, t.Optional[t.Sequence[str]]]) -> t.List[str]:
    """The same for a stream."""
    return _outside_of(_places_of_stream(document) + _followed(document), roots)


def _outside_of(places: t.Sequence[Place], roots: t.Mapping[str, t.Optional[t.Sequence[str]]]) -> t.List[str]:
    return [
        "%s: %s does not lie below %s" % (place.option, place.path, _any_of(roots[place.kind] or ()))
        for place in places
        if roots.get(place.kind) is not None and not _is_below(place.path, roots[place.kind] or ())
    ]


def _is_below(path: str, roots: t.Sequence[str]) -> bool:
    return any(_is_within(os.path.abspath(path), os.path.abspath(root)) for root in roots)


def _any_of(roots: t.Sequence[str]) -> str:
    return " or ".join(roots) or "nothing"


def _places(document: JobDocument) -> t.List[Place]:
    """The paths at which the job writes."""
    places = [Place("state", "state", document["state"]), Place("spool", "spool", document["spool"])]
    if document["log"]:
        places.append(Place("log", "log", document["log"]))
    places += _of_notify(document["notify"])
    for index, store in enumerate(document["stores"]):
        if store["type"] == "file" and store["path"]:
            places.append(Place("stores[%d].path" % index, "stores", store["path"]))
    return places


def _of_notify(targets: t.Sequence[NotifyTarget]) -> t.List[Place]:
    return [Place("notify[%d].path" % index, "notify", target["path"]) for index, target in enumerate(targets) if target["path"]]


def _below_stores(document: JobDocument, places: t.Sequence[Place]) -> t.List[Place]:
    """The folders of the job in its spool and its file stores. With a host and a name of choice they may be anything."""
    from ..archive.naming import folder_key, host_name

    below = folder_key(host_name(document["host"]), document["name"]).rstrip("/")
    return [Place(top.option, top.kind, os.path.join(top.path, below)) for top in places if top.kind in ("spool", "stores")]


def _same_places(places: t.Sequence[Place], real: t.Mapping[str, str]) -> t.Iterator[str]:
    """File stores that are the spool, lie in it or around it, and two in the same folder: what leaves one is gone from both."""
    stores: t.Dict[str, Place] = {}
    spool = next((place for place in places if place.kind == "spool"), None)
    for place in places:
        if place.kind == "stores":
            if spool is not None and _is_within(real[place.path], real[spool.path]):
                yield "%s: %s lies in the spool, from which archives are removed once they are stored" % (place.option, place.path)
            elif spool is not None and _is_within(real[spool.path], real[place.path]):
                yield "spool: %s lies in the store %s, so the store would contain archives that were never sent" % (spool.path, place.path)
            first = stores.setdefault(real[place.path], place)
            if first is not place:
                yield "%s: %s is the same folder as %s; one copy does not count as two" % (place.option, place.path, first.option)


def _selected(document: JobDocument) -> t.List[Place]:
    """The paths from which the job reads logs. What lies there among keys and settings is never archived (``sources.files``)."""
    paths = document["select"]["paths"] if document["select"] else []
    return [Place("select.paths[%d]" % index, "select", path) for index, path in enumerate(paths)]


def _conflicts(
    places: t.Sequence[Place],
    real: t.Mapping[str, str],
    others: t.Sequence[Given],
    look: bool,
    below: t.Optional[t.Sequence[Place]] = None,
) -> t.Iterator[str]:
    """Paths that lie in the folders of other jobs, or in place of the engine's own files. below: check these instead of ``places``."""
    own = [place for place in places if place.kind in ("state", "spool", "stores")]
    places = places if below is None else below
    for other in others:
        for folder in _folders(other):
            # Jobs may share a state, a spool and a store.
            if any(mine.kind == folder.kind and mine.path == folder.path for mine in own):
                continue
            there = os.path.realpath(folder.path) if look else os.path.abspath(folder.path)
            if any(mine.kind == folder.kind and real[mine.path] == there for mine in own):
                continue
            for place in places:
                if _is_within(real[place.path], there):
                    yield "%s: %s lies in the %s of the job '%s'" % (place.option, place.path, folder.option, other.get("name"))
    for folder in own:
        for place in places:
            if place.kind in ("log", "notify") and _is_within(real[place.path], real[folder.path]):
                if folder.kind == "spool":
                    yield "%s: %s lies in the spool" % (place.option, place.path)
                elif folder.kind == "state" and _is_engines(os.path.relpath(real[place.path], real[folder.path])):
                    yield "%s: %s is the name of a file that the job keeps in its state" % (place.option, place.path)


def _is_engines(relative: str) -> bool:
    """Whether a job keeps a file of this name below the state, relative to it. Its folders (web, .aws, .ssh) are its own."""
    return "/" in relative or relative.startswith("catalog.sqlite") or relative.endswith(_OF_STATE)


def _outside_of_roots(places: t.Sequence[Place], real: t.Mapping[str, str]) -> t.Iterator[str]:
    """Paths that do not lie below the roots that the host has fixed."""
    try:
        os.lstat(os.path.join(protected.SETTINGS, protected.HOST_FILE))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        pass  # ``host.roots`` reports it.
    from . import host

    roots = host.roots()
    for place in places:
        allowed = roots[place.kind]
        if allowed is None:
            continue
        there = os.path.realpath(place.path)
        # As written and without links: then nobody but the owner of a root can exchange what lies between.
        if not _is_below(place.path, allowed) or not _is_below(there, [os.path.realpath(root) for root in allowed]):
            yield "%s: %s does not lie below %s, as %s requires" % (place.option, place.path, _any_of(allowed), host.path())


def _folders(given: Given) -> t.Iterator[Place]:
    """The folders of a job document that is not checked."""
    for kind in ("state", "spool"):
        path = given.get(kind) or JOB[kind]["default"]
        if isinstance(path, str):
            yield Place(kind, kind, os.path.expanduser(path))
    stores = given.get("stores")
    for store in stores if isinstance(stores, list) else []:
        if isinstance(store, dict) and store.get("type") == "file" and isinstance(store.get("path"), str):
            yield Place("file store", "stores", store["path"])


def _keyring(given: Given) -> t.Optional[str]:
    encryption = given.get("encryption")
    keyring = encryption.get("keyring") if isinstance(encryption, dict) else None
    return os.path.expanduser(keyring) if isinstance(keyring, str) else None


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
