# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The format of a ledger: its entries, how each continues the one before, and their combined content. No files.

docs/ledger.md describes the format. The chain cannot show that its end was cut: somebody else must know the head (see the witness).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import typing as t

from ...base.errors import IntegrityError
from ...crypto.signing import is_signed

VERSION = 1
FIRST_PREV = "0" * 64
LONGEST_LINE = 1 << 16
"""Bytes."""
_HEX32 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FIELDS = {"version", "ledger", "seq", "prev", "time", "op", "payload", "signature"}

Payload = t.Mapping[str, t.Any]


class Head(t.NamedTuple):
    """Where a ledger ends. ledger: its id; seq: of its last entry; sha256: of the line of that entry; key: the public key, in hex, that
    must sign the next entry."""

    ledger: str
    seq: int
    sha256: str
    key: str


class Entry(t.NamedTuple):
    """One entry. prev: the SHA-256 of the line before. time: in UTC. op: begin, put, adopt, prune, lost, key or rewrap."""

    ledger: str
    seq: int
    prev: str
    time: str
    op: str
    payload: Payload
    signature: str


class Stored(t.NamedTuple):
    """An archive that a store must have. seq: of its entry; size in bytes; sha256, manifest: the SHA-256 of the archive and of its
    manifest; key_ids: of the keys that open it."""

    seq: int
    size: int
    sha256: str
    manifest: str
    key_ids: t.Sequence[str] = ()


class BrokenLedgerError(IntegrityError):
    """The entries of a ledger do not form a chain, or it is not the ledger that somebody knows."""

    kind = "ledger"


Place = t.Tuple[str, str]
"""The name of a store, and the key of an archive in it."""


class Contents:
    """The combined content of the entries of a ledger.

    held: the archives that stores must have. gone: those with a tombstone, with the ``seq`` of it. entries: how many of each kind.
    """

    def __init__(self) -> None:
        self.held: t.Dict[Place, Stored] = {}
        self.gone: t.Dict[Place, int] = {}
        self.entries: t.Dict[str, int] = {}

    def add(self, entry: Entry) -> None:
        """Apply an entry."""
        self.entries[entry.op] = self.entries.get(entry.op, 0) + 1
        payload = entry.payload
        place = str(payload.get("store")), str(payload.get("archive"))
        if entry.op in ("put", "adopt"):
            self.held[place] = stored_of(entry)
            self.gone.pop(place, None)
        elif entry.op in ("prune", "lost"):
            self.held.pop(place, None)
            self.gone[place] = entry.seq
        elif entry.op == "rewrap" and place in self.held:
            known = self.held[place]
            self.held[place] = known._replace(manifest=payload["manifest"], key_ids=payload.get("keys", known.key_ids))

    def of_store(self, store: str) -> t.Dict[str, Stored]:
        """The archives that one store must have, by key."""
        return {key: stored for (name, key), stored in self.held.items() if name == store}


def stored_of(entry: Entry) -> Stored:
    """The archive of a put or an adopt."""
    payload = entry.payload
    try:
        return Stored(entry.seq, int(payload["size"]), payload["sha256"], payload["manifest"], payload["keys"])
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenLedgerError("entry %d lacks the facts of its archive (%s)" % (entry.seq, error)) from None


