# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role web_source on a real host with systemd: its nginx, and the job source 'web' as its client. The tests follow each other."""

from __future__ import annotations

import datetime
import http.client
import io
import os
import ssl
import typing as t
import zipfile

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import web
from fleet.roles import difference, play, snapshot, succeed
from lab.https import Authority

ROLE = ["web_source"]
OWN = "/etc/web-source"
SITE = "/etc/nginx/conf.d/web-source.conf"
NAMES = ["intranet.example.com", "10.99.0.12", "fe80::1"]
FOLDER = "/srv/current/export"
DUMP = b"insert into t values (1);\n" * 100


@pytest.fixture(scope="module")
def lab_fleet(start_part, tmp_path_factory):
    """'bare' has no nginx, 'intranet' has one that was never started."""
    import lab

    return start_part(lab.fleet(tmp_path_factory.mktemp("fleet"), light=("bare",), systemd=("intranet",)))


@pytest.fixture(scope="module")
def host(lab_fleet):
    host = lab_fleet.hosts["intranet"]
    # A folder whose path leads through a link.
    host.run(["mkdir", "-p", "/srv/release-1", "/etc/tls"])
    host.run(["ln", "-s", "release-1", "/srv/current"])
    return host


@pytest.fixture(scope="module")
def fresh(host):
    """What the host looks like before the role."""
    return snapshot(host)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def wanted(**more: t.Any) -> t.Dict[str, t.Any]:
    return dict({"web_source_folder": FOLDER, "web_source_names": NAMES}, **more)


def trusted(host: t.Any, folder: t.Any) -> str:
    """A copy of the role's own certificate, as its clients have it."""
    path = folder / "server.pem"
    path.write_bytes(host.path(OWN + "/certificate.pem").read_bytes())
    return str(path)


def fetch(host: t.Any, folder: t.Any, ca_bundle: str, port: int = 8000, **options: t.Any) -> web.Dump:
    """What the job source gets of the zip, from the controller."""
    given = {"url": "https://%s:%d/export.zip" % (host.address, port), "ca_bundle": ca_bundle, "attempts": 1, "timeout": "5", **options}
    now = datetime.datetime.now(datetime.timezone.utc)
    return host.fleet.within(lambda: web.collect(normalise_web(given), str(folder / "to"), now))


def answer(host: t.Any, ca_bundle: str, path: str, method: str = "GET", body: t.Optional[bytes] = None) -> int:
    """The status of one request, by a client that is as strict with certificates as Python 3.13 is."""
    context = ssl.create_default_context(cafile=ca_bundle)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN

    def ask() -> int:
        connection = http.client.HTTPSConnection(host.address, 8000, timeout=60, context=context)
        try:
            connection.request(method, path, body)
            return connection.getresponse().status
        finally:
            connection.close()

    return host.fleet.within(ask)


def certificate(host: t.Any) -> bytes:
    return host.path(OWN + "/certificate.pem").read_bytes()


def given(host: t.Any, name: str, issued: t.Tuple[str, str], mode: int = 0o600) -> None:
    """Put a certificate and its key on the host, as NAME.pem and NAME.key."""
    for end, path in zip(("pem", "key"), issued):
        there = host.path("/etc/tls/%s.%s" % (name, end))
        with open(path, "rb") as source:
            there.write_bytes(source.read())
        there.chmod(mode)


def assert_serves(host: t.Any, folder: t.Any, ca_bundle: str, **options: t.Any) -> None:
    collected = fetch(host, folder, ca_bundle, **options)
    assert collected.problem is None and [file.name for file in collected.files] == ["dump.sql"]
    with open(collected.files[0].path, "rb") as dump:
        assert dump.read() == DUMP


def test_a_check_of_a_host_without_nginx_tells_and_changes_nothing(lab_fleet):
    bare = lab_fleet.hosts["bare"]
    before = snapshot(bare)
    played = succeed(bare, ROLE, "--check", "--diff", **wanted())
    assert "Would install: nginx" in played.output
    assert "Would create /etc/web-source/certificate.pem for DNS:intranet.example.com,IP:10.99.0.12,IP:fe80::1" in played.output
    assert played.changed == 4
    assert not difference(before, snapshot(bare))


