# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Downloads without a server: options, request headers, redirects, responses, and what is extracted of a zip."""

from __future__ import annotations

import datetime
import io
import socket
import ssl
import struct
import typing as t
import zipfile

import pytest
import urllib3
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_web
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import web
from lab.https import Authority, https_server

URL = "https://intranet.example.com:8000/export.zip"
PARIS = "Europe/Paris"
NOW = datetime.datetime(2024, 1, 12, 22, 0, tzinfo=datetime.timezone.utc)  # 23:00 in Paris
KNOWN = web.Validators("0" * 64, '"v1"', "Fri, 12 Jan 2024 12:00:00 GMT")


def options(**changes: t.Any) -> t.Any:
    return normalise_web(dict({"url": URL, "timezone": PARIS}, **changes))


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"url": "http://intranet/x.zip"}, "url: must begin with https://"),
        ({"url": "export.zip"}, "url: must begin with https://"),
        ({"url": "https://"}, "url: contains no host name, or an invalid port"),
        ({"url": "https://intranet:0/x.zip"}, "url: contains no host name, or an invalid port"),
        ({"url": "https://intranet:99999/"}, "url: is not a URL"),
        ({"url": "https://[::1/x.zip"}, "url: is not a URL"),
        ({"url": "https://u:p@intranet/"}, "url: must not contain a user or a password; use the options user and password"),
        ({"proxy": "socks5://proxy"}, "proxy: must begin with http:// or https://"),
        ({"proxy": "http://"}, "proxy: contains no host name, or an invalid port"),
        ({"user": "u"}, "user: requires password, and vice versa"),
        ({"password": "p"}, "user: requires password, and vice versa"),
        ({"token": "t", "user": "u", "password": "p"}, "token: cannot be combined with user"),
        ({"client_key": "/key.pem"}, "client_key: requires client_certificate"),
        ({"token": "t", "token_header": "X\r\nY"}, "token_header: is not a valid header name"),
        ({"token_header": ""}, "token_header: is not a valid header name"),
        ({"min_size": "2G", "max_size": "1G"}, "min_size: must not be larger than max_size"),
    ],
)
def test_options_that_contradict_each_other_are_reported(changes: t.Dict[str, t.Any], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        options(**changes)
    assert raised.value.problems == [problem]


def test_valid_options_have_no_problem() -> None:
    assert web.problems(options()) == []
    assert web.problems(options(proxy="http://u:p@proxy:3128", user="u", password="p", min_size="1K")) == []
    assert web.problems(options(client_certificate="/c.pem", client_key="/k.pem", token="t", token_header="X-Token")) == []


def test_messages_show_no_login_and_no_query() -> None:
    assert web.shown("https://u:secret@intranet:8000/x.zip?key=secret#part") == "https://intranet:8000/x.zip?..."
    assert web.shown(URL) == URL


# -- requests and redirects -------------------------------------------------------------------------------------------


def test_a_request_asks_only_for_a_version_other_than_the_known_one() -> None:
    first = web.request_headers(options(), URL, None)
    assert not {"If-None-Match", "If-Modified-Since"} & set(first)
    again = web.request_headers(options(), URL, KNOWN)
    assert (again["If-None-Match"], again["If-Modified-Since"]) == ('"v1"', "Fri, 12 Jan 2024 12:00:00 GMT")
    without_etag = web.request_headers(options(), URL, KNOWN._replace(etag=None))
    assert "If-None-Match" not in without_etag and "If-Modified-Since" in without_etag


@pytest.mark.parametrize(
    ("login", "header", "value"),
    [
        ({"user": "dump", "password": "p"}, "authorization", "Basic ZHVtcDpw"),
        ({"token": "t"}, "Authorization", "Bearer t"),
        ({"token": "t", "token_header": "X-Token"}, "X-Token", "t"),
    ],
)
@pytest.mark.parametrize(
    ("url", "same_server"),
    [
        (URL, True),
        ("https://intranet.example.com:8000/elsewhere", True),
        ("https://intranet.example.com/export.zip", False),
        ("https://cdn.example.com:8000/export.zip", False),
    ],
)
def test_only_the_server_of_the_options_gets_credentials(
    login: t.Dict[str, str], header: str, value: str, url: str, same_server: bool
) -> None:
    assert web.request_headers(options(**login), url, None).get(header) == (value if same_server else None)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other.zip", "https://intranet.example.com:8000/other.zip"),
        ("other.zip", "https://intranet.example.com:8000/other.zip"),
        ("//cdn.example.com/x.zip", "https://cdn.example.com/x.zip"),
        ("https://cdn.example.com/x.zip", "https://cdn.example.com/x.zip"),
    ],
)
def test_a_redirect_is_relative_to_the_redirecting_url(location: str, target: str) -> None:
    assert web.redirect_target(URL, location) == target


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://intranet.example.com/x.zip?key=secret", r"redirects to http://intranet.example.com/x.zip\?\.\.\., which is not encrypted"),
        ("ftp://intranet.example.com/x.zip", "not encrypted"),
        ("file:///etc/passwd", "not encrypted"),
        ("https://[::1/x.zip", "redirects to an invalid URL"),
    ],
)
def test_a_redirect_that_is_not_encrypted_or_not_valid_is_refused(location: str, message: str) -> None:
    with pytest.raises(web.WebError, match=message) as raised:
        web.redirect_target(URL, location)
    assert raised.value.reason == "redirect"


