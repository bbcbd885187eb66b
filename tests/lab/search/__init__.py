# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real search servers on 127.0.0.1: one node of OpenSearch or Elasticsearch, made of its jars; nginx in front for TLS and logins.

The jars come from Maven's repository, once, into build/search. These are the servers without the plugins of their distributions: no
security, no ILM, no ISM.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import http
import json
import pathlib
import shutil
import subprocess
import typing as t
import urllib.error
import urllib.request

from ..processes import HOST, Daemon, Unavailable, answers, free_port, need_program, wait_until

HERE = pathlib.Path(__file__).parent
JARS = HERE.parents[2] / "build" / "search"
START = 60
"""Seconds that a node takes at most on a machine with nothing else to do."""
NGINX = """\
daemon off; master_process off; error_log stderr; pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; client_max_body_size 100m;
    map $http_authorization $known {{ default 0; "ApiKey {api_key}" 1; "Basic {basic}" 1; }}
    server {{
        listen {host}:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{
            if ($known = 0) {{ return 401; }}
            proxy_pass http://{host}:{target}; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Authorization "";
        }}
    }}
}}
"""
USER, PASSWORD, API_KEY = "follower", "p@ss:word%", "bGFiOmtleQ=="


class SearchNode:
    """A node. product: the type of a sink for it."""

    host = HOST

    def __init__(self, product: str, port: int, daemon: Daemon) -> None:
        self.product = product
        self.port = port
        self.daemon = daemon

    def sink(self, folder: pathlib.Path, **changes: t.Any) -> t.Dict[str, t.Any]:
        """The options of a sink on this node, with its outbox in the folder."""
        return {"type": self.product, "host": HOST, "port": self.port, "path": str(folder / "outbox.sqlite"), **changes}

    def kill(self) -> None:
        """Kill the node as a crash would."""
        self.daemon.stop()

    def start(self) -> None:
        """Start it again with the same data."""
        self.daemon.launch()
        self.daemon.wait_ready(START)

    def call(self, method: str, path: str, body: t.Any = None) -> t.Any:
        """The decoded answer to a request. Raises urllib.error.HTTPError."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            "http://%s:%d%s" % (HOST, self.port, path), data, {"content-type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def clear(self) -> None:
        """Remove all indices and templates."""
        self.call("DELETE", "/*")
        self.call("DELETE", "/_index_template/*")

    def documents(self, pattern: str = "*") -> t.List[t.Dict[str, t.Any]]:
        """The hits of everything in the indices of this pattern: _index, _id, _source."""
        self.call("POST", "/%s/_refresh" % pattern)
        found: t.List[t.Dict[str, t.Any]] = []
        page = wait_until(lambda: self._first_page(pattern), "not all shards of %s answer" % pattern, START)
        while page["hits"]["hits"]:
            found += page["hits"]["hits"]
            page = self.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]})
        return found

    def _first_page(self, pattern: str) -> t.Any:
        """The first hits; None as long as the shards of a new index start."""
        try:
            path = "/%s/_search?scroll=1m&allow_partial_search_results=false" % pattern
            return self.call("POST", path, {"size": 5000, "sort": ["_doc"]})
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return None

    def is_ready(self) -> bool:
        """Whether it answers, and its primary shards are there."""
        try:
            return self.call("GET", "/_cluster/health")["status"] in ("green", "yellow")
        except urllib.error.HTTPError:
            return False


@contextlib.contextmanager
def search_node(product: str, folder: pathlib.Path, optimize: bool = False, **settings: str) -> t.Iterator[SearchNode]:
    """Run a node of ``opensearch`` or ``elasticsearch`` until the context ends.

    optimize: let Java optimize what runs often, which doubles the work of a start. settings: by name, with "__" for ".".
    """
    java = need_program("java", "openjdk-17-jdk-headless")
    jars = _installed(product)
    home = folder / "home"
    for name in ("config", "plugins", "modules"):
        (home / name).mkdir(parents=True)
    if (jars / "modules").is_dir():
        shutil.copytree(jars / "modules", home / "modules", dirs_exist_ok=True)
    port = free_port()
    options = ["-Xms512m", "-Xmx512m", *([] if optimize else ["-XX:TieredStopAtLevel=1"])]
    argv = [java, *options, "-cp", "%s/jars/*:%s" % (jars, jars), "SearchNode", str(home), str(port)]
    argv += ["%s=%s" % (name.replace("__", "."), value) for name, value in settings.items()]
    node = SearchNode(product, port, Daemon(argv, str(folder / "node.log"), lambda: node.is_ready()))
    try:
        node.start()
        yield node
    finally:
        node.kill()


def _installed(product: str) -> pathlib.Path:
    """The folder with the jars of a node, and its compiled main class. They are fetched the first time."""
    maven, compiler = need_program("mvn", "maven"), need_program("javac", "openjdk-17-jdk-headless")
    folder = JARS / product
    JARS.mkdir(parents=True, exist_ok=True)
    with open(JARS / (product + ".lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "SearchNode.class").exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(HERE / product, folder)
        argv = [maven, "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=jars"]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable("Maven cannot fetch the jars of %s: %s" % (product, done.stdout[-500:]))
        if product == "elasticsearch":
            _make_module(folder)
        argv = [compiler, "-cp", "%s/jars/*" % folder, "-d", str(folder), str(folder / "SearchNode.java")]
        subprocess.run(argv, capture_output=True, check=True)
        return folder


def _make_module(folder: pathlib.Path) -> None:
    """Elasticsearch loads its HTTP server from a folder of modules."""
    module = folder / "modules" / "transport-netty4"
    module.mkdir(parents=True)
    for pattern in ("netty-*.jar", "transport-netty4-*.jar"):
        for jar in (folder / "jars").glob(pattern):
            jar.rename(module / jar.name)
    (jar,) = module.glob("transport-netty4-*.jar")
    version = jar.stem.rpartition("-")[2]
    lines = ["name=transport-netty4", "description=HTTP", "version=" + version, "elasticsearch.version=" + version, "java.version=17"]
    lines.append("classname=org.elasticsearch.transport.netty4.Netty4Plugin")
    (module / "plugin-descriptor.properties").write_text("\n".join(lines) + "\n")


@contextlib.contextmanager
def nginx(folder: pathlib.Path, target: int, certificate: str, key: str) -> t.Iterator[int]:
    """Run nginx in front of a port: TLS, and a login with USER and PASSWORD or with API_KEY. Yields its port."""
    program, port = need_program("nginx", "nginx-light"), free_port()
    folder.mkdir()
    basic = base64.b64encode(("%s:%s" % (USER, PASSWORD)).encode()).decode()
    values = {"folder": folder, "host": HOST, "port": port, "target": target, "certificate": certificate, "key": key}
    (folder / "nginx.conf").write_text(NGINX.format(api_key=API_KEY, basic=basic, **values))
    daemon = Daemon([program, "-p", str(folder), "-c", str(folder / "nginx.conf")], str(folder / "log"), lambda: answers(port))
    daemon.start()
    try:
        yield port
    finally:
        daemon.stop()
