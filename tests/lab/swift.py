# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real S3 server: OpenStack Swift from PyPI, which checks signatures, Content-MD5 and checksums."""

from __future__ import annotations

import contextlib
import functools
import getpass
import http.client
import os
import pathlib
import secrets
import typing as t

from .processes import HOST, NAMESPACES, Daemon, Unavailable, answers, free_port, within

VENV = pathlib.Path(__file__).resolve().parents[2] / "build" / "venv-swift"

SWIFT_CONF = """\
[swift-hash]
swift_hash_path_suffix = lab
swift_hash_path_prefix = lab
[storage-policy:0]
name = p0
default = yes
"""

BACKEND_CONF = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
disable_fallocate = true
workers = 0
log_name = {name}
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

PROXY_CONF = """\
[DEFAULT]
bind_ip = {host}
bind_port = {port}
user = {user}
swift_dir = {folder}
workers = 0
log_name = proxy
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
dns_compliant_bucket_names = false
min_segment_size = 5242880
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = {secret_key} .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
"""

# The rings, then the four servers as copies of one process: the libraries are imported once, not five times. It ends if one of them does.
SERVERS = """\
import gc, os, sys
from swift.common.ring import RingBuilder
from swift.account import server as account
from swift.container import server as container
from swift.obj import server as object_
from swift.proxy import server as proxy
from swift.common.middleware import (
    bulk, catch_errors, copy, dlo, gatekeeper, healthcheck, listing_formats, s3api, slo, symlink, tempauth, versioned_writes,
)
from swift.common.middleware.s3api import s3api
folder, host, *ports = sys.argv[1:]
for argument in ports:
    name, port = argument.split(":")
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(dict(
        region=1, zone=1, device="d1", weight=1, meta="",
        ip=host, port=int(port), replication_ip=host, replication_port=int(port),
    ))
    builder.rebalance(seed="lab")
    builder.get_ring().save("%s/%s.ring.gz" % (folder, name))
gc.collect()
gc.freeze()
for name, module in ("account", account), ("container", container), ("object", object_), ("proxy", proxy):
    if os.fork() == 0:
        sys.argv = ["swift-%s-server" % name, "%s/%s-server.conf" % (folder, name), "-v"]
        sys.exit(module.main())
os.wait()
sys.exit("a server of Swift ended")
"""


class S3Server:
    """Where an S3 server of the lab is and how to log in: endpoint_url, access_key, secret_key, region, and host and port."""

    region = "us-east-1"
    daemon: Daemon
    """Of one that ``swift_s3`` runs."""

    def __init__(self, host: str, port: int, access_key: str, secret_key: str) -> None:
        self.host = host
        self.port = port
        self.endpoint_url = "http://%s:%d" % (host, port)
        self.access_key = access_key
        self.secret_key = secret_key

    def client(self, **options: t.Any) -> t.Any:
        """A plain boto3 client of this server; ``options`` go to boto3."""
        import boto3
        import botocore.config

        return boto3.client(
            "s3",
            endpoint_url=options.pop("endpoint_url", self.endpoint_url),
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
            **options,
        )

    def make_bucket(self, name: t.Optional[str] = None) -> str:
        """Create a bucket, by default with a new name, and return its name."""
        name = name or "bucket-%s" % secrets.token_hex(6)
        self.client().create_bucket(Bucket=name)
        return name

    def pause(self) -> None:
        """Freeze the server: connections stay open, nothing answers."""
        self.daemon.pause()

    def resume(self) -> None:
        """Undo ``pause``."""
        self.daemon.resume()

    def start(self) -> None:
        """Start again after ``stop``, with what it held."""
        self.daemon.start()

    def stop(self) -> None:
        """Stop the server; ``start`` brings it back."""
        self.daemon.stop()


def _healthy(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == 200
    finally:
        connection.close()


@contextlib.contextmanager
def swift_s3(
    folder: t.Union[str, os.PathLike[str]],
    venv: t.Union[str, os.PathLike[str]] = VENV,
    host: str = HOST,
    namespace: t.Optional[str] = None,
) -> t.Iterator[S3Server]:
    """Run Swift's S3 API until the context ends; ready after about 2 s.

    folder: for its devices, rings, configuration and logs, on a file system with user.* extended attributes. venv: where Swift is
    installed ('make build/venv-swift' does it). host, namespace: the address and the network namespace in which it listens.
    """
    folder = os.path.abspath(os.fspath(folder))
    programs = os.path.join(os.fspath(venv), "bin")
    if not os.path.exists(os.path.join(programs, "swift-proxy-server")):
        raise Unavailable("Swift is not installed in %s: 'make swift'" % os.fspath(venv))
    os.makedirs(os.path.join(folder, "devices", "d1"), exist_ok=True)
    try:
        os.setxattr(folder, "user.lab", b"1")
    except OSError as error:
        raise Unavailable("Swift needs a file system with extended attributes, and %s is not on one: %s" % (folder, error)) from error
    # Root's own files are used by servers that drop their rights to this user, so it stays the present one.
    user = getpass.getuser()
    inside = functools.partial(within, namespace) if namespace else lambda function: function()
    enter = ["nsenter", "--net=%s" % (NAMESPACES / namespace), "--"] if namespace else []
    server = S3Server(host, inside(free_port), "test:tester", secrets.token_urlsafe(18))
    ports = {name: inside(free_port) for name in ("account", "container", "object")}

    def write(name: str, text: str) -> None:
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(text)

    write("swift.conf", SWIFT_CONF)
    for name, port in ports.items():
        write("%s-server.conf" % name, BACKEND_CONF.format(host=HOST, port=port, user=user, folder=folder, name=name))
    config = PROXY_CONF.format(host=host, port=server.port, user=user, folder=folder, secret_key=server.secret_key)
    write("proxy-server.conf", config)

    def ready() -> bool:
        return all(map(answers, ports.values())) and _healthy(server.host, server.port)

    rings = ["%s:%d" % each for each in ports.items()]
    argv = [*enter, os.path.join(programs, "python"), "-c", SERVERS, folder, HOST, *rings]
    log = os.path.join(folder, "swift.log")
    server.daemon = Daemon(argv, log, lambda: inside(ready), dict(os.environ, SWIFT_DIR=folder, EVENTLET_NO_GREENDNS="yes"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
