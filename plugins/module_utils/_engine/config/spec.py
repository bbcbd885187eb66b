# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job document, declared once: its options, types, defaults and meaning.

The modules' argument specs and documentation, the command's checks and its commented template are all made from these tables;
``option`` explains what an option holds. The options of stores and notifications are in ``store_spec`` and ``notify_spec``.
"""

from __future__ import annotations

from ..base.protected import SETTINGS
from .cloudtrail_spec import CLOUDTRAIL, VPC_FLOW
from .encryption_spec import ENCRYPTION
from .notify_spec import NOTIFY
from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec
from .store_spec import STORE

DEFAULT_CONFIG = SETTINGS + "/jobs.d"
DEFAULT_STREAMS = SETTINGS + "/streams.d"

SELECTION: Spec = {
    "paths": {
        "type": "list",
        "elements": "path",
        "required": True,
        "description": ["Folders that contain logs, or single files."],
        "example": ["/var/log/events"],
    },
    "patterns": {
        "type": "list",
        "elements": "str",
        "file_names": True,
        "default": ["*"],
        "description": [
            "File names to match, as globs with strftime codes. For example, C(syslog.%Y%m%d.%H) matches the log of one hour.",
            "A pattern that contains C(/) is matched against the path below the folder.",
        ],
        "example": ["syslog.%Y%m%d.%H"],
    },
    "use_regex": {
        "type": "bool",
        "default": False,
        "description": ["Whether O(patterns) and O(exclude) are regular expressions (with strftime codes) instead of globs."],
    },
    "exclude": {
        "type": "list",
        "elements": "str",
        "file_names": True,
        "default": [],
        "description": ["File names to skip, written as in O(patterns)."],
        "example": ["*.tmp"],
    },
    "recurse": {
        "type": "bool",
        "default": False,
        "description": ["Whether to search the subfolders of O(paths). Symbolic links are never followed."],
    },
    "period": {
        "type": "str",
        "choices": ["hour", "day", "week", "month", "none"],
        "default": "none",
        "description": [
            "The span of time that one log covers. It is taken from the file name, or from the modification time if the name contains no"
            " time.",
            "With V(none) every matching file is selected. Weeks are ISO weeks, which begin on Monday.",
        ],
        "example": "hour",
    },
    "offset": {
        "type": "int",
        "default": -1,
        "maximum": 0,
        "description": ["Which period to select, relative to the current one: V(-1) is the last complete period, V(0) the current one."],
    },
    "timezone": {
        "type": "str",
        "default": "UTC",
        "description": ["The time zone of the times in file names, such as V(Europe/Paris). V(local) is the time zone of the host."],
    },
    "catch_up": {
        "type": "duration",
        "default": "0",
        "description": [
            "How far back from the period of O(offset) to look for missed periods, such as V(7d).",
            "A job always looks back at least to its last successful run, and to the oldest log that was not ready then."
            " A run that cannot read a log is not successful.",
        ],
        "example": "7d",
    },
    "modified": {
        "type": "str",
        "description": ["Select only files modified V(today) (in O(timezone)), or within a duration such as V(36h)."],
    },
    "quiet": {
        "type": "duration",
        "default": "0",
        "description": ["Select only files that have not been modified for this long, such as V(30s)."],
    },
    "require_closed": {
        "type": "bool",
        "default": False,
        "description": [
            "Whether to select only files that no process has open for writing.",
            "This requires Linux and permission to inspect all processes (root or C(CAP_SYS_PTRACE)).",
        ],
    },
    "min_size": {"type": "size", "description": ["Select only files of at least this size, such as V(1) or V(10K)."]},
    "max_size": {"type": "size", "description": ["Select only files of at most this size, such as V(10G)."]},
    "must_exist": {
        "type": "bool",
        "default": False,
        "description": ["Whether a run fails if an expected period has no file, or if no file matches."],
    },
}

ARCHIVE: Spec = {
    "group": {
        "type": "str",
        "choices": ["file", "period", "run"],
        "default": "file",
        "example": "file",
        "description": ["Whether to make one archive per file (V(file)), per period (V(period)), or per run (V(run))."],
    },
    "name": {
        "type": "str",
        "description": [
            "The name of an archive without its suffix. C({stem}) is replaced by the file name of the source, C({host}) by the name of the"
            " host, C({job}) by the name of the job, and strftime codes such as C(%Y%d%m) by the start of the period, in the time zone of"
            " the selection.",
            "The default is C({stem}) with one archive per file, and otherwise C({job}) followed by the time.",
        ],
    },
    "suffix": {
        "type": "str",
        "pattern": r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,39}",
        "pattern_means": "a '.' followed by letters, digits, '.', '_' and '-'",
        "description": [
            "The end of the name of an archive, such as V(.tar.gz.encrypted).",
            "The default is V(.tgz.fernet), or V(.tgz) without encryption.",
        ],
    },
    "changed": {
        "type": "str",
        "choices": ["keep", "refuse"],
        "default": "keep",
        "description": [
            "What to do with a source that changed during each of three attempts to read it: V(keep) archives the content of the last"
            " attempt and reports a warning, V(refuse) reports an error.",
        ],
    },
}

WEB: Spec = {
    "url": {
        "type": "str",
        "required": True,
        "secret_query": True,
        "description": ["The URL of the zip file, beginning with C(https://). It is shown without its query, which may be secret."],
        "example": "https://intranet.example.com:8000/export.zip",
    },
    "member": {
        "type": "str",
        "description": ["The file in the zip to archive, such as V(dump.sql). By default all files in the zip are archived together."],
    },
    "modified": {
        "type": "str",
        "choices": ["any", "today"],
        "default": "any",
        "description": ["V(today) accepts only files with a modification date of today in O(timezone)."],
    },
    "timezone": {
        "type": "str",
        "default": "local",
        "description": [
            "The time zone of the times in the zip file, such as V(Europe/Paris). V(local) is the time zone of the host.",
            "If the zip file contains the exact time of a file (in the extra field UT or NTFS), that time is used.",
        ],
    },
    "absent": {
        "type": "str",
        "choices": ["warning", "error"],
        "default": "warning",
        "description": [
            "Whether to report a warning or an error if the file is not in the zip, or is not from today. In either case nothing new is"
            " archived, but archives that wait in the spool are sent, and stores are pruned.",
        ],
    },
    "ca_bundle": {"type": "path", "description": ["A file of CA certificates to trust instead of the system's."]},
    "client_certificate": {"type": "path", "description": ["The client certificate for the server, with its chain, in PEM format."]},
    "client_key": {
        "type": "path",
        "description": ["The private key of O(client_certificate), in PEM format without a passphrase, if it is in a separate file."],
    },
    "user": {"type": "str", "description": ["The user name for HTTP basic authentication."]},
    "password": {"type": "str", "secret": True, "description": ["The password of O(user)."]},
    "token": {"type": "str", "secret": True, "description": ["A token to send in the header O(token_header)."]},
    "token_header": {
        "type": "str",
        "default": "Authorization",
        "description": ["The header that contains O(token). With V(Authorization) the token is sent as C(Bearer TOKEN)."],
    },
    "proxy": {
        "type": "str",
        "secret": True,
        "description": ["The URL of a proxy, with user and password if it needs them. Proxies from the environment are not used."],
    },
    "timeout": {"type": "duration", "default": "60", "description": ["How long to wait for data from the server."]},
    "attempts": STORE["attempts"],
    "retry_delay": STORE["retry_delay"],
    "max_duration": {
        "type": "duration",
        "default": "2h",
        "description": ["How long the whole download may take, all attempts included."],
    },
    "min_rate": {
        "type": "size",
        "default": "1K",
        "description": ["The minimum speed per second. If the server is slower for longer than O(timeout), the attempt fails."],
    },
    "min_size": {"type": "size", "description": ["The minimum size of the zip file."]},
    "max_size": {"type": "size", "default": "10G", "description": ["The maximum size of the zip file."]},
    "max_unpacked": {"type": "size", "default": "100G", "description": ["The maximum total size of the extracted files."]},
    "max_ratio": {
        "type": "float",
        "default": 1000,
        "description": ["The maximum expansion ratio of a file in the zip."],
    },
    "max_members": {"type": "int", "default": 100_000, "minimum": 1, "description": ["The maximum number of entries in the zip file."]},
}

RETENTION: Spec = {
    "keep_last": {"type": "int", "minimum": -1, "description": ["Keep the newest N archives. V(-1) keeps all."]},
}
_SPANS = {"hourly": "hour", "daily": "day", "weekly": "ISO week", "monthly": "month", "yearly": "year"}
for _rule, _span in _SPANS.items():
    RETENTION["keep_" + _rule] = {
        "type": "int",
        "minimum": -1,
        "description": ["Keep the last archive of each of the newest N %ss that have archives. V(-1) means all of them." % _span],
    }
RETENTION["keep_within"] = {
    "type": "str",
    "description": ["Keep all archives within this duration before the newest archive, such as V(2y5m7d3h) (years, months, days, hours)."],
}
for _rule, _span in _SPANS.items():
    RETENTION["keep_within_" + _rule] = {
        "type": "str",
        "description": ["Keep the last archive of each %s within this duration before the newest archive, such as V(1y6m)." % _span],
    }
RETENTION["keep_within"]["example"] = "31d"
RETENTION.update(
    {
        "min_keep": {
            "type": "int",
            "default": 1,
            "minimum": 1,
            "description": ["The minimum number of archives to keep of each host and job."],
        },
        "max_delete_share": {
            "type": "float",
            "default": 0.5,
            "description": [
                "The maximum share of the archives of a host and job to delete in one run. If a plan exceeds it, nothing of that host and"
                " job is deleted. Up to three deletions are always allowed.",
                "Set it to V(1) for the first run of a new policy, after you have checked the plan of a dry run.",
            ],
        },
        "name_template": {
            "type": "str",
            "description": [
                "A template of file names with strftime codes, such as V(%Y%d%m.tgz). The policy then also applies to files of other tools"
                " that match it and are directly in the root of the store. Other files without a manifest are never deleted.",
                "In the policy of a job, such files count as older archives of that job.",
            ],
        },
    }
)

SCHEDULE: Spec = {
    "at": {
        "type": "str",
        "required": True,
        "description": [
            "When to run, in the time zone of the host: V(23:00 daily), V(02:30 sunday), V(03:00 on day 1), V(5 past each hour),"
            " V(every 15 minutes), V(every 6 hours), or five cron fields such as V(0 23 * * *).",
        ],
        "example": "5 past each hour",
    },
    "spread": {
        "type": "duration",
        "default": "5m",
        "description": [
            "The maximum delay after O(at). Each host has its own constant delay up to this maximum, so that the hosts do not all connect"
            " to a store at the same time.",
        ],
    },
}

JOB: Spec = {
    "name": {
        "type": "str",
        "required": True,
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the job. It is part of the keys in the stores and of the spool folder."],
        "example": "syslog",
    },
    "was": {
        "type": "list",
        "elements": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "default": [],
        "description": [
            "The earlier names of the job, if it was renamed. The job takes over their catalog entries, ledgers and archives. The archives"
            " keep their keys in the stores. They are pruned by the rules of this job and restored with it, and their logs are not archived"
            " again.",
            "Keep the names as long as a store has archives with them. No other job of the host may have or claim one of these names.",
        ],
    },
    "host": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the host in the keys of archives and in manifests. The default is its host name."],
    },
    "select": {
        "type": "dict",
        "options": SELECTION,
        "description": ["Which logs of this host to archive. Required without O(web), O(cloudtrail) and O(vpc_flow)."],
        "sample": True,
    },
    "web": {
        "type": "dict",
        "options": WEB,
        "instead_of": "select",
        "description": [
            "A zip file on a web server to archive instead of O(select), such as the nightly dump of a database. Each run fetches it."
        ],
    },
    "cloudtrail": {
        "type": "dict",
        "options": CLOUDTRAIL,
        "instead_of": "select",
        "description": [
            "A CloudTrail trail to archive instead of O(select): the log files of closed hours, unchanged, with their signed digests. The"
            " archives can be validated without the bucket. Each hour becomes one archive."
        ],
    },
    "vpc_flow": {
        "type": "dict",
        "options": VPC_FLOW,
        "instead_of": "select",
        "description": [
            "VPC flow logs in an S3 bucket to archive instead of O(select): the files of closed hours, unchanged. They may be text or"
            " Parquet, in folders with or without Hive-compatible names. Each hour becomes one archive."
        ],
    },
    "archive": {"type": "dict", "default": {}, "options": ARCHIVE, "description": ["How logs become archives."]},
    "encryption": {
        "type": "dict",
        "required": True,
        "options": ENCRYPTION,
        "shorthand": {"none": {"format": "none"}},
        "description": ["How archives are encrypted. In a document, V(none) is short for an object with the format V(none)."],
    },
    "stores": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "description": ["The stores to send archives to."],
        "options": dict(
            STORE,
            required={
                "type": "bool",
                "default": True,
                "description": [
                    "Whether a source may be deleted only after this store has verified its archive. At least one store of a job must be"
                    " required.",
                    "Archives wait in the spool for every store. O(max_backlog) limits how much waits for a store that is not required.",
                ],
            },
            max_backlog={
                "type": "size",
                "default": "1G",
                "description": [
                    "With O(required=false), the maximum size of the archives that wait in the spool only because this store does not have"
                    " them. If they exceed it, the run gives up the oldest archives and reports them: this store will never get them."
                ],
            },
            retention={
                "type": "dict",
                "options": RETENTION,
                "description": ["The retention policy for this store. It replaces the policy of the job."],
            },
            append_only={
                "type": "bool",
                "default": False,
                "description": [
                    "Whether this host only adds archives to the store and never prunes it, because the server or another host prunes it."
                ],
            },
        ),
        "example": [{"type": "file", "name": "local", "path": "/var/backups/log-archive"}],
    },
    "retention": {
        "type": "dict",
        "options": RETENTION,
        "description": [
            "The retention policy for all stores, with the semantics of C(restic forget). Without it nothing is pruned.",
            "For logs C(keep_within) is usually the right rule. The counting rules thin out: C(keep_daily) keeps only one hour per day of"
            " an hourly log.",
        ],
    },
    "prune": {
        "type": "str",
        "choices": ["after", "before"],
        "default": "after",
        "description": [
            "When a run applies O(retention): only after its uploads (V(after)), or also before the first upload to each store, as if the"
            " archives that wait for the store had arrived (V(before)). Use V(before) for a store that has no room for one more archive.",
            "In either case, if a store is full, the run applies the retention policy and tries the upload again.",
        ],
    },
    "fail_after_refusals": {
        "type": "int",
        "default": 7,
        "minimum": 1,
        "maximum": 30,
        "description": [
            "If C(max_delete_share) prevents pruning, the run reports a warning. If that happens in this many runs in a row, the run"
            " fails.",
        ],
    },
    "schedule": {
        "type": "dict",
        "options": SCHEDULE,
        "description": [
            "When the job runs unattended. The role C(schedule) creates a cron entry or a timer from it, and C(log-archive status)"
            " shows the next run. This option alone starts nothing.",
        ],
    },
    "notify": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": NOTIFY,
        "description": [
            "The receivers of notifications about runs. A failed notification is tried once more. If it fails again, the run reports a"
            " warning.",
        ],
    },
    "delete_sources": {
        "type": "bool",
        "default": False,
        "description": ["Whether to delete a source after every required store has verified its archive, unless it has changed since."],
    },
    "spool": {
        "type": "path",
        "default": "/var/spool/log-archive",
        "description": [
            "The folder in which finished archives wait until every required store has them.",
            "It must belong to the user that runs the job, and nobody else may be able to write to it. The same applies to O(state).",
        ],
    },
    "state": {
        "type": "path",
        "default": "/var/lib/log-archive",
        "description": ["The folder of the catalog and the locks."],
    },
    "log": {"type": "path", "description": ["The event log: a file to which one JSON line per event is appended."]},
}
