# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTP proxy before a real server that answers in its place, rewrites its answers, or cuts them short.

The Host header and everything else that SigV4 signs is passed on unchanged, so a client signs for the proxy's address and the real
server still checks the signature.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import re
import socket
import ssl
import struct
import threading
import typing as t
import urllib.parse

HOST = "127.0.0.1"
PIECE = 65536
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "proxy-connection"}


class Request(t.NamedTuple):
    """What a client asked: the path without the query, the query's fields, headers with lowercase names."""

    method: str
    path: str
    query: t.Dict[str, str]
    headers: t.Dict[str, str]

    @property
    def operation(self) -> str:
        """The S3 operation, named as boto3 names its methods."""
        is_object = self.path.count("/") > 1 and not self.path.endswith("/")
        if self.method == "PUT":
            return "upload_part" if "partNumber" in self.query else "put_object"
        if self.method == "POST":
            kinds = {"uploads": "create_multipart_upload", "uploadId": "complete_multipart_upload", "delete": "delete_objects"}
            return next((name for field, name in kinds.items() if field in self.query), "post")
        if self.method == "DELETE":
            return "abort_multipart_upload" if "uploadId" in self.query else "delete_object"
        if self.method == "HEAD":
            return "head_object" if is_object else "head_bucket"
        if is_object:
            return "get_object"
        return "list_multipart_uploads" if "uploads" in self.query else "list_objects"


class Answer(t.NamedTuple):
    """An answer: status, headers (names in lowercase), body."""

    status: int
    headers: t.Dict[str, str]
    body: bytes


class Fault(t.NamedTuple):
    """What happens to the requests that ``when`` accepts.

    refuse: answer this at once, before the body is read, and send nothing to the server. rewrite: change the server's answer.
    cut_up, cut_down: reset the connection after that many bytes of the request's body or of the answer's.
    """

    when: t.Callable[[Request], bool]
    refuse: t.Optional[Answer] = None
    rewrite: t.Optional[t.Callable[[Answer], Answer]] = None
    cut_up: t.Optional[int] = None
    cut_down: t.Optional[int] = None


def s3_error(status: int, code: str, message: str = "made by the fault proxy", **fields: str) -> Answer:
    """An S3 server's error answer; ``fields`` become further elements of its XML."""
    extra = "".join("<%s>%s</%s>" % (name, value, name) for name, value in fields.items())
    body = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message>%s</Error>' % (code, message, extra)
    return Answer(status, {"content-type": "application/xml"}, body.encode())


def with_etag(etag: str, **headers: str) -> t.Callable[[Answer], Answer]:
    """A rewrite: answer with this ETag, in the header and in the XML, and add headers ('_' in their names stands for '-')."""

    def rewrite(answer: Answer) -> Answer:
        changed = dict(answer.headers, **{name.replace("_", "-"): value for name, value in headers.items()})
        if "etag" in changed:
            changed["etag"] = '"%s"' % etag
        return Answer(answer.status, changed, re.sub(rb"<ETag>.*?</ETag>", b'<ETag>"%s"</ETag>' % etag.encode(), answer.body))

    return rewrite


