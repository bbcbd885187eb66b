# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy on 127.0.0.1 that tunnels (CONNECT) for clients with the right login, and prints the destinations."""

from __future__ import annotations

import base64
import contextlib
import http.server
import select
import socket
import threading
import typing as t

from .processes import HOST


class ConnectProxy:
    """port: where it listens; targets: 'host:port' of each tunnel that it has made."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.targets: t.List[str] = []


@contextlib.contextmanager
def connect_proxy(login: t.Optional[t.Tuple[str, str]] = None) -> t.Iterator[ConnectProxy]:
    """Run the proxy until the context ends. login: user and password that it asks for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            if login and self.headers.get("Proxy-Authorization") != "Basic " + base64.b64encode(("%s:%s" % login).encode()).decode():
                self.send_error(407)
                return
            proxy.targets.append(self.path)
            host, _colon, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=60) as upstream:
                self.send_response(200)
                self.end_headers()
                _tunnel(self.connection, upstream)

        def log_message(self, *_arguments: t.Any) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    proxy = ConnectProxy(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _tunnel(one: socket.socket, other: socket.socket) -> None:
    while True:
        for ready in select.select([one, other], [], [], 10)[0]:
            try:
                data = ready.recv(65536)
            except OSError:
                return
            if not data:
                return
            (other if ready is one else one).sendall(data)
