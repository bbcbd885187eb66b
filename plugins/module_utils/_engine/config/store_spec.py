# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a store."""

from __future__ import annotations

import os

from ..base import hints as t
from ..base.levels import VERIFICATION_LEVELS
from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec, is_endpoint

STORE: Spec = {
    "type": {"type": "str", "required": True, "choices": ["file", "s3", "sftp"], "description": ["The type of the store."]},
    "name": {
        "type": "str",
        "pattern": PLAIN_NAME,
        "pattern_means": PLAIN_NAME_MEANS,
        "description": ["The name of the store in messages and in the catalog. The default is its type."],
    },
    "verify": {
        "type": "str",
        "choices": list(VERIFICATION_LEVELS),
        "description": [
            "How to verify the stored archive, weakest first. V(size) compares the size. With V(server_digest) the server checks a digest"
            " that is sent with the archive, or reports the right digest. With V(remote_hash) the server hashes the stored file. With"
            " V(read_back) the stored file is read back and hashed on this host.",
            "The default is V(read_back) for a file store, V(server_digest) for S3 and V(remote_hash) for SFTP. A store that does not"
            " support a level uses the next stronger one. The result contains the level that was used.",
        ],
    },
    "layout": {
        "type": "str",
        "choices": ["tree", "flat"],
        "default": "tree",
        "description": [
            "How archives are named in the store. V(tree) is C(<host>/<job>/<YYYY>/<MM>/<DD>/<archive>). V(flat) is"
            " C(<host>~<job>~<YYYYMMDD>~<archive>), all in one folder, for other programs that read that folder. Several hosts and jobs can"
            " share the folder. It can also contain files of other programs, which are never changed.",
            "A store finds only archives of its own layout. To change the layout of a store in use, add a store with another name.",
        ],
    },
    "attempts": {
        "type": "int",
        "default": 4,
        "minimum": 1,
        "description": ["The maximum number of attempts if an operation fails with a temporary error (network, server error)."],
    },
    "retry_delay": {
        "type": "duration",
        "default": "1",
        "description": ["How long to wait before the second attempt. The delay doubles with each further attempt."],
    },
    "path": {
        "type": "str",
        "types": ["file", "sftp"],
        "description": [
            "The folder of the archives: an absolute path on this host (O(type=file)), or a path on the SFTP server (O(type=sftp)).",
            "A path on the server can be relative to the folder in which a session starts. V(logs) and V(~/logs) are the same.",
        ],
    },
    "bucket": {"type": "str", "types": ["s3"], "description": ["The S3 bucket. It must exist."]},
    "prefix": {"type": "str", "types": ["s3"], "default": "", "description": ["The prefix of all keys in the bucket."]},
    "endpoint_url": {"type": "str", "types": ["s3"], "description": ["The URL of an S3-compatible server. The default is AWS."]},
    "region": {"type": "str", "types": ["s3"], "description": ["The AWS region, such as V(eu-west-3)."]},
    "access_key_id": {
        "type": "str",
        "types": ["s3"],
        "description": [
            "The access key ID. With it, C(AWS_PROFILE) and other C(AWS_*) credentials of the environment are ignored. Without it the"
            " standard AWS credential chain is used: environment, profile, instance role.",
        ],
    },
    "secret_access_key": {"type": "str", "types": ["s3"], "secret": True, "description": ["The secret access key of O(access_key_id)."]},
    "session_token": {"type": "str", "types": ["s3"], "secret": True, "description": ["The session token of temporary credentials."]},
    "profile": {"type": "str", "types": ["s3"], "description": ["A profile in the AWS configuration files."]},
    "addressing_style": {
        "type": "str",
        "types": ["s3"],
        "choices": ["auto", "path", "virtual"],
        "default": "auto",
        "description": [
            "Whether the name of the bucket is part of the path or of the host name in URLs. Many S3-compatible servers require V(path)."
        ],
    },
    "checksum_calculation": {
        "type": "str",
        "types": ["s3"],
        "choices": ["when_supported", "when_required"],
        "default": "when_required",
        "description": [
            "When boto3 adds its own checksums to a request. Content-MD5 is always sent. Some S3-compatible servers reject the checksums"
            " that V(when_supported) adds.",
        ],
    },
    "sse": {
        "type": "str",
        "types": ["s3"],
        "choices": ["AES256", "aws:kms"],
        "description": ["The server-side encryption to request, in addition to the encryption of archives."],
    },
    "sse_kms_key_id": {"type": "str", "types": ["s3"], "description": ["The ID of the KMS key for O(sse=aws:kms)."]},
    "versions": {
        "type": "str",
        "types": ["s3"],
        "choices": ["keep", "delete"],
        "default": "keep",
        "description": [
            "What retention does in a bucket with versioning. V(keep) adds delete markers; the versions of the archives stay, and a warning"
            " reports their size. V(delete) deletes all versions of an archive; this requires the permissions C(s3:ListBucketVersions) and"
            " C(s3:DeleteObjectVersion). Versions under Object Lock cannot be deleted before the lock expires and are reported as errors.",
        ],
    },
    "storage_class": {"type": "str", "types": ["s3"], "description": ["The storage class of archives, such as V(STANDARD_IA)."]},
    "part_size": {
        "type": "size",
        "types": ["s3"],
        "default": "16M",
        "description": ["The part size of multipart uploads, at least V(5M). Archives up to this size are sent in one request."],
    },
    "ca_bundle": {"type": "path", "types": ["s3"], "description": ["A file of CA certificates to trust instead of the system's."]},
    "host": {"type": "str", "types": ["sftp"], "description": ["The host name or address of the SFTP server."]},
    "port": {
        "type": "int",
        "types": ["sftp"],
        "default": 22,
        "minimum": 1,
        "maximum": 65535,
        "description": ["The port of the SFTP server."],
    },
    "user": {"type": "str", "types": ["sftp"], "description": ["The user name on the SFTP server."]},
    "private_key_file": {"type": "path", "types": ["sftp"], "description": ["The private key file of O(user)."]},
    "private_key_passphrase": {"type": "str", "types": ["sftp"], "secret": True, "description": ["The passphrase of O(private_key_file)."]},
    "password": {"type": "str", "types": ["sftp"], "secret": True, "description": ["The password of O(user), if no private key is used."]},
    "host_key": {
        "type": "str",
        "types": ["sftp"],
        "description": [
            "The public key of the server, such as C(ssh-ed25519 AAAA...). A server with any other key is rejected before anything is sent."
        ],
    },
    "known_hosts_file": {
        "type": "path",
        "types": ["sftp"],
        "description": [
            "The file with the public key of the server, if O(host_key) is not set. By default C(~/.ssh/known_hosts) is read, then"
            " C(/etc/ssh/ssh_known_hosts).",
            "A line C(@cert-authority) accepts a server with a host certificate of that authority (requires C(cryptography) 40 or newer)."
            " A line C(@revoked) rejects a key.",
        ],
    },
    "accept_new_host_key": {
        "type": "bool",
        "types": ["sftp"],
        "default": False,
        "description": ["Whether to accept and record the key of an unknown server. A changed key is always rejected."],
    },
    "timeout": {
        "type": "duration",
        "types": ["s3", "sftp"],
        "default": "60",
        "description": ["How long to wait for data from the server."],
    },
}

