# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a stream document against its table, and fill in defaults."""

from __future__ import annotations

import os
import re
import typing as t
from datetime import datetime, timezone

from ..base.errors import ConfigError
from ..base.units import parse_duration, parse_size
from .check import explanation, problems_of_type, read_object, receiver_problems, refuse
from .partial import without_mistakes
from .sink_spec import NEEDED_BY_SINK, SEARCH, SINK, SINK_PROBLEMS
from .stream_files import own_files_problems
from .stream_spec import FOLLOW, STREAM
from .transform_check import transform_problems

if t.TYPE_CHECKING:
    from .stream_document import StreamDocument

LEAST_LINE = 1024
MOST_LINE = 64 << 20
HAVE_STATISTICS = ("sftpgo", "cloudtrail", "vpc_flow", "route53_resolver", "route53_public")
"""Profiles that have statistics."""
TIME_FIELDS = {
    "client_events": "timestamp",
    "cloudtrail": "eventTime",
    "vpc_flow": "start",
    "route53_resolver": "query_timestamp",
    "route53_public": "query_timestamp",
}
"""By profile: the field that contains the time."""
LEAST_POLL = 0.05
LEAST_PAGE = 1.0
"""Seconds between two pages."""
MOST_PAUSE = 86400.0
"""Seconds between two looks or two pages: a stream with more looks as if it did not work."""
SAMPLE = datetime(2026, 1, 12, 13, 14, 15, 16000, timezone.utc)
NO_GLOB = re.compile(r"%[YmHMSjyI]|\{[^{}]*,[^{}]*\}")
"""What is no part of a glob: codes of strftime (but not %d, which can be a byte in a name), and alternatives of a shell."""


def normalise_stream(document: t.Any, subject: t.Optional[str] = None) -> StreamDocument:
    """Check a stream document and return it with every option present: its default, or None, if it was not given.

    subject: the name of the document in messages. Raises ConfigError; its ``problems`` name every mistake as 'key: what is wrong'.
    """
    problems: t.List[str] = []
    normal = read_object(document, STREAM, "", problems)
    if normal and problems:
        rest: t.List[str] = []
        partial = read_object(without_mistakes(document, problems), STREAM, "", rest)
        problems += [] if rest else _further(problems, _problems(partial))
    elif normal:
        problems += _problems(normal)
    refuse(problems, "stream document", subject)
    return t.cast("StreamDocument", normal)


def _further(problems: t.Sequence[str], found: t.Iterable[str]) -> t.List[str]:
    """Those that were found in addition. An option with a mistake was left out, and it, or the list that it is in, is not missing."""
    wrong = {problem.partition(":")[0] for problem in problems}
    lists = {option.partition("[")[0] for option in wrong if option.endswith("]")}
    further = []
    for problem in found:
        option, _colon, text = problem.partition(":")
        if option not in wrong and not (option in lists and text.startswith(" is missing")):
            further.append(problem)
    return further


def _problems(normal: t.Dict[str, t.Any]) -> t.List[str]:
    """Mistakes that show only when options are seen together, or that need more than the table."""
    parse = normal["parse"]
    parse["time_field"] = parse["time_field"] or TIME_FIELDS.get(parse["profile"], "time")
    parse["time_format"] = parse["time_format"] or ("unix" if parse["profile"] == "vpc_flow" else "iso")
    problems = _follow_problems(normal["follow"]) + _parse_problems(parse)
    if (parse["profile"] == "client_events") != bool(normal["client_ids"]):
        problems.append(
            "client_ids: the profile client_events requires it, and no other profile allows it; parse.profile is %s" % parse["profile"]
        )
    if normal["transform"]:
        problems += transform_problems(normal["transform"], parse)
    if normal["page"]:
        problems += _page_problems(normal["page"], normal["parse"], normal["sinks"])
    for index, target in enumerate(normal["notify"]):
        problems += receiver_problems(target, "notify[%d]." % index, normal["log"])
    names: t.List[str] = []
    for index, sink in enumerate(normal["sinks"]):
        where = "sinks[%d]" % index
        sink["name"] = sink["name"] or sink["type"]
        if sink["name"] in names:
            problems.append("%s.name: two sinks are named '%s'; give each sink a different name" % (where, sink["name"]))
        names.append(sink["name"])
        problems += problems_of_type(sink, SINK, NEEDED_BY_SINK, where + ".", "a sink")
        problems += ["%s.%s" % (where, problem) for problem in SINK_PROBLEMS[sink["type"]](sink)]
        if sink["columns"]:
            problems += _columns_problems(sink["columns"], normal["parse"]["profile"], where + ".columns")
    return problems + own_files_problems(normal)


