# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a notification."""

from __future__ import annotations

from .aws_spec import AWS, DEFAULT_NAMESPACE, LOG_GROUP, LOG_GROUP_MEANS, NAMESPACE, NAMESPACE_MEANS
from .option import Spec

NOTIFY: Spec = {
    "type": {
        "type": "str",
        "required": True,
        "choices": ["log", "mail", "chat", "textfile", "ping", "cloudwatch", "eventbridge"],
        "description": [
            "The type of the receiver: V(log), a log file; V(mail), an email; V(chat), a message to Mattermost or another chat service;"
            " V(textfile), metrics for the Prometheus textfile collector; V(ping), a request to a healthchecks-style URL at the start and"
            " at the end of each run; V(cloudwatch), metrics and a log event in Amazon CloudWatch after each run; V(eventbridge), an event"
            " on an Amazon EventBridge bus after each run.",
        ],
    },
    "when": {
        "type": "list",
        "elements": "str",
        "choices": ["always", "change", "warning", "failure", "recovery"],
        "types": ["log", "mail", "chat"],
        "description": [
            "Which runs to report: V(always), every run; V(change), runs that changed something; V(warning), runs with warnings;"
            " V(failure), runs with errors; V(recovery), the first run without errors after one with errors.",
            "The default is V(always) for O(type=log), and otherwise V(failure) and V(recovery).",
        ],
    },
    "path": {
        "type": "path",
        "types": ["log", "textfile"],
        "description": [
            "With O(type=log), the log file. Several jobs can share it.",
            "With O(type=textfile), the folder that the collector reads. Each job writes a file C(log_archive_JOB.prom) there.",
        ],
    },
    "format": {
        "type": "str",
        "types": ["log"],
        "choices": ["json", "plain"],
        "default": "json",
        "description": ["The format of the recap: V(json), one line of JSON, or V(plain), readable text."],
    },
    "max_size": {
        "type": "size",
        "types": ["log"],
        "default": "10M",
        "description": [
            "The maximum size of the log. A log that would exceed it is rotated: C(.1) is appended to its name, and the numbers of older"
            " logs increase."
        ],
    },
    "keep": {"type": "int", "types": ["log"], "default": 5, "minimum": 1, "description": ["The number of rotated logs to keep."]},
    "to": {
        "type": "list",
        "elements": "str",
        "types": ["mail"],
        "description": ["The addresses of the recipients. Without O(server), a name without C(@) is a user on this host."],
    },
    "from": {
        "type": "str",
        "types": ["mail"],
        "description": ["The address of the sender. The default is C(log-archive@) followed by the host name."],
    },
    "server": {
        "type": "str",
        "types": ["mail"],
        "description": [
            "The SMTP server. The default is the mail system of the host: the program C(sendmail), or port 25 of C(localhost)."
        ],
    },
    "port": {
        "type": "int",
        "types": ["mail"],
        "minimum": 1,
        "maximum": 65535,
        "description": [
            "The port of the SMTP server. The default is 587 with O(tls=starttls), 465 with O(tls=tls) and 25 with O(tls=none)."
        ],
    },
    "tls": {
        "type": "str",
        "types": ["mail"],
        "choices": ["starttls", "tls", "none"],
        "description": [
            "How to encrypt the connection to O(server). The default is V(starttls). V(none) cannot be combined with a password."
        ],
    },
    "user": {"type": "str", "types": ["mail"], "description": ["The user name on the SMTP server, if it requires authentication."]},
    "password": {"type": "str", "types": ["mail"], "secret": True, "description": ["The password of O(user)."]},
    "ca_bundle": {
        "type": "path",
        "types": ["mail", "chat", "ping", "cloudwatch", "eventbridge"],
        "description": ["A file of CA certificates to trust instead of the system's."],
    },
    "attach_log": {
        "type": "bool",
        "types": ["mail"],
        "default": False,
        "description": ["Whether to attach the end of the event log of the job (its option C(log)), compressed."],
    },
    "attach_limit": {
        "type": "size",
        "types": ["mail"],
        "default": "1M",
        "description": ["The maximum size of the compressed attachment."],
    },
    "url": {
        "type": "str",
        "types": ["chat", "ping"],
        "secret": True,
        "description": [
            "With O(type=chat), the URL of a Mattermost incoming webhook, C(https://chat.example.com/hooks/...), or the Apprise URL of"
            " another service.",
            "With O(type=ping), the URL of the check. C(/start) and C(/fail) are appended to its path.",
        ],
    },
    "log_group": {
        "type": "str",
        "types": ["cloudwatch"],
        "pattern": LOG_GROUP,
        "pattern_means": LOG_GROUP_MEANS,
        "description": [
            "The log group for the record of each run, in the log stream C(HOST/JOB). The group must exist; the stream is created. The"
            " metrics are embedded in the log event. Without a log group, only metrics are sent.",
        ],
    },
    "namespace": {
        "type": "str",
        "types": ["cloudwatch"],
        "default": DEFAULT_NAMESPACE,
        "pattern": NAMESPACE,
        "pattern_means": NAMESPACE_MEANS,
        "description": ["The namespace of the metrics."],
    },
    "event_bus": {
        "type": "str",
        "types": ["eventbridge"],
        "pattern": r"[A-Za-z0-9._/:-]{1,1600}",
        "pattern_means": "the name or the ARN of an event bus",
        "description": ["The name or the ARN of the event bus. The default is the default bus of the account."],
    },
    **{
        name: {**option, "types": ["cloudwatch", "eventbridge"]}
        for name, option in AWS.items()
        # The first two are options of other receivers, too. A notification has two attempts.
        if name not in ("ca_bundle", "timeout", "attempts", "retry_delay")
    },
    "timeout": {
        "type": "duration",
        "types": ["mail", "chat", "ping", "cloudwatch", "eventbridge"],
        "default": "30",
        "description": [
            "The time limit for both attempts together. With O(type=ping) it also covers the request at the start of the run, which gets at"
            " most 5 seconds and at most half of the limit. A receiver never delays a run for longer.",
        ],
    },
}

NEEDED_BY_NOTIFY = {
    "log": ("path",),
    "mail": ("to",),
    "chat": ("url",),
    "textfile": ("path",),
    "ping": ("url",),
    "cloudwatch": (),
    "eventbridge": (),
}
