# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A dump from a web server: a zip fetched over HTTPS, and the member of it that is to be archived.

The server is not trusted with more than the file: sizes are bounded, redirects stay encrypted and take no credentials along, and the
zip is read as ``zips`` reads it. Every way to fail has its own word (``WebError.reason``).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import os
import re
import socket
import ssl
import time
import typing as t
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..base.errors import EXIT_CONFIG, ConfigError, IntegrityError, LogArchiveError, MissingLibraryError
from ..base.periods import load_timezone
from ..base.staging import ExtractedFile, failing_clearly
from ..base.units import format_size, parse_duration, parse_size
from . import zips

CHUNK = 1 << 16
REDIRECTS = 5
_RETRYABLE = ("dns", "refused", "unreachable", "timeout", "connection_lost", "truncated", "server_error", "busy")

Progress = t.Callable[[int], None]


class WebError(LogArchiveError):
    """A download failed. ``reason``: one word for how it did (see ``_HINTS``); ``status``: the HTTP status, if there is one."""

    def __init__(self, reason: str, message: str, subject: str, status: t.Optional[int] = None) -> None:
        super().__init__(message, subject, _HINTS.get(reason))
        self.reason = reason
        self.status = status
        if reason in ("client_certificate",):
            self.exit_code = EXIT_CONFIG


_HINTS: t.Dict[str, t.Optional[str]] = {
    "dns": "Look at the name in the URL, and at the resolver of this host",
    "refused": "Is the server running, and is the port right?",
    "unreachable": "Look at the network and the firewalls between this host and the server",
    "timeout": "Look at the server, or give it more time (timeout)",
    "connection_lost": "Look at the server's log",
    "tls_name": "The URL must name the server as its certificate does",
    "tls_expired": "Its owner must renew it; look at this host's clock, too",
    "tls_untrusted": "Give the CA that signed it (ca_bundle)",
    "tls": "Look at what TLS the server speaks, and whether it wants a client certificate",
    "client_certificate": "Look at client_certificate and client_key",
    "unauthorized": "Look at user and password, or the token",
    "forbidden": "The server knows us and does not let us",
    "not_found": "Look at the path in the URL",
    "busy": "The server asks for patience",
    "server_error": "Look at the server's log",
    "status": None,
    "redirect": "Give the URL that it leads to",
    "proxy": "Look at the proxy",
    "too_large": "Raise max_size if this is the right file",
    "too_small": "Lower min_size if this is the right file",
    "truncated": "The server sent less than it had said; it may be writing the file",
    "not_zip": "Look at what the URL gives in a browser",
}


class Validators(t.NamedTuple):
    """What a server said of the version that we have: the next request asks only for a newer one. url: the SHA-256 of its URL."""

    url: str
    etag: t.Optional[str]
    last_modified: t.Optional[str]


class Download(t.NamedTuple):
    """size: bytes, 0 where ``unchanged`` (the server has nothing newer than ``known``); then nothing was written."""

    unchanged: bool
    size: int
    sha256: t.Optional[str]
    validators: Validators
    attempts: int


class Collected(t.NamedTuple):
    """A dump at hand. files: what was extracted; modified: by member, in the job's time zone, aware, None where the zip has no time;
    problem: why there is nothing to archive, None where there is; unchanged: the server had nothing newer.
    """

    files: t.List[ExtractedFile]
    modified: t.Dict[str, t.Optional[datetime.datetime]]
    validators: Validators
    problem: t.Optional[str]
    unchanged: bool


