# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job document, declared once: its options, types, defaults and meaning.

The modules' argument specs and documentation, the command's checks and its commented template are all made from these tables.
An option is a dict with ``type`` (Ansible's types, and 'duration' and 'size', which are strings to Ansible), ``description`` (a list of
sentences) and where they apply ``required``, ``default``, ``choices``, ``elements``, ``options``, ``secret`` (never shown),
``shorthand`` (texts that stand for an object), ``types`` (where only some ``type`` beside it know it), ``pattern`` with ``pattern_means``,
``minimum`` and ``maximum``, ``instead_of`` (the part whose place it takes), and
``example`` and ``sample`` (a part that is shown whole) for the template.
"""

from __future__ import annotations

import os
import re
import typing as t

from ..base.errors import ConfigError, LogArchiveError

Option = t.Dict[str, t.Any]
Spec = t.Dict[str, Option]

DEFAULT_CONFIG = "/etc/log-archive/jobs.d"
PLAIN_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
PLAIN_NAME_MEANS = "letters, digits, '.', '_' and '-', beginning with a letter or digit, 100 at most"
LEVELS = ["size", "server_digest", "remote_hash", "read_back"]

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

STORE: Spec = {
    "type": {"type": "str", "required": True, "choices": ["file", "s3", "sftp"], "description": ["What kind of store it is."]},
    "name": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["How messages and the catalog name this store. By default its type."],
    },
    "verify": {
        "type": "str",
        "choices": LEVELS,
        "description": [
            "How sure it must be that what arrived is what was sent. V(size), the weakest; V(server_digest): the server checked our digest"
            " or its own agrees; V(remote_hash): the stored file was hashed on the server; V(read_back): it was read back and hashed here.",
            "By default V(read_back) for a file store, V(server_digest) for S3 and V(remote_hash) for SFTP."
            " Where a store cannot do what is asked, it does the next stronger; what was done is returned.",
        ],
    },
    "attempts": {
        "type": "int",
        "default": 4,
        "minimum": 1,
        "description": ["How often a failure that may pass (network, server error) is tried in all."],
    },
    "retry_delay": {
        "type": "duration",
        "default": "1",
        "description": ["How long to wait before the second attempt; doubled for each further one."],
    },
    "path": {
        "type": "str",
        "types": ["file", "sftp"],
        "description": ["The folder that holds the archives: on this host (V(file), an absolute path) or on the SFTP server."],
    },
    "bucket": {"type": "str", "types": ["s3"], "description": ["The bucket. It must exist."]},
    "prefix": {"type": "str", "types": ["s3"], "default": "", "description": ["What all keys in the bucket begin with."]},
    "endpoint_url": {"type": "str", "types": ["s3"], "description": ["The URL of an S3-compatible server; AWS by default."]},
    "region": {"type": "str", "types": ["s3"], "description": ["The region, such as V(eu-west-3)."]},
    "access_key_id": {
        "type": "str",
        "types": ["s3"],
        "description": [
            "The access key's id. Without it the standard AWS chain is used: environment, profile, instance role.",
        ],
    },
    "secret_access_key": {"type": "str", "types": ["s3"], "secret": True, "description": ["The secret of O(access_key_id)."]},
    "session_token": {"type": "str", "types": ["s3"], "secret": True, "description": ["The session token of temporary credentials."]},
    "profile": {"type": "str", "types": ["s3"], "description": ["A profile of the AWS configuration files."]},
    "addressing_style": {
        "type": "str",
        "types": ["s3"],
        "choices": ["auto", "path", "virtual"],
        "default": "auto",
        "description": ["Where the bucket's name stands in the URL; many S3-compatible servers need V(path)."],
    },
    "checksum_calculation": {
        "type": "str",
        "types": ["s3"],
        "choices": ["when_supported", "when_required"],
        "default": "when_required",
        "description": [
            "When boto3 adds checksums of its own to a request. Content-MD5 is sent in any case;"
            " some S3-compatible servers refuse what V(when_supported) sends.",
        ],
    },
    "sse": {
        "type": "str",
        "types": ["s3"],
        "choices": ["AES256", "aws:kms"],
        "description": ["Encryption that the server adds to ours."],
    },
    "sse_kms_key_id": {"type": "str", "types": ["s3"], "description": ["The KMS key for O(sse=aws:kms)."]},
    "storage_class": {"type": "str", "types": ["s3"], "description": ["The storage class, such as V(STANDARD_IA)."]},
    "part_size": {
        "type": "size",
        "types": ["s3"],
        "default": "16M",
        "description": ["Archives larger than this are sent in parts of this size, at least V(5M)."],
    },
    "ca_bundle": {"type": "path", "types": ["s3"], "description": ["A file of CA certificates to trust instead of the system's."]},
    "host": {"type": "str", "types": ["sftp"], "description": ["The SFTP server's name or address."]},
    "port": {"type": "int", "types": ["sftp"], "default": 22, "minimum": 1, "maximum": 65535, "description": ["Its port."]},
    "user": {"type": "str", "types": ["sftp"], "description": ["The account there."]},
    "private_key_file": {"type": "path", "types": ["sftp"], "description": ["The private key that opens the account."]},
    "private_key_passphrase": {"type": "str", "types": ["sftp"], "secret": True, "description": ["The passphrase of that key."]},
    "password": {"type": "str", "types": ["sftp"], "secret": True, "description": ["The account's password, if no key is used."]},
    "host_key": {
        "type": "str",
        "types": ["sftp"],
        "description": ["The server's public key, as C(ssh-ed25519 AAAA...). Nothing is sent to a server that has another."],
    },
    "known_hosts_file": {
        "type": "path",
        "types": ["sftp"],
        "description": [
            "Where the server's key is looked up, if O(host_key) is not given. By default C(~/.ssh/known_hosts), then the system's."
        ],
    },
    "accept_new_host_key": {
        "type": "bool",
        "types": ["sftp"],
        "default": False,
        "description": ["Whether the key of an unknown server is trusted and written down. A key that has changed never is."],
    },
    "timeout": {
        "type": "duration",
        "types": ["s3", "sftp"],
        "default": "60",
        "description": ["How long the server may be silent."],
    },
}

NEEDED_BY_STORE = {"file": ("path",), "s3": ("bucket",), "sftp": ("host", "user", "path")}

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


def normalise(document: t.Any, spec: Spec, subject: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    """Check a document against a spec and return it with every option present (None where not given and without default).

    Raises ConfigError whose ``problems`` name every mistake: the key, what is wrong and what is allowed.
    """
    problems: t.List[str] = []
    normal = _object(document, spec, "", problems)
    # Of a part that is wrong in itself nothing more can be said.
    wrong = {problem.partition(":")[0] for problem in problems}
    problems += _contradictions(normal, spec, wrong)
    if problems:
        raise ConfigError(
            "%d mistake%s in the %s" % (len(problems), "s" if len(problems) > 1 else "", "job document" if spec is JOB else "options"),
            subject,
            problems=problems,
        )
    return normal


def _object(value: t.Any, spec: Spec, where: str, problems: t.List[str]) -> t.Dict[str, t.Any]:
    if not isinstance(value, dict):
        problems.append("%s: must be an object with keys, not %s" % (where.rstrip(".") or "the document", _kind(value)))
        return {}
    for name in value:
        if name not in spec:
            problems.append("%s%s: unknown key%s" % (where, name, _nearest(str(name), spec)))
    normal = {}
    for name, option in spec.items():
        given = value.get(name)
        if given is None:
            if option.get("required"):
                problems.append("%s%s: is missing%s" % (where, name, _described(option)))
            normal[name] = option.get("default")
            if option["type"] == "dict" and normal[name] is not None:
                normal[name] = _object(normal[name], option["options"], where + name + ".", problems)
        else:
            normal[name] = _value(given, option, where + name, problems)
    return normal


def _value(value: t.Any, option: Option, where: str, problems: t.List[str]) -> t.Any:
    kind = option["type"]
    if kind == "list":
        if not isinstance(value, list):
            problems.append("%s: must be a list, not %s" % (where, _kind(value)))
            return []
        if option.get("required") and not value:
            problems.append("%s: must not be empty%s" % (where, _described(option)))
        element = dict(option, type=option["elements"])
        return [_value(item, element, "%s[%d]" % (where, index), problems) for index, item in enumerate(value)]
    if kind == "dict":
        if isinstance(value, str):
            value = option.get("shorthand", {}).get(value, value)
        return _object(value, option["options"], where + ".", problems)
    before = len(problems)
    value = _scalar(value, kind, where, problems)
    if len(problems) > before:
        return value
    choices = option.get("choices")
    if choices and value not in choices:
        problems.append("%s: is %r%s; allowed: %s" % (where, value, _nearest(value, choices, listed=False), ", ".join(choices)))
    if "pattern" in option and not re.fullmatch(option["pattern"], value):
        problems.append("%s: is %r; allowed: %s" % (where, value, option["pattern_means"]))
    if "minimum" in option and value < option["minimum"]:
        problems.append("%s: is %s, must be at least %s" % (where, value, option["minimum"]))
    if "maximum" in option and value > option["maximum"]:
        problems.append("%s: is %s, must be at most %s" % (where, value, option["maximum"]))
    return value


def _scalar(value: t.Any, kind: str, where: str, problems: t.List[str]) -> t.Any:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "float" and number:
        return value
    if kind in ("duration", "size") and (number or isinstance(value, str)):
        from ..base.units import parse_duration, parse_size

        try:
            (parse_duration if kind == "duration" else parse_size)(value)
        except LogArchiveError as error:
            problems.append("%s: %s" % (where, error))
        return value
    if kind in ("str", "path") and isinstance(value, str):
        if not value and kind == "path":
            problems.append("%s: must not be empty" % where)
        elif kind == "path":
            value = os.path.expanduser(value)
            if not os.path.isabs(value):
                problems.append("%s: is %r, must be an absolute path" % (where, value))
        return value
    names = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "text",
        "path": "a path",
        "duration": 'a duration such as "30s", "2h" or "7d"',
        "size": 'a size such as "10K" or "1.5G"',
    }
    problems.append("%s: must be %s, not %s" % (where, names[kind], _kind(value)))
    return value


def _contradictions(normal: t.Dict[str, t.Any], spec: Spec, wrong: t.Set[str]) -> t.List[str]:
    """Mistakes that show only when options are seen together, or by those who use them. wrong: keys that are known to be wrong."""

    def sound(where: str) -> bool:
        return not any(key == where or key.startswith((where + ".", where + "[")) for key in wrong)

    if spec is STORE:
        return store_problems(normal, "") if not wrong else []
    if spec is NOTIFY:
        return notify_problems(normal, "") if not wrong else []
    if spec is not JOB or not normal:
        return []
    problems = []
    names: t.List[str] = []
    for index, store in enumerate(normal["stores"] or []):
        where = "stores[%d]" % index
        if not store or not sound(where + ".type"):
            continue
        if sound(where + ".name"):
            store["name"] = store["name"] or store["type"]
            if store["name"] in names:
                problems.append("%s.name: '%s' is the name of two stores; give each its own" % (where, store["name"]))
            names.append(store["name"])
        problems += store_problems({key: value if sound("%s.%s" % (where, key)) else None for key, value in store.items()}, where + ".")
        if store["retention"] and sound(where + ".retention"):
            problems += _policy_problems(store["retention"], where + ".retention")
    if normal["retention"] and sound("retention"):
        problems += _policy_problems(normal["retention"], "retention")
    if normal["web"] and normal["select"]:
        problems.append("select: and web exclude each other; give one")
    elif normal["web"]:
        problems += _web_problems({key: value for key, value in normal["web"].items() if sound("web." + key)})
        # What the other parts of a job ask of its selection: where the files are, and the span of time that an archive covers.
        normal["select"] = _of_web(normal)
        normal["archive"] = dict(normal["archive"] or {}, group="run")
    elif not normal["select"] and sound("select"):
        problems.append("select: is missing%s" % _described(JOB["select"]))
    elif normal["select"]:
        problems += _selection_problems({key: value for key, value in normal["select"].items() if sound("select." + key)})
    encryption = normal["encryption"]
    if encryption and encryption["format"] == "fernet" and not encryption["keyring"]:
        problems.append("encryption.keyring: is missing%s; or say encryption: none" % _described(ENCRYPTION["keyring"]))
    for index, target in enumerate(normal["notify"]):
        where = "notify[%d]" % index
        if target and sound(where):
            problems += notify_problems(target, where + ".", normal["log"])
    if normal["schedule"] and sound("schedule.at"):
        problems += _schedule_problems(normal["schedule"]["at"])
    if normal["archive"] and normal["archive"]["name"] is not None and sound("archive.name"):
        problems += _name_problems(normal["archive"]["name"])
    return [problem for problem in problems if sound(problem.partition(":")[0])]


def _selection_problems(select: t.Mapping[str, t.Any]) -> t.List[str]:
    from ..sources.files import check

    try:
        check(select)
    except ConfigError as error:
        return ["select.%s" % problem for problem in error.problems]
    return []


def _web_problems(web: t.Mapping[str, t.Any]) -> t.List[str]:
    from ..sources.web import problems

    if len(web) < len(WEB):
        return []  # What is known to be wrong by itself comes first.
    return ["web.%s" % problem for problem in problems(web)]


def _of_web(normal: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    select = {name: option.get("default") for name, option in SELECTION.items()}
    select["paths"] = [os.path.join(str(normal["state"]), "web", str(normal["name"]))]
    return dict(select, period="day", offset=0, timezone=normal["web"]["timezone"], recurse=True)


def _name_problems(template: str) -> t.List[str]:
    from datetime import datetime, timezone

    from ..base.periods import render_name

    try:
        render_name(template, datetime.now(timezone.utc), "UTC", {"host": "host", "job": "job", "stem": "stem"})
    except ConfigError as error:
        return ["archive.name: %s" % error]
    return []


def _schedule_problems(at: str) -> t.List[str]:
    from ..base.schedule import parse

    try:
        parse(at)
    except ConfigError as error:
        return ["schedule.at: %s" % error]
    return []


def store_problems(store: t.Mapping[str, t.Any], where: str) -> t.List[str]:
    """What is missing from a store of its type, and what does not belong to it."""
    kind = store["type"]
    problems = _problems_of_type(store, STORE, NEEDED_BY_STORE, where, "a store")
    if kind == "file" and store["path"] and not os.path.isabs(store["path"]):
        problems.append("%spath: is %r, must be an absolute path" % (where, store["path"]))
    if kind == "sftp" and not (store["private_key_file"] or store["password"]):
        problems.append("%sprivate_key_file: is missing; give it, or a password" % where)
    if kind == "s3" and bool(store["access_key_id"]) != bool(store["secret_access_key"]):
        problems.append("%saccess_key_id: and secret_access_key go together; give both, or none for the standard AWS chain" % where)
    return problems


def notify_problems(target: t.Mapping[str, t.Any], where: str, log: t.Optional[str] = None) -> t.List[str]:
    """The same of one of those who are notified. log: the event log of the job."""
    from ..tell.receivers import problems

    of_type = _problems_of_type(target, NOTIFY, NEEDED_BY_NOTIFY, where, "a notification")
    return of_type or [where + problem for problem in problems(target, log)]


def _problems_of_type(
    value: t.Mapping[str, t.Any], spec: Spec, needed: t.Mapping[str, t.Sequence[str]], where: str, what: str
) -> t.List[str]:
    kind = value["type"]
    problems = ["%s%s: is missing; %s of type %s needs it" % (where, name, what, kind) for name in needed[kind] if not value[name]]
    for name, option in spec.items():
        kinds = option.get("types", (kind,))
        if kind not in kinds and value[name] is not None and value[name] != option.get("default"):
            problems.append("%s%s: %s of type %s does not know it (it is for %s)" % (where, name, what, kind, ", ".join(kinds)))
    return problems


def _policy_problems(policy: t.Mapping[str, t.Any], where: str) -> t.List[str]:
    from ..base.periods import compile_pattern
    from ..holdings.retention import parse_policy

    try:
        if policy["name_template"] is not None:
            compile_pattern(policy["name_template"], use_regex=False)
        parse_policy({name: value for name, value in policy.items() if name != "name_template"})
    except ConfigError as error:
        return ["%s: %s" % (where, problem) for problem in error.problems or [error.message]]
    return []


def _nearest(name: str, allowed: t.Iterable[str], listed: bool = True) -> str:
    import difflib

    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, 1)
    text = "; did you mean '%s'?" % near[0] if near else ""
    return text + (" Known keys: %s" % ", ".join(sorted(allowed)) if listed and not near else "")


def _described(option: Option) -> str:
    return " (%s)" % plain(option["description"][0]).rstrip(".")


def _kind(value: t.Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    return {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}.get(type(value), "nothing")


def plain(text: str) -> str:
    """A description without Ansible's markup, for messages and the template."""
    return re.sub(r"\b[A-Z]\(([^)]*)\)", lambda match: match.group(1), text)
