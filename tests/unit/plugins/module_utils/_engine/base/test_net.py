# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retries, the causes of failed connections as libraries wrap them, and TLS settings."""

from __future__ import annotations

import errno
import http.client
import os
import pathlib
import random
import socket
import ssl
import time
import typing as t
import urllib.error

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import net
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    LogArchiveError,
    StoreDeniedError,
    StoreUnavailableError,
)
from lab.https import Authority

# -- retries ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> t.List[float]:
    """The delays in seconds, none of which is really slept; without the random part."""
    delays: t.List[float] = []
    monkeypatch.setattr(time, "sleep", delays.append)
    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    return delays


def is_retryable(error: LogArchiveError) -> bool:
    return bool(getattr(error, "retryable", False))


class Failing:
    """A call that fails with these errors, one after the other, and then succeeds."""

    def __init__(self, *errors: LogArchiveError) -> None:
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_a_call_that_succeeds_is_made_once(slept: t.List[float]) -> None:
    retries = net.Retries(4, 1.0)
    assert retries.call(Failing(), is_retryable) == "done"
    assert (retries.count, slept) == (1, [])


def test_the_delay_doubles_up_to_a_minute(slept: t.List[float]) -> None:
    retries = net.Retries(9, 1.0)
    assert retries.call(Failing(*[StoreUnavailableError("away")] * 8), is_retryable) == "done"
    assert retries.count == 9
    assert slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_delays_are_shortened_at_random_by_up_to_half(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: t.List[float] = []
    monkeypatch.setattr(time, "sleep", delays.append)
    for _attempt in range(100):
        net.Retries(2, 10.0).call(Failing(StoreUnavailableError("away")), is_retryable)
    assert 5.0 <= min(delays) < max(delays) <= 10.0


def test_the_last_error_is_raised_when_no_attempt_is_left(slept: t.List[float]) -> None:
    last = StoreUnavailableError("the third")
    retries = net.Retries(3, 1.0)
    with pytest.raises(StoreUnavailableError) as raised:
        retries.call(Failing(StoreUnavailableError("1"), StoreUnavailableError("2"), last), is_retryable)
    assert raised.value is last
    assert (retries.count, slept) == (3, [1.0, 2.0])


def test_an_error_that_is_not_retryable_ends_the_calls(slept: t.List[float]) -> None:
    retries = net.Retries(4, 1.0)
    with pytest.raises(StoreDeniedError):
        retries.call(Failing(StoreUnavailableError("away"), StoreDeniedError("no")), is_retryable)
    assert (retries.count, slept) == (2, [1.0])


def test_an_error_of_another_kind_passes_through(slept: t.List[float]) -> None:
    def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        net.Retries(4, 1.0).call(broken, is_retryable)
    assert slept == []


def test_calls_through_one_object_share_its_attempts(slept: t.List[float]) -> None:
    retries = net.Retries(3, 1.0)
    retries.call(Failing(StoreUnavailableError("away")), is_retryable)
    with pytest.raises(StoreUnavailableError, match="second"):
        retries.call(Failing(StoreUnavailableError("second")), is_retryable)
    assert retries.count == 3


def test_connections_are_dropped_before_each_retry_only(slept: t.List[float]) -> None:
    dropped: t.List[str] = []
    with pytest.raises(StoreUnavailableError):
        net.Retries(3, 1.0).call(Failing(*[StoreUnavailableError("away")] * 3), is_retryable, lambda: dropped.append("x"))
    assert len(dropped) == 2


# -- causes -----------------------------------------------------------------------------------------------------------


def certificate_error(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, message
    return error


def tls_error(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, "[SSL] failed")
    error.reason = reason
    return error


CAUSES = [
    (socket.gaierror(-2, "Name or service not known"), "dns", "its name cannot be resolved (Name or service not known)"),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), "refused", "connection refused"),
    (OSError(errno.EHOSTUNREACH, "No route to host"), "unreachable", "no route to host"),
    (OSError(errno.ENETUNREACH, "Network is unreachable"), "unreachable", "network is unreachable"),
    (socket.timeout("The read operation timed out"), "timeout", "it did not answer in time"),
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "timeout", "it did not answer in time"),
    (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "connection_lost", "connection reset by peer"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), "connection_lost", "broken pipe"),
    (http.client.IncompleteRead(b"abc"), "truncated", "the connection ended before all bytes had arrived"),
    (certificate_error(62, "Hostname mismatch"), "tls_name", "its TLS certificate is not accepted (Hostname mismatch)"),
    (certificate_error(64, "IP address mismatch"), "tls_name", "its TLS certificate is not accepted (IP address mismatch)"),
    (certificate_error(10, "certificate has expired"), "tls_expired", "its TLS certificate is not accepted (certificate has expired)"),
    (certificate_error(18, "self-signed certificate"), "tls_untrusted", "its TLS certificate is not accepted (self-signed certificate)"),
    (tls_error("WRONG_VERSION_NUMBER"), "tls", "TLS failed (WRONG_VERSION_NUMBER)"),
    (OSError(errno.EMFILE, "Too many open files"), "other", "too many open files"),
]


