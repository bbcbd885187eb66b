# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server with one trail and a fixed answer time, for measurements and the demo: moto takes longer for an answer than what is measured.

It answers what a validation asks for (GetObject, ListObjects, ListObjectsV2, ListObjectVersions, GetBucketLocation, ListPublicKeys) and
DeleteObject, and checks no signature. It is a process of its own.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import pickle
import sys
import typing as t
import urllib.parse
from hashlib import md5
from xml.sax.saxutils import escape

from .processes import HOST, Daemon, answers, free_port

if t.TYPE_CHECKING:
    from rigs.trail import Trail

MOST_KEYS = 1000
MODIFIED = "2026-11-03T06:00:00.000Z"


@contextlib.contextmanager
def trail_server(folder: pathlib.Path, trail: Trail, delay: float) -> t.Iterator[str]:
    """The URL of the server, until the context ends. delay: seconds before each answer. folder: for its files."""
    from rigs.trail import public_key

    folder.mkdir()
    data = folder / "trail.pickle"
    objects = {key: (one.body, one.metadata) for key, one in trail.objects.items()}
    data.write_bytes(pickle.dumps((trail.bucket, objects, public_key())))
    port = free_port()
    command = [sys.executable, "-m", "lab.trail_server", HOST, str(port), str(data), str(delay)]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[1])}
    daemon = Daemon(command, str(folder / "server.log"), lambda: answers(port), environment)
    daemon.start()
    try:
        yield "http://%s:%d" % (HOST, port)
    finally:
        daemon.stop()


class _Server:
    def __init__(self, bucket: str, objects: t.Dict[str, t.Tuple[bytes, t.Dict[str, str]]], key: t.Dict[str, t.Any], delay: float) -> None:
        self.bucket = bucket
        self.objects = objects
        self.keys = sorted(objects)
        self.etags = {key: md5(body).hexdigest() for key, (body, _metadata) in objects.items()}
        self.public_key = json.dumps(
            {"PublicKeyList": [{"Value": base64.b64encode(key["Value"]).decode(), "Fingerprint": key["Fingerprint"]}]}
        )
        self.delay = delay

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = next((int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0)
                await reader.readexactly(length)
                method, target, _version = head.split("\r\n", 1)[0].split(" ")
                await asyncio.sleep(self.delay)
                status, headers, body = self.answer(method, target)
                text = "HTTP/1.1 %s\r\n%s" % (status, "".join("%s: %s\r\n" % item for item in headers.items()))
                writer.write((text + "Content-Length: %d\r\n\r\n" % len(body)).encode("latin-1") + body)
                await writer.drain()
        writer.close()

    def answer(self, method: str, target: str) -> t.Tuple[str, t.Dict[str, str], bytes]:
        path, _mark, query = target.partition("?")
        names = urllib.parse.unquote(path).lstrip("/").partition("/")
        options = {name: values[0] for name, values in urllib.parse.parse_qs(query, keep_blank_values=True).items()}
        if method == "POST":
            return "200 OK", {"Content-Type": "application/x-amz-json-1.1"}, self.public_key.encode()
        if "location" in options:
            return _xml("<LocationConstraint>eu-west-3</LocationConstraint>")
        if not names[2]:
            return _xml(self.listing(options))
        if method == "DELETE":
            del self.objects[names[2]]
            self.keys.remove(names[2])
            return "204 No Content", {}, b""
        if names[2] not in self.objects:
            return ("404 Not Found", {"Content-Type": "application/xml"}, b"<Error><Code>NoSuchKey</Code></Error>")
        body, metadata = self.objects[names[2]]
        headers = {"ETag": '"%s"' % self.etags[names[2]], "Last-Modified": "Tue, 03 Nov 2026 06:00:00 GMT"}
        return "200 OK", {**headers, **{"x-amz-meta-" + name: value for name, value in metadata.items()}}, body

    def listing(self, options: t.Mapping[str, str]) -> str:
        """A page of a listing, of any of the three kinds."""
        prefix, delimiter = options.get("prefix", ""), options.get("delimiter")
        after = options.get("marker") or options.get("continuation-token") or options.get("key-marker") or ""
        keys = [key for key in self.keys if key.startswith(prefix) and key > after]
        if delimiter:
            folders = sorted({prefix + key[len(prefix) :].partition("/")[0] + "/" for key in keys})
            inner = "".join("<CommonPrefixes><Prefix>%s</Prefix></CommonPrefixes>" % escape(name) for name in folders)
            return "<ListBucketResult><IsTruncated>false</IsTruncated>%s</ListBucketResult>" % inner
        page, more = keys[:MOST_KEYS], len(keys) > MOST_KEYS
        versions = "versions" in options
        entry, root = ("Version", "ListVersionsResult") if versions else ("Contents", "ListBucketResult")
        inner = "".join(
            "<%s><Key>%s</Key>%s<Size>%d</Size><ETag>&quot;%s&quot;</ETag><LastModified>%s</LastModified></%s>"
            % (
                entry,
                escape(key),
                "<VersionId>null</VersionId><IsLatest>true</IsLatest>" if versions else "",
                len(self.objects[key][0]),
                self.etags[key],
                MODIFIED,
                entry,
            )
            for key in page
        )
        following = ""
        if more:
            last = escape(page[-1])
            following = "<NextMarker>%s</NextMarker><NextContinuationToken>%s</NextContinuationToken><NextKeyMarker>%s</NextKeyMarker>" % (
                last,
                last,
                last,
            )
            following += "<NextVersionIdMarker>null</NextVersionIdMarker>"
        return "<%s><IsTruncated>%s</IsTruncated>%s%s</%s>" % (root, str(more).lower(), following, inner, root)


def _xml(text: str) -> t.Tuple[str, t.Dict[str, str], bytes]:
    return "200 OK", {"Content-Type": "application/xml"}, ('<?xml version="1.0" encoding="UTF-8"?>' + text).encode()


async def _main(host: str, port: str, data: str, delay: str) -> None:
    bucket, objects, key = pickle.loads(pathlib.Path(data).read_bytes())
    server = await asyncio.start_server(_Server(bucket, objects, key, float(delay)).serve, host, int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
