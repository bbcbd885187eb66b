# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring CloudWatch to what ``monitoring`` wants: look, compare, and change what differs."""

from __future__ import annotations

import json
import typing as t

from ..base.aws import AwsError
from ..base.aws_service import Service
from ..base.errors import ConfigError
from . import logs, monitoring
from .monitoring import Body, Settings
from .trail_filters import FINDINGS

_NO_DASHBOARD = ("ResourceNotFound", "DashboardNotFoundError")


class Change(t.NamedTuple):
    """One resource that differs. kind: 'log group', 'retention', 'metric filter', 'alarm' or 'dashboard'.

    before, after: None if it does not exist. apply: makes the change.
    """

    kind: str
    name: str
    before: t.Optional[Body]
    after: t.Optional[Body]
    apply: t.Callable[[], t.Any]


def changes(settings: Settings, log_service: Service, service: Service, present: bool) -> t.List[Change]:
    """What differs, in the order in which it must be changed. Sends no request that changes anything. Raises AwsError, ConfigError.

    present: False removes filters, alarms and the dashboard. Log groups and their retention stay: they are evidence.
    """
    wanted = monitoring.wanted(settings, service.region) if present else monitoring.Wanted({}, {}, None)
    found = _groups(settings, log_service) if present else []
    found += _filters(settings, log_service, wanted.filters)
    found += _alarms(settings, service, wanted.alarms)
    return found + _dashboards(settings, service, wanted.dashboard)


def covers(current: t.Any, wanted: t.Any) -> bool:
    """Whether a resource has what is wanted. The service adds members of its own, such as ARNs and times."""
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(covers(current.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        # A list without items may be absent.
        items = current or []
        return len(items) == len(wanted) and all(map(covers, items, wanted))
    return bool(current == wanted)


def _groups(settings: Settings, service: Service) -> t.List[Change]:
    """The log group of runs, and the retention of all groups that have one in the settings."""
    found = []
    run_group = settings.run_log_group
    for name in sorted({*settings.retention, *filter(None, [run_group, settings.trail_log_group])}):
        group = logs.find_group(service, name)
        if group is None and name != run_group:
            raise ConfigError("there is no such log group", name, "Create it, or check the region; only run_log_group is created here")
        if group is None:
            found.append(Change("log group", name, None, {"logGroupName": name}, _call(service, "create_log_group", logGroupName=name)))
            group = logs.LogGroup(name, None, 0)
        days = settings.retention.get(name, group.retention)
        if days != group.retention:
            before, after = ({"days": value or "never expires"} for value in (group.retention, days))
            found.append(Change("retention", name, before, after, _retention(service, group, days)))
    return found


def _retention(service: Service, group: logs.LogGroup, days: t.Optional[int]) -> t.Callable[[], t.Any]:
    return lambda: logs.set_retention(service, group, days)


def _call(service: Service, operation: str, **arguments: t.Any) -> t.Callable[[], t.Any]:
    return lambda: service.call(operation, **arguments)


def _filters(settings: Settings, service: Service, wanted: t.Mapping[str, Body]) -> t.List[Change]:
    current: t.Dict[t.Tuple[str, str], Body] = {}
    for finding in FINDINGS:
        name = "%s-%s" % (settings.name, finding.name)
        listed = service.pages(
            "describe_metric_filters", "metricFilters", "nextToken", metricName=finding.metric, metricNamespace=settings.namespace
        )
        current.update({(each["logGroupName"], name): each for each in listed if each["filterName"] == name})
    keys = {(body["logGroupName"], name): body for name, body in wanted.items()}
    found = []
    for (group, name), body in keys.items():
        before = current.pop((group, name), None)
        if not covers(before, body):
            found.append(Change("metric filter", name, _like(before, body), body, _call(service, "put_metric_filter", **body)))
    for (group, name), before in current.items():
        removed = _call(service, "delete_metric_filter", logGroupName=group, filterName=name)
        found.append(Change("metric filter", name, before, None, removed))
    return found


def _alarms(settings: Settings, service: Service, wanted: t.Mapping[str, Body]) -> t.List[Change]:
    prefix, mark = settings.name + "-", monitoring.MARK % settings.name
    listed = service.pages("describe_alarms", "MetricAlarms", AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm"])
    current = {each["AlarmName"]: each for each in listed}
    found = []
    for name, body in wanted.items():
        before = current.pop(name, None)
        if before is not None and not str(before.get("AlarmDescription", "")).startswith(mark):
            hint = "Rename or delete that alarm, or choose another name"
            raise ConfigError("there is an alarm with this name that was not made by this module", name, hint)
        if not covers(before, body):
            found.append(Change("alarm", name, _like(before, body), body, _call(service, "put_metric_alarm", **body)))
    old = {name: each for name, each in current.items() if str(each.get("AlarmDescription", "")).startswith(mark)}
    for name, before in old.items():
        found.append(Change("alarm", name, _plain(before), None, _call(service, "delete_alarms", AlarmNames=[name])))
    return found


def _dashboards(settings: Settings, service: Service, wanted: t.Optional[Body]) -> t.List[Change]:
    name = settings.name
    before = _dashboard(service, name)
    if before == wanted:
        return []
    if wanted is None:
        removed = _call(service, "delete_dashboards", DashboardNames=[name])
        return [Change("dashboard", name, before, None, removed)]
    body = json.dumps(wanted, sort_keys=True)
    return [Change("dashboard", name, before, wanted, _call(service, "put_dashboard", DashboardName=name, DashboardBody=body))]


def _dashboard(service: Service, name: str) -> t.Optional[Body]:
    try:
        text = service.call("get_dashboard", DashboardName=name)["DashboardBody"]
    except AwsError as error:
        if error.code in _NO_DASHBOARD:
            return None
        raise
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"unreadable": text}


def _like(current: t.Optional[Body], wanted: Body) -> t.Optional[Body]:
    """Of a resource, what a diff compares."""
    return None if current is None else {name: current.get(name) for name in wanted}


def _plain(current: Body) -> Body:
    """An alarm without its state and times."""
    return {name: value for name, value in current.items() if isinstance(value, (str, int, float, list)) and "State" not in name}
