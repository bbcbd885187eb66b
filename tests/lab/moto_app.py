# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""moto's server with a record of its requests; it runs in the virtualenv of moto. Arguments: host, port, path of the record."""

from __future__ import annotations

import io
import json
import re
import sys
import urllib.parse

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
    }


def main() -> None:
    host, port, record = sys.argv[1:]
    backend = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict, start_response: object) -> object:
        if environ["PATH_INFO"].startswith("/moto-api/"):
            return backend(environ, start_response)
        with open(record, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(operation_of(environ)) + "\n")
        return backend(environ, start_response)

    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    make_server(host, int(port), application, threaded=True).serve_forever()


if __name__ == "__main__":
    main()
