# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps from a web server, over real TLS: downloaded once, refused with the right reason, and archived like any other log."""

from __future__ import annotations

import datetime
import io
import json
import os
import re
import socket
import ssl
import tarfile
import time
import typing as t
import zipfile

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise, normalise_web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import web
from lab.https import Authority, HttpsServer, https_server
from lab.odd_http import drip, odd_server
from lab.processes import free_port
from rigs.host import Host, archives_in, assert_restores, assert_tidy, file_store, files_below
from rigs.swaps import opened_to_all, others_folder

PARIS = "Europe/Paris"
NOW = datetime.datetime(2024, 1, 12, 22, 0, tzinfo=datetime.timezone.utc)  # 23:00 in Paris
DUMP = b"insert into t values (1);\n" * 4000
SECRET = "marker-of-a-secret-23"


def zip_of(*members: t.Tuple[str, t.Tuple[int, ...], bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, when, content in members:
            archive.writestr(zipfile.ZipInfo(name, when), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


TODAY = zip_of(("dump.sql", (2024, 1, 12, 22, 58, 0), DUMP), ("readme", (2023, 1, 1, 0, 0, 0), b"hello"))
YESTERDAY = zip_of(("dump.sql", (2024, 1, 11, 22, 58, 0), DUMP))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def server(tmp_path: t.Any, authority: Authority) -> t.Iterator[HttpsServer]:
    """A server that wants a client certificate."""
    with https_server(tmp_path / "server", client_certificate=True, authority=authority) as running:
        running.files["/export.zip"] = TODAY
        yield running


def options(server: HttpsServer, **changes: t.Any) -> t.Dict[str, t.Any]:
    certificate, key = server.authority.issue("client")
    given = {
        "url": server.url(),
        "ca_bundle": server.authority.certificate_file,
        "client_certificate": certificate,
        "client_key": key,
        "timezone": PARIS,
        "retry_delay": "0.01",
        "attempts": 2,
    }
    return dict(given, **changes)


def fetch(server: HttpsServer, folder: t.Any, known: t.Any = None, **changes: t.Any) -> web.Dump:
    return web.collect(normalise_web(options(server, **changes)), str(folder), NOW, known)


def assert_fails(server: HttpsServer, folder: t.Any, reason: str, **changes: t.Any) -> web.WebError:
    with pytest.raises(web.WebError) as raised:
        fetch(server, folder, **changes)
    assert raised.value.reason == reason, raised.value
    assert files_below(folder) == []
    return raised.value


# -- fetching ---------------------------------------------------------------------------------------------------------


def test_one_member_or_all_are_extracted_with_their_times(server: HttpsServer, tmp_path: t.Any) -> None:
    one = fetch(server, tmp_path / "one", member="dump.sql", modified="today")
    assert (one.problem, [file.name for file in one.files]) == (None, ["dump.sql"])
    assert (tmp_path / "one" / "dump.sql").read_bytes() == DUMP
    assert (
        os.stat(tmp_path / "one" / "dump.sql").st_mtime == datetime.datetime(2024, 1, 12, 21, 58, tzinfo=datetime.timezone.utc).timestamp()
    )
    assert sorted(file.name for file in fetch(server, tmp_path / "all").files) == ["dump.sql", "readme"]
    assert files_below(tmp_path / "all") == ["dump.sql", "readme"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_nothing_is_fetched_into_a_folder_that_another_user_can_change(server: HttpsServer, tmp_path: t.Any) -> None:
    folder = others_folder(opened_to_all(tmp_path) / "theirs")
    for path in (folder, folder / "below"):
        with pytest.raises(ConfigError, match="belongs to the user with id"):
            fetch(server, path)
    assert server.statuses_given() == [] and os.listdir(folder) == []


def test_a_known_version_is_not_downloaded_again(server: HttpsServer, tmp_path: t.Any) -> None:
    first = fetch(server, tmp_path / "a")
    again = fetch(server, tmp_path / "b", first.validators)
    assert (again.unchanged, again.files) == (True, [])
    assert server.statuses_given() == [200, 304]
    server.files["/export.zip"] = YESTERDAY
    assert not fetch(server, tmp_path / "c", first.validators).unchanged
    assert not fetch(server, tmp_path / "d", first.validators._replace(url="of another URL")).unchanged


@pytest.mark.parametrize(
    ("zipped", "now", "problem"),
    [
        (TODAY, NOW, None),
        (YESTERDAY, NOW, "is from 2024-01-11, not from today (2024-01-12, Europe/Paris)"),
        (TODAY, NOW + datetime.timedelta(hours=1, minutes=30), "is from 2024-01-12, not from today (2024-01-13, Europe/Paris)"),
        (zip_of(("other", (2024, 1, 12, 1, 0, 0), b"x")), NOW, "contains no file 'dump.sql' (it contains 'other')"),
        (zip_of(), NOW, "contains no file 'dump.sql' (it contains no files)"),
        (zip_of(("dump.sql", (2024, 2, 30, 1, 0, 0), b"x")), NOW, "has no date, not from today"),
    ],
)
def test_a_member_that_is_missing_or_not_from_today_is_a_problem(
    server: HttpsServer, tmp_path: t.Any, zipped: bytes, now: datetime.datetime, problem: t.Optional[str]
) -> None:
    server.files["/export.zip"] = zipped
    checked = normalise_web(options(server, member="dump.sql", modified="today"))
    got = web.collect(checked, str(tmp_path / "to"), now)
    if problem is None:
        assert got.problem is None
    else:
        assert problem in str(got.problem) and got.files == []
        assert files_below(tmp_path / "to") == []


@pytest.mark.parametrize(("status", "reason"), [(401, "unauthorized"), (403, "forbidden"), (404, "not_found"), (418, "status")])
def test_each_refusal_of_the_server_has_its_reason_and_is_not_retried(
    server: HttpsServer, tmp_path: t.Any, status: int, reason: str
) -> None:
    server.statuses["/export.zip"] = [status] * 5
    error = assert_fails(server, tmp_path / "to", reason)
    assert (error.status, server.statuses_given()) == (status, [status])


@pytest.mark.parametrize(("status", "reason"), [(500, "server_error"), (502, "server_error"), (503, "busy"), (429, "busy")])
def test_temporary_errors_are_retried(server: HttpsServer, tmp_path: t.Any, status: int, reason: str) -> None:
    server.statuses["/export.zip"] = [status]
    assert fetch(server, tmp_path / "to").problem is None
    server.statuses["/export.zip"] = [status] * 9
    assert_fails(server, tmp_path / "other", reason)
    assert server.statuses_given() == [status, 200, status, status]


def test_network_errors_have_different_reasons(server: HttpsServer, tmp_path: t.Any) -> None:
    assert_fails(server, tmp_path / "to", "dns", url="https://no-such-host.invalid/export.zip")
    assert_fails(server, tmp_path / "to", "refused", url="https://localhost:%d/export.zip" % free_port())
    server.stall = 1.0
    assert_fails(server, tmp_path / "to", "timeout", timeout="0.2")


def test_a_server_that_is_no_tls_server(server: HttpsServer, tmp_path: t.Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        import threading

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert_fails(server, tmp_path / "to", "tls", url="https://localhost:%d/" % listener.getsockname()[1], attempts=1)
        # Before the listener is closed: its descriptor could be another test's socket by then.
        thread.join()


def test_certificates_that_are_misnamed_expired_or_untrusted(tmp_path: t.Any, authority: Authority) -> None:
    with https_server(tmp_path / "a", authority=authority, names=["other.example.com"]) as misnamed:
        assert_fails(misnamed, tmp_path / "to", "tls_name")
    with https_server(tmp_path / "b", authority=authority, expired=True) as expired:
        assert_fails(expired, tmp_path / "to", "tls_expired")
    with https_server(tmp_path / "c", authority=authority) as unknown:
        assert_fails(unknown, tmp_path / "to", "tls_untrusted", ca_bundle=None)
        assert_fails(unknown, tmp_path / "to", "tls_untrusted", ca_bundle=Authority(tmp_path / "another").certificate_file)


def test_a_client_certificate_that_is_missing_or_cannot_be_read(server: HttpsServer, tmp_path: t.Any) -> None:
    error = assert_fails(server, tmp_path / "to", "tls", client_certificate=None, client_key=None)
    assert "client certificate" in str(error)
    assert_fails(server, tmp_path / "to", "client_certificate", client_certificate=str(tmp_path / "missing.pem"))
    with pytest.raises(ConfigError, match="cannot read the CA certificates"):
        fetch(server, tmp_path / "to", ca_bundle=str(tmp_path / "missing.pem"))


def test_passwords_and_tokens_work_and_are_never_shown(server: HttpsServer, tmp_path: t.Any) -> None:
    server.login = ("dump", SECRET)
    assert_fails(server, tmp_path / "to", "unauthorized")
    error = assert_fails(server, tmp_path / "to", "unauthorized", user="dump", password="wrong " + SECRET)
    assert SECRET not in repr(error) + str(error)
    assert fetch(server, tmp_path / "a", user="dump", password=SECRET).problem is None
    server.login, server.token = None, ("X-Token", SECRET)
    assert_fails(server, tmp_path / "to", "unauthorized", token=SECRET)
    assert fetch(server, tmp_path / "b", token=SECRET, token_header="X-Token").problem is None
    server.token = ("Authorization", "Bearer " + SECRET)
    assert fetch(server, tmp_path / "c", token=SECRET).problem is None


def test_encrypted_redirects_are_followed_without_credentials_for_another_server(
    server: HttpsServer, tmp_path: t.Any, authority: Authority
) -> None:
    server.locations["/here"] = "/export.zip"
    server.token = ("X-Token", SECRET)
    login = {"token": SECRET, "token_header": "X-Token"}
    assert fetch(server, tmp_path / "a", url=server.url("/here"), **login).problem is None
    with https_server(tmp_path / "other", authority=authority) as other:
        other.files["/export.zip"] = TODAY
        server.locations["/there"] = other.url()
        assert fetch(server, tmp_path / "b", url=server.url("/there"), **login).problem is None
        assert SECRET not in str(other.requests)
    server.locations["/plain"] = "http://localhost:1/export.zip"
    assert "not encrypted" in str(assert_fails(server, tmp_path / "to", "redirect", url=server.url("/plain"), **login))
    server.locations["/loop"] = "/loop"
    assert_fails(server, tmp_path / "to", "redirect", url=server.url("/loop"), **login)


def test_a_truncated_download_is_retried_and_never_used(server: HttpsServer, tmp_path: t.Any) -> None:
    server.cut = 100
    assert_fails(server, tmp_path / "to", "truncated")
    server.cut, server.lie = None, 50
    assert_fails(server, tmp_path / "to", "truncated", timeout="%.1f" % lab.patience(1))
    server.lie = 0
    assert fetch(server, tmp_path / "to").problem is None


def test_a_download_that_is_too_large_or_too_small_is_refused(server: HttpsServer, tmp_path: t.Any) -> None:
    assert_fails(server, tmp_path / "to", "too_large", max_size="100")
    assert_fails(server, tmp_path / "to", "too_small", min_size="1M")
    assert len(server.requests) == 2


def test_a_download_that_is_not_a_zip_is_refused(server: HttpsServer, tmp_path: t.Any) -> None:
    server.files["/export.zip"] = b"<html>please log in</html>"
    assert "<html>please log in<" in str(assert_fails(server, tmp_path / "to", "not_zip"))
    server.files["/export.zip"] = b""
    assert_fails(server, tmp_path / "to", "not_zip")
    server.files["/export.zip"] = b"PK\3\4 but no more than that"
    with pytest.raises(IntegrityError, match=r"^https://localhost:\d+/export.zip: not a zip, or a damaged one"):
        fetch(server, tmp_path / "to")
    assert files_below(tmp_path / "to") == []


# -- servers that are slow ---------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: %d\r\n\r\n" % len(TODAY)


@pytest.mark.parametrize("fast", [0, 30, len(HEAD) + 100], ids=["from the first byte", "in the headers", "in the body"])
@pytest.mark.parametrize(
    ("limits", "reason", "connections"),
    [({"min_rate": "1M"}, "too_slow", 2), ({"min_rate": "1", "max_duration": "1.5"}, "too_long", 1)],
)
def test_a_server_of_three_bytes_a_second_is_given_up(
    authority: Authority, tmp_path: t.Any, fast: int, limits: t.Dict[str, str], reason: str, connections: int
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("slow", ["localhost"]))
    slack = min(3.0, lab.patience(1))
    if "max_duration" in limits:
        limits = {**limits, "max_duration": "%.1f" % (1.5 * slack)}
    with odd_server(lambda _request: drip(HEAD + TODAY, 0.3, fast), context) as slow:
        given = {"url": slow.endpoint_url + "/export.zip", "ca_bundle": authority.certificate_file, "attempts": 2}
        given["timeout"] = "%.1f" % (1.2 * slack)
        began = time.monotonic()
        with pytest.raises(web.WebError) as raised:
            web.collect(normalise_web(dict(given, retry_delay="0.01", **limits)), str(tmp_path / "to"), NOW)
        assert raised.value.reason == reason, raised.value
        assert not lab.overdue(began, 5 * slack)
        assert len(slow.requests) == connections
    assert files_below(tmp_path / "to") == []


def test_a_slow_server_that_is_fast_enough_is_waited_for(authority: Authority, tmp_path: t.Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("slow", ["localhost"]))
    # Its last 300 bytes take three times the timeout.
    slack = min(3.0, lab.patience(1))
    with odd_server(lambda _request: drip(HEAD + TODAY, 0.005 * slack, len(HEAD + TODAY) - 300), context) as slow:
        given = {"url": slow.endpoint_url + "/export.zip", "ca_bundle": authority.certificate_file, "min_rate": "20"}
        given["timeout"] = "%.1f" % (0.5 * slack)
        assert len(web.collect(normalise_web(given), str(tmp_path / "to"), NOW).files) == 2


def test_downloads_through_a_proxy_and_a_proxy_that_refuses(server: HttpsServer, tmp_path: t.Any) -> None:
    from lab.connect_proxy import connect_proxy

    with connect_proxy(login=("p", SECRET)) as proxy:
        url = "http://p:%s@127.0.0.1:%d" % (SECRET, proxy.port)
        assert fetch(server, tmp_path / "a", proxy=url).problem is None
        assert proxy.targets == ["localhost:%d" % server.port]
        error = assert_fails(server, tmp_path / "to", "proxy", proxy="http://p:wrong@127.0.0.1:%d" % proxy.port)
        assert "wrong" not in str(error)
    assert_fails(server, tmp_path / "to", "proxy", proxy="http://127.0.0.1:%d" % free_port())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"url": "http://localhost/x.zip"}, "url: must begin with https://"),
        ({"url": "https://"}, "url: contains no host name"),
        ({"url": "https://u:p@localhost/"}, "url: must not contain a user or a password"),
        ({"url": "https://localhost:99999/"}, "url: is not a URL"),
        ({"proxy": "socks://x"}, "proxy: must begin with http://"),
        ({"user": "u"}, "user: requires password"),
        ({"token": "t", "user": "u", "password": "p"}, "token: cannot be combined with user"),
        ({"client_certificate": None}, "client_key: requires client_certificate"),
        ({"token": "t", "token_header": "X\r\nY"}, "token_header: is not a valid header name"),
        ({"min_size": "2G", "max_size": "1G"}, "min_size: must not be larger than max_size"),
        ({"timezone": "Paris"}, "timezone: "),
    ],
)
def test_mistakes_in_the_options_are_named(server: HttpsServer, changes: t.Dict[str, t.Any], message: str) -> None:
    document = {
        "name": "nightly",
        "web": options(server, **changes),
        "encryption": "none",
        "stores": [{"type": "file", "path": "/nowhere"}],
    }
    with pytest.raises(ConfigError) as raised:
        normalise(document)
    assert [problem for problem in raised.value.problems if message in problem], raised.value.problems


# -- as a job ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: t.Any) -> Host:
    return Host(tmp_path / "host")


def run(host: Host, server: HttpsServer, now: datetime.datetime = NOW, check: bool = False, **changes: t.Any) -> t.Dict[str, t.Any]:
    settings = {"member": "dump.sql", "modified": "today"}
    settings.update(changes.pop("web", {}))
    given = dict(host.given(archive={"name": "%Y%d%m"}, **changes), web=options(server, **settings))
    del given["select"]
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job

    return job.run(normalise(given), now=now, check=check)


def hostile(name: str) -> bytes:
    """TODAY, or a zip with another member, with one thing wrong with it."""
    if name == "corrupt":
        damaged = bytearray(zip_of(("dump.sql", (2024, 1, 12, 22, 58, 0), os.urandom(5000))))
        damaged[2000:2100] = bytes(100)
        return bytes(damaged)
    if name == "bomb":
        return zip_of(("dump.sql", (2024, 1, 12, 22, 58, 0), bytes(30 << 20)))
    return zip_of(("../../dump.sql", (2024, 1, 12, 22, 58, 0), DUMP))


@pytest.mark.parametrize(
    ("name", "member", "message"),
    [
        ("corrupt", "dump.sql", "the member 'dump.sql' is damaged"),
        ("bomb", "dump.sql", "the expansion ratio of the member 'dump.sql' exceeds 100"),
        ("outside", None, "the member name '../../dump.sql' would leave the destination"),
    ],
)
def test_a_harmful_zip_is_an_error_of_the_run_and_is_not_archived(
    host: Host, server: HttpsServer, name: str, member: t.Optional[str], message: str
) -> None:
    server.files["/export.zip"] = hostile(name)
    recap = run(host, server, web={"member": member, "modified": "any", "max_ratio": 100})
    assert (recap["exit_code"], recap["archives"]) == (4, [])
    assert message in recap["errors"][0] and "/export.zip" in recap["errors"][0]
    assert [path for path in files_below(host.folder) if "dump" in path] == []
    server.files["/export.zip"] = TODAY
    assert run(host, server)["exit_code"] == 0


def test_the_dump_of_today_is_archived_once_under_the_name_of_the_day(host: Host, server: HttpsServer) -> None:
    would = run(host, server, check=True, encryption="none")
    assert [archive["state"] for archive in would["archives"]] == ["would be archived"] and not host.store.exists()
    recap = run(host, server, encryption="none")
    assert (recap["exit_code"], recap["errors"], recap["warnings"]) == (0, [], [])
    ((key, manifest),) = archives_in(file_store(host.store)).items()
    assert key == "web1/syslog/2024/01/11/20241201.tgz"  # The day in Paris begins on the 11th in UTC.
    assert (manifest["period"]["start"], manifest["period"]["end"]) == ("2024-01-11T23:00:00Z", "2024-01-12T23:00:00Z")
    with tarfile.open(host.store / key) as tar:
        assert [(member.name, tar.extractfile(member).read()) for member in tar] == [("dump.sql", DUMP)]  # type: ignore[union-attr]
    again = run(host, server, encryption="none")
    assert (again["outcome"], server.statuses_given()[-1]) == ("nothing to do", 304)
    server.plain = True
    assert run(host, server, encryption="none")["outcome"] == "nothing to do"
    assert_tidy(host.store)
    assert sorted(name for name in files_below(host.state) if not re.search("catalog|ledger", name)) == ["syslog.lock", "syslog.web.json"]


def test_all_files_of_the_zip_become_one_encrypted_archive_that_restores(host: Host, server: HttpsServer, tmp_path: t.Any) -> None:
    recap = run(host, server, web={"member": None, "modified": "any"})
    assert [archive["name"] for archive in recap["archives"]] == ["20241201.tgz.fernet"]
    wanted = {"/dump.sql": DUMP, "/readme": b"hello"}
    ((key, manifest),) = archives_in(file_store(host.store)).items()
    assert_restores(file_store(host.store), key, manifest, host, wanted)
    assert recap["spool"] == {"archives": 0, "bytes": 0}


@pytest.mark.parametrize(("absent", "code"), [("warning", 0), ("error", 3)])
def test_a_dump_that_is_not_from_today_is_not_archived_and_the_run_goes_on(host: Host, server: HttpsServer, absent: str, code: int) -> None:
    """Retention still runs: it prunes what an earlier tool has put there, by the date in its name."""
    host.store.mkdir(mode=0o700)
    for day in range(1, 11):
        (host.store / ("2024%02d01.tgz" % day)).write_bytes(b"old")
    (host.store / "notes.txt").write_bytes(b"not ours")
    server.files["/export.zip"] = YESTERDAY
    policy = {"keep_last": 3, "name_template": "%Y%d%m.tgz", "max_delete_share": 1}
    recap = run(host, server, web={"absent": absent}, retention=policy)
    assert (recap["exit_code"], recap["archives"]) == (code, [])
    reported = recap["errors"] if code else recap["warnings"]
    assert "not from today (2024-01-12, Europe/Paris)" in reported[0]
    assert files_below(host.store) == ["20240801.tgz", "20240901.tgz", "20241001.tgz", "notes.txt"]


def test_an_unchanged_dump_is_reported_the_next_day(host: Host, server: HttpsServer) -> None:
    run(host, server)
    recap = run(host, server, now=NOW + datetime.timedelta(days=1))
    assert server.statuses_given() == [200, 304]
    assert recap["archives"] == [] and "unchanged since 2024-01-12, not from today" in recap["warnings"][0]
    assert run(host, server, now=NOW + datetime.timedelta(days=1), web={"modified": "any"})["warnings"] == []


def test_a_run_that_could_not_archive_fetches_again(host: Host, server: HttpsServer, tmp_path: t.Any) -> None:
    os.rename(host.keyring, tmp_path / "elsewhere")
    assert run(host, server)["exit_code"] != 0
    assert [name for name in files_below(host.state) if name.endswith(".web.json") or "web/" in name] == []
    os.rename(tmp_path / "elsewhere", host.keyring)
    assert run(host, server)["exit_code"] == 0
    assert server.statuses_given() == [200, 200]


def test_a_run_leaves_no_secret_behind(host: Host, server: HttpsServer) -> None:
    server.login = ("dump", SECRET)
    login = {"user": "dump", "password": SECRET, "url": server.url("/export.zip?key=" + SECRET)}
    recap = run(host, server, web=login)
    assert recap["exit_code"] == 0
    server.login = ("dump", "other")
    failed = run(host, server, web=login, now=NOW + datetime.timedelta(days=1))
    assert failed["exit_code"] == 1 and "export.zip?..." in failed["errors"][0]
    left = [json.dumps([recap, failed])]
    left += [(host.folder / name).read_bytes().decode("latin-1") for name in files_below(host.folder)]
    assert not [text for text in left if SECRET in text]
