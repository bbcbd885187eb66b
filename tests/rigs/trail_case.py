# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A trail of five hours in a bucket of the lab's AWS server, and its validation."""

from __future__ import annotations

import collections
import pathlib
import typing as t
from datetime import timedelta

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import opening
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.facts import WORDS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit.validate import Wanted
from lab import AwsServer
from rigs.trail import HOUR, START, Trail
from rigs.trail_host import make_bucket, trail_options

HOURS = 5
END = START + HOURS * HOUR
NOW = END + timedelta(minutes=90)


class Case:
    """A trail of five hours in a bucket, whose first digest was seen before."""

    def __init__(self, server: AwsServer, trail: Trail, versions: bool = False) -> None:
        self.server = server
        self.trail = trail
        self.client = make_bucket(server, trail, versions)
        self.state: t.Optional[pathlib.Path] = None

    def delete(self, *keys: str) -> None:
        for key in keys:
            self.client.delete_object(Bucket=self.trail.bucket, Key=key)

    def put(self, key: str, body: bytes, metadata: t.Optional[t.Dict[str, str]] = None) -> None:
        self.client.put_object(Bucket=self.trail.bucket, Key=key, Body=body, Metadata=metadata or {})

    def validate(self, **wanted: t.Any) -> t.Dict[str, t.Any]:
        """The report. The trail was enabled when it begins."""
        options = trail_options(self.server, self.trail, **wanted.pop("options", {}))
        job = opening.Job("trail", t.cast(t.Any, options), None if self.state is None else str(self.state), wanted.pop("check", False))
        report = opening.validate_bucket(job, Wanted(**{"now": NOW, "since": START, "trail_start": START, **wanted}))
        assert {finding["word"] for finding in report["findings"]} <= WORDS.keys()
        return t.cast(t.Dict[str, t.Any], report)

    def words(self, **wanted: t.Any) -> t.Dict[str, int]:
        """How often each word is found."""
        report = self.validate(**wanted)
        assert report["errors"] == [] and report["exit_code"] == (4 if report["findings"] else 0)
        return dict(collections.Counter(finding["word"] for finding in report["findings"]))
