# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with a job that archives a CloudTrail trail from the lab's AWS server."""

from __future__ import annotations

import io
import pathlib
import tempfile
import typing as t
from datetime import datetime

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import restore as restoring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.cloudtrail_spec import CLOUDTRAIL
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope
from lab import AwsServer
from rigs.host import Host, archives_in, file_store
from rigs.trail import Trail, public_key


def make_bucket(server: AwsServer, trail: Trail, versions: bool = False) -> t.Any:
    """Make the bucket of the trail and put its objects there; returns a boto3 client of S3."""
    client = server.client("s3")
    client.create_bucket(Bucket=trail.bucket, CreateBucketConfiguration={"LocationConstraint": server.region})
    if versions:
        client.put_bucket_versioning(Bucket=trail.bucket, VersioningConfiguration={"Status": "Enabled"})
    trail.put(client)
    server.set_public_keys(public_key())
    return client


def trail_options(server: AwsServer, trail: Trail, **given: t.Any) -> t.Dict[str, t.Any]:
    """The options of the source ``cloudtrail``, with every default."""
    known = {"bucket": trail.bucket, "prefix": trail.prefix, "organization": trail.organization, "retry_delay": "0", **server.options}
    return normalise_options({**{name: value for name, value in known.items() if value}, **given}, CLOUDTRAIL)


class TrailHost(Host):
    """A host with the job ``trail``. Its stores and folders are those of ``Host``."""

    def __init__(self, folder: pathlib.Path, server: AwsServer, trail: Trail, **options: t.Any) -> None:
        super().__init__(folder, **options)
        self.cloudtrail = {"bucket": trail.bucket, "lookback": "7d", "retry_delay": "0", **server.options}
        if trail.prefix:
            self.cloudtrail["prefix"] = trail.prefix
        if trail.organization:
            self.cloudtrail["organization"] = trail.organization

    def given(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        changes = {"name": "trail", **changes}
        cloudtrail = {**self.cloudtrail, **changes.pop("cloudtrail", {})}
        document = super().given(**changes)
        del document["select"]
        document["cloudtrail"] = cloudtrail
        return document

    def held(self) -> t.Dict[str, bytes]:
        """Every file in the archives of the file store, by its key in the bucket; none is listed twice."""
        found: t.Dict[str, bytes] = {}
        store = file_store(self.store)
        for key, manifest in archives_in(store).items():
            data = io.BytesIO()
            store.get(key, data)
            opener = envelope.for_archive(manifest["encryption"], str(self.keyring), False, key)
            with tempfile.TemporaryDirectory() as folder:
                for file in restoring.restore(data, opener, folder, key, manifest):
                    bucket, _slash, name = file.name.partition("/")
                    assert bucket == self.cloudtrail["bucket"] and name not in found
                    found[name] = pathlib.Path(file.path).read_bytes()
        return found

    def archive(self, now: datetime, **changes: t.Any) -> t.Dict[str, t.Any]:
        """A run that must succeed."""
        record = self.run(now, **changes)
        assert record["errors"] == [], record["errors"]
        return record
