# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The witness: the controller's record of where the ledgers of the hosts ended, so that a ledger that is cut or started again shows."""

from __future__ import annotations

import json
import os
import typing as t
from datetime import datetime, timedelta, timezone

from ansible.errors import AnsibleActionFail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc, parse_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger.chain import Chain, Head, parse, sha256_of

SLACK = timedelta(minutes=10)
"""By how much the clocks of host and controller may differ."""
LARGEST = 1 << 16
"""Bytes of a file of the witness."""


class Known(t.NamedTuple):
    """What the witness knows of a ledger. at: when it saw that head, in UTC."""

    head: Head
    at: str


class Seen(t.NamedTuple):
    """What a look at one ledger showed. finding: what is wrong; None if the ledger contains what the witness knows. head: where it ends
    as far as it was checked; None if that is not known. whole: whether that is its end. warnings: what is not a failure."""

    finding: t.Optional[str]
    head: t.Optional[Head]
    whole: bool = True
    warnings: t.Sequence[str] = ()


class Witness:
    """The record of one host, ``<folder>/<host>/<job>.json``."""

    def __init__(self, folder: str, host: str) -> None:
        if host in ("", ".", "..") or "/" in host:
            raise AnsibleActionFail("the name of this host cannot be the name of a folder: %r" % host)
        top = os.path.normpath(os.path.expanduser(folder))
        if not os.path.isabs(top):
            raise AnsibleActionFail(
                "the folder of the witness is not an absolute path: %s. Write it as {{ inventory_dir }}/%s" % (folder, folder)
            )
        self.folder = os.path.join(top, host)

    def known(self) -> t.Dict[str, Known]:
        """What is known of the host's ledgers, by job."""
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return {}
        return {name[:-5]: self._read(name) for name in sorted(names) if name.endswith(".json") and not name.startswith(".")}

    def remember(self, job: str, head: Head) -> None:
        """Record the head of a ledger that was checked."""
        if "/" in job or job.startswith("."):
            raise AnsibleActionFail("the name of the job cannot be the name of a file: %r" % job)
        durable.make_folders(self.folder)
        facts = dict(head._asdict(), at=format_utc(datetime.now(timezone.utc)))
        durable.write_atomically(os.path.join(self.folder, job + ".json"), json.dumps(facts, sort_keys=True).encode("ascii") + b"\n")

    def forget(self, job: str) -> None:
        """Remove the record of a job that was renamed."""
        os.unlink(os.path.join(self.folder, job + ".json"))
        durable.fsync_folder(self.folder)

    def _read(self, name: str) -> Known:
        path = os.path.join(self.folder, name)
        try:
            with open(path, "rb") as file:
                facts = json.loads(file.read(LARGEST))
            parse_utc(facts["at"])
            return Known(Head(str(facts["ledger"]), int(facts["seq"]), str(facts["sha256"]), str(facts["key"])), facts["at"])
        except (ValueError, KeyError, TypeError, LogArchiveError) as error:
            text = "the file of the witness is damaged (%s): %s. Without it, the next play trusts the ledger that it finds"
            raise AnsibleActionFail(text % (type(error).__name__, path)) from None


def check(known: t.Optional[Known], row: t.Mapping[str, t.Any]) -> Seen:
    """Compare a ledger with what is known of it. row: of ``log-archive ledger witness``; the host may have made up anything in it."""
    if row.get("error"):
        return Seen("it cannot be used: %s" % row["error"], None)
    try:
        head = None if row["head"] is None else Head(*(row["head"][name] for name in Head._fields))
        if head is None:
            return Seen(None if known is None else "it is gone. The witness knows %s" % _text(known), None)
        if known is not None:
            if head.ledger != known.head.ledger:
                return Seen("it was deleted and started again (%s). The witness knows %s" % (head.ledger, _text(known)), _ending(row, head))
            if head.seq < known.head.seq:
                text = "it ends at entry %d: its end was cut off, or an older state of the host was restored. The witness knows %s"
                return Seen(text % (head.seq, _text(known)), _ending(row, head))
            if _sha256(row["entries"][0]) != known.head.sha256:
                text = "its entry %d is another one: it forked, because an older state of the host was restored or somebody rewrote it."
                return Seen("%s The witness knows %s" % (text % known.head.seq, _text(known)), _ending(row, head))
            return _followed(known, row, head)
        return Seen(None, _ending(row, head))
    except LogArchiveError as error:
        return Seen(str(error), None)
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        return Seen("the host does not describe it (%s)" % type(error).__name__, None)


def earlier_name(known: t.Mapping[str, Known], row: t.Mapping[str, t.Any]) -> t.Optional[str]:
    """The earlier name under which the witness knows the ledger of a job that was renamed; None if there is none. row: as for ``check``.

    Only for the same ledger: a host must not end the record of one job by the name of another.
    """
    head, was = row.get("head"), row.get("was")
    if row.get("job") in known or not isinstance(head, dict) or not isinstance(was, list):
        return None
    names = [name for name in was if isinstance(name, str) and name in known]
    return next((name for name in names if known[name].head.ledger == head.get("ledger")), None)


def _followed(known: Known, row: t.Mapping[str, t.Any], head: Head) -> Seen:
    """Follow the entries since the known one."""
    chain = Chain("the ledger", known.head)
    earliest = parse_utc(known.at) - SLACK
    warnings = []
    for line in row["entries"][1:]:
        entry = chain.add(line.encode("ascii"))
        if parse_utc(entry.time) < earliest and not warnings:
            warnings.append("entry %d states the time %s, and was not there at %s: it was backdated" % (entry.seq, entry.time, known.at))
    end = t.cast(Head, chain.head)
    if end.seq == head.seq and end != head:
        return Seen("its end is not the one that the host states", None)
    return Seen(None, end, end.seq >= head.seq, warnings)


def _ending(row: t.Mapping[str, t.Any], head: Head) -> Head:
    """The head, after a check that its entry is signed by its key. Raises LogArchiveError."""
    line = row["last"].encode("ascii")
    entry = parse(line, "the ledger")
    if Head(entry.ledger, entry.seq, sha256_of(line), head.key) != head:
        raise LogArchiveError("the ledger does not end as the host states")
    if entry.op != "key":  # It is signed by the key before, which is not known.
        Chain("the ledger", Head(head.ledger, entry.seq - 1, entry.prev, head.key) if entry.seq else None).add(line)
    return head


def _sha256(line: str) -> str:
    return sha256_of(line.encode("ascii"))


def _text(known: Known) -> str:
    return "entry %d of the ledger %s, seen at %s" % (known.head.seq, known.head.ledger, known.at)
