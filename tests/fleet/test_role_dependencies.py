# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role dependencies on a real host that has no internet. The tests use it one after the other, from fresh to removed."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import pathlib
import re
import threading
import typing as t

import pytest
from fleet.roles import SFTP_PROJECTS, as_user, difference, play, snapshot, succeed, wheels

ROLE = ["dependencies"]
VENV = "/opt/log-archive/venv"
PASSWORD = "the-password-of-the-index"
LIST = "import importlib.metadata as m, json; print(json.dumps(sorted(d.metadata['Name'].lower() for d in m.distributions())))"


def installed(host: t.Any) -> t.List[str]:
    return json.loads(host.run([VENV + "/bin/python", "-I", "-c", LIST]).stdout)


@pytest.fixture(scope="module")
def fresh(host):
    """What the host looks like before the role."""
    return snapshot(host)


def test_a_check_of_a_fresh_host_asks_for_the_versions_and_changes_nothing(host, fresh):
    found = succeed(host, ROLE, "--check", "--diff", dependencies_stores=["file"], dependencies_wheelhouse=wheels(host, *SFTP_PROJECTS))
    words = " ".join(found.output.split())
    assert re.search(
        "Would create %s with /usr/bin/python3 and install: cryptography>=3.4 .found: cffi [0-9.]+, cryptography [0-9.]+" % VENV, words
    )
    assert found.changed == 2
    # What the wheels cannot satisfy, check mode does not promise.
    failed = play(host, ROLE, "--check", dependencies_stores=["s3"], dependencies_wheelhouse=wheels(host, *SFTP_PROJECTS))
    assert failed.code == 2 and "satisfies the requirement boto3>=1.26.20" in " ".join(failed.output.split()), failed.output
    # The packages that make a virtualenv are missing.
    host.run(["mv", "/usr/lib/python3.11/ensurepip", "/mnt/ensurepip"])
    unknown = succeed(host, ROLE, "--check", dependencies_stores=["file"])
    host.run(["mv", "/mnt/ensurepip", "/usr/lib/python3.11/ensurepip"])
    assert "is not known before python3-venv is installed" in " ".join(unknown.output.split())
    assert not difference(fresh, snapshot(host))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"dependencies_python": "/usr/bin/python9"}, "/usr/bin/python9 does not exist on web1; log-archive needs Python 3.9 or newer"),
        ({"dependencies_wheelhouse": "/no/such/folder"}, "the absolute path of a folder on the controller"),
        ({"dependencies_stores": ["ftp"]}, "must be one or more of: file, s3, sftp"),
        ({"dependencies_stores": None, "log_archive_jobs": {"syslog": {"selct": {}}}}, "selct: unknown key"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(host, fresh, variables, message):
    variables = {name: value for name, value in dict({"dependencies_stores": ["file"]}, **variables).items() if value is not None}
    played = play(host, ROLE, **variables)
    assert played.code == 2
    assert message in " ".join(played.output.split())
    assert not difference(fresh, snapshot(host))


def test_packages_of_the_distribution_by_name(host, fresh):
    played = succeed(host, ROLE, "--check", dependencies_method="packages", dependencies_stores=["s3", "sftp"])
    assert "Would install: python3-cryptography python3-boto3 python3-paramiko" in played.output
    jobs = {
        "dump": {
            "web": {"url": "https://intranet.example.com/export.zip"},
            "encryption": "none",
            "stores": [{"type": "file", "path": "/srv"}],
        },
        "syslog": {"select": {"paths": ["/var/log"]}, "stores": [{"type": "file", "path": "/srv"}]},
    }
    jobs["syslog"]["notify"] = [{"type": "mail", "to": ["root"]}, {"type": "chat", "url": "https://chat.example.com/hooks/abc"}]
    played = succeed(host, ROLE, "--check", dependencies_method="packages", log_archive_jobs=jobs)
    assert "Would install: python3-cryptography apprise python3-urllib3" in played.output
    assert not difference(fresh, snapshot(host))


PACKAGE = "Package: %s\nVersion: %s\nArchitecture: all\nFilename: ./%s.deb\nSize: 1\nSHA256: %064d\n\n"


@pytest.fixture
def offering(host):
    """Call with versions by package: apt knows these packages and no others. Afterwards the host is as before."""
    host.run(["cp", "-a", "/etc/apt", "/mnt/etc"])
    host.run(["cp", "-a", "/var/lib/apt", "/mnt/lib"])
    host.run(["cp", "-a", "/var/cache/apt", "/mnt/cache"])

    def offer(**versions: str) -> None:
        host.run(["sh", "-c", "rm -rf /etc/apt/sources.list.d/* && mkdir -p /mnt/packages"])
        packages = "".join(PACKAGE % (name, version, name, number) for number, (name, version) in enumerate(versions.items()))
        host.path("/mnt/packages/Packages").write_text(packages.replace("python3_", "python3-"), encoding="ascii")
        host.path("/etc/apt/sources.list").write_text("deb [trusted=yes] file:/mnt/packages ./\n", encoding="ascii")

    yield offer
    for there, path in (("etc", "/etc/apt"), ("lib", "/var/lib/apt"), ("cache", "/var/cache/apt")):
        host.run(["sh", "-c", "rm -rf %s && mv /mnt/%s %s" % (path, there, path)])


def test_packages_that_do_not_help_are_refused_before_anything_is_installed(host, fresh, offering):
    host.run(["/usr/bin/python3", "-m", "venv", "--without-pip", "/opt/python"])
    offering(python3_cryptography="38.0.4-3", python3_paramiko="2.12.0-2")
    before = snapshot(host)
    wanted = {"dependencies_method": "packages", "dependencies_stores": ["sftp"]}
    played, checked = play(host, ROLE, **wanted), play(host, ROLE, "--check", **wanted)
    elsewhere = play(host, ROLE, **dict(wanted, dependencies_stores=["file"], dependencies_python="/opt/python/bin/python"))
    unknown = play(host, ROLE, **dict(wanted, dependencies_stores=["file"], dependencies_versions={"isal": "1.5"}))
    left = {path for path in difference(before, snapshot(host)) if not path.startswith(("/var/lib/apt/", "/var/cache/apt/"))}
    host.run(["rm", "-rf", "/opt/python"])
    old = "do not provide paramiko>=3.2 (python3-paramiko has version 2.12.0-2)"
    other = "/opt/python/bin/python does not use the packages of Debian, which are for /usr/bin/python3"
    none = "do not provide isal>=1.5 (no package of it is known)"
    for found, message in ((played, old), (checked, old), (elsewhere, other), (unknown, none)):
        words = " ".join(found.output.split())
        assert found.code == 2 and message in words and "Nothing was installed on web1" in words, found.output
    assert left == set()


def test_libraries_come_from_an_index_whose_password_nobody_sees(host, fresh):
    # As on a hardened host: a login that is not root's, and a umask under which others could not read what pip writes.
    host.path("/etc/sudoers.d/umask").write_text("Defaults umask=0077, umask_override\n", encoding="ascii")
    host.path("/etc/sudoers.d/umask").chmod(0o440)
    host.path("/etc/pip.conf").write_text("[global]\ntrusted-host = %s\n" % host.fleet.address, encoding="ascii")
    before = snapshot(host)
    with index(host.fleet, "ci", PASSWORD) as url:
        wanted = {"dependencies_stores": ["file"], "dependencies_index_url": url}
        with watched(host) as lines:
            played = succeed(host, ROLE, "-vvv", "--diff", user="admin", **wanted)
        again = succeed(host, ROLE, "-vvv", user="admin", **wanted)
    assert played.changed == 4
    assert {"cryptography", "isal", "pybase64"} <= set(installed(host))
    assert not {"boto3", "paramiko"} & set(installed(host)), "no store needs them"
    used = as_user(host, "nobody", VENV + "/bin/python", "-c", "import cryptography.fernet, isal, pybase64")
    assert used.returncode == 0, used.stderr
    left = {path for path in difference(before, snapshot(host)) if not path.startswith("/opt/log-archive")}
    assert left == set(), "the file with the password is gone, and pip left no cache"
    assert again.changed == 0
    assert "Write the pip configuration" not in again.output, "no index is asked where nothing is missing"
    assert PASSWORD not in played.output + again.output
    assert any("pip" in line for line in lines) and not any(PASSWORD in line for line in lines)


def test_a_virtualenv_of_another_python_is_made_anew_and_a_failure_says_what_pip_said(host, fresh):
    # As an upgrade of the distribution leaves it: the interpreter is of another version than the libraries.
    (host.path(VENV) / "lib/python3.11").rename(host.path(VENV) / "lib/python3.9")
    with index(host.fleet, "ci", "another") as url:
        wrong = {"dependencies_index_url": url.replace("another", PASSWORD), "dependencies_versions": {"boto3": "1.30"}}
        played = play(host, ROLE, "-vvv", dependencies_stores=["s3"], **wrong)
    host.path("/etc/pip.conf").unlink()
    assert played.code == 2
    assert PASSWORD not in played.output
    words = " ".join(played.output.split())
    assert "The libraries could not be installed on web1 from dependencies_index_url" in words
    assert "satisfies the requirement boto3>=1.30" in words or "satisfies the requirement cryptography>=3.4" in words, "pip's own words"
    assert "pip" in installed(host), "a new virtualenv, that the next run fills"
    assert not [path for path in snapshot(host) if path.startswith("/tmp/")]


def test_the_undo_leaves_nothing(host, fresh):
    host.path("/etc/sudoers.d/umask").unlink()
    assert succeed(host, ROLE, "--check", dependencies_state="absent").changed == 1
    assert host.path(VENV).is_dir()
    assert succeed(host, ROLE, dependencies_state="absent").changed == 1
    assert not difference(fresh, snapshot(host))
    assert succeed(host, ROLE, dependencies_state="absent").changed == 0


@contextlib.contextmanager
def index(fleet: t.Any, user: str, password: str) -> t.Iterator[str]:
    """Serve the fleet's wheels as a package index that wants a password (PEP 503); gives its URL with user and password."""
    wanted = "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()
    served = {path.name: path for path in pathlib.Path(fleet.wheelhouse).glob("*.whl")}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").rpartition("/")[2]
            of_project = [wheel for wheel in served if wheel.split("-")[0].lower().replace("_", "-") == name]
            if self.headers.get("Authorization") != wanted:
                self.answer(401, b"")
            elif name in served:
                self.answer(200, served[name].read_bytes())
            else:
                self.answer(200, "".join('<a href="/%s">%s</a>' % (wheel, wheel) for wheel in of_project).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: t.Any) -> None:
            """Keep quiet."""

    server = fleet.within(lambda: http.server.ThreadingHTTPServer((fleet.address, 0), Handler))
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield "http://%s:%s@%s:%d/simple" % (user, password, *server.server_address)
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


@contextlib.contextmanager
def watched(host: t.Any) -> t.Iterator[t.List[str]]:
    """Collect, as long as the context lasts, the arguments and environments of everything that runs on the host."""
    lines: t.List[str] = []
    done = threading.Event()
    namespace = pathlib.Path("/proc/%d/ns/pid" % host.pid).readlink()

    def watch() -> None:
        while not done.is_set():
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if (process / "ns/pid").readlink() == namespace:
                        lines.extend((process / name).read_bytes().decode("utf-8", "replace") for name in ("cmdline", "environ"))
            done.wait(0.1)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield lines
    finally:
        done.set()
        watching.join()