def canonical(value: t.Mapping[str, t.Any]) -> bytes:
    """The one form of an entry or head: the same as that of a manifest (docs/format.md), with the line feed."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode("ascii") + b"\n"


def sha256_of(line: bytes) -> str:
    """The SHA-256 of a line, with its line feed, in hex."""
    return hashlib.sha256(line).hexdigest()


def line_of(entry: Entry, sign: t.Callable[[bytes], bytes]) -> bytes:
    """The line of an entry. Its signature is made by ``sign``, of the canonical form without the field ``signature``."""
    facts = _facts(entry)
    signature = base64.b64encode(sign(canonical(facts))).decode("ascii")
    return canonical(dict(facts, signature=signature))


def _facts(entry: Entry) -> t.Dict[str, t.Any]:
    facts: t.Dict[str, t.Any] = dict(entry._asdict(), version=VERSION)
    del facts["signature"]
    return facts


def parse(line: bytes, subject: str) -> Entry:
    """The entry of a line. Raises BrokenLedgerError, which names ``subject``, unless it has the canonical form."""
    try:
        facts = json.loads(line)
        if not isinstance(facts, dict) or facts.keys() != _FIELDS or canonical(facts) != line:
            raise ValueError("it is not in canonical form")
        if facts["version"] != VERSION:
            raise ValueError("its version is %r, and this software knows %d" % (facts["version"], VERSION))
        texts = [facts[name] for name in ("ledger", "prev", "time", "op", "signature")]
        is_number = isinstance(facts["seq"], int) and not isinstance(facts["seq"], bool)
        if not (is_number and isinstance(facts["payload"], dict) and all(isinstance(text, str) for text in texts)):
            raise ValueError("a field has the wrong type")
        if _ID.fullmatch(facts["ledger"]) is None:
            raise ValueError("its ledger id is not 32 hexadecimal digits")
    except (ValueError, RecursionError) as error:
        raise BrokenLedgerError("an entry cannot be read (%s)" % error, subject) from None
    return Entry(*(facts[name] for name in Entry._fields))


def head_document(head: Head, line: bytes, host: str, job: str) -> t.Dict[str, t.Any]:
    """A head as it is kept elsewhere: with the line of the last entry, which is signed, and the names of host and job."""
    return dict(head._asdict(), version=VERSION, host=host, job=job, entry=line.decode("ascii"))


class Chain:
    """Follows the lines of a ledger, and checks that each continues the one before.

    head: where to go on; None is before the first entry. subject: of errors. signatures: check that of each entry. Without that only those
    are checked that change the key, and ``seal`` checks the last: as each line has the hash of the one before, it covers all of them.
    """

    def __init__(self, subject: str, head: t.Optional[Head] = None, signatures: bool = True) -> None:
        self.head = head
        self._subject = subject
        self._signatures = signatures
        self._unsigned: t.Optional[t.Tuple[Entry, str]] = None

    def add(self, line: bytes) -> Entry:
        """The entry of the next line. Raises BrokenLedgerError."""
        entry = parse(line, self._subject)
        head = self.head
        if head is None:
            key = entry.payload.get("key") if entry.op == "begin" and entry.seq == 0 and entry.prev == FIRST_PREV else None
            if not isinstance(key, str) or _HEX32.fullmatch(key) is None:
                raise self._broken(entry, "it is not the first entry of a ledger")
            head = Head(entry.ledger, -1, FIRST_PREV, key)
        if entry.ledger != head.ledger:
            raise self._broken(entry, "it belongs to the ledger %s, not to %s" % (entry.ledger, head.ledger))
        if entry.seq != head.seq + 1:
            raise self._broken(entry, "it follows entry %d: entries are missing, or in the wrong order" % head.seq)
        if entry.prev != head.sha256:
            raise self._broken(entry, "the entry before it is not the one that it continues: that one was changed")
        key = head.key
        if entry.op == "key":
            key = entry.payload.get("key")
            if not isinstance(key, str) or _HEX32.fullmatch(key) is None:
                raise self._broken(entry, "it names no new key")
        if self._signatures or entry.op in ("begin", "key"):
            self._check(entry, head.key)
            self._unsigned = None
        else:
            self._unsigned = entry, head.key
        self.head = Head(entry.ledger, entry.seq, sha256_of(line), key)
        return entry

    def seal(self) -> None:
        """Check the signature of the last entry, if that was left out. Raises BrokenLedgerError."""
        if self._unsigned is not None:
            self._check(*self._unsigned)
            self._unsigned = None

    def _check(self, entry: Entry, key: str) -> None:
        try:
            signature = base64.b64decode(entry.signature, validate=True)
        except ValueError:
            signature = b""
        if not is_signed(bytes.fromhex(key), signature, canonical(_facts(entry))):
            raise self._broken(entry, "its signature is not by the key of the ledger")

    def _broken(self, entry: Entry, why: str) -> BrokenLedgerError:
        return BrokenLedgerError("the chain is broken at entry %d: %s" % (entry.seq, why), self._subject, BROKEN)


BROKEN = (
    "Somebody changed the ledger, or its disk is damaged. Keep a copy of it, compare it with the witness and the stores, then run"
    " 'log-archive ledger accept JOB --reason TEXT', which keeps this one aside and begins a new one"
)