# -- responses --------------------------------------------------------------------------------------------------------


def response(body: bytes = b"PK\3\4", status: int = 200, **headers: str) -> urllib3.HTTPResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return urllib3.HTTPResponse(io.BytesIO(body), named, status, reason="Reason", preload_content=False)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "unauthorized"),
        (403, "forbidden"),
        (404, "not_found"),
        (407, "proxy"),
        (410, "not_found"),
        (418, "status"),
        (429, "busy"),
        (500, "server_error"),
        (502, "server_error"),
        (503, "busy"),
    ],
)
def test_a_status_has_its_reason(status: int, reason: str) -> None:
    with pytest.raises(web.WebError, match="the server responded %d Reason" % status) as raised:
        web.check_status(response(status=status), URL)
    assert (raised.value.reason, raised.value.status) == (reason, status)


@pytest.mark.parametrize(
    ("given", "message"), [(None, "requires a client certificate"), ("/c.pem", "rejects the client certificate /c.pem")]
)
def test_nginx_without_the_client_certificate_that_it_wants(given: t.Optional[str], message: str) -> None:
    with pytest.raises(web.WebError, match=message) as raised:
        web.check_status(response(status=400), URL, given, lambda: b"<center>No required SSL certificate was sent</center>")
    assert (raised.value.reason, raised.value.status, raised.value.exit_code) == ("client_certificate", 400, 2)


def test_another_bad_request_is_a_status() -> None:
    def lost() -> bytes:
        raise web.WebError("connection_lost", "lost", URL)

    for page in (lost, bytes, lambda: b"<center>Request Header Too Large</center>"):
        with pytest.raises(web.WebError, match="the server responded 400 Reason") as raised:
            web.check_status(response(status=400), URL, None, page)
        assert raised.value.reason == "status"


def test_a_successful_status_is_no_error() -> None:
    web.check_status(response(), URL)


def test_a_body_is_written_and_hashed(tmp_path: t.Any) -> None:
    moved: t.List[int] = []
    body = b"PK\3\4" + bytes(200_000)
    size, sha256 = web.write_body(
        response(body, Content_Length=str(len(body))), str(tmp_path / "to"), options(), moved.append, web.Pace(options())
    )
    assert (tmp_path / "to").read_bytes() == body
    assert (size, sum(moved), len(sha256)) == (len(body), len(body), 64)
    assert (tmp_path / "to").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("body", "length", "reason", "message"),
    [
        (b"PK\3\4" + bytes(2000), None, "too_large", "larger than max_size"),
        (b"PK\3\4" + bytes(2000), 2004, "too_large", "2.0 KiB, more than max_size"),
        (b"<html>please log in</html>", None, "not_zip", "not a zip file .text/html, begins with '<html>please log in<'"),
        (b"", 0, "not_zip", "it is empty"),
        (
            b"PK\3\4",
            100,
            "truncated",
            "the response has 4 bytes; the server announced 100|the connection ended before all bytes had arrived",
        ),
    ],
)
def test_a_body_that_is_too_large_truncated_or_not_a_zip_is_refused(
    tmp_path: t.Any, body: bytes, length: t.Optional[int], reason: str, message: str
) -> None:
    headers = {"Content_Type": "text/html"}
    if length is not None:
        headers["Content_Length"] = str(length)
    with pytest.raises(web.WebError, match=message) as raised, web.network_errors(URL):
        web.write_body(response(body, **headers), str(tmp_path / "to"), options(max_size="1K"), None, web.Pace(options()))
    assert raised.value.reason == reason


