# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of encryption, declared once (see ``spec``)."""

from __future__ import annotations

from .option import Spec

KEYRING: Spec = {
    "keyring": {
        "type": "path",
        "required": True,
        "description": ["The folder of Fernet keys (see M(infra_ops.log_archive.fernet_key)). Only its owner may have access to it."],
        "example": "/etc/log-archive/keyring",
    },
}

RECIPIENTS: Spec = {
    "recipients": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "Public keys of recipients. Each archive gets its own key, and its manifest holds that key, encrypted for each recipient."
            " Anyone with the private key of one recipient can open the archive.",
            "C(age1...) is a public key of age (see C(age-keygen)); it requires the Python library pyrage. C(hpke1...) is a public key from"
            " C(log-archive key new-identity); it requires no other library.",
            "Without O(keyring) the host itself cannot open the archives.",
        ],
        "example": ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"],
    },
}

SEALING: Spec = {
    "keyring": dict(
        KEYRING["keyring"], required=False, description=[*KEYRING["keyring"]["description"], "Required unless there are O(recipients)."]
    ),
    **RECIPIENTS,
}
"""The encryption of new archives, without a job document."""

ENCRYPTION: Spec = {
    "format": {
        "type": "str",
        "choices": ["fernet", "none"],
        "default": "fernet",
        "description": [
            "The encryption of archives. V(none) stores plain tgz files: anyone with read access to a store can read them, and anyone with"
            " write access can forge them.",
        ],
    },
    "keyring": dict(
        KEYRING["keyring"],
        required=False,
        description=[*KEYRING["keyring"]["description"], "Required with O(format=fernet), unless there are O(recipients)."],
    ),
    **RECIPIENTS,
}
