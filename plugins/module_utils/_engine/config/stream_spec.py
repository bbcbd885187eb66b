# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stream document, declared once, as ``spec`` declares the job document: the logs, how they are parsed, and the sinks."""

from __future__ import annotations

from .notify_spec import NOTIFY
from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec
from .sink_spec import SINK

JOURNAL: Spec = {
    "units": {
        "type": "list",
        "elements": "str",
        "required": True,
        "description": ["The units that write the entries, such as V(sftpgo) or V(sftpgo.service)."],
        "example": ["sftpgo"],
    },
    "lines": {
        "type": "str",
        "choices": ["message", "entry"],
        "default": "message",
        "description": [
            "What a line is: V(message), the message of an entry as the unit wrote it, for a unit that writes JSON; or V(entry), a JSON"
            " object with the fields C(time), C(level) and C(message) of the entry and all its other fields, for any unit with the profile"
            " V(generic).",
        ],
    },
    "directory": {
        "type": "path",
        "description": ["The folder of a journal, if it is not the journal of the host."],
    },
}

FOLLOW: Spec = {
    "journal": {
        "type": "dict",
        "options": JOURNAL,
        "description": [
            "Units to follow in the systemd journal, instead of files (O(paths) and O(patterns)). The position is a cursor of the journal."
            " Entries that the journal removed before they were read are reported as a gap. The user that follows must be in the group"
            " C(systemd-journal).",
        ],
    },
    "paths": {
        "type": "list",
        "elements": "path",
        "default": [],
        "description": ["The folders that contain the logs. The stream waits for folders that do not exist yet."],
        "example": ["/var/log/sftpgo"],
    },
    "patterns": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": ["The names of the live files, which the source writes to, as globs. Two live files can be in the same folder."],
        "example": ["sftpgo.log"],
    },
    "rotated": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "The names that these files get when they are rotated, as globs. The same names followed by C(.gz) match too.",
            "A file is recognised by its content. It can be renamed, moved and compressed, and no line is read twice.",
        ],
        "example": ["sftpgo-*.log"],
    },
    "recurse": {
        "type": "bool",
        "default": False,
        "description": [
            "Whether to also follow the subfolders of O(paths), including new ones. Their files are read from the beginning."
            " Symbolic links are never followed."
        ],
    },
    "backups": {
        "type": "int",
        "minimum": 1,
        "description": [
            "How many rotated files the source keeps of a live file (C(max_backups) of SFTPGo). If it is set, the status of the stream"
            " shows how many rotations are left before the source deletes lines that were not read."
        ],
        "example": 5,
    },
    "poll": {
        "type": "duration",
        "default": "1",
        "description": [
            "How often to look for new lines and files, at most V(1d). A file that is being written to is checked four times a second."
        ],
    },
}

PARSE: Spec = {
    "profile": {
        "type": "str",
        "choices": ["sftpgo", "client_events", "cloudtrail", "vpc_flow", "route53_resolver", "route53_public", "generic"],
        "default": "generic",
        "description": [
            "The format of the lines. V(sftpgo) is the log of an SFTPGo server: transfers, commands, logins, failed logins, HTTP requests"
            " and messages each get their own table. V(client_events) are events with C(timestamp), C(log_level) and C(thread), and in some"
            " events the id of a client (see O(client_ids)). V(cloudtrail) are records of AWS CloudTrail, one in each line or in files as"
            " CloudTrail delivers them. V(vpc_flow) are VPC flow logs, as text or as Parquet files (which needs the Python library"
            " C(pyarrow)). V(route53_resolver) are query logs of Route 53 Resolver, V(route53_public) those of public hosted zones."
            " V(generic) is any log with one JSON object per line.",
        ],
        "example": "sftpgo",
    },
    "time_field": {
        "type": "str",
        "description": [
            "The field that contains the time of a line. The default is V(timestamp) for V(client_events), V(eventTime) for V(cloudtrail),"
            " V(start) for V(vpc_flow), V(query_timestamp) for V(route53_resolver) and V(route53_public), and otherwise V(time)."
        ],
    },
    "time_format": {
        "type": "str",
        "description": [
            "The format of O(time_field): V(iso), such as V(2026-11-03T01:59:58.114) with or without an offset; V(unix) or V(unix_ms), a"
            " number of seconds or milliseconds since 1970; or strftime codes such as V(%d/%b/%Y:%H:%M:%S %z).",
            "The default is V(unix) for V(vpc_flow), and otherwise V(iso).",
        ],
    },
    "fields": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "For the profile V(vpc_flow), the fields of a flow log with a custom format, in the order of the log, such as V(srcaddr). Files"
            " from S3 do not need it, because their first line names the fields. Otherwise only the default format (version 2) is"
            " accepted.",
        ],
        "example": ["srcaddr", "dstaddr", "bytes", "start", "action"],
    },
    "timezone": {
        "type": "str",
        "default": "local",
        "description": [
            "The time zone of times without an offset, such as V(Europe/Paris). V(local) is the time zone of the host. In the hour that"
            " occurs twice when daylight saving time ends, such a time counts as the first of the two. The original text is stored too."
        ],
    },
    "new_fields": {
        "type": "str",
        "choices": ["keep", "reject"],
        "default": "keep",
        "description": [
            "Whether a line with a field that the profile does not know is stored with that field (V(keep)) or rejected (V(reject))."
        ],
    },
    "long_values": {
        "type": "str",
        "choices": ["reject", "truncate"],
        "default": "reject",
        "description": ["What to do with a value that is too long for its column: V(reject) the line, or V(truncate) the value."],
    },
    "max_line": {
        "type": "size",
        "default": "1M",
        "description": ["The maximum length of a line. A longer line is rejected, and only its beginning is stored."],
    },
}

