# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a catalog of archives and runs at the times that a test gives; nothing is packed."""

from __future__ import annotations

import pathlib
import typing as t
from datetime import datetime, timedelta

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_utc
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state import coverage
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.runs import blank_record
from rigs.host import JOB, NAME, NOW, Host, at


class Given:
    """The host, and its catalog, which the caller closes."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.host = Host(folder)
        self.host.state.mkdir(mode=0o700)
        self.catalog = Catalog(str(self.host.state))

    def archive(
        self, start: t.Union[str, datetime], hours: float = 1.0, size: int = 100, logs: int = 700, job: str = JOB, **copies: str
    ) -> str:
        """Record an archive of a period; returns its key. size, logs: bytes. copies: {store: state}; one that is pending is spooled."""
        moment = at(start) if isinstance(start, str) else start
        name = "%s.%s.tgz.fernet" % (job, moment.strftime("%Y%m%d.%H%M"))
        key = "%s/%s/%s/%s" % (NAME, job, moment.strftime("%Y/%m/%d"), name)
        period = {"start": format_utc(moment), "end": format_utc(moment + timedelta(hours=hours))}
        source = {"path": "/logs/" + name, "size": logs, "mtime_ns": 1, "sha256": "0" * 64}
        manifest: t.Any = {"period": period, "archive": {"name": name, "size": size}, "sources": [source], "created": period["start"]}
        entry = self.catalog.add(NAME, job, key, manifest, copies)
        for store, state in copies.items():
            if state in ("verified", "pruned"):
                self.catalog.set_verified(entry, store, key, "read_back", None)
            if state == "pruned":
                self.catalog.set_pruned(store, [key])
            if state == "given up":
                self.catalog.lacking.give_up(entry, store)
        if copies and "pending" not in copies.values():
            self.catalog.unspool(entry)
        return key

    def run(self, moment: t.Union[str, datetime], code: int = 0, job: str = JOB, **record: t.Any) -> None:
        """Record a run that began then. record: more of its run record."""
        started = (at(moment) if isinstance(moment, str) else moment).timestamp()
        number = self.catalog.runs.begin(job, started)
        whole: t.Any = dict(blank_record(job, NAME), exit_code=code, **record)
        self.catalog.runs.end(number, started + 1, whole)

    def of(
        self, days: int = 1, now: datetime = NOW, lost: t.Iterable[t.Tuple[str, str]] = (), lacked: t.Iterable[t.Any] = (), **changes: t.Any
    ) -> coverage.Coverage:
        """The coverage of the job. changes: of its document."""
        document: t.Any = self.host.document(**changes)
        return coverage.of(document, days, lost, lacked, now)
