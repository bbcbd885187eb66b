# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that modules share, in the tables of the engine (``config.option.Spec``) or made from them."""

from __future__ import annotations

from ._engine.config.cloudtrail_spec import CLOUDTRAIL
from ._engine.config.encryption_spec import KEYRING
from ._engine.config.option import Spec
from ._engine.config.spec import ARCHIVE, JOB, NOTIFY, RETENTION, SELECTION, STORE
from ._engine.config.stream_spec import STREAM

STORE_OPTION: Spec = {
    "store": {
        "type": "dict",
        "required": True,
        "options": STORE,
        "description": [
            "The store of the archives: a folder (V(file)), an S3 bucket (V(s3)) or an SFTP server (V(sftp)).",
            "The type V(s3) requires the Python library boto3 on the host that runs the module, V(sftp) requires paramiko.",
        ],
    }
}

FALLBACK_STORES_OPTION: Spec = {
    "fallback_stores": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": STORE,
        "description": [
            "Further stores of the same archives, in order of preference. If C(store) does not have an archive, fails or has a damaged"
            " copy, the archive is taken from the first of these stores that has a good copy.",
        ],
    }
}

TRAIL_STORES: Spec = {
    "store": {
        "type": "dict",
        "options": STORE,
        "description": ["A store with the archives of the trail, to validate these. By default the bucket is validated."],
    },
    **FALLBACK_STORES_OPTION,
}

POLICY_OPTION: Spec = {
    "policy": {
        "type": "dict",
        "required": True,
        "options": RETENTION,
        "description": [
            "The retention policy, with the semantics of C(restic forget). It applies to the archives of each host and job separately, by"
            " their periods in UTC. An archive is kept if at least one rule keeps it. At least one rule is required."
        ],
    }
}

NOTIFY_OPTION: Spec = {
    "notify": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": dict(
            NOTIFY,
            when=dict(
                NOTIFY["when"],
                description=[
                    "Send the notification only if a run changed something (V(change)), has warnings (V(warning)) or has errors"
                    " (V(failure)). By default it is always sent. V(recovery) works only in jobs.",
                ],
            ),
        ),
        "description": ["The receivers of the notification. The type V(textfile) and the option C(attach_log) work only in jobs."],
    }
}

JOB_OPTION: Spec = {
    "job": {
        "type": "dict",
        "required": True,
        "options": JOB,
        "description": ["The job document, in the form that the command C(log-archive) reads from a file."],
    }
}


STREAM_OPTION: Spec = {
    "stream": {
        "type": "dict",
        "required": True,
        "options": STREAM,
        "description": ["The stream document, in the form that the command C(log-archive) reads from a file."],
    }
}


def _as_written(spec: Spec) -> Spec:
    """The table for a document that is written without defaults: only the descriptions state them."""
    written = {}
    for name, option in spec.items():
        written[name] = copy = {field: value for field, value in option.items() if field != "default"}
        if option.get("default") not in (None, "", [], {}):
            default = option["default"]
            shown = ", ".join(default) if isinstance(default, list) else str(default).lower() if isinstance(default, bool) else default
            copy["description"] = [*option["description"], "The default is V(%s)." % shown]
        if "options" in option:
            copy["options"] = _as_written(option["options"])
    return written


def _documents(name: str, spec: Spec) -> Spec:
    """The options of a module that writes documents: for one, and for several."""
    return {
        name: {
            "type": "dict",
            "options": _as_written(spec),
            "description": [
                "The %s document. The file contains only the options that are set here." % name,
                "With C(state=present), this or O(%ss) is required." % name,
            ],
        },
        name + "s": {
            "type": "list",
            "elements": "dict",
            "options": _as_written(spec),
            "description": ["Several %s documents, each in the form of O(%s). One call writes them all." % (name, name)],
        },
    }


DOCUMENT_OPTION = _documents("job", JOB)
STREAM_DOCUMENT_OPTION = _documents("stream", STREAM)

PACKING: Spec = dict(
    ARCHIVE,
    period=dict(
        SELECTION["period"],
        description=["The span of time of one archive with O(group=period), in O(timezone). With V(none) each log has its own period."],
    ),
    timezone=dict(
        SELECTION["timezone"],
        description=["The time zone of times in names of archives, such as V(Europe/Paris). V(local) is the time zone of the host."],
    ),
    host=JOB["host"],
    job=dict(JOB["name"], description=["The name of the job that the archives belong to. It is part of their keys in a store."]),
)
"""How sources become archives, for modules without a job document."""

OFFLINE: Spec = {
    "identities": {
        "type": "list",
        "elements": "path",
        "default": [],
        "description": [
            "Files with private keys of recipients, for archives that are encrypted for recipients, on the host that runs the module."
            " C(age-keygen) or C(log-archive key new-identity) creates them. Only their owner may have access to them.",
            "To keep private keys off a host, give it O(archive_keys) instead.",
        ],
    },
    "archive_keys": {
        "type": "list",
        "elements": "str",
        "secret": True,
        "default": [],
        "description": [
            "Keys of single archives that are encrypted for recipients, as the lookup P(infra_ops.log_archive.archive_keys#lookup) or"
            " C(log-archive key unwrap) returns them. Each opens only its own archive.",
        ],
    },
}

OPENING: Spec = {
    "keyring": dict(KEYRING["keyring"], required=False),
    "unencrypted": {"type": "bool", "default": False},
    **OFFLINE,
}
"""The options of modules that open archives; each documents the first two by itself."""

TRAIL: Spec = {name: option for name, option in CLOUDTRAIL.items() if name not in ("filter", "lookback")}
"""Where a CloudTrail trail is, for modules without a job document."""

CHOICE: Spec = {
    "host": {
        "type": "str",
        "description": ["Only archives of the host with this name. By default archives of all hosts."],
    },
    "job": {"type": "str", "description": ["Only archives of this job. By default archives of all jobs."]},
    "was": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": ["Earlier names of O(job), if it was renamed. The archives with these names are selected too."],
    },
    "names": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "Only these archives, each by its name (such as V(syslog.20240112.12.tgz.fernet)), its key, or the path of a log in it.",
            "If no archive matches a name, the module fails.",
        ],
    },
    "start": {
        "type": "str",
        "description": [
            "Only archives of periods that end after this time, such as V(2024-01-12) or V(2024-01-12T13:00Z). The default offset is UTC."
        ],
    },
    "end": {"type": "str", "description": ["Only archives of periods that begin before this time, in the format of O(start)."]},
}
