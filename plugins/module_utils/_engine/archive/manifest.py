# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest beside each archive: its logs, sizes and digests, and the key that opens it. docs/format.md defines it.

Canonical JSON: keys sorted, no spaces, ASCII (a path that is not UTF-8 carries surrogate escapes, PEP 383), one line.
Readers accept fields that they do not know; ``version`` changes only when a known field changes its meaning.
From version 2 on, the manifest of an encrypted archive has an HMAC, which covers every other field.
"""

from __future__ import annotations

import json
import re

from ..base import hints as t
from ..base.beneath import open_local
from ..base.errors import ConfigError, IntegrityError
from ..base.periods import Period
from ..base.units import FIRST_SECOND, LAST_SECOND, format_size, parse_utc

VERSION = 2
FIRST_AUTHENTICATED = 2
"""The first version in which the manifest of an encrypted archive has an HMAC."""
LARGEST = 64 << 20
"""Bytes; a larger manifest is refused unread. A manifest of 100,000 sources has about 30 MiB."""
LARGE = 1 << 20
"""Bytes; the sources of a larger manifest are read one by one."""
MOST_MEMORY = 512 << 20
"""Bytes that a manifest may take in memory, by ``memory_of``: twice what the largest real one takes."""
_VALUE_MEMORY = 64
"""Bytes of memory that a value in JSON takes, beside its text."""

if t.TYPE_CHECKING:
    from ..base.beneath import Local
    from ..crypto.envelope import Envelope
    from ..stores.base import Digests
    from .facts import Manifest, PeriodText, SourceFacts

_NEEDED: t.Dict[str, t.Any] = {
    "version": int,
    "host": str,
    "job": str,
    "created": str,
    "archive": {"name": str, "size": int, "md5": str, "sha256": str},
    "tgz": {"size": int, "sha256": str},
    "encryption": {"format": str},
    "period": {"start": str, "end": str},
    "sources": list,
}
_NEEDED_OF_SOURCE = {"path": str, "name": str, "size": int, "mtime_ns": int, "mode": str, "sha256": str}
_NEEDED_OF_ADOPTED = {"key": str, "template": str, "content": str}
CONTENTS = ("tgz", "zip")
"""What an adopted archive may contain."""
_OPTIONAL_OF_SOURCE = {"uid": int, "gid": int, "changed": bool, "vanished": bool, "period": {"start": str, "end": str}}
_DIGESTS = {"md5": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}"), "hmac": re.compile(r"[0-9a-f]{64}")}
_LARGEST_NUMBER = (1 << 63) - 1
"""The largest size that a file system or a database can express."""
_RANGES = {"mtime_ns": (FIRST_SECOND * 10**9, (LAST_SECOND + 1) * 10**9 - 1)}


def dump(manifest: Manifest) -> bytes:
    """The canonical bytes of a manifest."""
    return b"".join(pieces(manifest))


def pieces(manifest: Manifest) -> t.Iterator[bytes]:
    """The canonical bytes of a manifest, in pieces if it has many sources."""
    sources: t.Any = manifest.get("sources")
    # Rows: without loading their module for the few sources that most archives have.
    if not hasattr(sources, "texts"):
        yield _canonical(manifest) + b"\n"
        return
    for number, (name, value) in enumerate(sorted(manifest.items())):
        yield (b"," if number else b"{") + _canonical(name) + b":"
        if name == "sources":
            yield b"["
            for index, text in enumerate(sources.texts()):
                yield b"," + text if index else text
            yield b"]"
        else:
            yield _canonical(value)
    yield b"}\n"


def _canonical(value: t.Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def size_of(manifest: Manifest) -> int:
    """The number of its canonical bytes."""
    return sum(map(len, pieces(manifest)))


def sha256_of(manifest: Manifest) -> str:
    """The SHA-256 of its canonical bytes, in lowercase hex."""
    import hashlib

    digest = hashlib.sha256()
    for piece in pieces(manifest):
        digest.update(piece)
    return digest.hexdigest()


def plain(manifest: Manifest) -> t.Dict[str, t.Any]:
    """The manifest as plain JSON: many sources take much memory in it."""
    return {**manifest, "sources": list(manifest["sources"])}


def load(path: Local) -> Manifest:
    """Read a manifest's file. Raises FileNotFoundError, IntegrityError."""
    with open_local(path) as file:
        return parse(file.read(LARGEST), str(path))