def certificate_error(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "verify message"
    return error


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (socket.gaierror(-2, "Name or service not known"), "dns"),
        (ConnectionRefusedError(111, "Connection refused"), "refused"),
        (OSError(113, "No route to host"), "unreachable"),
        (socket.timeout("timed out"), "timeout"),
        (ConnectionResetError(104, "Connection reset by peer"), "connection_lost"),
        (certificate_error(62), "tls_name"),
        (certificate_error(10), "tls_expired"),
        (certificate_error(20), "tls_untrusted"),
        (ssl.SSLError(1, "wrong version number"), "tls"),
    ],
)
def test_a_network_error_has_the_reason_of_its_innermost_cause(cause: Exception, reason: str) -> None:
    with pytest.raises(web.WebError) as raised, web.network_errors(URL + "?key=secret"):
        try:
            raise cause
        except OSError as error:
            raise urllib3.exceptions.ProtocolError("Connection broken", error) from error
    assert raised.value.reason == reason
    assert "secret" not in str(raised.value)


def test_an_error_of_the_proxy_is_not_an_error_of_the_server() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    with pytest.raises(web.WebError, match="the proxy failed: connection refused") as raised, web.network_errors(URL):
        raise urllib3.exceptions.ProxyError("Cannot connect to proxy", refused)
    assert raised.value.reason == "proxy"


# -- the zip ----------------------------------------------------------------------------------------------------------