def test_a_check_of_a_host_with_nginx_tells_and_changes_nothing(host, fresh):
    played = succeed(host, ROLE, "--check", "--diff", **wanted())
    assert "+    listen 8000 ssl;" in played.output
    assert played.changed == 5
    assert not difference(fresh, snapshot(host))


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"web_source_certificate": "/etc/tls/server.pem"}, "Set both web_source_certificate and web_source_key, or neither"),
        ({"web_source_folder": "/srv/export; root /"}, "absolute paths without blanks"),
        ({"web_source_client_ca": "/etc/tls/a; ssl_verify_client off"}, "absolute paths without blanks"),
        ({"web_source_names": ["a,IP:1.2.3.4"]}, "web_source_names a list of names and addresses"),
        ({"web_source_days": 30}, "web_source_days more than 30"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(host, fresh, variables, message):
    played = play(host, ROLE, **wanted(**variables))
    assert played.code == 2
    assert message in " ".join(played.output.split())
    assert not difference(fresh, snapshot(host))


@pytest.mark.parametrize(
    ("expired", "mode", "message"),
    [
        (True, 0o600, "web_source_certificate /etc/tls/old.pem has expired (notAfter="),
        (False, 0o644, "web_source_key /etc/tls/old.key can be read or changed by other users (mode 644); run: chmod 600 /etc/tls/old.key"),
    ],
)
def test_an_expired_certificate_or_an_open_key_is_refused(host, authority, expired, mode, message):
    given(host, "old", authority.issue("old", [host.address], expired=expired), mode)
    before = snapshot(host)
    played = play(host, ROLE, **wanted(web_source_certificate="/etc/tls/old.pem", web_source_key="/etc/tls/old.key"))
    assert played.code == 2 and message in " ".join(played.output.split()), played.output
    assert not difference(before, snapshot(host))


def test_it_serves_and_a_second_run_changes_nothing(host, fresh, tmp_path):
    played = succeed(host, ROLE, **wanted())
    assert played.changed == 5
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("dump.sql", DUMP)
    folder = host.path("/srv/release-1/export")
    (folder / "export.zip").write_bytes(data.getvalue())
    (folder / ".export.zip").write_bytes(b"half of it")
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "deep").mkdir()
    ca_bundle = trusted(host, tmp_path)
    assert_serves(host, tmp_path, ca_bundle)
    assert succeed(host, ROLE, **wanted()).changed == 0
    assert host.path(OWN + "/key.pem").stat().st_mode & 0o777 == 0o600
    assert host.run(["systemctl", "is-enabled", "nginx"]).stdout.strip() == "enabled"
    shown = host.run(["sh", "-c", "openssl s_client -connect '[::1]:8000' </dev/null"]).stdout
    assert "CN = web-source" in shown, "over IPv6"


def test_a_key_that_others_can_read_is_closed(host, tmp_path):
    host.path(OWN + "/key.pem").chmod(0o666)
    host.path(OWN + "/certificate.pem").chmod(0o666)
    first = certificate(host)
    assert succeed(host, ROLE, "--check", **wanted()).changed == 1
    assert succeed(host, ROLE, **wanted()).changed == 1
    assert [host.path(OWN + name).stat().st_mode & 0o777 for name in ("/key.pem", "/certificate.pem")] == [0o600, 0o644]
    assert certificate(host) == first, "its clients trust it"


def test_files_are_read_by_their_name_and_nothing_else_can_be_done(host, tmp_path):
    ca_bundle = trusted(host, tmp_path)
    assert answer(host, ca_bundle, "/export.zip") == 200
    assert answer(host, ca_bundle, "/export.zip", "HEAD") == 200
    refused = {"/": 403, "/deep/": 403, "/.export.zip": 404, "/passwd": 403, "/../../../etc/passwd": 400, "/missing": 404}
    assert {path: answer(host, ca_bundle, path) for path in refused} == refused
    methods = ("PUT", "POST", "DELETE", "MOVE")
    assert {method: answer(host, ca_bundle, "/new.zip", method, b"x") for method in methods} == dict.fromkeys(methods, 403)
    assert sorted(os.listdir(host.path("/srv/release-1/export"))) == [".export.zip", "deep", "export.zip", "passwd"]