def _columns_problems(columns: t.Mapping[str, str], profile: str, where: str) -> t.List[str]:
    from ..ingest.sinks.mapping import values_of

    known = values_of(profile)
    unknown = sorted({value for value in columns.values() if value not in known})
    return ["%s: there is no '%s' in the profile %s; use one of %s" % (where, name, profile, ", ".join(sorted(known))) for name in unknown]


def _follow_problems(follow: t.Mapping[str, t.Any]) -> t.List[str]:
    problems = _journal_problems(follow)
    for key in ("patterns", "rotated"):
        for index, pattern in enumerate(follow[key]):
            if not pattern or "/" in pattern:
                problems.append("follow.%s[%d]: must be the name of a file without '/', not %r" % (key, index, pattern))
                continue
            found = NO_GLOB.search(pattern)
            if found is not None:
                text = "follow.%s[%d]: %r is a glob, in which %r has no meaning; use '*', or one pattern for each name"
                problems.append(text % (key, index, pattern, found.group()))
    both = sorted(set(follow["patterns"]) & set(follow["rotated"]))
    if both:
        problems.append("follow.rotated: %r is also in patterns; a file name must match either live or rotated files" % both[0])
    poll = parse_duration(follow["poll"])
    if not LEAST_POLL <= poll <= MOST_PAUSE:
        problems.append("follow.poll: must be %s" % ("at least %ss" % LEAST_POLL if poll < LEAST_POLL else "at most 1d"))
    return problems


def _journal_problems(follow: t.Mapping[str, t.Any]) -> t.List[str]:
    if follow["journal"] is None:
        return [
            "follow.%s: is missing%s; or give follow.journal" % (key, explanation(FOLLOW[key]))
            for key in ("paths", "patterns")
            if not follow[key]
        ]
    problems = [
        "follow.%s: cannot be combined with journal" % key for key in ("paths", "patterns", "rotated", "recurse", "backups") if follow[key]
    ]
    for index, unit in enumerate(follow["journal"]["units"]):
        if not re.fullmatch(r"[A-Za-z0-9:_.@\\-]+", unit):
            problems.append("follow.journal.units[%d]: %r is not the name of a unit" % (index, unit))
    return problems


def _page_problems(page: t.Mapping[str, t.Any], parse: t.Mapping[str, t.Any], sinks: t.Sequence[t.Mapping[str, t.Any]]) -> t.List[str]:
    problems = []
    if sinks and sinks[0]["type"] in SEARCH:
        problems.append("page: it is made from the first sink, which is of type %s; put an SQL sink first" % sinks[0]["type"])
    if sinks and sinks[0]["table"]:
        problems.append(
            "page: it is made from the first sink, which fills the table %s; put a sink without 'table' first" % sinks[0]["table"]
        )
    if parse["profile"] not in HAVE_STATISTICS:
        problems.append("page: the profile %s has no statistics; these have: %s" % (parse["profile"], ", ".join(HAVE_STATISTICS)))
    if os.path.basename(page["path"]) == "":
        problems.append("page.path: must be a file, not a folder")
    every = parse_duration(page["every"])
    if not LEAST_PAGE <= every <= MOST_PAUSE:
        problems.append("page.every: must be %s" % ("at least %ds" % LEAST_PAGE if every < LEAST_PAGE else "at most 1d"))
    return problems


def _parse_problems(parse: t.Mapping[str, t.Any]) -> t.List[str]:
    from ..base.periods import load_timezone

    problems = []
    try:
        load_timezone(parse["timezone"])
    except ConfigError as error:
        problems.append("parse.timezone: %s" % error)
    if parse["time_format"] not in ("iso", "unix", "unix_ms"):
        problems += _format_problems(parse["time_format"])
    if parse["fields"] and parse["profile"] != "vpc_flow":
        problems.append("parse.fields: is for the profile vpc_flow only; parse.profile is %s" % parse["profile"])
    if len(set(parse["fields"])) != len(parse["fields"]):
        problems.append("parse.fields: a field is named twice")
    if not LEAST_LINE <= parse_size(parse["max_line"]) <= MOST_LINE:
        problems.append("parse.max_line: must be from %d bytes to %d MiB" % (LEAST_LINE, MOST_LINE >> 20))
    return problems


def _format_problems(time_format: str) -> t.Iterator[str]:
    """A format with which no time can be read and stored."""
    if "%" not in time_format:
        yield "parse.time_format: must be iso, unix, unix_ms or contain strftime codes, not %r" % time_format
        return
    try:
        found = datetime.strptime(SAMPLE.strftime(time_format), time_format)
    except ValueError as error:
        yield "parse.time_format: %r cannot be used: %s" % (time_format, error)
    else:
        if found.year != SAMPLE.year:
            yield "parse.time_format: %r has no year, so no time can be stored; add one, such as %%Y" % time_format