def parse(data: bytes, subject: str) -> Manifest:
    """Read a manifest that came from a store or a disk. Raises IntegrityError, which states the defect; subject names the manifest."""
    from ..crypto.envelope import check_facts, has_key, has_recipients

    if memory_of(data) > MOST_MEMORY:
        raise IntegrityError(
            "the manifest would take %s of memory or more; the limit is %s" % _sizes(memory_of(data), MOST_MEMORY), subject
        )
    defects: t.List[IntegrityError] = []
    manifest: t.Any = _large(data, subject, defects) if len(data) > LARGE else None
    is_large = manifest is not None
    if manifest is None:
        manifest = _loaded(data, subject)
    _check({**manifest, "sources": []} if is_large else manifest, _NEEDED, "", subject)
    if manifest["version"] > VERSION:
        raise IntegrityError(
            "the manifest has version %d; this engine reads up to %d" % (manifest["version"], VERSION),
            subject,
            "Use a newer version of infra_ops.log_archive",
        )
    check_facts(manifest["encryption"], subject)
    if manifest["version"] < FIRST_AUTHENTICATED and "adopted" in manifest:
        raise IntegrityError("the manifest is of an adopted archive and has version 1: no version of this software makes that", subject)
    if manifest["version"] < FIRST_AUTHENTICATED and has_recipients(manifest["encryption"]):
        raise IntegrityError("the manifest has recipients and no HMAC: no version of this software makes that", subject)
    if manifest["version"] >= FIRST_AUTHENTICATED:
        if "adopted" in manifest:
            _check_adopted(manifest, subject)
        if has_key(manifest["encryption"]) or hmac_key_id(manifest) is not None:
            _check(manifest, {"hmac": str}, "", subject)
        if not is_large and data != dump(manifest):
            raise IntegrityError("the manifest is not canonical JSON", subject)
    if defects:
        raise defects[0]
    for index, source in enumerate(() if is_large else manifest["sources"]):
        _check_source(index, source, subject)
    _check_period(manifest["period"], "period", subject)
    return t.cast("Manifest", manifest)


def _check_adopted(manifest: t.Any, subject: str) -> None:
    from ..crypto.envelope import has_key, has_recipients
    from ..crypto.keyring import is_key_id

    adopted = manifest["adopted"]
    _check(adopted, _NEEDED_OF_ADOPTED, "adopted.", subject)
    if adopted["content"] not in CONTENTS:
        hint = "Use a newer version of infra_ops.log_archive"
        raise IntegrityError("the manifest's 'adopted.content' is not one of %s" % ", ".join(CONTENTS), subject, hint)
    key_id = adopted.get("hmac_key_id")
    if key_id is not None and (not isinstance(key_id, str) or not is_key_id(key_id) or has_key(manifest["encryption"])):
        raise IntegrityError("the manifest's 'adopted.hmac_key_id' is not the id of the key of a plain archive", subject)
    if has_recipients(manifest["encryption"]):
        raise IntegrityError("the manifest is of an adopted archive and has recipients: no version of this software makes that", subject)


def hmac_key_id(manifest: Manifest) -> t.Optional[str]:
    """The id of the key that made the HMAC of a plain archive that was adopted; None for any other."""
    return manifest["adopted"].get("hmac_key_id") if "adopted" in manifest else None


def content_of(manifest: t.Optional[Manifest]) -> t.Optional[str]:
    """What an adopted archive contains, of ``CONTENTS``; None for any other archive."""
    return manifest["adopted"]["content"] if manifest is not None and "adopted" in manifest else None


