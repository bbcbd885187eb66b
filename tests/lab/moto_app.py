# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""moto's server with a record of its requests, and with answers that a test has asked for; it runs in the virtualenv of moto.

Arguments: host, port, path of the record. ``PUT /lab/`` takes {"answers": [...], "ahead": seconds}, see ``moto.AwsServer``.
"""

from __future__ import annotations

import io
import json
import re
import sys
import threading
import time
import urllib.parse
import uuid

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


def operation_of(environ: dict) -> dict:
    """The service and the operation of a request: from its signature, and from where each protocol of AWS names the operation."""
    scope = re.search(r"Credential=([^/]*)/[^/]*/([^/]*)/([^/]*)/", environ.get("HTTP_AUTHORIZATION", ""))
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    in_path = re.search(r"/operation/(\w+)$", environ["PATH_INFO"])
    action = ""
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        action = urllib.parse.parse_qs(body.decode("utf-8", "replace")).get("Action", [""])[0]
    return {
        "key": scope[1] if scope else "",
        "region": scope[2] if scope else "",
        "service": scope[3] if scope else "",
        "operation": target or (in_path[1] if in_path else "") or action,
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"],
        "query": environ.get("QUERY_STRING", ""),
    }


class Script:
    """The answers that a test has asked for, and by how many seconds the server's clock is ahead."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.answers: list = []
        self.ahead = 0.0

    def replace(self, environ: dict) -> None:
        wanted = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        with self.lock:
            self.answers, self.ahead = wanted["answers"], wanted["ahead"]

    def answer(self, request: dict) -> dict | None:
        """The answer to send instead of moto's."""
        with self.lock:
            for one in self.answers:
                fields = ("service", "operation", "region", "method", "path")
                is_asked = all(one[name] in (None, request[name]) for name in fields) and (one["query"] or "") in request["query"]
                if is_asked and one["times"] != 0:
                    if one["times"] is not None:
                        one["times"] -= 1
                    return one
        return None


def main() -> None:
    host, port, record = sys.argv[1:]
    backend = DomainDispatcherApplication(create_backend_app)
    script = Script()

    def send(start_response: object, status: int, body: object) -> list:
        kind, text = ("text/xml", body.encode()) if isinstance(body, str) else ("application/x-amz-json-1.1", json.dumps(body).encode())
        headers = [("Content-Type", kind), ("Content-Length", str(len(text))), ("x-amzn-RequestId", str(uuid.uuid4()))]
        start_response("%d Answer" % status, headers)
        return [text]

    def application(environ: dict, start_response: object) -> object:
        if environ["PATH_INFO"].startswith("/moto-api/"):
            return backend(environ, start_response)
        if environ["PATH_INFO"] == "/lab/":
            script.replace(environ)
            return send(start_response, 200, {})
        request = operation_of(environ)
        with open(record, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(request) + "\n")
        wanted = script.answer(request)
        if wanted is None:
            return backend(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return send(start_response, wanted["status"], wanted["body"])

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string(time.time() + script.ahead)

    make_server(host, int(port), application, threaded=True, request_handler=Handler).serve_forever()


if __name__ == "__main__":
    main()
