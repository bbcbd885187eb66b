# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job document, declared once: its options, types, defaults and meaning.

The modules' argument specs and documentation, the command's checks and its commented template are all made from these tables;
``option`` explains what an option holds. The options of stores and notifications are in ``store_spec`` and ``notify_spec``.
"""

from __future__ import annotations

from .notify_spec import NOTIFY
from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec
from .store_spec import STORE

DEFAULT_CONFIG = "/etc/log-archive/jobs.d"

SELECTION: Spec = {
    "paths": {
        "type": "list",
        "elements": "path",
        "required": True,
        "description": ["Folders in which to look for logs, or single files."],
        "example": ["/var/log/events"],
    },
    "patterns": {
        "type": "list",
        "elements": "str",
        "default": ["*"],
        "description": [
            "Names of the files, as globs with strftime codes: C(syslog.%Y%m%d.%H) is the log of one hour.",
            "A pattern with a C(/) is matched against the path below the folder.",
        ],
        "example": ["syslog.%Y%m%d.%H"],
    },
    "use_regex": {
        "type": "bool",
        "default": False,
        "description": ["Whether O(patterns) and O(exclude) are regular expressions (with strftime codes) and not globs."],
    },
    "exclude": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": ["Names of files to leave out, of the same kind as O(patterns)."],
        "example": ["*.tmp"],
    },
    "recurse": {
        "type": "bool",
        "default": False,
        "description": ["Whether to look in the folders below O(paths) too. Symbolic links are never followed."],
    },
    "period": {
        "type": "str",
        "choices": ["hour", "day", "week", "month", "none"],
        "default": "none",
        "description": [
            "The span of time whose logs are wanted. A file's span is told by its name, and by its modification time only where the name"
            " is silent.",
            "V(none) takes whatever matches. Weeks are ISO weeks and begin on Monday.",
        ],
        "example": "hour",
    },
    "offset": {
        "type": "int",
        "default": -1,
        "maximum": 0,
        "description": ["Which period, counted from now: V(-1) is the last one that has ended, V(0) the one that runs."],
    },
    "timezone": {
        "type": "str",
        "default": "UTC",
        "description": ["The time zone of the times in file names, as C(Europe/Paris); V(local) is the host's own."],
    },
    "catch_up": {
        "type": "duration",
        "default": "0",
        "description": [
            "How far back before that period missed ones count too, such as V(7d).",
            "A job goes back further by itself, to its last success.",
        ],
        "example": "7d",
    },
    "modified": {
        "type": "str",
        "description": ["Only files modified V(today) (in O(timezone)) or within a duration such as V(36h)."],
    },
    "quiet": {
        "type": "duration",
        "default": "0",
        "description": ["Only files that nobody has written to for so long, such as V(30s)."],
    },
    "require_closed": {
        "type": "bool",
        "default": False,
        "description": [
            "Only files that no process holds open for writing.",
            "Needs Linux, and the right to see all processes (root or C(CAP_SYS_PTRACE)).",
        ],
    },
    "min_size": {"type": "size", "description": ["Only files of at least this size, such as V(1) or V(10K)."]},
    "max_size": {"type": "size", "description": ["Only files of at most this size, such as V(10G)."]},
    "must_exist": {
        "type": "bool",
        "default": False,
        "description": ["Whether it is an error when an expected period has no file, or nothing matches at all."],
    },
}

ARCHIVE: Spec = {
    "group": {
        "type": "str",
        "choices": ["file", "period", "run"],
        "default": "file",
        "example": "file",
        "description": ["Make one archive per V(file), per V(period), or one of all that is selected (V(run))."],
    },
    "name": {
        "type": "str",
        "description": [
            "Name of an archive without its suffix. C({stem}) is the source's file name, C({host}) and C({job}) are known too, and strftime"
            " codes stand for the start of the period in the time zone of the selection, as in C(%Y%d%m).",
            "By default C({stem}) for one archive per file, else C({job}) and the time.",
        ],
    },
    "suffix": {
        "type": "str",
        "pattern": r"\.[A-Za-z0-9][A-Za-z0-9._-]{0,39}",
        "pattern_means": "a '.' followed by letters, digits, '.', '_' and '-'",
        "description": [
            "Ends the name of an archive, such as V(.tar.gz.encrypted). By default V(.tgz.fernet), and V(.tgz) where nothing is encrypted.",
        ],
    },
    "changed": {
        "type": "str",
        "choices": ["keep", "refuse"],
        "default": "keep",
        "description": [
            "What to do with a source that still changes when it has been read three times:"
            " V(keep) archives it as it was read and says so, V(refuse) makes it an error.",
        ],
    },
}

KEYRING: Spec = {
    "keyring": {
        "type": "path",
        "required": True,
        "description": ["The folder of Fernet keys (see M(infra_ops.log_archive.fernet_key)); only its owner may read it."],
        "example": "/etc/log-archive/keyring",
    },
}

ENCRYPTION: Spec = {
    "format": {
        "type": "str",
        "choices": ["fernet", "none"],
        "default": "fernet",
        "description": [
            "V(none) leaves the archives plain tgz, which whoever gets at a store can read, and whoever can write there can forge.",
        ],
    },
    "keyring": dict(KEYRING["keyring"], required=False, description=[*KEYRING["keyring"]["description"], "Needed with O(format=fernet)."]),
}

WEB: Spec = {
    "url": {
        "type": "str",
        "required": True,
        "description": ["Where the zip is, beginning with C(https://). Messages show it without its query."],
        "example": "https://intranet.example.com:8000/export.zip",
    },
    "member": {
        "type": "str",
        "description": ["The file in the zip that is archived, such as V(dump.sql). By default all files of the zip, in one archive."],
    },
    "modified": {
        "type": "str",
        "choices": ["any", "today"],
        "default": "any",
        "description": ["V(today) archives only what was modified today in O(timezone), by the zip, whose times carry no zone."],
    },
    "timezone": {
        "type": "str",
        "default": "local",
        "description": ["The time zone of the times in the zip, as C(Europe/Paris); V(local) is the host's own."],
    },
    "absent": {
        "type": "str",
        "choices": ["warning", "error"],
        "default": "warning",
        "description": [
            "What it is when the file is not in the zip or not of today. Nothing is archived then, but what waits is sent and stores are"
            " pruned.",
        ],
    },
    "ca_bundle": {"type": "path", "description": ["A file of CA certificates to trust instead of the system's."]},
    "client_certificate": {"type": "path", "description": ["The certificate that the server asks for, with its chain, as PEM."]},
    "client_key": {"type": "path", "description": ["Its private key, as PEM without a passphrase, if it is in a file of its own."]},
    "user": {"type": "str", "description": ["The user, where the server asks for a password."]},
    "password": {"type": "str", "secret": True, "description": ["The password of O(user)."]},
    "token": {"type": "str", "secret": True, "description": ["A token, sent in O(token_header)."]},
    "token_header": {
        "type": "str",
        "default": "Authorization",
        "description": ["The header that carries O(token); in V(Authorization) it follows the word C(Bearer)."],
    },
    "proxy": {
        "type": "str",
        "secret": True,
        "description": ["The URL of a proxy, with its user and password if it has any. The environment's proxies are not used."],
    },
    "timeout": {"type": "duration", "default": "60", "description": ["How long the server may be silent."]},
    "attempts": STORE["attempts"],
    "retry_delay": STORE["retry_delay"],
    "min_size": {"type": "size", "description": ["A zip that is smaller is refused."]},
    "max_size": {"type": "size", "default": "10G", "description": ["A zip that is larger is refused."]},
    "max_unpacked": {"type": "size", "default": "100G", "description": ["A zip that unpacks to more is refused."]},
    "max_ratio": {
        "type": "float",
        "default": 1000,
        "description": ["A zip with a file that becomes so many times as large as it is packed is refused."],
    },
    "max_members": {"type": "int", "default": 100_000, "minimum": 1, "description": ["A zip with more members is refused."]},
}

RETENTION: Spec = {}
for _unit in ("last", "hourly", "daily", "weekly", "monthly", "yearly"):
    RETENTION["keep_" + _unit] = {
        "type": "int",
        "minimum": -1,
        "description": [
            "Keep the newest N archives; V(-1) keeps all."
            if _unit == "last"
            else "Keep the last archive of each of the newest N %s that have one; V(-1) is every one."
            % {"hourly": "hours", "daily": "days", "weekly": "ISO weeks", "monthly": "months", "yearly": "years"}[_unit]
        ],
    }
for _unit in ("", "_hourly", "_daily", "_weekly", "_monthly", "_yearly"):
    RETENTION["keep_within" + _unit] = {
        "type": "str",
        "description": [
            "Keep %s within this long before the newest archive, such as V(2y5m7d3h) (years, months, days, hours)."
            % ("all archives" if not _unit else "what O(keep%s) would" % _unit)
        ],
    }
RETENTION["keep_within"]["example"] = "31d"
RETENTION.update(
    {
        "min_keep": {
            "type": "int",
            "default": 1,
            "minimum": 1,
            "description": ["Never leave fewer archives of a host and job than this."],
        },
        "max_delete_share": {
            "type": "float",
            "default": 0.5,
            "description": [
                "Delete nothing of a host and job where the plan would delete more than this share of its archives in one run"
                " (three removals always are allowed).",
                "Set V(1) for the first run of a new policy, once its plan has been read.",
            ],
        },
        "name_template": {
            "type": "str",
            "description": [
                "Also apply the policy to files directly in the store's root that another tool put there and whose name this template"
                " dates, such as V(%Y%d%m.tgz). Files without a manifest that do not match are never touched.",
                "In the policy of one job they count as its older archives.",
            ],
        },
    }
)

SCHEDULE: Spec = {
    "at": {
        "type": "str",
        "required": True,
        "description": [
            "The time, the host's own; V(23:00 daily), V(02:30 sunday), V(03:00 on day 1), V(5 past each hour), V(every 15 minutes),"
            " V(every 6 hours), or the five fields of cron such as V(0 23 * * *).",
        ],
        "example": "5 past each hour",
    },
    "spread": {
        "type": "duration",
        "default": "5m",
        "description": [
            "Hosts begin within this long after that time, each always at the same moment, so that not all of them meet at the store.",
        ],
    },
}

JOB: Spec = {
    "name": {
        "type": "str",
        "required": True,
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The job's name: part of each key in the stores, and of the spool folder."],
        "example": "syslog",
    },
    "host": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The host's name in keys and manifests. By default the host's own name."],
    },
    "select": {"type": "dict", "options": SELECTION, "description": ["Which logs of this host. Needed without O(web)."], "sample": True},
    "web": {
        "type": "dict",
        "options": WEB,
        "instead_of": "select",
        "description": ["Instead of O(select), a zip on a web server, such as the nightly dump of a database. It is fetched at each run."],
    },
    "archive": {"type": "dict", "default": {}, "options": ARCHIVE, "description": ["How they become archives."]},
    "encryption": {
        "type": "dict",
        "required": True,
        "options": ENCRYPTION,
        "shorthand": {"none": {"format": "none"}},
        "description": ["With which keys. In a document V(none) stands for an object whose format is V(none)."],
    },
    "stores": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "description": ["Where the archives go."],
        "options": dict(
            STORE,
            required={
                "type": "bool",
                "default": True,
                "description": ["Whether an archive waits in the spool until this store has it; else the store gets it when it can."],
            },
            retention={"type": "dict", "options": RETENTION, "description": ["What this store keeps, instead of what the job says."]},
            append_only={
                "type": "bool",
                "default": False,
                "description": ["Whether this host only adds to the store and never prunes there, because the store's own side does."],
            },
        ),
        "example": [{"type": "file", "name": "local", "path": "/var/backups/log-archive"}],
    },
    "retention": {
        "type": "dict",
        "options": RETENTION,
        "description": [
            "What every store keeps; without it nothing is ever pruned. The semantics are those of C(restic forget).",
            "For logs C(keep_within) is mostly what is wanted: the counting rules thin out, so that C(keep_daily) leaves one hour of each"
            " day of an hourly log.",
        ],
    },
    "schedule": {
        "type": "dict",
        "options": SCHEDULE,
        "description": [
            "When the job runs by itself. It is for the role C(schedule), which makes the entry of cron or the timer,"
            " and for C(log-archive status), which tells the next run; here alone it starts nothing.",
        ],
    },
    "notify": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": NOTIFY,
        "description": [
            "Who is told of a run. A notification that fails is tried once more, then it is a warning of the run and nothing else.",
        ],
    },
    "delete_sources": {
        "type": "bool",
        "default": False,
        "description": ["Whether a source is deleted once every required store has it verified, if it is unchanged since."],
    },
    "spool": {
        "type": "path",
        "default": "/var/spool/log-archive",
        "description": ["Where finished archives wait until every required store has them."],
    },
    "state": {
        "type": "path",
        "default": "/var/lib/log-archive",
        "description": ["Where the catalog and the locks are."],
    },
    "log": {"type": "path", "description": ["A file that gets one JSON line per event."]},
}