class HttpFaultProxy:
    """Listens on 127.0.0.1 and passes requests on to ``target`` (host, port), over plain HTTP.

    requests: all that clients asked, in order. certificate: path of a PEM file with certificate and key; clients then come over TLS.
    """

    def __init__(self, target: t.Tuple[str, int], certificate: t.Optional[str] = None) -> None:
        self.target = target
        self.requests: t.List[Request] = []
        self._faults: t.List[t.Tuple[Fault, t.Optional[int]]] = []
        self._lock = threading.Lock()
        self._server = _Server((HOST, 0), _handler(self))
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.host = HOST
        self.port = self._server.server_address[1]
        self.endpoint_url = "http%s://%s:%d" % ("s" if certificate else "", HOST, self.port)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def fault(self, operation: str, times: t.Optional[int] = None, **how: t.Any) -> None:
        """Let this happen to an S3 operation (see Request.operation; a regular expression) from now on, or ``times`` times.

        how: the fields of Fault; ``when`` narrows it further.
        """
        also = how.pop("when", lambda _request: True)
        fault = Fault(lambda request: re.fullmatch(operation, request.operation) is not None and also(request), **how)
        with self._lock:
            self._faults.append((fault, times))

    def operations(self) -> t.List[str]:
        """The S3 operations asked for so far."""
        return [request.operation for request in self.requests]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Request) -> t.Optional[Fault]:
        with self._lock:
            for index, (fault, times) in enumerate(self._faults):
                if fault.when(request):
                    if times is not None:
                        self._faults[index : index + 1] = [(fault, times - 1)] if times > 1 else []
                    return fault
        return None


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client or this proxy broke the connection: nothing to report."""


def _handler(proxy: HttpFaultProxy) -> t.Type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        # Headers and body of an answer leave together.
        wbufsize = -1

        def log_message(self, format: str, *args: t.Any) -> None:
            pass

        def handle_expect_100(self) -> bool:
            # Not before it is known that the body is wanted.
            return True

        def pass_on(self) -> None:
            split = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(split.query, keep_blank_values=True))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, urllib.parse.unquote(split.path), query, headers)
            proxy.requests.append(request)
            fault = proxy._take(request)
            if fault is not None and fault.refuse is not None:
                # The body, if any, is still on its way: this connection cannot be used again.
                self.close_connection = True
                self.answer(fault.refuse)
                return
            if headers.get("expect", "").lower() == "100-continue":
                self.send_response_only(100)
                self.end_headers()
                self.wfile.flush()
            server = http.client.HTTPConnection(*proxy.target, timeout=120)
            try:
                self.exchange(server, headers, fault)
            finally:
                server.close()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on

        def exchange(self, server: http.client.HTTPConnection, headers: t.Dict[str, str], fault: t.Optional[Fault]) -> None:
            server.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    server.putheader(name, value)
            server.endheaders()
            left = int(headers.get("content-length", "0"))
            room = fault.cut_up if fault is not None else None
            while left:
                piece = self.rfile.read(min(PIECE, left if room is None else min(left, room) or 1))
                if not piece:
                    self.close_connection = True
                    return
                server.send(piece)
                left -= len(piece)
                if room is not None:
                    room -= len(piece)
                    if room <= 0:
                        self.reset()
                        return
            response = server.getresponse()
            answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, b"")
            if fault is not None and fault.rewrite is not None:
                self.answer(fault.rewrite(answer._replace(body=response.read())))
                return
            self.begin(answer, answer.headers.get("content-length"))
            room = fault.cut_down if fault is not None else None
            while True:
                piece = response.read(PIECE)
                if room is not None and len(piece) >= room:
                    self.wfile.write(piece[:room])
                    self.wfile.flush()
                    self.reset()
                    return
                if not piece:
                    break
                self.wfile.write(piece)
                if room is not None:
                    room -= len(piece)
            self.wfile.flush()

        def begin(self, answer: Answer, length: t.Optional[str]) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name not in HOP_BY_HOP and name != "content-length":
                    self.send_header(name, value)
            if length is not None:
                self.send_header("content-length", length)
            elif answer.status not in (204, 304):
                self.close_connection = True
            if self.close_connection:
                self.send_header("connection", "close")
            self.end_headers()

        def answer(self, answer: Answer) -> None:
            # The length of what a GET would bring, where it is a HEAD.
            length = answer.headers.get("content-length") if self.command == "HEAD" else str(len(answer.body))
            self.begin(answer, length or "0")
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.wfile.flush()

        def reset(self) -> None:
            self.close_connection = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The files made from the socket keep it open otherwise.
            self.rfile.close()
            self.connection.close()

    return Handler


@contextlib.contextmanager
def http_fault_proxy(target: t.Tuple[str, int], certificate: t.Optional[str] = None) -> t.Iterator[HttpFaultProxy]:
    """Run an HttpFaultProxy to ``target`` (host, port) until the context ends."""
    proxy = HttpFaultProxy(target, certificate)
    try:
        yield proxy
    finally:
        proxy.close()
