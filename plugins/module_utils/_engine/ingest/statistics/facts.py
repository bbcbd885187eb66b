# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of the statistics of a stream. Import this module for type checking only.

Times are in UTC ("2026-11-03T02:00:00Z"), sizes in bytes. A transfer is an upload or a download without an error; a failed transfer is
counted by itself, and its bytes are not.
"""

from __future__ import annotations

import typing as t


class Transfers(t.TypedDict):
    """Counts of transfers."""

    transfers: int
    uploads: int
    downloads: int
    bytes: int
    bytes_uploaded: int
    bytes_downloaded: int
    failed: int


class Totals(Transfers):
    """Counts of a span of time. users: how many logged in, transferred a file, or sent a command."""

    users: int
    logins: int
    failed_logins: int
    commands: int


class User(Transfers):
    """The transfers, logins and commands of one user. last_seen: the last of them."""

    username: str
    logins: int
    commands: int
    last_seen: t.Optional[str]


class Point(Transfers):
    """The transfers of one hour, day or week, which begins at ``start``. Weeks begin on Monday."""

    start: str


class Hour(t.TypedDict):
    """The transfers of all days in one hour of the day (0 to 23), in UTC."""

    hour: int
    transfers: int
    bytes: int


class TopFile(t.TypedDict):
    """One of the files with the most bytes. path: as the users see it (virtual_path)."""

    path: str
    username: t.Optional[str]
    transfers: int
    bytes: int


class Protocol(t.TypedDict):
    """The transfers over one protocol."""

    protocol: str
    transfers: int
    bytes: int


class Address(t.TypedDict):
    """One address of a client. users: how many transferred from it."""

    address: str
    users: int
    transfers: int
    bytes: int
    failed_logins: int


class Before(t.TypedDict):
    """The totals of the span of the same length before."""

    since: str
    until: str
    totals: Totals


class Statistics(t.TypedDict):
    """The statistics of one stream.

    hosts: with lines in the sink. since, until: the span; both None if there is no line in it. by: "hour", "day" or "week", the length of
    the points of ``trend``, which has no holes. before: None if no start was given. files: those with the
    most bytes. addresses: those with the most bytes, then others with failed logins.
    """

    stream: str
    sink: str
    hosts: t.List[str]
    created: str
    since: t.Optional[str]
    until: t.Optional[str]
    by: str
    totals: Totals
    before: t.Optional[Before]
    trend: t.List[Point]
    hours: t.List[Hour]
    users: t.List[User]
    files: t.List[TopFile]
    protocols: t.List[Protocol]
    addresses: t.List[Address]


class RankedColumn(t.TypedDict):
    """A column of a ranking. kind: text, count, bytes, time."""

    name: str
    kind: str


class Ranking(t.TypedDict):
    """A table of the statistics: the rows with the most, by the names of their columns."""

    name: str
    title: str
    columns: t.List[RankedColumn]
    rows: t.List[t.Dict[str, t.Any]]


class Rankings(t.TypedDict):
    """The statistics of one stream of another profile.

    hosts: with lines in the sink. since, until: the span, or the times of the first and the last record where it is open; None if there is
    no record. by: "hour", "day" or "week", the length of the points of ``trend``, which has no holes: each point has its ``start`` and the
    totals that can be added up.
    """

    stream: str
    sink: str
    profile: str
    hosts: t.List[str]
    created: str
    since: t.Optional[str]
    until: t.Optional[str]
    by: str
    totals: t.Dict[str, int]
    trend: t.List[t.Dict[str, t.Any]]
    rankings: t.List[Ranking]