def test_a_site_that_nginx_refuses_leaves_the_one_that_works(host, tmp_path):
    before = snapshot(host)
    host.run(["sh", "-c", "echo no certificate > /etc/tls/broken.pem"])
    mistakes = {
        "/etc/tls/broken.pem": {"web_source_client_ca": "/etc/tls/broken.pem"},
        "/etc/tls/missing.pem": {"web_source_certificate": "/etc/tls/missing.pem", "web_source_key": "/etc/tls/missing.key"},
        "port 22 does not answer with the certificate": {"web_source_port": 22},
    }
    for message, variables in mistakes.items():
        played = play(host, ROLE, **wanted(**variables))
        assert played.code == 2 and message in " ".join(played.output.split()), played.output
        assert "the previous site was restored" in " ".join(played.output.split())
    assert_serves(host, tmp_path, trusted(host, tmp_path))
    # Also if nginx was down before.
    host.run(["systemctl", "stop", "nginx"])
    assert play(host, ROLE, **wanted(web_source_port=22)).code == 2
    assert_serves(host, tmp_path, trusted(host, tmp_path))
    host.run(["systemctl", "restart", "nginx"])
    assert_serves(host, tmp_path, trusted(host, tmp_path))
    assert {path for path in difference(before, snapshot(host)) if not path.startswith("/var/log/")} == {"/etc/tls/broken.pem"}


def test_a_certificate_is_renewed_when_names_change_or_it_ends_soon(host, tmp_path):
    first = certificate(host)
    assert succeed(host, ROLE, **wanted(web_source_names=[*NAMES, "other.example.com"])).changed == 1
    second = certificate(host)
    assert second != first
    assert_serves(host, tmp_path, trusted(host, tmp_path))
    make = (
        "openssl req -x509 -key key.pem -out certificate.pem -days 29 -subj /CN=web-source -addext subjectAltName=DNS:intranet.example.com"
    )
    host.run(["sh", "-c", "cd %s && %s" % (OWN, make)])
    ending = certificate(host)
    assert succeed(host, ROLE, **wanted()).changed == 1
    assert certificate(host) not in (second, ending)
    assert_serves(host, tmp_path, trusted(host, tmp_path))


def test_a_given_certificate_and_only_clients_that_have_one(host, tmp_path, authority):
    issued = authority.issue("server", [host.address])
    given(host, "server", issued)
    with open(authority.certificate_file, "rb") as source:
        host.path("/etc/tls/clients.pem").write_bytes(source.read())
    tls = {
        "web_source_certificate": "/etc/tls/server.pem",
        "web_source_key": "/etc/tls/server.key",
        "web_source_client_ca": "/etc/tls/clients.pem",
    }
    variables = wanted(web_source_port="8443", web_source_days="825", **tls)  # As -e NAME=VALUE gives them.
    assert succeed(host, ROLE, **variables).changed == 1
    assert succeed(host, ROLE, **variables).changed == 0
    known, stranger = authority.issue("client"), Authority(tmp_path / "other").issue("client")
    options = {"ca_bundle": authority.certificate_file, "port": 8443}
    assert_serves(host, tmp_path, client_certificate=known[0], client_key=known[1], **options)
    for certificates in ({}, {"client_certificate": stranger[0], "client_key": stranger[1]}):
        with pytest.raises(web.WebError) as raised:
            fetch(host, tmp_path, **options, **certificates)
        assert (raised.value.status, raised.value.reason) == (400, "client_certificate")
    with pytest.raises(web.WebError) as raised:
        fetch(host, tmp_path, authority.certificate_file)
    assert raised.value.reason == "refused", "the port of before is closed"


def test_the_undo_leaves_the_folder(host, fresh):
    # The site, the certificate, and that nginx reads its configuration again.
    assert succeed(host, ROLE, "--check", web_source_state="absent").changed == 3
    assert host.path(SITE).exists()
    assert succeed(host, ROLE, web_source_state="absent").changed == 3
    assert succeed(host, ROLE, web_source_state="absent").changed == 0
    left = {path for path in difference(fresh, snapshot(host)) if not path.startswith(("/srv/", "/var/", "/etc/tls/", "/etc/rc"))}
    assert left == {"/etc/systemd/system/multi-user.target.wants/nginx.service"}
