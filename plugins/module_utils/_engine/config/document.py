# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of a job document and its parts, as ``config.check.normalise`` returns them: every key is present.

A key without a value and without a default is None. The tables in ``spec`` document each option; a unit test compares both.
Import this module for type checking only: building the types takes longer than the rest of the imports of an idle run.
"""

from __future__ import annotations

import typing as t

Duration = t.Union[str, int, float]
"""Seconds, or text such as "30s" or "7d" (``base.units.parse_duration``)."""
Size = t.Union[str, int]
"""Bytes, or text such as "10K" or "1.5G" (``base.units.parse_size``)."""


class SelectOptions(t.TypedDict):
    """Which log files a job archives (``spec.SELECTION``)."""

    paths: t.List[str]
    patterns: t.List[str]
    use_regex: bool
    exclude: t.List[str]
    recurse: bool
    period: str
    offset: int
    timezone: str
    catch_up: Duration
    modified: t.Optional[str]
    quiet: Duration
    require_closed: bool
    min_size: t.Optional[Size]
    max_size: t.Optional[Size]
    must_exist: bool


class ArchiveOptions(t.TypedDict):
    """How sources become archives (``spec.ARCHIVE``)."""

    group: str
    name: t.Optional[str]
    suffix: t.Optional[str]
    changed: str


class EncryptionOptions(t.TypedDict):
    """How archives are encrypted (``spec.ENCRYPTION``)."""

    format: str
    keyring: t.Optional[str]
    recipients: t.List[str]


class RetentionOptions(t.TypedDict):
    """A retention policy (``spec.RETENTION``), not parsed yet."""

    keep_last: t.Optional[int]
    keep_hourly: t.Optional[int]
    keep_daily: t.Optional[int]
    keep_weekly: t.Optional[int]
    keep_monthly: t.Optional[int]
    keep_yearly: t.Optional[int]
    keep_within: t.Optional[str]
    keep_within_hourly: t.Optional[str]
    keep_within_daily: t.Optional[str]
    keep_within_weekly: t.Optional[str]
    keep_within_monthly: t.Optional[str]
    keep_within_yearly: t.Optional[str]
    min_keep: int
    max_delete_share: float
    name_template: t.Optional[str]


class StoreOptions(t.TypedDict):
    """One store (``store_spec.STORE``). Options of other store types keep their defaults."""

    type: str
    name: str
    verify: t.Optional[str]
    layout: str
    attempts: int
    retry_delay: Duration
    path: t.Optional[str]
    bucket: t.Optional[str]
    prefix: str
    endpoint_url: t.Optional[str]
    region: t.Optional[str]
    access_key_id: t.Optional[str]
    secret_access_key: t.Optional[str]
    session_token: t.Optional[str]
    profile: t.Optional[str]
    addressing_style: str
    checksum_calculation: str
    sse: t.Optional[str]
    sse_kms_key_id: t.Optional[str]
    versions: str
    storage_class: t.Optional[str]
    part_size: Size
    ca_bundle: t.Optional[str]
    host: t.Optional[str]
    port: int
    user: t.Optional[str]
    private_key_file: t.Optional[str]
    private_key_passphrase: t.Optional[str]
    password: t.Optional[str]
    host_key: t.Optional[str]
    known_hosts_file: t.Optional[str]
    accept_new_host_key: bool
    timeout: Duration


class JobStore(StoreOptions):
    """A store in a job document: its own options, and how the job uses it."""

    required: bool
    max_backlog: Size
    retention: t.Optional[RetentionOptions]
    append_only: bool


class WebOptions(t.TypedDict):
    """A zip on a web server (``spec.WEB``)."""

    url: str
    member: t.Optional[str]
    modified: str
    timezone: str
    absent: str
    ca_bundle: t.Optional[str]
    client_certificate: t.Optional[str]
    client_key: t.Optional[str]
    user: t.Optional[str]
    password: t.Optional[str]
    token: t.Optional[str]
    token_header: str
    proxy: t.Optional[str]
    timeout: Duration
    attempts: int
    retry_delay: Duration
    max_duration: Duration
    min_rate: Size
    min_size: t.Optional[Size]
    max_size: Size
    max_unpacked: Size
    max_ratio: float
    max_members: int


class AwsOptions(t.TypedDict):
    """How AWS's services are reached (``aws_spec.AWS``)."""

    region: t.Optional[str]
    endpoint_url: t.Optional[str]
    access_key_id: t.Optional[str]
    secret_access_key: t.Optional[str]
    session_token: t.Optional[str]
    profile: t.Optional[str]
    role_arn: t.Optional[str]
    external_id: t.Optional[str]
    ca_bundle: t.Optional[str]
    timeout: Duration
    attempts: int
    retry_delay: Duration


class VpcFlowOptions(AwsOptions):
    """VPC flow logs in a bucket (``cloudtrail_spec.VPC_FLOW``)."""

    bucket: str
    prefix: str
    accounts: t.List[str]
    regions: t.List[str]
    lookback: Duration


class CloudTrailOptions(VpcFlowOptions):
    """A CloudTrail trail, which AWS delivers as it does flow logs (``cloudtrail_spec.CLOUDTRAIL``)."""

    organization: t.Optional[str]
    filter: t.List[str]


class ScheduleOptions(t.TypedDict):
    """When a job runs (``spec.SCHEDULE``)."""

    at: str
    spread: Duration


NotifyTarget = t.TypedDict(
    "NotifyTarget",
    {
        "type": str,
        "when": t.Optional[t.List[str]],
        "path": t.Optional[str],
        "format": str,
        "max_size": Size,
        "keep": int,
        "to": t.Optional[t.List[str]],
        "from": t.Optional[str],
        "server": t.Optional[str],
        "port": t.Optional[int],
        "tls": t.Optional[str],
        "user": t.Optional[str],
        "password": t.Optional[str],
        "ca_bundle": t.Optional[str],
        "attach_log": bool,
        "attach_limit": Size,
        "url": t.Optional[str],
        "log_group": t.Optional[str],
        "namespace": str,
        "event_bus": t.Optional[str],
        "region": t.Optional[str],
        "endpoint_url": t.Optional[str],
        "access_key_id": t.Optional[str],
        "secret_access_key": t.Optional[str],
        "session_token": t.Optional[str],
        "profile": t.Optional[str],
        "role_arn": t.Optional[str],
        "external_id": t.Optional[str],
        "timeout": Duration,
    },
)
"""One receiver of notifications (``notify_spec.NOTIFY``)."""


class JobDocument(t.TypedDict):
    """A whole job (``spec.JOB``). Exactly one of ``select``, ``web``, ``cloudtrail`` and ``vpc_flow`` is not None."""

    name: str
    was: t.List[str]
    host: t.Optional[str]
    select: t.Optional[SelectOptions]
    web: t.Optional[WebOptions]
    cloudtrail: t.Optional[CloudTrailOptions]
    vpc_flow: t.Optional[VpcFlowOptions]
    archive: ArchiveOptions
    encryption: EncryptionOptions
    stores: t.List[JobStore]
    retention: t.Optional[RetentionOptions]
    prune: str
    fail_after_refusals: int
    schedule: t.Optional[ScheduleOptions]
    notify: t.List[NotifyTarget]
    delete_sources: bool
    spool: str
    state: str
    log: t.Optional[str]
