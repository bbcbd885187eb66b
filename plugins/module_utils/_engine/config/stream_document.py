# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of a stream document and its parts, as ``config.stream_check.normalise_stream`` returns them: every key is present.

A key without a value and without a default is None. Import this module for type checking only, as ``document``.
"""

from __future__ import annotations

import typing as t

from .document import Duration, NotifyTarget, Size


class JournalOptions(t.TypedDict):
    """Which units of the journal a stream follows (``stream_spec.JOURNAL``)."""

    units: t.List[str]
    lines: str
    directory: t.Optional[str]


class FollowOptions(t.TypedDict):
    """What a stream follows (``stream_spec.FOLLOW``)."""

    journal: t.Optional[JournalOptions]
    paths: t.List[str]
    patterns: t.List[str]
    rotated: t.List[str]
    recurse: bool
    backups: t.Optional[int]
    poll: Duration


class ParseOptions(t.TypedDict):
    """How lines become records (``stream_spec.PARSE``)."""

    profile: str
    time_field: str
    time_format: str
    fields: t.List[str]
    timezone: str
    new_fields: str
    long_values: str
    max_line: Size


class TransformOptions(t.TypedDict):
    """How fields are changed before they are stored (``stream_spec.TRANSFORM``)."""

    rename: t.Dict[str, str]
    keep: t.Optional[t.List[str]]
    encrypt: t.List[str]
    keyring: t.Optional[str]


class ClientIdOptions(t.TypedDict):
    """How client ids are encrypted (``stream_spec.CLIENT_IDS``)."""

    keyring: str
    deterministic: bool


class SinkOptions(t.TypedDict):
    """One sink (``sink_spec.SINK``). Options of other types of sinks keep their defaults."""

    type: str
    name: str
    path: t.Optional[str]
    host: str
    port: t.Optional[int]
    socket: t.Optional[str]
    database: t.Optional[str]
    user: t.Optional[str]
    password: t.Optional[str]
    api_key: t.Optional[str]
    tls: t.Optional[str]
    ca_bundle: t.Optional[str]
    table: t.Optional[str]
    columns: t.Optional[t.Dict[str, str]]
    prefix: t.Optional[str]
    delete_after: t.Optional[str]
    outbox: Size
    timeout: Duration


class PageOptions(t.TypedDict):
    """The page with statistics (``stream_spec.PAGE``)."""

    path: str
    every: Duration


class StreamDocument(t.TypedDict):
    """A whole stream (``stream_spec.STREAM``)."""

    name: str
    host: t.Optional[str]
    follow: FollowOptions
    parse: ParseOptions
    transform: t.Optional[TransformOptions]
    client_ids: t.Optional[ClientIdOptions]
    sinks: t.List[SinkOptions]
    page: t.Optional[PageOptions]
    notify: t.List[NotifyTarget]
    notify_after: Duration
    state: str
    log: t.Optional[str]
