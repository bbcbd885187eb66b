# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics of logs of AWS: totals, and who or what has the most, from the rows of a profile's table."""

from __future__ import annotations

import bisect
import typing as t
from datetime import timedelta

from ...base.units import format_utc, parse_utc
from ..records.tables import CLOUDTRAIL, ROUTE53, ROUTE53_PUBLIC, VPC_FLOW
from ..sinks.schema import GENERATION
from ..sinks.sums import MOST_BYTES
from .queries import MOST_ROWS, own_rows, times_between
from .steps import hour_of, second_of, starts_of, step_for

if t.TYPE_CHECKING:
    from datetime import datetime

    from ..records.tables import Table
    from ..sinks.sql import SqlSink
    from .facts import Ranking, Rankings
    from .steps import Span

TEXT, COUNT, BYTES, TIME = "text", "count", "bytes", "time"
"""Kinds of columns."""


class Column(t.NamedTuple):
    """A column of a ranking: its name, what it is as SQL, and its kind."""

    name: str
    sql: str
    kind: str


class Ranked(t.NamedTuple):
    """A ranking: by what rows are grouped, and what is added up; the first sum is what ranks. condition: on the rows."""

    name: str
    title: str
    keys: t.Tuple[Column, ...]
    sums: t.Tuple[Column, ...]
    condition: str = ""


class Profile(t.NamedTuple):
    """What there is to know about the rows of a table."""

    table: Table
    totals: t.Tuple[Column, ...]
    rankings: t.Tuple[Ranked, ...]


def _count(name: str, condition: str = "1 = 1") -> Column:
    return Column(name, "SUM(CASE WHEN %s THEN 1 ELSE 0 END)" % condition, COUNT)


def _distinct(name: str, column: str) -> Column:
    return Column(name, "COUNT(DISTINCT %s)" % column, COUNT)


def _sum(name: str, kind: str) -> Column:
    # A number beyond is a mistake in the log, and some of them would not fit into 64 bits.
    value = "CASE WHEN {0} > {1} THEN {1} WHEN {0} > 0 THEN {0} ELSE 0 END".format(name, MOST_BYTES)
    return Column(name, "SUM(%s)" % value, kind)


def _text(name: str) -> Column:
    return Column(name, "COALESCE(%s, '')" % name, TEXT)


def _number(name: str) -> Column:
    return Column(name, name, TEXT)


_LAST = Column("last_seen", "MAX(time_utc)", TIME)
_EVENTS, _DENIED = _count("events"), _count("denied", "denied = 1")
_FLOWS, _SENT = _count("flows"), _sum("bytes", BYTES)
_QUERIES = _count("queries")
_BLOCKED, _FAILED = "firewall_rule_action = 'BLOCK'", "rcode <> 'NOERROR'"

PROFILES = {
    "cloudtrail": Profile(
        CLOUDTRAIL,
        (
            _EVENTS,
            _distinct("principals", "principal"),
            _distinct("addresses", "source_ip"),
            _count("errors", "error_code IS NOT NULL"),
            _DENIED,
            _count("root_events", "root = 1"),
        ),
        (
            Ranked("who", "Principals", (_text("principal"), _text("principal_type")), (_EVENTS, _DENIED, _LAST)),
            Ranked("what", "Actions", (_text("service"), _text("action")), (_EVENTS, _DENIED, _distinct("principals", "principal"))),
            Ranked("where", "Sources", (_text("source_ip"),), (_EVENTS, _DENIED, _distinct("principals", "principal"))),
            Ranked(
                "denied",
                "Denied calls",
                (_text("principal"), _text("service"), _text("action"), _text("error_code")),
                (_EVENTS, _LAST),
                "denied = 1",
            ),
            Ranked("root", "Use of the root user", (_text("service"), _text("action"), _text("source_ip")), (_EVENTS, _LAST), "root = 1"),
        ),
    ),
    "vpc_flow": Profile(
        VPC_FLOW,
        (
            _FLOWS,
            _count("rejected", "action = 'REJECT'"),
            _SENT,
            _sum("packets", COUNT),
            # In these capture windows there was no traffic, or records were lost.
            _count("no_data", "log_status = 'NODATA'"),
            _count("skipped_data", "log_status = 'SKIPDATA'"),
        ),
        (
            Ranked("talkers", "Top talkers", (_text("srcaddr"),), (_SENT, _FLOWS), "srcaddr IS NOT NULL"),
            Ranked("pairs", "Source and destination", (_text("srcaddr"), _text("dstaddr")), (_SENT, _FLOWS), "srcaddr IS NOT NULL"),
            Ranked(
                "rejected",
                "Rejected flows",
                (_text("srcaddr"), _text("dstaddr"), _number("dstport"), _number("protocol")),
                (_FLOWS, _LAST),
                "action = 'REJECT'",
            ),
            Ranked("ports", "Bytes by destination port", (_number("dstport"), _number("protocol")), (_SENT, _FLOWS), "dstport IS NOT NULL"),
            Ranked("skipped", "Lost records (SKIPDATA)", (_text("interface_id"),), (_FLOWS, _LAST), "log_status = 'SKIPDATA'"),
        ),
    ),
    "route53_resolver": Profile(
        ROUTE53,
        (
            _QUERIES,
            _distinct("names", "query_name"),
            _distinct("sources", "srcaddr"),
            _count("failed", _FAILED),
            _count("blocked", _BLOCKED),
        ),
        (
            Ranked("names", "Names", (_text("query_name"), _text("query_type")), (_QUERIES,)),
            Ranked("sources", "Sources", (_text("srcaddr"),), (_QUERIES, _distinct("names", "query_name"))),
            Ranked("failed", "Failed queries", (_text("query_name"), _text("rcode")), (_QUERIES, _LAST), _FAILED),
            Ranked("blocked", "Blocked queries", (_text("query_name"), _text("srcaddr")), (_QUERIES, _LAST), _BLOCKED),
        ),
    ),
    "route53_public": Profile(
        ROUTE53_PUBLIC,
        (
            _QUERIES,
            _distinct("names", "query_name"),
            _distinct("resolvers", "resolver_ip"),
            _distinct("zones", "hosted_zone_id"),
            _count("failed", _FAILED),
        ),
        (
            Ranked("names", "Names", (_text("query_name"), _text("query_type")), (_QUERIES,)),
            Ranked("resolvers", "Resolvers", (_text("resolver_ip"),), (_QUERIES, _distinct("names", "query_name"))),
            Ranked("zones", "Hosted zones", (_text("hosted_zone_id"),), (_QUERIES, _distinct("names", "query_name"))),
            Ranked("failed", "Failed queries", (_text("query_name"), _text("rcode")), (_QUERIES, _LAST), _FAILED),
        ),
    ),
}
"""By name of the profile."""


