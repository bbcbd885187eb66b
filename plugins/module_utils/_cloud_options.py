# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules for CloudWatch, in the form of the engine's tables."""

from __future__ import annotations

from ._engine.config.aws_spec import DEFAULT_NAMESPACE, LOG_GROUP, LOG_GROUP_MEANS, NAMESPACE, NAMESPACE_MEANS
from ._engine.config.cloudtrail_spec import CLOUDTRAIL
from ._engine.config.option import Spec

CLOUDWATCH_LOGS: Spec = {
    "action": {
        "type": "str",
        "required": True,
        "choices": ["put", "filter", "query", "export", "retention"],
        "description": [
            "V(put) stores events in a stream of the log group. V(filter) reads events. V(query) runs a query of CloudWatch Logs Insights."
            " V(export) exports the events of a span of time to an S3 bucket. V(retention) sets how long the log group keeps its events.",
        ],
    },
    "log_group": {
        "type": "str",
        "required": True,
        "pattern": LOG_GROUP,
        "pattern_means": LOG_GROUP_MEANS,
        "description": ["The log group. It must exist."],
    },
    "log_stream": {
        "type": "str",
        "pattern": r"[^:*]{1,512}",
        "pattern_means": "1 to 512 characters without ':' and '*'",
        "description": ["With O(action=put), the stream. It is created if it does not exist."],
    },
    "events": {
        "type": "list",
        "elements": "dict",
        "options": {
            "text": {"type": "str", "required": True, "description": ["The text of the event, at most 1048550 bytes of UTF-8."]},
            "time": {
                "type": "str",
                "description": [
                    "The time of the event, such as V(2024-01-12T13:00:05Z). The default is now. CloudWatch Logs rejects an event that is"
                    " older than 14 days or than the retention of the log group, or more than 2 hours in the future.",
                ],
            },
        },
        "description": ["With O(action=put), the events, in any order."],
    },
    "pattern": {
        "type": "str",
        "default": "",
        "description": [
            "With O(action=filter), a filter pattern of CloudWatch Logs, such as V(?ERROR ?WARN). By default all events match."
        ],
    },
    "query": {
        "type": "str",
        "description": ["With O(action=query), the query, such as V(fields @timestamp, @message | sort @timestamp desc)."],
    },
    "start": {
        "type": "str",
        "description": [
            "With O(action=filter), O(action=query) and O(action=export), the beginning of the span of time, such as"
            " V(2024-01-12T13:00Z). The default offset is UTC.",
        ],
    },
    "end": {
        "type": "str",
        "description": [
            "The end of the span of time (exclusive), in the format of O(start). The default is now. Required with O(action=export)."
        ],
    },
    "limit": {
        "type": "int",
        "default": 10000,
        "minimum": 1,
        "maximum": 10000,
        "description": ["With O(action=filter) and O(action=query), the maximum number of rows. RV(cut) is V(true) if there may be more."],
    },
    "bucket": {
        "type": "str",
        "description": [
            "With O(action=export), the bucket. It must be in the region of the log group, and its policy must allow CloudWatch Logs to"
            " write to it.",
        ],
    },
    "prefix": {
        "type": "str",
        "default": "exportedlogs",
        "description": ["With O(action=export), the prefix of the keys in the bucket."],
    },
    "days": {
        "type": "int",
        "description": [
            "With O(action=retention), how many days the log group keeps its events: V(1), V(3), V(5), V(7), V(14), V(30), V(60), V(90),"
            " V(120), V(150), V(180), V(365), V(400), V(545), V(731), V(1096), V(1827), V(2192), V(2557), V(2922), V(3288) or V(3653);"
            " V(0) keeps them forever.",
        ],
    },
    "wait": {
        "type": "duration",
        "default": "10m",
        "description": [
            "With O(action=filter), O(action=query) and O(action=export), how long the module waits before it fails. An export then"
            " continues at AWS; a query is stopped.",
        ],
    },
}
"""The options of the module cloudwatch_logs, in addition to those of ``AWS``."""

