# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real HTTPS server on 127.0.0.1 that takes posts: the incoming webhooks of Mattermost, and anything else as it is."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import ssl
import threading
import time
import typing as t

from .https import NAME, Authority
from .processes import HOST, free_port

TOKEN = "yobjmukpaw3r3urc5h6i369yima"
LONGEST_POST = 16383
"""Characters (Unicode) of a post since Mattermost 5.0."""
LONGEST_USERNAME = 64


class Post(t.NamedTuple):
    """One request, and the status that it was answered with."""

    method: str
    path: str
    headers: t.Dict[str, str]
    body: bytes
    status: int

    @property
    def text(self) -> str:
        """The message of a post to Mattermost."""
        return t.cast(str, json.loads(self.body)["text"])


class Webhook:
    """What a test knows of the server.

    posts: each request so far. statuses: what the next ones are answered with, in turn. stall: seconds before each answer. drip: the answer
    comes one byte in so many seconds and never ends.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.port = free_port()
        self.posts: t.List[Post] = []
        self.statuses: t.List[int] = []
        self.stall = 0.0
        self.drip = 0.0

    def url(self, path: str = "/hooks/" + TOKEN) -> str:
        """The URL of a path, by the name in the certificate."""
        return "https://%s:%d%s" % (NAME, self.port, path)

    def taken(self) -> t.List[Post]:
        """The requests that were answered with 200."""
        return [post for post in self.posts if post.status == 200]


def mistake(path: str, headers: t.Mapping[str, str], body: bytes) -> t.Optional[t.Tuple[int, str]]:
    """What Mattermost has against a post to an incoming webhook: status and text."""
    if path != "/hooks/" + TOKEN:
        return 404, "Invalid webhook."
    if headers.get("content-type", "").partition(";")[0] != "application/json":
        return 400, "Unable to decode the payload: no JSON by its content type."
    try:
        payload = json.loads(body.decode("utf-8"))
    except ValueError:
        return 400, "Unable to parse incoming data."
    if not isinstance(payload, dict) or not (payload.get("text") or payload.get("attachments")):
        return 400, "No text specified."
    known = {"text", "channel", "username", "icon_url", "icon_emoji", "attachments", "type", "props", "priority"}
    if payload.keys() - known:
        return 400, "Unknown parameters: %s" % sorted(payload.keys() - known)
    if not isinstance(payload["text"], str) or len(payload["text"]) > LONGEST_POST:
        return 400, "The text is too long."
    if len(payload.get("username", "")) > LONGEST_USERNAME:
        return 400, "The username is too long."
    return None


@contextlib.contextmanager
def webhook(folder: t.Union[str, os.PathLike[str]], authority: t.Optional[Authority] = None) -> t.Iterator[Webhook]:
    """Run the server until the context ends."""
    state = Webhook(authority or Authority(pathlib.Path(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*state.authority.issue("webhook", (NAME, HOST)))
    server = _Server((HOST, state.port), _handler_of(state))
    server.context = context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: t.Any, client_address: t.Any) -> None:
        request.settimeout(20)
        try:
            super().finish_request(self.context.wrap_socket(request, server_side=True), client_address)
        except OSError:
            request.close()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that has gone is what tests do."""


def _handler_of(state: Webhook) -> t.Type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, text = self._judged(headers, body)
            state.posts.append(Post(self.command, self.path, headers, body, status))
            time.sleep(state.stall)
            if state.drip:
                while True:
                    self.wfile.write(b"H")
                    self.wfile.flush()
                    time.sleep(state.drip)
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST

        def _judged(self, headers: t.Mapping[str, str], body: bytes) -> t.Tuple[int, str]:
            if state.statuses:
                return state.statuses.pop(0), "no"
            wrong = mistake(self.path, headers, body) if self.path.startswith("/hooks/") else None
            return wrong or (200, "ok")

        def log_message(self, *_arguments: t.Any) -> None:
            """Silent: see ``posts``."""

    return Handler
