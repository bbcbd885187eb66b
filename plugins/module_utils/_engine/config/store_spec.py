# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a store."""

from __future__ import annotations

from .option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec

LEVELS = ["size", "server_digest", "remote_hash", "read_back"]

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