def _loaded(data: bytes, subject: str) -> t.Any:
    try:
        manifest = json.loads(data)
        # Every text in it must be one that this host can print, compare and record: a lone surrogate is none, unless it stands for a byte.
        json.dumps(manifest, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except (ValueError, RecursionError) as error:
        raise IntegrityError("the manifest is not JSON (%s)" % error, subject) from error
    return manifest


def _large(data: bytes, subject: str, defects: t.List[IntegrityError]) -> t.Optional[t.Dict[str, t.Any]]:
    """The manifest if it is in canonical form and has sources. ``defects`` gets the first of a source: the version decides before it."""
    from . import large

    def check(index: int, source: t.Any) -> None:
        try:
            if not defects:
                _check_source(index, source, subject)
        except IntegrityError as error:
            defects.append(error)

    return large.read(data, check)


def _check_source(index: int, source: t.Any, subject: str) -> None:
    where = "sources[%d]." % index
    _check(source, _NEEDED_OF_SOURCE, where, subject)
    _check(source, {name: kind for name, kind in _OPTIONAL_OF_SOURCE.items() if name in source}, where, subject)
    if "data" in source:
        from ..base.sparse import problem_of

        problem = problem_of(source["data"], source["size"])
        if problem is not None:
            raise IntegrityError("the manifest's '%sdata' %s" % (where, problem), subject)
    if "period" in source:
        _check_period(source["period"], where + "period", subject)


def memory_of(data: bytes) -> int:
    """An estimate of the memory in bytes that JSON takes once it is read: short values take much more than their text."""
    return len(data) + _VALUE_MEMORY * sum(data.count(character) for character in (b",", b"[", b"{"))


def _sizes(*sizes: int) -> t.Tuple[str, ...]:
    return tuple(map(format_size, sizes))


def bound_name(host: str, job: str, name: str) -> bytes:
    """What the wrapped key of an archive is bound to: host, job and the name that its manifest has for it."""
    return ("%s/%s/%s" % (host, job, name)).encode("utf-8", "surrogateescape")


def sealed(manifest: Manifest, envelope: Envelope) -> Manifest:
    """The manifest with its HMAC, or without one if the envelope has no key. Raises MissingLibraryError."""
    mac = envelope.hmac_of(_covered(manifest))
    return manifest if mac is None else t.cast("Manifest", {**manifest, "hmac": mac})


def authenticate(manifest: Manifest, envelope: Envelope, subject: str) -> bool:
    """Whether the HMAC of the manifest proves it; False if it has none because its version is older, or the archive has no key.

    envelope: encloses the archive. subject: names the manifest. Raises IntegrityError for a wrong HMAC, MissingLibraryError.
    """
    from ..crypto.mac import matches

    if manifest["version"] < FIRST_AUTHENTICATED:
        return False
    expected = envelope.hmac_of(_covered(manifest))
    if expected is None:
        return False
    if not matches(manifest["hmac"], expected):
        raise IntegrityError("the manifest is not authentic: its HMAC differs, so it was altered or another key made it", subject)
    return True


def check_sources(manifest: Manifest, subject: str) -> None:
    """Refuse a manifest with logs that a restore would refuse. Raises IntegrityError; subject names the manifest."""
    from ..base.names import add_folders
    from ..base.staging import check_place

    names = {source["name"] for source in manifest["sources"]}
    if len(names) < len(manifest["sources"]):
        raise IntegrityError("the manifest has the same name twice", subject)
    folders: t.Set[str] = set()
    for name in names:
        check_place(name, subject)
        add_folders(folders, name)
    for name in sorted(names & folders):
        raise IntegrityError("the manifest has %s as a file and as a folder" % ascii(name), subject)


def _covered(manifest: Manifest) -> t.Iterator[bytes]:
    """What the HMAC covers: the canonical bytes of the manifest without the HMAC, in pieces."""
    return pieces(t.cast("Manifest", {name: value for name, value in manifest.items() if name != "hmac"}))


def _check(value: t.Any, needed: t.Mapping[str, t.Any], where: str, subject: str) -> None:
    if not isinstance(value, dict):
        raise IntegrityError("the manifest's '%s' is not an object" % (where.rstrip(".") or "top"), subject)
    for name, kind in needed.items():
        if isinstance(kind, dict):
            _check(value.get(name), kind, "%s%s." % (where, name), subject)
        else:
            _check_value(name, value.get(name), kind, where, subject)


def _check_value(name: str, value: t.Any, kind: t.Any, where: str, subject: str) -> None:
    # JSON's true is an int to Python.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise IntegrityError("the manifest lacks '%s%s' (%s)" % (where, name, kind.__name__), subject)
    if name in _DIGESTS and not _DIGESTS[name].fullmatch(value):
        raise IntegrityError("the manifest's '%s%s' is not a digest in lowercase hex" % (where, name), subject)
    if kind is int:
        least, most = _RANGES.get(name, (0, _LARGEST_NUMBER))
        if not least <= value <= most:
            raise IntegrityError("the manifest's '%s%s' is not between %d and %d" % (where, name, least, most), subject)


def _check_period(period: PeriodText, where: str, subject: str) -> None:
    try:
        backwards = parse_utc(period["end"]) < parse_utc(period["start"])
    except ConfigError as error:
        raise IntegrityError("the manifest's '%s' is not a time (%s)" % (where, error.subject), subject) from error
    if backwards:
        raise IntegrityError("the manifest's '%s' ends before it begins" % where, subject)


def digests(manifest: Manifest) -> Digests:
    """Size, MD5 and SHA-256 of the archive that the manifest describes."""
    from ..stores.base import Digests

    archive = manifest["archive"]
    return Digests(archive["size"], archive["md5"], archive["sha256"])


def period_of(manifest: Manifest) -> Period:
    """The span of time that the archive covers."""
    period = manifest["period"]
    return Period(parse_utc(period["start"]), parse_utc(period["end"]))


def source_bytes(manifest: Manifest) -> int:
    """The size of all its logs together, in bytes."""
    return sum(source["size"] for source in manifest["sources"])


def same_sources(one: Manifest, other: Manifest) -> bool:
    """Whether two manifests describe the same bytes of the same sources (their ciphertexts always differ)."""
    return source_identities(one) == source_identities(other)


def source_identities(manifest: Manifest) -> bytes:
    """A digest of path, size and SHA-256 of each source: equal for archives of the same bytes of the same sources."""
    import hashlib

    def digest(source: SourceFacts) -> bytes:
        text = "%s/%d/%s" % (source["path"], source["size"], source["sha256"])
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()

    return hashlib.sha256(b"".join(sorted(map(digest, manifest["sources"])))).digest()
