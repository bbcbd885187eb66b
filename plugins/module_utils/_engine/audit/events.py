# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of CloudTrail: the fields that an auditor asks for, and which events are wanted."""

from __future__ import annotations

import fnmatch
import json
import re
import typing as t
from datetime import datetime

from ..base.errors import UsageError
from ..base.named_tuple import NamedTuple
from ..base.units import UTC, format_utc
from .record import CALLS, CLASSES, call_of, class_of, is_denied, is_root, principal_of, source_of

if t.TYPE_CHECKING:
    from .record import Record

CLASS_NAMES = tuple(CLASSES.values())
CALL_NAMES = tuple(CALLS.values())
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", re.ASCII)


class Event(NamedTuple):
    """One event. Texts are "" if the record has none; what is not text there is shown as JSON.

    time: as the record has it, such as 2026-11-03T02:00:00Z; moment: the same, None if it is no time. response: what the service answered
    (``responseElements``); error_code, error_message: if it refused. event_class, call_type: see ``record``. record: all of it.
    """

    time: str
    moment: t.Optional[datetime]
    service: str
    action: str
    region: str
    principal: str
    ip: str
    response: t.Any
    error_code: str
    error_message: str
    event_id: str
    event_class: str
    call_type: str
    denied: bool
    root: bool
    record: Record


class EventRow(t.TypedDict):
    """An event as JSON. See ``Event``."""

    time: str
    service: str
    action: str
    region: str
    principal: str
    ip: str
    response: t.Any
    error_code: str
    error_message: str
    event_id: str
    event_class: str
    call_type: str
    denied: bool
    root: bool


def event_of(record: Record) -> Event:
    """The event of a record, whatever its fields are."""
    time = _text(record.get("eventTime"))
    return Event(
        time,
        _moment(time),
        _text(source_of(record, "eventSource")),
        _text(source_of(record, "eventName")),
        _text(record.get("awsRegion")),
        principal_of(record) or "",
        _text(record.get("sourceIPAddress")),
        record.get("responseElements"),
        _text(record.get("errorCode")),
        _text(record.get("errorMessage")),
        _text(record.get("eventID")),
        class_of(record),
        call_of(record) or "",
        is_denied(record),
        is_root(record),
        record,
    )


def row_of(event: Event) -> EventRow:
    """The event as JSON."""
    fields = dict(event._asdict())
    del fields["moment"], fields["record"]
    return t.cast(EventRow, fields)


def problems_of(event: Event) -> t.List[str]:
    """What is missing in a record, or is not text, for people."""
    found = [] if event.moment is not None else ["it has no eventTime" if not event.time else "its eventTime is not a time in UTC"]
    for name in ("eventID", "eventSource", "eventName", "awsRegion", "sourceIPAddress", "errorCode", "eventType"):
        value = event.record.get(name)
        if value is not None and not isinstance(value, str):
            found.append("%s is not a text" % name)
    if not event.event_id:
        found.append("it has no eventID")
    identity = event.record.get("userIdentity")
    if identity is not None and not isinstance(identity, dict):
        found.append("userIdentity is not an object")
    return found


class Wanted(NamedTuple):
    """Which events are wanted: those that have all of it. Texts are globs, "" is any.

    since, until: aware; the second one itself is not wanted. service: with or without ``.amazonaws.com``. principal: its ARN or id, or the
    last part of its ARN. ip: a glob or a network (``198.51.100.0/24``). response: a text that is a part of the response or of the error.
    errors: only with an error; denied: only refused by a policy; root: only use of the root user. classes, calls: () is any.
    """

    since: t.Optional[datetime] = None
    until: t.Optional[datetime] = None
    service: str = ""
    action: str = ""
    region: str = ""
    principal: str = ""
    ip: str = ""
    response: str = ""
    event_id: str = ""
    errors: bool = False
    denied: bool = False
    root: bool = False
    classes: t.Sequence[str] = ()
    calls: t.Sequence[str] = ()


def check(wanted: Wanted) -> None:
    """Raise UsageError for a wish that no event can meet."""
    if wanted.since is not None and wanted.until is not None and wanted.until < wanted.since:
        problem = "the end (%s) is before the start (%s)" % (format_utc(wanted.until), format_utc(wanted.since))
        raise UsageError(problem, "until")
    if "/" in wanted.ip:
        _network(wanted.ip)
    for name, given, known in (("class", wanted.classes, CLASS_NAMES), ("type", wanted.calls, CALL_NAMES)):
        wrong = [each for each in given if each not in known]
        if wrong:
            raise UsageError("there is no %s '%s'" % (name, wrong[0]), hint="Use one of %s" % ", ".join(known))


def matcher(wanted: Wanted) -> t.Callable[[Event], bool]:
    """The function that decides whether an event is wanted. An event without a time is wanted at any time: it must not be lost."""
    tests: t.List[t.Callable[[Event], bool]] = []

    def add(glob: str, value: t.Callable[[Event], t.Iterable[str]]) -> None:
        if glob:
            matches = re.compile(fnmatch.translate(glob)).match
            tests.append(lambda event: any(matches(each) for each in value(event)))

    since, until = wanted.since, wanted.until
    if since is not None:
        tests.append(lambda event: event.moment is None or event.moment >= since)
    if until is not None:
        tests.append(lambda event: event.moment is None or event.moment < until)
    add(wanted.service, lambda event: (event.service, event.service.partition(".")[0]))
    add(wanted.action, lambda event: (event.action,))
    add(wanted.region, lambda event: (event.region,))
    add(wanted.principal, lambda event: (event.principal, event.principal.rpartition("/")[2]))
    add(wanted.event_id, lambda event: (event.event_id,))
    if "/" in wanted.ip:
        network = _network(wanted.ip)
        tests.append(lambda event: _is_in(event.ip, network))
    else:
        add(wanted.ip, lambda event: (event.ip,))
    if wanted.response:
        tests.append(lambda event: any(wanted.response in each for each in (event.error_code, event.error_message, response_text(event))))
    if wanted.errors:
        tests.append(lambda event: bool(event.error_code or event.error_message))
    if wanted.denied:
        tests.append(lambda event: event.denied)
    if wanted.root:
        tests.append(lambda event: event.root)
    if wanted.classes:
        tests.append(lambda event: event.event_class in wanted.classes)
    if wanted.calls:
        tests.append(lambda event: event.call_type in wanted.calls)
    return lambda event: all(test(event) for test in tests)


def response_text(event: Event) -> str:
    """The response as a text: "" if there is none."""
    return "" if event.response is None else _text(event.response)


def _network(text: str) -> t.Any:
    import ipaddress

    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError("'%s' is not a network" % text, "ip", "Write it as 198.51.100.0/24") from None


def _is_in(text: str, network: t.Any) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        # The name of a service.
        return False


def _text(value: t.Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _moment(text: str) -> t.Optional[datetime]:
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
