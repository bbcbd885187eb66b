# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a notification."""

from __future__ import annotations

from .option import Spec

NOTIFY: Spec = {
    "type": {
        "type": "str",
        "required": True,
        "choices": ["log", "mail", "chat", "textfile", "ping"],
        "description": [
            "V(log), a file; V(mail); V(chat), a message to Mattermost or another chat service; V(textfile), metrics for the textfile"
            " collector of Prometheus; V(ping), a call of a healthchecks-style URL at the start and at the end of each run.",
        ],
    },
    "when": {
        "type": "list",
        "elements": "str",
        "choices": ["always", "change", "warning", "failure", "recovery"],
        "types": ["log", "mail", "chat"],
        "description": [
            "After which runs: V(change), those that changed something; V(warning), those with warnings; V(failure), those with errors;"
            " V(recovery), the first without errors after one that had some.",
            "By default V(always) for O(type=log), else V(failure) and V(recovery).",
        ],
    },
    "path": {
        "type": "path",
        "types": ["log", "textfile"],
        "description": [
            "For O(type=log) the file; several jobs may share it.",
            "For O(type=textfile) the folder that the collector reads; each job has a file of its own there, C(log_archive_JOB.prom).",
        ],
    },
    "format": {
        "type": "str",
        "types": ["log"],
        "choices": ["json", "plain"],
        "default": "json",
        "description": ["V(json) writes the recap as one line of JSON, V(plain) as people read it."],
    },
    "max_size": {
        "type": "size",
        "types": ["log"],
        "default": "10M",
        "description": ["A log that would become larger is rotated: renamed to its name with C(.1), older ones counting up."],
    },
    "keep": {"type": "int", "types": ["log"], "default": 5, "minimum": 1, "description": ["How many rotated logs are kept."]},
    "to": {
        "type": "list",
        "elements": "str",
        "types": ["mail"],
        "description": ["The recipients' addresses. Without O(server) a name without C(@) is a user of this host."],
    },
    "from": {
        "type": "str",
        "types": ["mail"],
        "description": ["The sender's address. By default C(log-archive@) and the host's own name."],
    },
    "server": {
        "type": "str",
        "types": ["mail"],
        "description": ["The SMTP server. By default the host's own mail system: its program C(sendmail), else port 25 of C(localhost)."],
    },
    "port": {
        "type": "int",
        "types": ["mail"],
        "minimum": 1,
        "maximum": 65535,
        "description": ["Its port. By default 587 with V(starttls), 465 with V(tls) and 25 with V(none)."],
    },
    "tls": {
        "type": "str",
        "types": ["mail"],
        "choices": ["starttls", "tls", "none"],
        "description": ["How the connection to O(server) is encrypted. By default V(starttls). V(none) goes with no password."],
    },
    "user": {"type": "str", "types": ["mail"], "description": ["The account there, if the server wants a login."]},
    "password": {"type": "str", "types": ["mail"], "secret": True, "description": ["Its password."]},
    "ca_bundle": {
        "type": "path",
        "types": ["mail", "chat", "ping"],
        "description": ["A file of CA certificates to trust instead of the system's."],
    },
    "attach_log": {
        "type": "bool",
        "types": ["mail"],
        "default": False,
        "description": ["Whether the end of the job's event log (its option C(log)) is attached, compressed."],
    },
    "attach_limit": {
        "type": "size",
        "types": ["mail"],
        "default": "1M",
        "description": ["How large that may be, compressed."],
    },
    "url": {
        "type": "str",
        "types": ["chat", "ping"],
        "secret": True,
        "description": [
            "For O(type=chat) the incoming webhook of Mattermost, C(https://chat.example.com/hooks/...), or the Apprise URL of another"
            " service.",
            "For O(type=ping) the check's URL; C(/start) and C(/fail) are added to its path.",
        ],
    },
    "timeout": {
        "type": "duration",
        "types": ["mail", "chat", "ping"],
        "default": "30",
        "description": ["How long one attempt may take in all; there are two. The call of a V(ping) at the start takes 5 seconds at most."],
    },
}

NEEDED_BY_NOTIFY = {"log": ("path",), "mail": ("to",), "chat": ("url",), "textfile": ("path",), "ping": ("url",)}
