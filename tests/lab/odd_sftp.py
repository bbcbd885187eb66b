# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An SFTP server of AsyncSSH, with the parts of it that a test replaces: what OpenSSH cannot be told to do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import typing as t

from .openssh import SftpServer
from .processes import HOST, Unavailable


@contextlib.contextmanager
def odd_sftp_server(folder: t.Union[str, os.PathLike[str]], **replaced: t.Any) -> t.Iterator[SftpServer]:
    """Run the server until the context ends. replaced: methods of asyncssh.SFTPServer by name."""
    try:
        import asyncssh
    except ImportError as error:
        raise Unavailable("the Python library 'asyncssh' is missing") from error
    folder = os.fspath(folder)
    root = os.path.join(folder, "root")
    os.makedirs(root)
    server = SftpServer(folder, root, "lab", None)
    with open(os.path.join(folder, "authorized_keys"), "w", encoding="ascii") as stream:
        stream.write(server.client_key + "\n")
    kind = type("Odd", (asyncssh.SFTPServer,), replaced)

    async def listen() -> t.Any:
        return await asyncssh.listen(
            HOST,
            server.port,
            server_host_keys=[os.path.join(folder, "host_key")],
            authorized_client_keys=os.path.join(folder, "authorized_keys"),
            sftp_factory=kind,
        )

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(listen(), loop).result(30)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(acceptor.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
