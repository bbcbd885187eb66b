# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's two servers, real ones that pip alone installs: Swift's S3 API, and AsyncSSH's SFTP server.

Both keep what they hold in their folder, so that a second demo finds what the first one archived. Run as a program, this file is the
SFTP server: ``servers.py sftp FOLDER`` prints its port once it listens and serves until it is killed.
"""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import sys
import typing as t

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))

from lab.processes import HOST, NotReady  # noqa: E402
from lab.swift import S3Server, swift_s3  # noqa: E402

USER = "demo"


class SftpAddress(t.NamedTuple):
    """Where the SFTP server is: ``host_key`` is its public key as ``type base64``, ``root_folder`` what its clients see as /."""

    host: str
    port: int
    user: str
    private_key_file: str
    host_key: str
    known_hosts_file: str
    root_folder: str


@contextlib.contextmanager
def s3_server(folder: t.Union[str, pathlib.Path]) -> t.Iterator[S3Server]:
    """Run Swift's S3 API on a free port of 127.0.0.1, its data below ``folder``, until the context ends.

    What it holds stays there between runs; the secret key is a new one each time.
    """
    with swift_s3(folder) as server:
        yield server


def have_bucket(server: S3Server, name: str) -> None:
    """Make the bucket, if it is not there."""
    if name not in [bucket["Name"] for bucket in server.client().list_buckets()["Buckets"]]:
        server.make_bucket(name)


@contextlib.contextmanager
def sftp_server(folder: t.Union[str, pathlib.Path]) -> t.Iterator[SftpAddress]:
    """Run an SFTP server on a free port of 127.0.0.1 until the context ends; what it holds is ``folder``/root."""
    folder = pathlib.Path(folder).resolve()
    (folder / "root").mkdir(parents=True, exist_ok=True)
    host_key = _public_key(folder / "host_key")
    (folder / "authorized_keys").write_text(_public_key(folder / "client_key") + "\n", encoding="ascii")
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, "sftp", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for who started us, and it ends with our context.
        )
    with process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise NotReady("the SFTP server did not start: %s" % (folder / "server.log").read_text(encoding="utf-8"))
            known_hosts = folder / "known_hosts"
            known_hosts.write_text("[%s]:%s %s\n" % (HOST, port, host_key), encoding="ascii")
            yield SftpAddress(HOST, int(port), USER, str(folder / "client_key"), host_key, str(known_hosts), str(folder / "root"))
        finally:
            process.kill()


def _public_key(path: pathlib.Path) -> str:
    """The public key, as ``type base64``, of the private key in this file, which is made where there is none."""
    import asyncssh

    if path.exists():
        key = asyncssh.read_private_key(path)
    else:
        key = asyncssh.generate_private_key("ssh-ed25519")
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        key.write_private_key(part)
        part.replace(path)
    return " ".join(key.export_public_key().decode("ascii").split()[:2])


async def _serve_sftp(folder: str) -> None:
    import asyncssh

    acceptor = await asyncssh.listen(
        HOST,
        0,
        server_host_keys=["%s/host_key" % folder],
        authorized_client_keys="%s/authorized_keys" % folder,
        sftp_factory=lambda connection: asyncssh.SFTPServer(connection, chroot="%s/root" % folder),
        allow_scp=False,
    )
    print(acceptor.get_port(), flush=True)
    await acceptor.wait_closed()


if __name__ == "__main__":
    import asyncio

    asyncio.run(_serve_sftp(sys.argv[2]))
