# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host that has archived for years: its catalog and its file store, made without packing each archive."""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import manifest as manifests, naming
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.runs import blank_record
from rigs.host import JOB, NAME, NOW, Host

CONTENT = b"an archive that nobody reads\n"


def grow(host: Host, count: int, now: datetime = NOW, in_store: bool = True, logs: bool = False) -> t.List[str]:
    """Record ``count`` hourly archives and a successful run in the catalog of a host; returns the keys, the newest first.

    now: when the run was; the log of the last closed hour is the newest. They are verified in the store ``file``. in_store: also put
    them there, with authentic manifests. Their content is not an archive: they can be listed and removed, and not restored. logs: write
    the log of each, too.
    """
    enclosing = envelope.for_new_archives({"format": "fernet", "keyring": str(host.keyring), "recipients": []})
    hour = now.replace(minute=0, second=0, microsecond=0)
    keys = []
    host.state.mkdir(mode=0o700, exist_ok=True)
    with contextlib.closing(Catalog(str(host.state))) as catalog, one_transaction(catalog):
        for number in range(count):
            start = hour - timedelta(hours=number + 1)
            manifest = manifests.sealed(_manifest(host, Period(start, start + timedelta(hours=1)), enclosing), enclosing)
            key = naming.archive_key(NAME, JOB, manifests.period_of(manifest), manifest["archive"]["name"])
            entry = catalog.add(NAME, JOB, key, manifest, ["file"])
            catalog.set_verified(entry, "file", key, "read_back", None)
            catalog.unspool(entry)
            if in_store:
                _put(host.store / key, CONTENT, start.timestamp() + 3660)
                _put(host.store / naming.manifest_key(key), manifests.dump(manifest), start.timestamp() + 3660)
            if logs:
                _put(host.logs / manifest["sources"][0]["path"].rpartition("/")[2], b"", start.timestamp() + 3599)
            keys.append(key)
        number = catalog.runs.begin(JOB, now.timestamp())
        catalog.runs.end(number, now.timestamp(), blank_record(JOB, NAME))
    return keys


@contextlib.contextmanager
def one_transaction(catalog: Catalog) -> t.Iterator[None]:
    """All that the context records is one transaction: a synchronous write for each archive takes too long."""
    database = catalog._database
    of_each = database.transaction
    with database.transaction():
        database.transaction = lambda durable=True: contextlib.nullcontext()  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            database.transaction = of_each  # type: ignore[method-assign]


def _put(path: t.Any, data: bytes, modified: float) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except FileNotFoundError:
        os.makedirs(path.parent, 0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, data)
    os.close(descriptor)
    os.utime(path, (modified, modified))


def _manifest(host: Host, period: Period, enclosing: envelope.Envelope) -> t.Any:
    name = period.start.strftime("syslog.%Y%m%d.%H")
    span = {"start": format_utc(period.start), "end": format_utc(period.end)}
    path = str(host.logs / name)
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    return {
        "version": manifests.VERSION,
        "engine": "0.1.0",
        "host": NAME,
        "job": JOB,
        "created": span["end"],
        "archive": {
            "name": name + ".tgz.fernet",
            "size": len(CONTENT),
            "md5": hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
            "sha256": sha256,
        },
        "tgz": {"size": 20, "sha256": sha256},
        "encryption": enclosing.facts,
        "period": span,
        "sources": [
            {
                "path": path,
                "name": path.lstrip("/"),
                "size": 0,
                "mtime_ns": int(period.end.timestamp() - 1) * 10**9,
                "mode": "0640",
                "uid": 0,
                "gid": 0,
                "changed": False,
                "vanished": False,
                "sha256": hashlib.sha256(b"").hexdigest(),
                "period": span,
            }
        ],
    }
