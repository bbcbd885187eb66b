# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The demo's servers, real ones that pip alone installs: Swift's S3 API, AsyncSSH's SFTP server, and Python's own over HTTPS.

They keep what they hold in their folder, so that a second demo finds what the first one archived. Run as a program, this file is the
SFTP or the HTTPS server: ``servers.py sftp|https FOLDER`` prints its port once it listens and serves until it is killed.
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
    with _own_process("sftp", folder) as port:
        known_hosts = folder / "known_hosts"
        known_hosts.write_text("[%s]:%s %s\n" % (HOST, port, host_key), encoding="ascii")
        yield SftpAddress(HOST, int(port), USER, str(folder / "client_key"), host_key, str(known_hosts), str(folder / "root"))


def _public_key(path: pathlib.Path) -> str:
    """The public key, as ``type base64``, of the private key in this file, which is created if it does not exist."""
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


class HttpsAddress(t.NamedTuple):
    """Where the web server is: ``ca_bundle`` is a file with the certificate to trust, ``root_folder`` what it serves."""

    url: str
    ca_bundle: str
    root_folder: str


@contextlib.contextmanager
def https_server(folder: t.Union[str, pathlib.Path]) -> t.Iterator[HttpsAddress]:
    """Serve ``folder``/root over HTTPS, for reading, on a free port of 127.0.0.1 until the context ends."""
    folder = pathlib.Path(folder).resolve()
    (folder / "root").mkdir(parents=True, exist_ok=True)
    _write_certificate(folder)
    with _own_process("https", folder) as port:
        yield HttpsAddress("https://%s:%s" % (HOST, port), str(folder / "certificate.pem"), str(folder / "root"))


def _write_certificate(folder: pathlib.Path) -> None:
    """A new key, and a certificate for it that signs itself: it is its own CA."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "log-archive demo")])
    now = datetime.datetime.now(datetime.timezone.utc)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = folder / "https_key"
    private.touch(mode=0o600)
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _serve_https(folder: str) -> None:
    import functools
    import http.server
    import ssl

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory="%s/root" % folder)
    server = http.server.ThreadingHTTPServer((HOST, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("%s/certificate.pem" % folder, "%s/https_key" % folder)
    # The handshake runs in the connection's own thread, so that other connections do not wait.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    print(server.server_address[1], flush=True)
    server.serve_forever()


@contextlib.contextmanager
def _own_process(kind: str, folder: pathlib.Path) -> t.Iterator[str]:
    """Run this file as that server until the context ends; yields the port that it has taken."""
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, __file__, kind, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for the process that started us, and it ends with our context.
        )
    with process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port:
                raise NotReady("the %s server did not start: %s" % (kind.upper(), (folder / "server.log").read_text(encoding="utf-8")))
            yield port
        finally:
            process.kill()


if __name__ == "__main__":
    import asyncio

    if sys.argv[1] == "https":
        _serve_https(sys.argv[2])
    else:
        asyncio.run(_serve_sftp(sys.argv[2]))
