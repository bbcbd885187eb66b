# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real HTTPS server on 127.0.0.1 with its own CA, that serves what a test puts there, and fails in the ways a test asks for."""

from __future__ import annotations

import base64
import contextlib
import datetime
import email.utils
import hashlib
import http.server
import ipaddress
import os
import pathlib
import socket
import ssl
import threading
import time
import typing as t

from .processes import HOST, Unavailable

NAME = "localhost"
KEY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign",
    "encipher_only", "decipher_only",
)  # fmt: skip


class Authority:
    """A CA in a folder, that signs certificates. since: the start of their validity, for clients with a clock in the past."""

    def __init__(self, folder: pathlib.Path, name: str = "lab CA", since: t.Optional[datetime.datetime] = None) -> None:
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError as error:
            raise Unavailable("the Python library 'cryptography' is missing, with which certificates are made") from error
        self.folder = folder
        self._since = since or datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2)
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key(), datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = dict.fromkeys(KEY_USAGES, False)
        usage.update(key_cert_sign=True, crl_sign=True)
        self._certificate = self._sign(builder.add_extension(x509.KeyUsage(**usage), critical=True))
        self.certificate_file = str(folder / "ca.pem")
        self._write(pathlib.Path(self.certificate_file), self._certificate)

    def issue(self, name: str, names: t.Sequence[str] = (), expired: bool = False) -> t.Tuple[str, str]:
        """Paths of a certificate and of its private key, for these DNS names and addresses."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = self._builder(subject, key.public_key(), datetime.timedelta(days=-1 if expired else 1))
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(one) for one in names]), critical=False)
        certificate_file, key_file = self.folder / ("%s.pem" % name), self.folder / ("%s.key" % name)
        self._write(certificate_file, self._sign(builder))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return str(certificate_file), str(key_file)

    def _builder(self, subject: t.Any, public_key: t.Any, lasts: datetime.timedelta) -> t.Any:
        from cryptography import x509

        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(public_key)
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(self._since)
        builder = builder.not_valid_after(now + lasts)
        # Python 3.13 asks certificates for what RFC 5280 does.
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)

    def _sign(self, builder: t.Any) -> t.Any:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self._key, hashes.SHA256())

    @staticmethod
    def _write(path: pathlib.Path, certificate: t.Any) -> None:
        from cryptography.hazmat.primitives import serialization

        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _general_name(name: str) -> t.Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class HttpsServer:
    """What a test knows of the server.

    files: by path ('/export.zip') the bytes, served with ETag and Last-Modified. statuses: by path a list of statuses that are answered
    first, in turn. locations: by path where it redirects to. requests: (path, headers, status) of each request so far.
    login, token: what a request must bring, None for nothing. stall: seconds before each answer. cut: serve only so many bytes and hang up.
    lie: added to the Content-Length. plain: neither ETag nor Last-Modified.
    """

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.port = 0
        self.files: t.Dict[str, bytes] = {}
        self.statuses: t.Dict[str, t.List[int]] = {}
        self.locations: t.Dict[str, str] = {}
        self.requests: t.List[t.Tuple[str, t.Dict[str, str], int]] = []
        self.login: t.Optional[t.Tuple[str, str]] = None
        self.token: t.Optional[t.Tuple[str, str]] = None
        self.stall = 0.0
        self.cut: t.Optional[int] = None
        self.lie = 0
        self.plain = False
        self.modified = time.time() - 1000

    def url(self, path: str = "/export.zip", name: str = NAME) -> str:
        """The URL of a path, by the name in the certificate."""
        return "https://%s:%d%s" % (name, self.port, path)

    def statuses_given(self) -> t.List[int]:
        """The statuses of all answers so far."""
        return [status for _path, _headers, status in self.requests]


@contextlib.contextmanager
def https_server(
    folder: t.Union[str, os.PathLike[str]],
    client_certificate: bool = False,
    names: t.Sequence[str] = (NAME, HOST),
    expired: bool = False,
    authority: t.Optional[Authority] = None,
) -> t.Iterator[HttpsServer]:
    """Run the server until the context ends. client_certificate: ask each client for one that the same CA has signed."""
    state = HttpsServer(authority or Authority(pathlib.Path(folder)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*state.authority.issue("server", names, expired))
    if client_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(state.authority.certificate_file)
    server = _Server((HOST, 0), _handler_of(state))
    server.context = context
    state.port = server.server_address[1]
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
        # The handshake in the connection's own thread: a client that hangs up, or shows no certificate, does not stop the others.
        request.settimeout(20)
        try:
            super().finish_request(self.context.wrap_socket(request, server_side=True), client_address)
        except (OSError, ssl.SSLError):
            request.close()

    def handle_error(self, request: t.Any, client_address: t.Any) -> None:
        """A client that has gone is what tests do."""


def _handler_of(state: HttpsServer) -> t.Type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(state.stall)
            status, body, headers = self._answer()
            state.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, status))
            self.send_response(status)
            headers.setdefault("Content-Length", str(len(body) + state.lie))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if state.cut is None else body[: state.cut])
            if state.cut is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def _answer(self) -> t.Tuple[int, bytes, t.Dict[str, str]]:
            path = self.path.partition("?")[0]
            if state.statuses.get(path):
                return state.statuses[path].pop(0), b"no", {}
            if path in state.locations:
                return 302, b"", {"Location": state.locations[path]}
            if not self._is_allowed():
                return 401, b"who are you?", {"WWW-Authenticate": "Basic"}
            body = state.files.get(path)
            if body is None:
                return 404, b"not here", {}
            if state.plain:
                return 200, body, {"Content-Type": "application/zip"}
            version = {
                "ETag": '"%s"' % hashlib.sha256(body).hexdigest()[:16],
                "Last-Modified": email.utils.formatdate(state.modified, usegmt=True),
            }
            if self.headers.get("If-None-Match") == version["ETag"]:
                return 304, b"", version
            return 200, body, dict(version, **{"Content-Type": "application/zip"})

        def _is_allowed(self) -> bool:
            if state.login is not None:
                expected = "Basic " + base64.b64encode(("%s:%s" % state.login).encode()).decode()
                return self.headers.get("Authorization") == expected
            return state.token is None or self.headers.get(state.token[0]) == state.token[1]

        def log_message(self, *_arguments: t.Any) -> None:
            """Silent: see ``requests``."""

    return Handler
