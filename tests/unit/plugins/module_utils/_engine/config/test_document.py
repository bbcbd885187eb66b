# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of a job and of a stream document agree with the tables that declare their options."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import (
    cloudtrail_spec,
    document,
    sink_spec,
    spec,
    stream_document,
    stream_spec,
)

SCALARS = {
    "str": str,
    "path": str,
    "int": int,
    "bool": bool,
    "float": float,
    "duration": document.Duration,
    "size": document.Size,
    "map": t.Dict[str, str],
}
PARTS = {
    "select": document.SelectOptions,
    "web": document.WebOptions,
    "cloudtrail": document.CloudTrailOptions,
    "vpc_flow": document.VpcFlowOptions,
    "archive": document.ArchiveOptions,
    "encryption": document.EncryptionOptions,
    "retention": document.RetentionOptions,
    "schedule": document.ScheduleOptions,
    "stores": document.JobStore,
    "notify": document.NotifyTarget,
    "follow": stream_document.FollowOptions,
    "journal": stream_document.JournalOptions,
    "parse": stream_document.ParseOptions,
    "transform": stream_document.TransformOptions,
    "page": stream_document.PageOptions,
    "client_ids": stream_document.ClientIdOptions,
    "sinks": stream_document.SinkOptions,
}


def type_of(name: str, option: t.Mapping[str, t.Any]) -> t.Any:
    """The type of an option's value once every key is present."""
    element = option["elements"] if option["type"] == "list" else option["type"]
    plain = PARTS[name] if element == "dict" else SCALARS[element]
    value = t.List[plain] if option["type"] == "list" else plain
    return value if option.get("required") or "default" in option else t.Optional[value]


@pytest.mark.parametrize(
    ("declared", "table"),
    [
        (document.SelectOptions, spec.SELECTION),
        (document.ArchiveOptions, spec.ARCHIVE),
        (document.EncryptionOptions, spec.ENCRYPTION),
        (document.RetentionOptions, spec.RETENTION),
        (document.StoreOptions, spec.STORE),
        (document.JobStore, spec.JOB["stores"]["options"]),
        (document.WebOptions, spec.WEB),
        (document.CloudTrailOptions, cloudtrail_spec.CLOUDTRAIL),
        (document.VpcFlowOptions, cloudtrail_spec.VPC_FLOW),
        (document.ScheduleOptions, spec.SCHEDULE),
        (document.NotifyTarget, spec.NOTIFY),
        (document.JobDocument, spec.JOB),
        (stream_document.FollowOptions, stream_spec.FOLLOW),
        (stream_document.JournalOptions, stream_spec.JOURNAL),
        (stream_document.ParseOptions, stream_spec.PARSE),
        (stream_document.TransformOptions, stream_spec.TRANSFORM),
        (stream_document.ClientIdOptions, stream_spec.CLIENT_IDS),
        (stream_document.PageOptions, stream_spec.PAGE),
        (stream_document.SinkOptions, sink_spec.SINK),
        (stream_document.StreamDocument, stream_spec.STREAM),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_type_has_the_keys_and_types_of_its_table(declared: t.Any, table: spec.Spec) -> None:
    expected = {name: type_of(name, option) for name, option in table.items()}
    if declared in (document.StoreOptions, document.JobStore, stream_document.SinkOptions):
        expected["name"] = str  # A store or sink without a name is named after its type.
    if declared is stream_document.ParseOptions:
        expected["time_field"] = expected["time_format"] = str  # Their defaults depend on the profile.
    assert t.get_type_hints(declared) == expected