def rank(sink: SqlSink, name: str, profile: str, span: Span, now: datetime) -> Rankings:
    """The statistics of the stream of a sink, from all hosts. name: of the sink; profile: a key of PROFILES. Raises UsageError."""
    span.check()
    with sink.snapshot():
        return _rank(sink, name, profile, span, now)


def _rank(sink: SqlSink, name: str, profile: str, span: Span, now: datetime) -> Rankings:
    wanted = PROFILES[profile]
    ends = span.since, span.until
    condition, limits = times_between("time_utc", ends)
    source = "FROM %s WHERE %s%s" % (wanted.table.name, own_rows(sink, wanted.table.name, ends), condition)
    values = [sink.stream, *limits]
    columns = ", ".join(column.sql for column in wanted.totals)
    (sums,) = sink.select("SELECT MIN(time_utc), MAX(time_utc), %s %s" % (columns, source), values)
    hosts = sink.select("SELECT DISTINCT host FROM %s WHERE stream = ? ORDER BY host" % GENERATION.name, [sink.stream])
    first, last = (None if moment is None else second_of(moment) for moment in sums[:2])
    begin = span.since or (None if first is None else parse_utc(first))
    end = span.until or (None if last is None else parse_utc(last) + timedelta(seconds=1))
    by = span.by or step_for(begin, end)
    return {
        "stream": sink.stream,
        "sink": name,
        "profile": profile,
        "hosts": [row[0] for row in hosts],
        "created": format_utc(now),
        "since": first if span.since is None else format_utc(span.since),
        "until": last if span.until is None else format_utc(span.until),
        "by": by,
        "totals": {column.name: int(value or 0) for column, value in zip(wanted.totals, sums[2:])},
        "trend": [] if begin is None or end is None or first is None else _trend(sink, wanted, source, values, starts_of(by, begin, end)),
        "rankings": [_ranking(sink, ranked, source, values) for ranked in wanted.rankings],
    }


def _trend(
    sink: SqlSink, wanted: Profile, source: str, values: t.Sequence[t.Any], starts: t.Sequence[datetime]
) -> t.List[t.Dict[str, t.Any]]:
    """The sums of each step, which begin at these times."""
    # What is counted once in an hour may be there in the next hour, too: such counts cannot be added up.
    columns = [column for column in wanted.totals if column.sql.startswith("SUM(")]
    points = [{"start": format_utc(start), **{column.name: 0 for column in columns}} for start in starts]
    statement = "SELECT %s, %s %s GROUP BY 1" % (sink.dialect.hour, ", ".join(column.sql for column in columns), source)
    for hour, *sums in sink.select(statement, values):
        point = points[bisect.bisect_right(starts, hour_of(str(hour))) - 1]
        for column, value in zip(columns, sums):
            point[column.name] = t.cast(int, point[column.name]) + int(value or 0)
    return points


def _ranking(sink: SqlSink, ranked: Ranked, source: str, values: t.Sequence[t.Any]) -> Ranking:
    columns = ranked.keys + ranked.sums
    statement = "SELECT %s %s%s GROUP BY %s ORDER BY %d DESC, %s LIMIT %d" % (
        ", ".join(column.sql for column in columns),
        source,
        " AND " + ranked.condition if ranked.condition else "",
        ", ".join(column.sql for column in ranked.keys),
        len(ranked.keys) + 1,
        ", ".join(str(place) for place in range(1, len(ranked.keys) + 1)),
        MOST_ROWS,
    )
    rows = sink.select(statement, values)
    return {
        "name": ranked.name,
        "title": ranked.title,
        "columns": [{"name": column.name, "kind": column.kind} for column in columns],
        "rows": [{column.name: _value(column.kind, value) for column, value in zip(columns, row)} for row in rows],
    }


def _value(kind: str, value: t.Any) -> t.Any:
    if kind == TIME:
        return second_of(value)
    # MariaDB and PostgreSQL return sums as decimal numbers.
    return value if kind == TEXT else int(value or 0)
