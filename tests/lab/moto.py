# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with the APIs of AWS: moto. It checks neither signatures nor digests, and few of the services' limits.

What moto does not have, such as ``cloudtrail:ListPublicKeys``, and every fault is an answer that a test asks for.
"""

from __future__ import annotations

import base64
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
    query: str = ""


class AwsServer:
    """Where the server is (endpoint_url), how to log in, and which requests it got."""

    region = "eu-west-3"
    access_key = "AKIDEXAMPLE"
    secret_key = SECRET

    def __init__(self, endpoint_url: str, record: pathlib.Path) -> None:
        self.endpoint_url = endpoint_url
        self._record = record
        self._answers: t.List[t.Dict[str, t.Any]] = []
        self._ahead = 0.0

    @property
    def options(self) -> t.Dict[str, str]:
        """The options of a job or a module for this server."""
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
        }

    @property
    def environment(self) -> t.Dict[str, str]:
        """Variables with which boto3 and aws-cli use this server and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def client(self, service: str, region: t.Optional[str] = None) -> t.Any:
        """A plain boto3 client of this server."""
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=region or self.region,
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

    def answer(
        self,
        status: int,
        body: t.Union[t.Dict[str, t.Any], str],
        service: t.Optional[str] = None,
        operation: t.Optional[str] = None,
        region: t.Optional[str] = None,
        method: t.Optional[str] = None,
        path: t.Optional[str] = None,
        times: t.Optional[int] = None,
        query: t.Optional[str] = None,
    ) -> None:
        """Send this answer, instead of moto's, to the requests of a service, operation, region, method and path (all that are given).

        body: JSON, or a text of XML. times: how many requests get it, all by default. query: a part of the query string. Among several
        answers the first one counts.
        """
        names = ("status", "body", "service", "operation", "region", "method", "path", "times", "query")
        self._answers.append(dict(zip(names, (status, body, service, operation, region, method, path, times, query))))
        self._send_script()

    def fail(self, status: int, code: str, message: str = "as the test wants it", **which: t.Any) -> None:
        """Answer with an error in the protocol of JSON (cloudtrail, logs, events). which: as of ``answer``."""
        self.answer(status, {"__type": code, "message": message}, **which)

    def reset_answers(self) -> None:
        """Let moto answer again."""
        self._answers.clear()
        self._send_script()

    def set_public_keys(self, *keys: t.Mapping[str, t.Any], region: t.Optional[str] = None) -> None:
        """What ListPublicKeys answers, in every region or in one. keys: each with Value (bytes) and Fingerprint."""
        listed = [dict(key, Value=base64.b64encode(key["Value"]).decode()) for key in keys]
        self.answer(200, {"PublicKeyList": listed}, service="cloudtrail", operation="ListPublicKeys", region=region)

    def set_clock(self, ahead: float) -> None:
        """Set the server's clock ahead of this host's, by seconds."""
        self._ahead = ahead
        self._send_script()

    def _send_script(self) -> None:
        self._request("/lab/", "PUT", json.dumps({"answers": self._answers, "ahead": self._ahead}).encode())

    def _request(self, path: str, method: str, body: t.Optional[bytes] = None) -> None:
        request = urllib.request.Request(self.endpoint_url + path, data=body, method=method)
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60).close()

    def reset(self) -> None:
        """Remove everything that the server holds, its record of requests, and the answers that were asked for."""
        self._request("/moto-api/reset", "POST")
        self._answers.clear()
        self._ahead = 0.0
        self._send_script()
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
