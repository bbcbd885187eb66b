# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive that a version of this software made whose manifests have version 1 and no HMAC: it must restore for ever."""

from __future__ import annotations

import json
import pathlib

KEY_TEXT = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
LOG = "var/log/events/syslog.20240112.12"
CONTENT = b"Jan 12 12:00:01 web1 app[7]: started\n"
TOKEN = (
    b"gAAAAABrB_Ic9Nyyy7QwrggddaKvrKhFe6WJbOFhao8bxXGj1Xl7kHoFDBXtn-sp-HDxS7LNpYInyv8RSbHnd0KPVvILuFKqd0vmRfnjeO3zOD375VmuobL20J8D6pi6vXJb"
    b"fNvw-kojBLWz_Wfte_L0R0NpCmp8PD8kPtY4zdwLEhhLpTgGgwWiNajr9M6YTAM5qFwnOVFdvotvTkUrQV4h63fUVjkvtA3oyJu9FWoL4zgK6Hj0BR5KybqttoWRNWfnIVw9"
    b"hiyZ6ygR-po2Ity4v8oY2UqbBwC9IqtfUwAmbK2HCeyJH6NG-IOARDo1Ze5mcV-FVYqP"
)
MANIFEST = {
    "archive": {
        "md5": "d0f57bf506b2bd9646b212b11c57c5f4",
        "name": "syslog.20240112.12.tgz.fernet",
        "sha256": "9496620f8d43b180cc219cf56124e102dd58458539852c3cb8caa7f0efaaf8d7",
        "size": 332,
    },
    "created": "2024-01-12T13:05:00Z",
    "encryption": {"format": "fernet", "key_id": "fffa7151e66b8aa0"},
    "engine": "0.1.0",
    "host": "web1",
    "job": "syslog",
    "period": {"end": "2024-01-12T13:00:00Z", "start": "2024-01-12T12:00:00Z"},
    "sources": [
        {
            "changed": False,
            "gid": 0,
            "mode": "0640",
            "mtime_ns": 1705060801000000000,
            "name": LOG,
            "path": "/" + LOG,
            "period": {"end": "2024-01-12T13:00:00Z", "start": "2024-01-12T12:00:00Z"},
            "sha256": "4255933e58ce2f4cc971f9cbf0e08b6fd949ccdda6f0c156d39d8c190a5ca823",
            "size": 37,
            "uid": 0,
            "vanished": False,
        }
    ],
    "tgz": {"sha256": "bd5f52817b212885860bf38b9bf15bcf6e69de11bbce4d6640d62c4441514938", "size": 187},
    "version": 1,
}


def write(store: pathlib.Path) -> None:
    """Write the archive and its manifest to the folder of a file store."""
    path = store / KEY
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TOKEN)
    path.with_name(path.name + ".manifest.json").write_text(json.dumps(MANIFEST, sort_keys=True, separators=(",", ":")) + "\n")