@pytest.mark.parametrize(("error", "kind", "message"), CAUSES, ids=[str(number) for number in range(len(CAUSES))])
@pytest.mark.parametrize("wrap", ["bare", "cause", "context", "reason", "argument", "botocore"])
def test_a_cause_is_found_however_it_is_wrapped(error: BaseException, kind: str, message: str, wrap: str) -> None:
    outer: BaseException = RuntimeError("https://user:secret@server/?token=secret")
    if wrap == "bare":
        outer = error
    elif wrap == "cause":
        outer.__cause__ = error
    elif wrap == "context":
        outer.__context__ = error
    elif wrap == "reason":
        outer = urllib.error.URLError(t.cast(t.Any, error))
    elif wrap == "argument":
        outer = RuntimeError("Max retries exceeded", error)
    else:
        outer = t.cast(t.Any, RuntimeError("endpoint"))
        outer.kwargs = {"error": error, "endpoint_url": "https://server"}  # type: ignore[attr-defined]
    assert net.find_cause(outer) == net.Cause(kind, message)


def test_only_a_refused_certificate_is_one() -> None:
    refused = {kind for error, kind, _message in CAUSES if t.cast(net.Cause, net.find_cause(error)).is_certificate}
    assert refused == {"tls_name", "tls_expired", "tls_untrusted"}


@pytest.mark.parametrize("error", [RuntimeError("anything"), urllib.error.URLError("unknown url type"), OSError("no number")])
def test_an_unknown_error_has_no_cause(error: Exception) -> None:
    assert net.find_cause(error) is None


def test_errors_that_hold_each_other_end() -> None:
    first, second = RuntimeError("first"), RuntimeError("second")
    first.__cause__, second.__context__ = second, first
    assert net.find_cause(first) is None


def test_the_causes_of_real_failures() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 0.05) as connection, pytest.raises(OSError) as silence:
            connection.recv(1)
    with pytest.raises(OSError) as refused:
        socket.create_connection(("127.0.0.1", port), 1)
    with pytest.raises(OSError) as nameless:
        socket.create_connection(("no-such-host.invalid", 1), 1)
    kinds = [t.cast(net.Cause, net.find_cause(raised.value)).kind for raised in (silence, refused, nameless)]
    assert kinds == ["timeout", "refused", "dns"]


# -- TLS --------------------------------------------------------------------------------------------------------------


def test_certificates_and_names_are_checked() -> None:
    context = net.tls_context()
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


@pytest.mark.parametrize("content", [None, "no certificate\n"])
def test_a_ca_bundle_that_cannot_be_used_is_named(tmp_path: pathlib.Path, content: t.Optional[str]) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match="cannot read the CA certificates") as raised:
        net.tls_context(str(path))
    assert raised.value.subject == str(path)


def test_a_named_pipe_in_the_place_of_a_certificate_is_not_waited_for(tmp_path: pathlib.Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    context = net.tls_context()
    for use in (net.tls_context, lambda path: net.load_client_certificate(context, path, None)):
        with pytest.raises(ConfigError, match="it is not a regular file") as raised:
            use(pipe)
        assert raised.value.subject == pipe


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> t.Tuple[str, str, str]:
    """Paths of a certificate, its key and another key."""
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return (*authority.issue("client"), authority.issue("other")[1])


@pytest.mark.parametrize(
    ("certificate", "key", "message", "named"),
    [
        ("missing", None, "cannot read the client certificate: %s" % os.strerror(errno.ENOENT), "certificate"),
        (0, "missing", "cannot read the key of the client certificate: %s" % os.strerror(errno.ENOENT), "key"),
        (0, 2, "the key does not belong to it", "key"),
        (0, None, "it or its key is not in PEM format", "certificate"),
        (1, 1, "it or its key is not in PEM format", "certificate"),
    ],
)
def test_a_client_certificate_or_key_that_cannot_be_used_is_named(
    issued: t.Tuple[str, str, str], certificate: t.Any, key: t.Any, message: str, named: str
) -> None:
    paths = [issued[each] if isinstance(each, int) else each and "/nonexistent/%s.pem" % each for each in (certificate, key)]
    with pytest.raises(ConfigError, match=message) as raised:
        net.load_client_certificate(net.tls_context(), *paths)
    assert raised.value.subject == paths[0 if named == "certificate" else 1]


def test_a_client_certificate_with_its_key_is_used(issued: t.Tuple[str, str, str]) -> None:
    net.load_client_certificate(net.tls_context(), issued[0], issued[1])
