# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive adopt in a bucket and on an SFTP server, with real servers: read, verified, restored and pruned where the script put it."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.send import digests_of_file
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.adopt import Wanted, adopt, read_keys
from rigs.host import JOB, NOW, Host
from rigs.old_scripts import encrypted, new_key, tgz
from rigs.runs import restore
from rigs.stores import new_store

TEMPLATE = "old/syslog.%Y%m%d.%H.tar.gz.encrypted"
LOG = b"a line of a log\n" * 500


@pytest.mark.parametrize("kind", ["s3", "sftp"])
def test_archives_on_a_server_are_adopted_where_they_are(options, tmp_path, kind):
    pytest.importorskip("cryptography")
    host = Host(tmp_path / "host", [options(kind)])
    key = new_key(tmp_path / "fernet.key")
    store = new_store(**options(kind))
    names = ["old/syslog.20240112.%02d.tar.gz.encrypted" % hour for hour in (9, 10, 11)]
    for name in names:
        path = tmp_path / "token"
        path.write_bytes(encrypted(key, tgz(("var/log/" + name, LOG))))
        store.put(str(path), name, digests_of_file(str(path)))
    before = {item.key: item[1:] for item in store.list()}
    wanted = Wanted(kind, TEMPLATE, read_keys([str(tmp_path / "fernet.key")]))
    assert adopt(host.document(), wanted, NOW, check=True)["changed"]
    assert {item.key: item[1:] for item in store.list()} == before
    record = adopt(host.document(), wanted, NOW)
    assert (record["errors"], [row["state"] for row in record["adopted"]["objects"]]) == ([], ["adopted"] * 3)
    keys = ["web1/syslog/2024/01/12/adopted:" + name.replace("/", "%2F") for name in names]
    assert [item[1:] for item in store.list("web1/%s/2024/" % JOB) if item.key in keys] == list(before.values())
    assert adopt(host.document(), wanted, NOW)["changed"] is False
    assert [one.error for one in restore(host, tmp_path / "to")] == [None] * 3
    assert [(tmp_path / "to/var/log" / name).read_bytes() for name in names] == [LOG] * 3
    pruned = job.prune(host.document(retention={"keep_last": 1, "max_delete_share": 1.0}), (), NOW)
    assert (pruned["errors"], pruned["pruned"][kind]["removed"]) == ([], keys[:2])
    left = [item.key for item in store.list() if "/ledger/" not in item.key]
    assert left == [keys[2], keys[2] + ".manifest.json"]
    store.close()