CLOUDWATCH_MONITORING: Spec = {
    "state": {
        "type": "str",
        "choices": ["present", "absent"],
        "default": "present",
        "description": [
            "V(absent) removes the alarms, metric filters and the dashboard. Log groups, their retention and their events stay.",
        ],
    },
    "name": {
        "type": "str",
        "default": "log-archive",
        "pattern": r"[A-Za-z0-9_-]{1,60}",
        "pattern_means": "1 to 60 letters, digits, '-' and '_'",
        "description": ["The name of the dashboard, and the beginning of the names of alarms and filters."],
    },
    "namespace": {
        "type": "str",
        "default": DEFAULT_NAMESPACE,
        "pattern": NAMESPACE,
        "pattern_means": NAMESPACE_MEANS,
        "description": ["The namespace of the metrics, as in C(notify) of the jobs."],
    },
    "run_log_group": {
        "type": "str",
        "pattern": LOG_GROUP,
        "pattern_means": LOG_GROUP_MEANS,
        "description": ["The log group for the records of runs (C(log_group) in C(notify) of the jobs). It is created if it is missing."],
    },
    "trail_log_group": {
        "type": "str",
        "pattern": LOG_GROUP,
        "pattern_means": LOG_GROUP_MEANS,
        "description": [
            "The log group that CloudTrail sends its events to. It must exist. If it is set, there are metric filters and alarms for use of"
            " the root user, denied calls, sign-in without MFA, and changes of CloudTrail itself.",
        ],
    },
    "retention": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "log_group": {
                "type": "str",
                "required": True,
                "pattern": LOG_GROUP,
                "pattern_means": LOG_GROUP_MEANS,
                "description": ["The log group."],
            },
            "days": {
                "type": "int",
                "required": True,
                "description": [
                    "How many days the log group keeps its events. M(infra_ops.log_archive.cloudwatch_logs) lists the values that AWS"
                    " accepts. V(0) keeps events forever.",
                ],
            },
        },
        "description": ["The retention of log groups, for example of logs that are archived elsewhere. Other log groups are not changed."],
    },
    "jobs": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "host": {"type": "str", "required": True, "description": ["The name of the host, as in its archives."]},
            "job": {"type": "str", "required": True, "description": ["The name of the job."]},
            "hours": {
                "type": "int",
                "default": 26,
                "minimum": 1,
                "maximum": 168,
                "description": ["The alarm fires after this many hours without a successful run. The default is for a nightly job."],
            },
        },
        "description": [
            "The jobs to monitor. Each gets an alarm for a missing run, and an alarm for archives of an unusual size (more than two"
            " standard deviations from the size that CloudWatch predicts for a day).",
        ],
    },
    "actions": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": ["The ARNs, for example of SNS topics, that an alarm notifies when it starts and when it ends. At most 5."],
    },
    "dashboard": {"type": "bool", "default": True, "description": ["Whether to create a dashboard."]},
}
"""The options of the module cloudwatch_monitoring, in addition to those of ``AWS``."""

WANTED_EVENTS: Spec = {
    "since": {"type": "str", "description": ["Only events from this time on, such as V(2026-11-03T02:00Z). The default offset is UTC."]},
    "until": {"type": "str", "description": ["Only events before this time, in the format of O(since)."]},
    "service": {"type": "str", "default": "", "description": ["Only events of this service, such as V(s3) or V(s3.amazonaws.com)."]},
    "action": {"type": "str", "default": "", "description": ["Only events with this action, such as V(Delete*)."]},
    "region": {"type": "str", "default": "", "description": ["Only events in this region."]},
    "principal": {
        "type": "str",
        "default": "",
        "description": ["Only events of this principal: its ARN or id, or the last part of its ARN, such as V(alice)."],
    },
    "ip": {"type": "str", "default": "", "description": ["Only events from this address, or network such as V(198.51.100.0/24)."]},
    "response": {"type": "str", "default": "", "description": ["Only events with this text in the response or in the error."]},
    "event_id": {"type": "str", "default": "", "description": ["Only the event with this id."]},
    "errors": {"type": "bool", "default": False, "description": ["Only events with an error."]},
    "denied": {"type": "bool", "default": False, "description": ["Only calls that a policy refused."]},
    "root": {"type": "bool", "default": False, "description": ["Only use of the root user."]},
    "classes": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": ["management", "data", "insight", "network"],
        "description": ["Only events of these classes. By default all classes."],
    },
    "calls": {
        "type": "list",
        "elements": "str",
        "default": [],
        "choices": ["api_call", "service_event", "console_action", "sign_in", "insight", "vpc_endpoint"],
        "description": [
            "Only events of these types, such as requests (V(api_call)) or sign-ins to the console (V(sign_in)). By default all types."
        ],
    },
}

CLOUDTRAIL_EVENTS: Spec = {
    "bucket": {
        "type": "str",
        "description": ["The S3 bucket to which the trail delivers. Without it, O(paths) or O(history) is required."],
        "example": "example-trail",
    },
    **{name: CLOUDTRAIL[name] for name in ("prefix", "organization", "accounts")},
    "regions": {
        **CLOUDTRAIL["regions"],
        "description": [
            "The regions to read. By default all regions that have files in O(bucket), and with O(history) the region of the credentials.",
        ],
    },
    "history": {
        "type": "bool",
        "default": False,
        "description": [
            "Read the event history of CloudTrail, which has the management and insight events of the last 90 days and needs no trail. The"
            " service allows two requests per second, each for at most 50 events.",
        ],
    },
    "paths": {
        "type": "list",
        "elements": "path",
        "default": [],
        "description": [
            "Log files, or folders with log files, on the host that runs the module, such as those that"
            " M(infra_ops.log_archive.archive_restore) has restored from archives.",
        ],
    },
    "filter": {
        "type": "dict",
        "default": {},
        "options": WANTED_EVENTS,
        "description": [
            "Return only events that match all of these conditions. Texts are globs. Without C(since), O(bucket) and O(history) are read"
            " for the last day. An event without a valid time matches any time.",
        ],
    },
    "limit": {
        "type": "int",
        "default": 1000,
        "minimum": 1,
        "maximum": 100000,
        "description": ["The maximum number of events to return. RV(more) is V(true) if there are more."],
    },
}
