# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive sync between stores of each kind, in both directions, with real servers."""

from __future__ import annotations

import io

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.sync import Wanted, sync
from rigs.host import NOW, Host
from rigs.stores import new_store

# By the name of the destination: the store to copy from, and the level of the proof.
WAYS = {
    "s3": ("file", "server_digest"),
    "sftp": ("s3", "remote_hash"),
    "file-2": ("sftp", "read_back"),
    "sftp-2": ("file", "remote_hash"),
    "s3-2": ("sftp", "server_digest"),
    "file-3": ("s3", "read_back"),
}


def contents(options):
    """Every file of a store but the heads of the ledger, by key."""
    store = new_store(**options)
    found = {}
    for item in store.list():
        data = io.BytesIO()
        store.get(item.key, data)
        if "/ledger/" not in item.key:
            found[item.key] = data.getvalue()
    store.close()
    return found


def test_archives_are_copied_between_stores_of_all_kinds_as_they_are(options, tmp_path):
    host = Host(tmp_path / "host", [options("file")])
    host.write_logs(13, 14, size=50_000)
    assert host.run()["exit_code"] == 0
    original = contents(options("file"))
    assert len(original) == 4
    for name, (source, level) in WAYS.items():
        host.stores.append(options(name))
        done = sync(host.document(), Wanted([source], [name]), NOW)
        assert (done["errors"], len(done["synced"][name]["copied"])) == ([], 2), name
        assert contents(options(name)) == original, name
        events = [
            line for line in host.events.read_text().splitlines() if '"synced"' in line and '"store":"%s"' % name in line.replace(" ", "")
        ]
        assert len(events) == 2 and all(level in event for event in events), events
        again = sync(host.document(), Wanted([source], [name]), NOW)
        assert again["outcome"] == "nothing to do"
