# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The S3 store on endpoints that are no S3 server, that lie, or that never end."""

from __future__ import annotations

import email.utils
import hashlib
import io
import os
import pathlib
import ssl
import time
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors, watch
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import base, s3_requests
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Digests
from lab.https import Authority
from lab.odd_http import PAGE, Answer, OddServer, Request, answer, drip, odd_server, slow_reader, without_body
from rigs.host import Host, assert_complete, file_store, random_bytes
from rigs.stores import new_store

KEY = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
DATA = b"abc"
DIGESTS = Digests(3, "900150983cd24fb0d6963f7d28e17f72", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
CALLS = ["put", "get", "verify", "list", "delete", "clean"]
QUICK: t.Dict[str, t.Any] = {"attempts": 2, "retry_delay": "0.01"}

Serve = t.Callable[[Request], Answer]


def new(server: OddServer, **options: t.Any) -> t.Any:
    keys = {"region": "us-east-1", "access_key_id": "a", "secret_access_key": "b"}
    return new_store("s3", **{"bucket": "logs", "endpoint_url": server.endpoint_url, **keys, **QUICK, **options})


def call_on(store: t.Any, call: str, folder: pathlib.Path) -> t.Any:
    path = folder / "archive"
    path.write_bytes(DATA)
    arguments: t.Dict[str, t.Any] = {
        "put": (str(path), KEY, DIGESTS),
        "get": (KEY, io.BytesIO()),
        "verify": (KEY, DIGESTS),
        "delete": ([KEY],),
    }
    return getattr(store, call)(*arguments.get(call, ()))


def listing(entries: str = "", truncated: bool = False, token: str = "") -> t.List[bytes]:
    body = "<ListBucketResult><Name>logs</Name><IsTruncated>%s</IsTruncated>%s%s</ListBucketResult>" % (
        "true" if truncated else "false",
        "<NextContinuationToken>%s</NextContinuationToken>" % token if token else "",
        entries,
    )
    return answer("200 OK", body.encode(), "application/xml")


def entry(key: str) -> str:
    return (
        "<Contents><Key>%s</Key><LastModified>2024-01-12T12:00:00Z</LastModified><ETag>&quot;x&quot;</ETag><Size>3</Size></Contents>" % key
    )


# -- answers that are not S3's --------------------------------------------------------------------------------------------

NOT_S3: t.Dict[str, Serve] = {
    "a page": lambda request: without_body(request, answer("200 OK", PAGE, "text/html")),
    "a page with an ETag": lambda request: without_body(request, answer("200 OK", PAGE, "text/html; charset=utf-8", ETag='"65a1-5f"')),
    "a page without its type": lambda request: without_body(request, answer("200 OK", PAGE)),
    "an empty answer": lambda _request: answer("200 OK"),
    "a word": lambda request: without_body(request, answer("200 OK", b"ok", "text/plain")),
    "other XML": lambda request: without_body(request, answer("200 OK", b"<ok><IsIt>yes</IsIt></ok>", "application/xml")),
    "no HTTP": lambda _request: [b"SSH-2.0-OpenSSH_9.2\r\n"],
    "bytes that are not text": lambda _request: [
        b"HTTP/1.1 200 \xff\xfe\r\nContent-Length: 99999999999999999999999\r\n\xe9: \xff\r\n\r\n\xff"
    ],
    "a status of letters": lambda _request: [b"HTTP/1.1 two OK\r\n\r\n"],
}


@pytest.mark.parametrize("name", sorted(NOT_S3))
def test_an_answer_that_is_not_s3_is_an_error_of_the_store(name: str, tmp_path: pathlib.Path) -> None:
    with odd_server(NOT_S3[name]) as server:
        store = new(server, timeout="0.3")
        for call in CALLS:
            server.requests.clear()
            try:
                # An answer about nothing confirms no deletion.
                assert (call, call_on(store, call, tmp_path)) == ("delete", {KEY: "the server did not confirm it"})
            except errors.StoreError:
                pass
            assert 1 <= len(server.requests) <= 4


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
def test_a_redirect_is_named_and_not_followed(status: str, tmp_path: pathlib.Path) -> None:
    with odd_server(lambda _request: answer(status, Location="https://me:pw@s3.example.org/there?sig=1")) as server:
        store = new(server)
        for call in CALLS:
            server.requests.clear()
            with pytest.raises(errors.StoreError, match="redirects to https://s3.example.org/there .*Set endpoint_url") as raised:
                call_on(store, call, tmp_path)
            assert not raised.value.retryable and "pw" not in str(raised.value) and "sig" not in str(raised.value)
            assert len(server.requests) <= 4


def test_a_run_with_an_endpoint_that_answers_everything_with_a_page(tmp_path: pathlib.Path) -> None:
    host = Host(tmp_path / "host")
    (host.logs / "syslog.20240112.13").write_bytes(random_bytes(1000))
    wanted = {str(path): path.read_bytes() for path in host.logs.iterdir()}
    for serve in (NOT_S3["a page"], NOT_S3["an empty answer"], lambda _request: answer("301 Moved Permanently", Location="https://x/")):
        with odd_server(serve) as server:
            keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
            host.stores[1:] = [dict(type="s3", name="s3", bucket="logs", endpoint_url=server.endpoint_url, **keys, **QUICK)]
            recap = host.run()
            assert recap["exit_code"] == 3 and any(text.startswith("store s3: ") for text in recap["errors"]), recap["errors"]
            assert_complete(file_store(host.store), host, wanted)
            assert len(server.requests) <= 8


def test_a_server_that_reports_every_name_as_taken(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send, "MOST_REVISIONS", 3)
    taken = answer("200 OK", b"x" * 7, "application/octet-stream", ETag='"x"')
    with odd_server(lambda request: listing() if "list-type" in request.path else without_body(request, taken)) as server:
        host = Host(tmp_path / "host")
        (host.logs / "syslog.20240112.13").write_bytes(random_bytes(1000))
        keys = {"access_key_id": "a", "secret_access_key": "b", "region": "us-east-1"}
        host.stores.append(dict(type="s3", name="s3", bucket="logs", endpoint_url=server.endpoint_url, **keys, **QUICK))
        recap = host.run()
        assert recap["exit_code"] == 3
        assert "all 3 revisions of the archive exist" in " ".join(recap["errors"])


# -- listings -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    [
        lambda number: listing(entry("a/%d" % number), True, "token-%d" % number),
        lambda number: listing("", True, "token-%d" % number),
        lambda number: listing(entry("a/1"), True, "token-%d" % (number % 2)),
    ],
    ids=["new entries for ever", "empty pages for ever", "two tokens in turn"],
)
def test_a_listing_without_an_end(page: t.Callable[[int], t.List[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST_OBJECTS", 20)
    monkeypatch.setattr(s3_requests, "MOST_OBJECTS", 20)
    monkeypatch.setattr(s3_requests, "MOST_EMPTY_PAGES", 20)
    with odd_server(lambda _request: page(len(server.requests))) as server:
        with pytest.raises(errors.StoreError, match="more than 20 objects|does not end: 21 pages"):
            new(server).list()
        assert len(server.requests) <= 22


@pytest.mark.parametrize("entries", [1, 0])
def test_a_listing_in_slow_pages_of_one_name_is_given_up(entries: int) -> None:
    def page(_request: Request) -> t.List[bytes]:
        time.sleep(0.15)
        number = len(server.requests)
        return listing(entry("a/%d" % number) * entries, True, "token-%d" % number)

    began = time.monotonic()
    with odd_server(page) as server, pytest.raises(errors.StoreError, match="fewer than 20 names per second"):
        new(server, timeout="0.4s").list()
    assert time.monotonic() - began < lab.patience(20)


@pytest.mark.parametrize("token", ["", "same"])
def test_a_listing_that_goes_on_nowhere(token: str) -> None:
    with (
        odd_server(lambda _request: listing(entry("a/1"), True, token)) as server,
        pytest.raises(errors.StoreError, match="does not go on"),
    ):
        new(server).list()


def test_names_that_are_no_keys_or_were_not_asked_for_are_left_out() -> None:
    names = ["web1/a", "web1//b", "web1/../c", "/web1/d", "web2/e", "web1/f\u2028", "web1/./g"]
    with odd_server(lambda _request: listing("".join(map(entry, names)))) as server:
        assert [found.key for found in new(server).list("web1/")] == ["web1/a", "web1/f\u2028"]


@pytest.mark.parametrize("missing", ["Key", "Size", "LastModified"])
def test_an_entry_without_a_field(missing: str) -> None:
    text = entry("web1/a")
    start, end = text.index("<%s>" % missing), text.index("</%s>" % missing) + len(missing) + 3
    with odd_server(lambda _request: listing(text[:start] + text[end:])) as server, pytest.raises(errors.StoreError):
        new(server).list()


# -- answers that do not end ------------------------------------------------------------------------------------------------

HEAD = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 1000000000\r\n\r\n'
DRIPS: t.Dict[str, t.Tuple[str, Serve]] = {
    "the status line": ("get", lambda _request: drip(HEAD, 0.12)),
    "the headers": ("verify", lambda _request: drip(HEAD, 0.12, 20)),
    "the body of an archive": ("get", lambda _request: drip(HEAD, 0.12, len(HEAD))),
    "a listing": ("list", lambda _request: drip(b"".join(listing()), 0.12, 60)),
}


@pytest.mark.parametrize(("name", "tls"), [*((name, False) for name in sorted(DRIPS)), ("the body of an archive", True)])
def test_an_answer_of_one_byte_at_a_time_is_given_up(
    name: str, tls: bool, tmp_path: pathlib.Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "MIN_RATE", 1 << 20)
    call, serve = DRIPS[name]
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.issue("server", ["localhost"]))
    with odd_server(serve, context) as server:
        store = new(server, timeout="0.4", attempts=1, ca_bundle=authority.certificate_file if tls else None)
        began = time.monotonic()
        with pytest.raises(errors.StoreUnavailableError, match="too slow"):
            call_on(store, call, tmp_path)
        # Ten times the timeout for the headers; each byte alone would come well within it.
        assert time.monotonic() - began < lab.patience(15)


def test_a_server_that_takes_an_upload_one_byte_at_a_time(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "MIN_RATE", 1 << 20)
    path = tmp_path / "archive"
    data = os.urandom(5 << 20)
    path.write_bytes(data)
    digests = Digests(len(data), hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest())
    with slow_reader() as server:
        began = time.monotonic()
        with pytest.raises(errors.StoreUnavailableError):
            new(server, timeout="0.5", attempts=1).put(str(path), KEY, digests)
        assert time.monotonic() - began < lab.patience(15)


# -- causes -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.mark.parametrize(
    ("names", "expired", "hint"),
    [
        (["other.example.org"], False, "Use a host name in endpoint_url that the server's certificate contains"),
        (["localhost"], True, "Renew the server's certificate; check the clock"),
        (None, False, "Set ca_bundle to the CA that signed"),
    ],
)
def test_each_fault_of_a_certificate_has_its_hint(
    names: t.Optional[t.List[str]], expired: bool, hint: str, authority: Authority, tmp_path: pathlib.Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    signer = authority if names else Authority(tmp_path / "other")
    context.load_cert_chain(*signer.issue("server", names or ["localhost"], expired))
    with odd_server(lambda _request: listing(), context) as server:
        with pytest.raises(errors.StoreError, match=hint) as raised:
            new(server, ca_bundle=authority.certificate_file).list()
        assert not raised.value.retryable
        assert new(server, ca_bundle=authority.certificate_file).name == "s3"


def test_a_ca_file_that_is_missing_or_no_pem_is_named(tmp_path: pathlib.Path) -> None:
    missing, other = str(tmp_path / "missing.pem"), tmp_path / "other.pem"
    other.write_bytes(b"no certificate\n")
    with pytest.raises(errors.ConfigError, match="missing.pem: cannot read the CA certificates: No such file.*Check ca_bundle"):
        new_store("s3", bucket="b", endpoint_url="https://localhost:9", region="r", ca_bundle=missing).list()
    with pytest.raises(errors.ConfigError, match="other.pem: cannot read the CA certificates: the file contains no certificate"):
        new_store("s3", bucket="b", endpoint_url="https://localhost:9", region="r", ca_bundle=str(other)).list()


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden"])
@pytest.mark.parametrize("call", ["put", "verify"])
def test_a_skewed_clock_shows_at_head(status: str, call: str, tmp_path: pathlib.Path) -> None:
    date = email.utils.formatdate(time.time() + 7200, usegmt=True)
    with (
        odd_server(lambda _request: answer(status, Date=date)) as server,
        pytest.raises(errors.StoreDeniedError, match="the clocks differ.*Set this host's clock"),
    ):
        call_on(new(server), call, tmp_path)


def test_the_reason_of_a_400_at_head_comes_from_a_get(tmp_path: pathlib.Path) -> None:
    body = b"<Error><Code>RequestTimeTooSkewed</Code><ServerTime>2024-01-12T12:00:00Z</ServerTime></Error>"
    serve: Serve = lambda request: answer("400 Bad Request", b"" if request.method == "HEAD" else body, "application/xml")  # noqa: E731
    with odd_server(serve) as server, pytest.raises(errors.StoreDeniedError, match="the server 2024-01-12T12:00:00Z"):
        call_on(new(server), "put", tmp_path)
