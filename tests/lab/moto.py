# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with the APIs of AWS: moto. It checks neither signatures nor digests, and few of the services' limits."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import typing as t
import urllib.request

from .processes import HOST, Daemon, Unavailable, free_port

VENV = pathlib.Path(__file__).resolve().parents[2] / "build" / "venv-moto"
SECRET = "marker-of-a-secret-access-key"


class Request(t.NamedTuple):
    """One request that reached the server. operation: such as 'PutLogEvents', '' for S3, which has none in its requests."""

    key: str
    region: str
    service: str
    operation: str
    method: str
    path: str


class AwsServer:
    """Where the server is (endpoint_url), how to log in, and which requests it got."""

    region = "eu-west-3"
    access_key = "AKIDEXAMPLE"
    secret_key = SECRET

    def __init__(self, endpoint_url: str, record: pathlib.Path) -> None:
        self.endpoint_url = endpoint_url
        self._record = record

    @property
    def options(self) -> t.Dict[str, str]:
        """The options of a job or a module for this server."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    def client(self, service: str) -> t.Any:
        """A plain boto3 client of this server."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
        )

    def requests(self) -> t.List[Request]:
        """The requests since ``reset``, in order."""
        if not self._record.exists():
            return []
        return [Request(**json.loads(line)) for line in self._record.read_text(encoding="utf-8").splitlines()]

    def forget_requests(self) -> None:
        """Begin the record of requests anew."""
        self._record.write_text("")

    def reset(self) -> None:
        """Remove everything that the server holds, and its record of requests."""
        request = urllib.request.Request(self.endpoint_url + "/moto-api/reset", method="POST")
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()
        self.forget_requests()


@contextlib.contextmanager
def aws_server(folder: t.Union[str, os.PathLike[str]], venv: t.Union[str, os.PathLike[str]] = VENV) -> t.Iterator[AwsServer]:
    """Run moto until the context ends; ready after about 2 s. folder: for its logs. venv: 'make build/venv-moto/.stamp' makes it."""
    folder = pathlib.Path(folder)
    python = pathlib.Path(venv) / "bin" / "python"
    if not python.exists():
        raise Unavailable("moto is not installed in %s: 'make build/venv-moto/.stamp'" % os.fspath(venv))
    folder.mkdir(parents=True, exist_ok=True)
    record, port = folder / "requests.jsonl", free_port()
    program = pathlib.Path(__file__).with_name("moto_app.py")
    server = AwsServer("http://%s:%d" % (HOST, port), record)

    def ready() -> bool:
        url = server.endpoint_url + "/moto-api/data.json"
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60).close()
        return True

    # It must ask nobody for credentials of its own.
    environment = {**os.environ, "AWS_EC2_METADATA_DISABLED": "true", "MOTO_ACCOUNT_ID": "123456789012"}
    environment.pop("PYTHONPATH", None)
    daemon = Daemon([str(python), "-I", str(program), HOST, str(port), str(record)], str(folder / "moto.log"), ready, environment)
    daemon.start()
    try:
        yield server
    finally:
        daemon.stop()