def shown(url: str) -> str:
    """The URL as messages may show it: without its query, in which secrets travel."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "..." if parts.query else "", ""))


def problems(options: t.Mapping[str, t.Any]) -> t.List[str]:
    """What is wrong with these options when they are seen together, as 'option: what'."""
    found = []
    for name in ("url", "proxy"):
        url = options[name]
        if url is None:
            continue
        try:
            parts = urlsplit(url)
            port_is_fine = parts.port is None or parts.port > 0
        except ValueError:
            found.append("%s: is no URL" % name)
            continue
        if name == "url" and parts.scheme != "https":
            found.append("url: must begin with https://")
        elif name == "proxy" and parts.scheme not in ("http", "https"):
            found.append("proxy: must begin with http:// or https://")
        elif not parts.hostname or not port_is_fine:
            found.append("%s: names no server" % name)
        elif name == "url" and parts.username is not None:
            found.append("url: must not hold a user or a password; give them as user and password")
    if options["token"] and options["user"]:
        found.append("token: and user exclude each other")
    if bool(options["user"]) != bool(options["password"]):
        found.append("user: and password go together")
    if options["client_key"] and not options["client_certificate"]:
        found.append("client_key: goes with client_certificate")
    if re.search(r"[\r\n:]|^$", options["token_header"] or "Authorization"):
        found.append("token_header: is no name of a header")
    with contextlib.suppress(LogArchiveError):
        # What is no size at all is told where types are checked.
        if options["min_size"] is not None and parse_size(options["min_size"]) > parse_size(options["max_size"]):
            found.append("min_size: is larger than max_size")
    try:
        load_timezone(options["timezone"])
    except ConfigError as error:
        found.append("timezone: %s" % error)
    return found


def collect(
    options: t.Mapping[str, t.Any],
    folder: str,
    now: datetime.datetime,
    known: t.Optional[Validators] = None,
    progress: t.Optional[Progress] = None,
) -> Collected:
    """Fetch the zip that ``options`` (see ``job_spec.WEB``) describe and extract what is wanted of it below ``folder``.

    now: aware; what "today" means. known: of the version that was archived before. progress: called with the bytes as they come.
    Raises WebError, IntegrityError for a zip that is refused, DiskFullError. A member that is not there or not of today is no error but the
    ``problem`` of the result.
    """
    with failing_clearly(folder):
        os.makedirs(folder, mode=0o700, exist_ok=True)
        path = os.path.join(folder, ".download")
        try:
            download = fetch(options, path, known, progress)
            if download.unchanged:
                return Collected([], {}, download.validators, None, True)
            return _unpacked(options, path, folder, now, download.validators)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _unpacked(options: t.Mapping[str, t.Any], path: str, folder: str, now: datetime.datetime, validators: Validators) -> Collected:
    limits = zips.Limits(parse_size(options["max_unpacked"]), options["max_ratio"], options["max_members"])
    subject = shown(options["url"])
    try:
        listed = [member for member in zips.members(path, limits) if not member.is_folder]
        wanted = None if options["member"] is None else [options["member"]]
        chosen = [member for member in listed if wanted is None or member.name in wanted]
        zone = load_timezone(options["timezone"])
        modified = {m.name: None if m.modified is None else m.modified.replace(tzinfo=zone) for m in chosen}
        problem = _problem(options, chosen, listed, modified, now.astimezone(zone).date())
        if problem is not None:
            return Collected([], modified, validators, problem, False)
        files = zips.extract(path, folder, wanted, limits, overwrite=True)
    except IntegrityError as error:
        # It is known by where it came from: the file's own name means nothing to anybody.
        raise type(error)(error.message, subject, error.hint) from error
    for file in files:
        moment = modified[file.name]
        if moment is not None:
            os.utime(file.path, (moment.timestamp(), moment.timestamp()))
    return Collected(files, modified, validators, None, False)


def _problem(
    options: t.Mapping[str, t.Any],
    chosen: t.Sequence[zips.Member],
    listed: t.Sequence[zips.Member],
    modified: t.Mapping[str, t.Optional[datetime.datetime]],
    today: datetime.date,
) -> t.Optional[str]:
    subject = shown(options["url"])
    if not chosen:
        there = ", ".join(ascii(member.name) for member in listed[:10]) + (", ..." if len(listed) > 10 else "")
        what = "no file" if options["member"] is None else "no file %s" % ascii(options["member"])
        return "%s holds %s (it holds %s)" % (subject, what, there or "none at all")
    if options["modified"] == "today":
        for name, moment in modified.items():
            if moment is None or moment.date() != today:
                when = "has no date" if moment is None else "is of %s" % moment.date().isoformat()
                return "%s in %s %s, not of today (%s, %s)" % (ascii(name), subject, when, today.isoformat(), options["timezone"])
    return None


# -- fetching ---------------------------------------------------------------------------------------------------------


def fetch(
    options: t.Mapping[str, t.Any], path: str, known: t.Optional[Validators] = None, progress: t.Optional[Progress] = None
) -> Download:
    """Download the URL to the new file ``path`` (0600), in bounded memory; what may pass is tried again, with twice the wait each time.

    The file is there only if it is complete, of a size within the limits, and begins as a zip does. Raises WebError.
    """
    delay = parse_duration(options["retry_delay"])
    for attempt in range(1, options["attempts"] + 1):
        try:
            return _fetch_once(options, path, known, progress, attempt)
        except WebError as error:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            if error.reason not in _RETRYABLE or attempt == options["attempts"]:
                raise
        time.sleep(delay)
        delay *= 2
    raise AssertionError("the last attempt returns or raises")


def _fetch_once(
    options: t.Mapping[str, t.Any], path: str, known: t.Optional[Validators], progress: t.Optional[Progress], attempt: int
) -> Download:
    url = options["url"]
    if known is not None and known.url != _digest(url):
        known = None
    with _opened(options, known) as response:
        validators = Validators(_digest(url), response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if response.status == 304 and known is not None:
            return Download(True, 0, None, known, attempt)
        _check_status(response, url)
        size, sha256 = _write(response, path, options, progress)
    if options["min_size"] is not None and size < parse_size(options["min_size"]):
        raise WebError("too_small", "it has %s, less than min_size" % format_size(size), shown(url))
    return Download(False, size, sha256, validators, attempt)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


@contextlib.contextmanager
def _opened(options: t.Mapping[str, t.Any], known: t.Optional[Validators]) -> t.Iterator[t.Any]:
    """The response, after redirects; errors of the network as WebError."""
    try:
        import urllib3
    except ImportError:
        raise MissingLibraryError("urllib3", "a job that fetches from a web server") from None
    url = options["url"]
    timeout = urllib3.Timeout(connect=parse_duration(options["timeout"]), read=parse_duration(options["timeout"]))
    settings: t.Dict[str, t.Any] = {"ssl_context": _tls_context(options), "timeout": timeout, "retries": False}
    if options["proxy"]:
        pool: t.Any = urllib3.ProxyManager(_without_login(options["proxy"]), proxy_headers=_proxy_login(options["proxy"]), **settings)
    else:
        pool = urllib3.PoolManager(**settings)
    with contextlib.closing(_Pool(pool)):
        headers = {"Accept": "application/zip, */*", "Accept-Encoding": "identity", "User-Agent": "log-archive"}
        if known is not None:
            headers.update(
                {name: value for name, value in (("If-None-Match", known.etag), ("If-Modified-Since", known.last_modified)) if value}
            )
        for _redirect in range(REDIRECTS + 1):
            own = urlsplit(url)[:2] == urlsplit(options["url"])[:2]
            with _explained(url):
                response = pool.request(
                    "GET", url, headers=dict(headers, **(_login(options) if own else {})), redirect=False, preload_content=False
                )
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                try:
                    with _explained(url):
                        yield response
                finally:
                    response.release_conn()
                return
            response.release_conn()
            url = urljoin(url, location)
            if urlsplit(url).scheme != "https":
                raise WebError(
                    "redirect", "it redirects to %s, which is not encrypted" % shown(url), shown(options["url"]), response.status
                )
        raise WebError("redirect", "it redirects more than %d times" % REDIRECTS, shown(options["url"]))


class _Pool:
    def __init__(self, pool: t.Any) -> None:
        self.close = pool.clear


def _tls_context(options: t.Mapping[str, t.Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options["ca_bundle"])
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("the CA certificates cannot be read (%s)" % (error.strerror or error), options["ca_bundle"]) from error
    if options["client_certificate"]:
        try:
            # A key that wants a passphrase must not ask for it on a terminal.
            context.load_cert_chain(options["client_certificate"], options["client_key"], lambda: "")
        except (OSError, ssl.SSLError) as error:
            raise WebError(
                "client_certificate",
                "the client certificate cannot be used (%s)" % (error.strerror or error),
                options["client_certificate"],
            ) from error
    return context


def _login(options: t.Mapping[str, t.Any]) -> t.Dict[str, str]:
    from urllib3.util import make_headers

    if options["token"]:
        header = options["token_header"]
        return {header: "Bearer %s" % options["token"] if header.lower() == "authorization" else options["token"]}
    if options["user"]:
        return make_headers(basic_auth="%s:%s" % (options["user"], options["password"]))
    return {}


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _proxy_login(url: str) -> t.Optional[t.Dict[str, str]]:
    from urllib.parse import unquote

    from urllib3.util import make_headers

    parts = urlsplit(url)
    if parts.username is None:
        return None
    login = "%s:%s" % (unquote(parts.username), unquote(parts.password or ""))
    return make_headers(proxy_basic_auth=login)


def _check_status(response: t.Any, url: str) -> None:
    status = response.status
    if status == 200:
        return
    reason = {401: "unauthorized", 403: "forbidden", 404: "not_found", 407: "proxy", 410: "not_found", 429: "busy", 503: "busy"}.get(status)
    if reason is None:
        reason = "server_error" if status >= 500 else "status"
    raise WebError(reason, "the server answers %d %s" % (status, ascii(response.reason or "").strip("'")), shown(url), status)


def _write(response: t.Any, path: str, options: t.Mapping[str, t.Any], progress: t.Optional[Progress]) -> t.Tuple[int, str]:
    most = parse_size(options["max_size"])
    subject = shown(options["url"])
    said = response.headers.get("Content-Length", "")
    expected = int(said) if said.isascii() and said.isdigit() else None
    if expected is not None and expected > most:
        raise WebError("too_large", "it has %s, more than max_size" % format_size(expected), subject)
    sha256 = hashlib.sha256()
    size = 0
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600)) as file:
        for chunk in response.stream(CHUNK, decode_content=False):
            if not size and not chunk.startswith(b"PK"[: len(chunk)]):
                raise WebError("not_zip", "what the server sends is no zip (%s)" % _kind(response, chunk), subject)
            size += len(chunk)
            if size > most:
                raise WebError("too_large", "it has more than max_size (%s)" % format_size(most), subject)
            sha256.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(len(chunk))
    if expected is not None and size != expected:
        raise WebError("truncated", "%d bytes came, and %d were announced" % (size, expected), subject)
    if not size:
        raise WebError("not_zip", "what the server sends is no zip (it is empty)", subject)
    return size, sha256.hexdigest()


def _kind(response: t.Any, chunk: bytes) -> str:
    kind = ascii(response.headers.get("Content-Type", "of an unknown type")).strip("'")
    return "%s, beginning with %s" % (kind[:60], ascii(chunk[:20].decode("latin-1")))


@contextlib.contextmanager
def _explained(url: str) -> t.Iterator[None]:
    from urllib3.exceptions import HTTPError, LocationParseError, ProxyError

    try:
        yield
    except LocationParseError as error:
        raise WebError("redirect", "it leads to what is no URL", shown(url)) from error
    except HTTPError as error:
        causes = list(_chain(error))
        reason, message = next(filter(None, map(_told, causes)), ("connection_lost", "the connection broke (%s)" % type(error).__name__))
        # A proxy that cannot be reached, or does not let us through.
        if any(isinstance(cause, ProxyError) for cause in causes) and not reason.startswith("tls"):
            reason, message = "proxy", "the proxy fails: %s" % message
        raise WebError(reason, message, shown(url)) from error


def _chain(error: BaseException) -> t.Iterator[BaseException]:
    """An error and what it came from, the innermost first: urllib3 wraps, in several ways and by its version."""
    seen: t.List[BaseException] = []
    waiting: t.List[t.Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and not any(one is other for other in seen):
            seen.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), getattr(one, "original_error", None), *one.args]
    return reversed(seen)


def _told(error: BaseException) -> t.Optional[t.Tuple[str, str]]:
    from urllib3.exceptions import IncompleteRead, TimeoutError as UrllibTimeout

    if isinstance(error, ssl.SSLCertVerificationError):
        # X509_V_ERR_HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH; CERT_HAS_EXPIRED, CERT_NOT_YET_VALID.
        reason = "tls_name" if error.verify_code in (62, 64) else "tls_expired" if error.verify_code in (9, 10) else "tls_untrusted"
        return reason, "its certificate is refused: %s" % error.verify_message
    if isinstance(error, ssl.SSLError):
        return "tls", "TLS fails (%s)" % (error.reason or error.strerror)
    if isinstance(error, socket.gaierror):
        return "dns", "its name cannot be resolved (%s)" % error.strerror
    if isinstance(error, ConnectionRefusedError):
        return "refused", "the connection is refused"
    if isinstance(error, (socket.timeout, UrllibTimeout)):
        return "timeout", "the server is silent for too long"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT):
        return "unreachable", "the server cannot be reached (%s)" % error.strerror
    if type(error).__name__ == "IncompleteRead" or isinstance(error, IncompleteRead):
        return "truncated", "the connection ended before the file did"
    return None
