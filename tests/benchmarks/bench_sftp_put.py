# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An archive to an OpenSSH server, verified, beside OpenSSH's own ``sftp`` in batch mode, which verifies nothing.

sftp-put: 150 MB; sftp-put-50ms and sftp-small: 150 MB and 70 kB over a line with a round trip of 50 ms.

Ours: connect, upload, fsync, ``md5sum`` on the server, rename; in this process, so that loading paramiko (about 0.2 s, once per run) is
part of the first round only. Peer: a process of ``sftp -b``, which connects and uploads. Same server, same key.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
import subprocess
import typing as t

import lab
from _measure import Benchmark, Sides, Target, timed
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from rigs.stores import new_store

KB = 1000


def make_archive(path: pathlib.Path, size: int) -> Digests:
    """A file that does not compress, as an archive is."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with open(path, "wb") as stream:
        for start in range(0, size, 1000 * KB):
            data = os.urandom(min(1000 * KB, size - start))
            md5.update(data)
            sha256.update(data)
            stream.write(data)
    return Digests(size, md5.hexdigest(), sha256.hexdigest())


@contextlib.contextmanager
def prepare(size: int, round_trip: float, folder: pathlib.Path, quick: bool) -> t.Iterator[Sides]:
    archive = folder / "archive.tgz.fernet"
    digests = make_archive(archive, min(size, 5000 * KB) if quick else size)
    home = folder / "server"
    # An empty home: what the start files of this machine's user do before md5sum runs is not part of the work.
    with lab.openssh_server(home, extra_config="SetEnv HOME=%s" % home) as server, contextlib.ExitStack() as stack:
        port = stack.enter_context(lab.delay_proxy(folder, server.port, round_trip)) if round_trip else server.port
        batch = folder / "batch"
        batch.write_text("put %s %s/peer\n" % (archive, server.root_folder))
        command = ["sftp", "-q", "-b", str(batch), "-F", "none", "-P", str(port), "-i", server.private_key_file]
        command += ["-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=" + server.known_hosts_file]
        # The key of the server is known under its own port.
        command += ["-o", "HostKeyAlias=[%s]:%d" % (server.host, server.port), "%s@%s" % (server.user, server.host)]
        store = new_store(
            "sftp",
            host=server.host,
            port=port,
            user=server.user,
            path=server.root_folder,
            private_key_file=server.private_key_file,
            host_key=server.host_key,
        )

        def start_from(name: str) -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(server.root_folder, name))
            # What the round before left to be written to the disk is not part of this one.
            os.sync()

        def put() -> None:
            level = store.put(str(archive), "ours", digests).verification.level
            store.close()
            assert level == "remote_hash", level

        def ours() -> float:
            start_from("ours")
            return timed(put)

        def peer() -> float:
            start_from("peer")
            return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

        yield Sides(ours, peer)


BENCHMARKS = [
    Benchmark("sftp-put", functools.partial(prepare, 150_000 * KB, 0.0), Target("faster", 1.0)),
    Benchmark("sftp-put-50ms", functools.partial(prepare, 150_000 * KB, 0.05), Target("faster", 1.0)),
    Benchmark("sftp-small", functools.partial(prepare, 70 * KB, 0.05), Target("faster", 0.9)),
]
