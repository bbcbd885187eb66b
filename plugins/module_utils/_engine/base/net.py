# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shared code for rooms that use the network: retries, the cause of a failed connection, and TLS settings."""

from __future__ import annotations

import errno
import os
import time
import typing as t

from .beneath import open_regular
from .errors import ConfigError, LogArchiveError

if t.TYPE_CHECKING:
    import ssl

Result = t.TypeVar("Result")

LONGEST_DELAY = 60.0
"""Seconds; the delay between two attempts stops growing here."""


class Retries:
    """Repeats a call that fails with a retryable error. Every call through one object uses up the same attempts.

    A failure that leaves some of the work done (``advanced``) uses up none: over a link that breaks every few MB, a large archive arrives
    in many attempts.

    attempts: tries in all, at least 1. delay: seconds before the second try; it doubles for each further try, up to LONGEST_DELAY, and
    is shortened at random by up to half, so that many hosts do not come back at the same moment. count: the tries made so far.
    """

    def __init__(self, attempts: int, delay: float) -> None:
        self.attempts = attempts
        self.delay = delay
        self.count = 0
        self._used = 0

    def call(
        self,
        function: t.Callable[[], Result],
        is_retryable: t.Callable[[LogArchiveError], bool],
        before_retry: t.Callable[[], None] = lambda: None,
    ) -> Result:
        """Return what ``function`` returns; raise its error when that is not retryable or no attempt is left."""
        delay = self.delay
        while True:
            self.count += 1
            self._used += 1
            try:
                return function()
            except LogArchiveError as error:
                if getattr(error, "advanced", False):
                    delay = self.delay
                    self._used -= 1
                if not is_retryable(error) or self._used >= self.attempts:
                    raise
            import random

            before_retry()
            time.sleep(min(LONGEST_DELAY, delay) * random.uniform(0.5, 1.0))
            delay *= 2


def system_ca() -> str:
    """The file of the system's CA certificates."""
    import ssl

    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.openssl_cafile


class Cause(t.NamedTuple):
    """Why a connection failed.

    kind: dns, refused, unreachable, timeout, connection_lost, truncated (the body ended early), tls_name, tls_expired, tls_untrusted,
    tls (any other failure of TLS) or other. message: the same for people, about "it", the server; it names neither host nor URL.
    """

    kind: str
    message: str

    @property
    def is_certificate(self) -> bool:
        """Whether the server's certificate was refused: trying again does not help."""
        return self.kind in ("tls_name", "tls_expired", "tls_untrusted")


def find_cause(error: BaseException) -> t.Optional[Cause]:
    """The cause of an exception of a network library, or None if it is unknown.

    Libraries wrap the exceptions of the operating system and of TLS, in several ways; the innermost known one counts. The library's own
    message is not used: it may hold a URL with a secret.
    """
    return next(filter(None, map(_cause_of, reversed(wrapped_errors(error)))), None)


def wrapped_errors(error: BaseException) -> t.List[BaseException]:
    """An exception and all that it wraps, the outermost first."""
    found: t.List[BaseException] = []
    waiting: t.List[t.Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in found):
            found.append(one)
            # reason: urllib.error, urllib3. original_error: urllib3's ProxyError. kwargs: botocore.
            keywords = getattr(one, "kwargs", None)
            botocore_cause = keywords.get("error") if isinstance(keywords, dict) else None
            inner = [one.__cause__, one.__context__, getattr(one, "reason", None), getattr(one, "original_error", None), botocore_cause]
            waiting += [*inner, *one.args]
    return found


_LOST = (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)
_UNREACHABLE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)
_WRONG_NAME = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_WRONG_TIME = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


def _cause_of(error: BaseException) -> t.Optional[Cause]:
    import socket
    import ssl

    # By name, because these libraries may not be installed: urllib3's TimeoutError, IncompleteRead of urllib3 and http.client.
    names = {parent.__name__ for parent in type(error).__mro__}
    code = getattr(error, "verify_code", None)
    if isinstance(error, ssl.SSLCertVerificationError) and code is not None:
        kind = "tls_name" if code in _WRONG_NAME else "tls_expired" if code in _WRONG_TIME else "tls_untrusted"
        return Cause(kind, "its TLS certificate is not accepted (%s)" % error.verify_message)
    if "CertificateError" in names or isinstance(error, ssl.SSLCertVerificationError):
        # The check of the name by urllib3, or by Python's ssl.match_hostname (until 3.11), if OpenSSL does not check it.
        return Cause("tls_name", "its TLS certificate is not accepted (%s)" % str(error)[:300])
    if isinstance(error, socket.timeout) or "TimeoutError" in names:
        return Cause("timeout", "it did not answer in time")
    if isinstance(error, ssl.SSLError):
        return Cause("tls", "TLS failed (%s)" % (getattr(error, "reason", None) or error.strerror or "no reason given"))
    if isinstance(error, socket.gaierror):
        return Cause("dns", "its name cannot be resolved (%s)" % error.strerror)
    if "IncompleteRead" in names:
        return Cause("truncated", "the connection ended before all bytes had arrived")
    # URLError and the errors of requests are OSErrors without a number: what they wrap has the cause.
    if isinstance(error, OSError) and error.errno is not None and isinstance(error.strerror, str):
        reason = error.strerror[:1].lower() + error.strerror[1:]
        if error.errno == errno.ECONNREFUSED:
            return Cause("refused", "connection refused")
        if error.errno in _UNREACHABLE:
            return Cause("unreachable", reason)
        return Cause("connection_lost" if error.errno in _LOST else "other", reason)
    return None


def tls_context(ca_bundle: t.Optional[str] = None) -> ssl.SSLContext:
    """Settings of a TLS client that checks the server's certificate and name.

    ca_bundle: a PEM file of the authorities to trust instead of the system's. Raises ConfigError if it cannot be used.
    """
    import ssl

    try:
        if ca_bundle is not None:
            os.close(open_regular(ca_bundle))
        return ssl.create_default_context(cafile=ca_bundle)
    except ssl.SSLError as error:
        reason = "the file contains no certificate in PEM format"
        raise ConfigError("cannot read the CA certificates: %s" % reason, ca_bundle, "Check ca_bundle") from error
    except OSError as error:
        raise ConfigError("cannot read the CA certificates: %s" % (error.strerror or error), ca_bundle, "Check ca_bundle") from error


def load_client_certificate(context: ssl.SSLContext, certificate: str, key: t.Optional[str]) -> None:
    """Let ``context`` show a client certificate (a PEM file with its chain) with its private key (a PEM file, or None if it is in the
    same file). Raises ConfigError if they cannot be used; a key that needs a passphrase cannot.
    """
    import ssl

    for path, what in ((certificate, "client certificate"), (key, "key of the client certificate")):
        if path is not None:
            try:
                os.close(open_regular(path))
            except OSError as error:
                raise ConfigError("cannot read the %s: %s" % (what, error.strerror or error), path) from error
    try:
        # An empty passphrase, because OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, lambda: "")
    except (OSError, ssl.SSLError) as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise ConfigError("cannot use the client certificate: the key does not belong to it", key or certificate) from error
        reason = "it or its key is not in PEM format, or the key has a passphrase"
        raise ConfigError("cannot use the client certificate: %s" % reason, certificate) from error