TRANSFORM: Spec = {
    "rename": {
        "type": "map",
        "default": {},
        "description": ["New names of fields, by their names in the log. Renaming comes first, so the other options use the new names."],
        "example": {"user": "username"},
    },
    "keep": {
        "type": "list",
        "elements": "str",
        "description": [
            "The fields to store. All others are dropped. By default all fields are stored. The time is always stored. With the profile"
            " V(sftpgo) the list must have C(sender), which says which table a line belongs to.",
        ],
    },
    "encrypt": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "The fields that are stored as Fernet tokens, encrypted with the current key of O(keyring). Their columns must hold at"
            " least 100 characters.",
        ],
    },
    "keyring": {
        "type": "path",
        "description": ["The folder of Fernet keys for O(encrypt). Only its owner may have access to it."],
    },
}

CLIENT_IDS: Spec = {
    "keyring": {
        "type": "path",
        "required": True,
        "description": [
            "The folder of the keys, one for each month, such as C(2021_April.key). Only the user of the stream may have access to it. It"
            " must not be the keyring of archives. The key of a month is created when the first entry of that month is stored.",
        ],
        "example": "/var/lib/log-archive/client-keys",
    },
    "deterministic": {
        "type": "bool",
        "default": False,
        "description": [
            "Whether the same id always gets the same token within a month (AES-SIV), so that all entries of a client can be found. This"
            " also reveals which entries belong to the same client. By default each token is different (Fernet).",
        ],
    },
}

PAGE: Spec = {
    "path": {
        "type": "path",
        "required": True,
        "description": [
            "The HTML file to write. Every user can read it (mode 0644), so that a web server can serve it. Its folder must exist."
        ],
        "example": "/var/www/html/sftpgo.html",
    },
    "every": {
        "type": "duration",
        "default": "1m",
        "description": ["How often to write the page, at most V(1d). A browser reloads it at the same interval."],
    },
}

STREAM_NOTIFY: Spec = {
    **NOTIFY,
    "when": {
        **NOTIFY["when"],
        "choices": ["warning", "failure", "recovery"],
        "description": [
            "Which events to report: V(failure), a gap, a sink that is down for longer than O(notify_after), or a follower or ingest that"
            " failed; V(warning), rejected lines; V(recovery), a sink that works again after a report.",
            "The default is all of them for O(type=log), and otherwise V(failure) and V(recovery).",
        ],
    },
    "path": {
        **NOTIFY["path"],
        "description": [
            "With O(type=log), the log file. Several streams and jobs can share it.",
            "With O(type=textfile), the folder that the collector reads. Each stream writes a file C(log_archive-stream_STREAM.prom) there:"
            " C(follow) every minute, C(ingest) at its end.",
        ],
    },
}
"""Receivers of notifications about a stream: those of jobs."""

STREAM: Spec = {
    "name": {
        "type": "str",
        "required": True,
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the stream. It is stored with its positions in each sink."],
        "example": "sftpgo",
    },
    "host": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the host in the sinks. The default is its host name."],
    },
    "follow": {"type": "dict", "required": True, "options": FOLLOW, "description": ["Which files to follow."]},
    "parse": {"type": "dict", "default": {}, "options": PARSE, "description": ["How lines become records."]},
    "transform": {
        "type": "dict",
        "options": TRANSFORM,
        "description": ["How fields are changed before they are stored."],
    },
    "client_ids": {
        "type": "dict",
        "options": CLIENT_IDS,
        "description": [
            "How the ids of clients are encrypted before they are stored. It is required for the profile V(client_events), and only for it."
            " An entry with a key C(CLIENTID), C(CLIENT ID) or C(CLIENT_ID) is stored as an error, any other entry as data.",
        ],
    },
    "sinks": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": SINK,
        "description": ["Where the records go. Each sink has its own position, which it stores together with the records."],
        "example": [{"type": "sqlite", "path": "/var/lib/log-archive/sftpgo.sqlite"}],
    },
    "page": {
        "type": "dict",
        "options": PAGE,
        "description": [
            "A page with the statistics of the last seven days, from the first sink. C(log-archive follow) keeps it up to date. The profile"
            " must be V(sftpgo), V(cloudtrail), V(vpc_flow), V(route53_resolver) or V(route53_public)."
        ],
    },
    "notify": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": STREAM_NOTIFY,
        "description": [
            "The receivers of notifications about problems of the stream. A problem is reported once, and again only after it has ended."
            " Gaps and rejected lines are collected and reported at most once an hour.",
        ],
    },
    "notify_after": {
        "type": "duration",
        "default": "5m",
        "description": ["How long a sink of a running follower must be down before that is reported."],
    },
    "state": {
        "type": "path",
        "default": "/var/lib/log-archive",
        "description": ["The folder of the lock file, and of the records of what was reported and what was accepted."],
    },
    "log": {"type": "path", "description": ["The event log: a file to which one JSON line per event is appended."]},
}