NEEDED_BY_STORE = {"file": ("path",), "s3": ("bucket",), "sftp": ("host", "user", "path")}


def _file_problems(store: t.Mapping[str, t.Any]) -> t.List[str]:
    if store["path"] and not os.path.isabs(store["path"]):
        return ["path: must be an absolute path, not %r" % store["path"]]
    return []


def _s3_problems(store: t.Mapping[str, t.Any]) -> t.List[str]:
    if bool(store["access_key_id"]) != bool(store["secret_access_key"]):
        return ["access_key_id: requires secret_access_key, and vice versa; omit both to use the standard AWS credential chain"]
    if store["access_key_id"] and store["profile"]:
        return ["profile: cannot be combined with access_key_id; give one of them"]
    if store["endpoint_url"] is not None and not is_endpoint(store["endpoint_url"]):
        # Locations show it.
        return ["endpoint_url: must be http(s)://host[:port], without credentials and without a query"]
    return []


def _sftp_problems(store: t.Mapping[str, t.Any]) -> t.List[str]:
    problems = []
    if not (store["private_key_file"] or store["password"]):
        problems.append("private_key_file: is missing; give a private key file or a password")
    path = store["path"] or ""
    if path.startswith("~") and not (path + "/").startswith("~/"):
        problems.append("path: SFTP does not know the folder of another user (%r); give its absolute path" % path)
    return problems


STORE_PROBLEMS = {"file": _file_problems, "s3": _s3_problems, "sftp": _sftp_problems}
"""By type: mistakes in combinations of options, each as 'option: what is wrong'. The check loads no store."""
