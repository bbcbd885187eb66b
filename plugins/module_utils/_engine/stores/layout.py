# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a store names the object of a key: as a path of folders, or as one name in a folder that other programs read too.

With ``flat`` the archive '<host>/<job>/<YYYY>/<MM>/<DD>/<archive>' has the name '<host>~<job>~<YYYYMMDD>~<archive>'. A key without '/'
is a file of another program, under its own name. Each name belongs to one key, and each key to at most one name.

An adopted archive stays where another program put it. Its key is '<host>/<job>/<YYYY>/<MM>/<DD>/adopted:<name>', with the name of the
object percent-encoded. Its manifest has a suffix that earlier releases do not know: they would take it for one without an archive.
A copy in a flat store keeps the name of the object if that is the name of a file of another program there; if not, for example because it
has folders, the copy has the name of its key.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import KeyNameError

FLAT_SEPARATOR = "~"
LONGEST_FLAT_NAME = 255
"""Bytes, by the limit of file systems."""
FLAT_OVERHEAD = len("~~YYYYMMDD~")
"""Bytes that a flat name has beside the names of host, job and archive."""

ADOPTED = "adopted:"
"""How the name of an adopted archive begins. No other archive has a colon in its name (``archive.naming.safe_name``)."""
ADOPTED_MANIFEST_SUFFIX = ".adopted.json"
LONGEST_ADOPTED = 180
"""Bytes of the encoded name of an adopted object: a file system's 255 less what the manifest and temporary names add."""
MANIFEST_SUFFIX = ".manifest.json"
"""As in ``archive.naming``, which knows no layout."""
_SAFE = frozenset(b"+,-.=@_~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_OWN = re.compile(r"[^/]+/[^/]+/(?:\d{4}/\d\d/\d\d/[^/]+|ledger/[^/]+)|[^~/]+~[^~/]+~ledger-[^/]+", re.ASCII)
_ADOPTED_KEY = re.compile(r"[^/]+/[^/]+/\d{4}/\d\d/\d\d/adopted:([^/:]+?)(\.manifest\.json)?", re.ASCII)


class Adopted(t.NamedTuple):
    """What the key of an adopted archive states. original: the name of the object. is_manifest: the key is that of the manifest."""

    original: str
    is_manifest: bool


def is_key(key: str) -> bool:
    """Whether ``key`` is a relative path of plain names that cannot leave the store's root."""
    closed = "/%s/" % key
    leaves = "\0" in key or "//" in closed or "/./" in closed or "/../" in closed
    return not (leaves or key.rpartition("/")[2].startswith(TEMP_PREFIX))


def adopted_name(original: str) -> t.Optional[str]:
    """The name of the archive that an object becomes, the last part of its key; None if the object cannot be adopted.

    What has the key of an archive, a manifest or a ledger of this software cannot: a forged manifest would make a prune remove it.
    """
    if _OWN.fullmatch(original) or original.endswith((MANIFEST_SUFFIX, ADOPTED_MANIFEST_SUFFIX)):
        return None
    if not is_key(original) or "/" + TEMP_PREFIX in "/" + original:
        return None
    encoded = "".join(chr(byte) if byte in _SAFE else "%%%02X" % byte for byte in original.encode("utf-8", "surrogateescape"))
    return ADOPTED + encoded if len(encoded) <= LONGEST_ADOPTED else None


def adopted_of(key: str) -> t.Optional[Adopted]:
    """What the key of an adopted archive or of its manifest states; None for any other key."""
    found = _ADOPTED_KEY.fullmatch(key) if ADOPTED in key else None
    if found is None:
        return None
    data = re.sub(rb"%([0-9A-F]{2})", lambda code: bytes([int(code[1], 16)]), found[1].encode("utf-8", "surrogateescape"))
    original = data.decode("utf-8", "surrogateescape")
    # Only the one encoding of a name counts, so that each object has one key in a folder.
    return Adopted(original, found[2] is not None) if adopted_name(original) == ADOPTED + found[1] else None


def beginnings(names: t.Iterable[str]) -> t.List[str]:
    """What these names begin with, a few texts that together begin few others: thousands in a folder are listed at once."""
    together: t.Dict[str, t.List[str]] = {}
    for name in names:
        together.setdefault(name[: name.rfind("/") + 2], []).append(name)
    return [os.path.commonprefix(alike) for alike in together.values()]


class Layout:
    """The layout ``tree``: the name of a key is the key itself, except of an adopted archive."""

    is_flat = False

    def name_of(self, key: str) -> str:
        """The name of the object with this key. Raises KeyNameError if it cannot have one."""
        adopted = adopted_of(key)
        if adopted is None:
            return self._name_of(key)
        if adopted.is_manifest:
            return self._name_of(key[: -len(MANIFEST_SUFFIX)] + ADOPTED_MANIFEST_SUFFIX)
        return self._name_of(adopted.original if self._keeps(adopted.original) else key)

    def key_of(self, name: str) -> t.Optional[str]:
        """The key of the object with this name; None if it has none. An adopted archive under its original name has none without its
        manifest: see ``originals``."""
        if ADOPTED not in name:
            return self._key_of(name)
        if name.endswith(ADOPTED_MANIFEST_SUFFIX):
            archive = self._key_of(name[: -len(ADOPTED_MANIFEST_SUFFIX)])
            if archive is not None and adopted_of(archive) is not None:
                return archive + MANIFEST_SUFFIX
        key = self._key_of(name)
        adopted = None if key is None else adopted_of(key)
        return None if adopted is not None and (adopted.is_manifest or self._keeps(adopted.original)) else key

    def beginning(self, prefix: str) -> str:
        """What the names of all keys begin with that begin with ``prefix``, except adopted archives. Other names may begin so too."""
        adopted = adopted_of(prefix)
        return self._beginning(prefix) if adopted is None or not adopted.is_manifest else self.name_of(prefix)

    def originals(self, keys: t.Iterable[str]) -> t.Dict[str, t.List[str]]:
        """The objects of the adopted archives with manifests among these keys: {name of the object: keys of archives}.

        A forged manifest of an object that was adopted must not hide the right one, so that an object may have more than one key.
        """
        found: t.Dict[str, t.List[str]] = {}
        for key in keys:
            adopted = adopted_of(key)
            if adopted is not None and adopted.is_manifest and self._keeps(adopted.original):
                found.setdefault(adopted.original, []).append(key[: -len(MANIFEST_SUFFIX)])
        return found

    def shown(self, key: str) -> str:
        """The name of the key, or of what begins with it, to show to people."""
        return self.beginning(key) if adopted_of(key) is None else self.name_of(key)

    def _keeps(self, original: str) -> bool:
        """Whether an adopted archive has the name of its object here."""
        return self._key_of(original) == original

    def _name_of(self, key: str) -> str:
        return key

    def _key_of(self, name: str) -> t.Optional[str]:
        return name

    def _beginning(self, prefix: str) -> str:
        return prefix

    def is_archive(self, name: str) -> bool:
        """Whether a name may be of an object of this software."""
        return True


class FlatLayout(Layout):
    """The layout ``flat``: all objects in one folder."""

    is_flat = True

    def _name_of(self, key: str) -> str:
        name = self._beginning(key)
        if self._key_of(name) != key:
            raise KeyNameError(
                "the key has no name in a flat store",
                repr(key),
                "The names of host and job must not contain %r; set the option host of the job" % FLAT_SEPARATOR,
            )
        if len(os.fsencode(name)) > LONGEST_FLAT_NAME:
            raise KeyNameError(
                "the name of the archive in a flat store has %d bytes; the limit is %d" % (len(os.fsencode(name)), LONGEST_FLAT_NAME),
                repr(name),
                "Use a shorter name for the archive, the job or the host, or the layout tree",
            )
        return name

    def _key_of(self, name: str) -> t.Optional[str]:
        if "/" in name or name.startswith(TEMP_PREFIX):
            return None
        found = re.fullmatch(r"([^~]+)~([^~]+)~([0-9]{4})([0-9]{2})([0-9]{2})~(.+)", name, re.DOTALL)
        return name if found is None or {".", ".."} & set(found.groups()) else "/".join(found.groups())

    def _beginning(self, prefix: str) -> str:
        parts = prefix.split("/", 5)
        day = ["".join(parts[2:5])] if len(parts) > 2 else []
        return FLAT_SEPARATOR.join(parts[:2] + day + parts[5:])

    def is_archive(self, name: str) -> bool:
        return self.key_of(name) not in (None, name)


LAYOUTS: t.Dict[str, Layout] = {"tree": Layout(), "flat": FlatLayout()}