def write_zip(path: t.Any, *members: t.Tuple[str, t.Tuple[int, ...], bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, when, content in members:
            archive.writestr(zipfile.ZipInfo(name, when), content, zipfile.ZIP_DEFLATED)  # type: ignore[arg-type]
    return str(path)


TODAY = ("dump.sql", (2024, 1, 12, 22, 58, 0), b"today")
YESTERDAY = ("dump.sql", (2024, 1, 11, 22, 58, 0), b"yesterday")
OLD = ("readme", (2023, 1, 1, 0, 0, 0), b"hello")


def unpacked(tmp_path: t.Any, *members: t.Any, now: datetime.datetime = NOW, **changes: t.Any) -> web.Dump:
    return web.unpack(options(**changes), write_zip(tmp_path / "z.zip", *members), str(tmp_path / "to"), now, KNOWN)


def test_a_member_is_extracted_with_its_time_in_the_zone_of_the_options(tmp_path: t.Any) -> None:
    dump = unpacked(tmp_path, TODAY, OLD, member="dump.sql", modified="today")
    assert (dump.problem, [file.name for file in dump.files], dump.unchanged) == (None, ["dump.sql"], False)
    assert (tmp_path / "to" / "dump.sql").read_bytes() == b"today"
    moment = datetime.datetime(2024, 1, 12, 21, 58, tzinfo=datetime.timezone.utc)
    assert dump.modified["dump.sql"] == moment
    assert (tmp_path / "to" / "dump.sql").stat().st_mtime == moment.timestamp()


def test_without_a_member_all_files_are_extracted(tmp_path: t.Any) -> None:
    dump = unpacked(tmp_path, TODAY, OLD, ("folder/", (2024, 1, 12, 0, 0, 0), b""))
    assert sorted(file.name for file in dump.files) == ["dump.sql", "readme"]


@pytest.mark.parametrize(
    ("members", "changes", "problem"),
    [
        ([YESTERDAY], {}, "'dump.sql' in %s is from 2024-01-11, not from today (2024-01-12, Europe/Paris)" % URL),
        ([OLD], {}, "%s contains no file 'dump.sql' (it contains 'readme')" % URL),
        ([], {}, "%s contains no file 'dump.sql' (it contains no files)" % URL),
        ([], {"member": None}, "%s contains no file (it contains no files)" % URL),
        ([TODAY, OLD], {"member": None}, "'readme' in %s is from 2023-01-01, not from today (2024-01-12, Europe/Paris)" % URL),
        (
            [("dump.sql", (2024, 2, 30, 1, 0, 0), b"x")],
            {},
            "'dump.sql' in %s has no date, not from today (2024-01-12, Europe/Paris)" % URL,
        ),
    ],
)
def test_a_dump_that_is_missing_or_not_from_today_is_a_problem_and_nothing_is_extracted(
    tmp_path: t.Any, members: t.List[t.Any], changes: t.Dict[str, t.Any], problem: str
) -> None:
    dump = unpacked(tmp_path, *members, **dict({"member": "dump.sql", "modified": "today"}, **changes))
    assert (dump.problem, dump.files) == (problem, [])
    assert not (tmp_path / "to").exists()


def test_an_exact_time_in_the_zip_decides_whether_a_dump_is_from_today(tmp_path: t.Any) -> None:
    """The zip was made in Los Angeles, where it was still yesterday; the member is asked for without the "./" that bsdtar writes."""
    entry = zipfile.ZipInfo("./dump.sql", (2024, 1, 11, 23, 30, 0))
    exact = datetime.datetime(2024, 1, 12, 7, 30, tzinfo=datetime.timezone.utc)
    entry.extra = struct.pack("<HHBl", 0x5455, 5, 1, int(exact.timestamp()))
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(entry, b"today")
    given = options(member="dump.sql", modified="today")
    dump = web.unpack(given, str(tmp_path / "z.zip"), str(tmp_path / "to"), NOW, KNOWN)
    assert (dump.problem, [file.name for file in dump.files]) == (None, ["dump.sql"])
    assert (tmp_path / "to" / "dump.sql").stat().st_mtime == exact.timestamp()


def test_today_is_the_day_in_the_zone_of_the_options(tmp_path: t.Any) -> None:
    midnight = NOW + datetime.timedelta(hours=1)  # 2024-01-13 00:00 in Paris
    just_before = midnight - datetime.timedelta(seconds=1)
    wanted = {"member": "dump.sql", "modified": "today"}
    assert unpacked(tmp_path, TODAY, now=just_before, **wanted).problem is None
    assert "not from today (2024-01-13, Europe/Paris)" in str(unpacked(tmp_path, TODAY, now=midnight, **wanted).problem)
    assert unpacked(tmp_path, TODAY, now=midnight, timezone="UTC", **wanted).problem is None


def test_an_error_in_the_zip_names_the_url(tmp_path: t.Any) -> None:
    (tmp_path / "z.zip").write_bytes(b"PK\3\4 and nothing else")
    with pytest.raises(IntegrityError, match="^%s: not a zip, or a damaged one" % URL):
        web.unpack(options(), str(tmp_path / "z.zip"), str(tmp_path / "to"), NOW, KNOWN)
    with pytest.raises(IntegrityError, match="^%s: the expansion ratio of the member 'dump.sql' exceeds 10" % URL):
        unpacked(tmp_path, ("dump.sql", (2024, 1, 12, 1, 0, 0), bytes(30 << 20)), max_ratio=10)


# -- a real server, with the urllib3 of this virtualenv: 1.26 and 2 check names differently ----------------------------


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_a_server_may_have_a_name_or_an_address(tmp_path: t.Any, name: str) -> None:
    with https_server(tmp_path / "ca") as server:
        server.files["/export.zip"] = b"PK\3\4" + bytes(100)
        given = options(url=server.url(name=name), ca_bundle=server.authority.certificate_file)
        assert web.fetch(given, str(tmp_path / "z.zip")).size == 104


@pytest.mark.parametrize(("name", "names"), [("localhost", ["127.0.0.1"]), ("127.0.0.1", ["localhost"]), ("127.0.0.1", ["127.0.0.2"])])
def test_a_certificate_for_another_name_or_address_is_refused(tmp_path: t.Any, name: str, names: t.List[str]) -> None:
    with https_server(tmp_path / "ca", names=names) as server:
        given = options(url=server.url(name=name), ca_bundle=server.authority.certificate_file)
        with pytest.raises(web.WebError) as caught:
            web.fetch(given, str(tmp_path / "z.zip"))
        assert (caught.value.reason, server.requests) == ("tls_name", [])
    other = Authority(tmp_path / "other")
    with https_server(tmp_path / "again", names=names + [name]) as server, pytest.raises(web.WebError) as caught:
        web.fetch(options(url=server.url(name=name), ca_bundle=other.certificate_file), str(tmp_path / "z.zip"))
    assert caught.value.reason == "tls_untrusted"
