# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of a download: every kind of failure has one word, and a hint."""

from __future__ import annotations

import typing as t
from urllib.parse import urlsplit, urlunsplit

from ..base.errors import EXIT_CONFIG, LogArchiveError


class WebError(LogArchiveError):
    """A download failed. ``reason``: one word for the kind of failure (see ``_HINTS``); ``status``: the HTTP status, if there was one."""

    def __init__(self, reason: str, message: str, subject: str, status: t.Optional[int] = None) -> None:
        super().__init__(message, subject, _HINTS.get(reason))
        self.reason = reason
        self.status = status
        if reason == "client_certificate":
            self.exit_code = EXIT_CONFIG


_HINTS: t.Dict[str, t.Optional[str]] = {
    "dns": "Check the host name in the URL, and the resolver of this host",
    "refused": "Check that the server is running, and the port in the URL",
    "unreachable": "Check the network and the firewalls between this host and the server",
    "timeout": "Check the server, or increase timeout",
    "connection_lost": "Check the log of the server",
    "tls_name": "Use a host name in the URL that the certificate of the server contains",
    "tls_expired": "Renew the certificate of the server; check the clock of this host, too",
    "tls_untrusted": "Set ca_bundle to the CA that signed the certificate",
    "tls": "Check the TLS versions of the server, and whether it requires a client certificate",
    "client_certificate": "Check client_certificate and client_key",
    "unauthorized": "Check user and password, or token",
    "forbidden": "Give the user or the token access to the URL",
    "not_found": "Check the path in the URL",
    "busy": "Try again later",
    "server_error": "Check the log of the server",
    "status": None,
    "redirect": "Set url to the final location",
    "proxy": "Check the proxy",
    "too_large": "Increase max_size if this is the right file",
    "too_small": "Decrease min_size if this is the right file",
    "truncated": "Check whether the file is still being written on the server",
    "too_slow": "Check the server and the network, or decrease min_rate",
    "too_long": "Increase max_duration if the server is right, or check why it is slow",
    "not_zip": "Open the URL in a browser to see what the server sends",
}


def shown(url: str) -> str:
    """The URL for messages: without user, password and query, which may be secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "..." if parts.query else "", ""))


def check_status(response: t.Any, url: str, client_certificate: t.Optional[str] = None, page: t.Callable[[], bytes] = bytes) -> None:
    """Raise WebError unless the server sends the file.

    client_certificate: the path of the one that was shown. page: reads the beginning of what the server sends; it may raise WebError.
    """
    status = response.status
    if status == 200:
        return
    if status == 400 and _is_about_certificate(page):
        what = "requires a client certificate" if client_certificate is None else "rejects the client certificate %s" % client_certificate
        raise WebError("client_certificate", "the server " + what, shown(url), status)
    reason = {401: "unauthorized", 403: "forbidden", 404: "not_found", 407: "proxy", 410: "not_found", 429: "busy", 503: "busy"}.get(status)
    if reason is None:
        reason = "server_error" if status >= 500 else "status"
    raise WebError(reason, "the server responded %d %s" % (status, ascii(response.reason or "").strip("'")), shown(url), status)


def _is_about_certificate(page: t.Callable[[], bytes]) -> bool:
    """Whether a page is nginx's for a request without a valid client certificate. It lets the TLS handshake succeed before."""
    try:
        return b"SSL certificate" in page()
    except WebError:
        return False  # The status is reported.
