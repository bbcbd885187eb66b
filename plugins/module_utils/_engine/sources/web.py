# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Download a zip over HTTPS and extract the files to archive.

The server is not trusted: sizes are limited, redirects must be encrypted and get no credentials on another server, and ``zips`` checks the
zip. Every kind of failure has one word (``WebError.reason``).
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
import time
import typing as t
from urllib.parse import urljoin, urlsplit, urlunsplit

from ..base import net, watch
from ..base.beneath import open_private
from ..base.durable import new_file
from ..base.errors import ConfigError, IntegrityError
from ..base.libraries import needed
from ..base.names import plain
from ..base.periods import load_timezone
from ..base.staging import ExtractedFile, failing_clearly
from ..base.units import format_size, parse_duration, parse_size
from . import zips
from .web_errors import WebError, check_status, shown

if t.TYPE_CHECKING:
    import ssl

    from ..config.document import WebOptions

CHUNK = 1 << 16
REDIRECTS = 5
_BAD_REDIRECT = "the server redirects to an invalid URL"
_RETRYABLE = ("dns", "refused", "unreachable", "timeout", "connection_lost", "truncated", "too_slow", "server_error", "busy")

Progress = t.Callable[[int], None]


class Validators(t.NamedTuple):
    """How the server identified the version that was downloaded: the next request asks only for another one.

    url: the SHA-256 of the URL.
    """

    url: str
    etag: t.Optional[str]
    last_modified: t.Optional[str]


class Download(t.NamedTuple):
    """size: bytes. unchanged: the server has no other version than the known one; nothing was written, and ``size`` is 0."""

    unchanged: bool
    size: int
    sha256: t.Optional[str]
    validators: Validators
    attempts: int


class Dump(t.NamedTuple):
    """A dump as extracted.

    files: the extracted files. modified: by member, aware, in the time zone of the options; None if the zip contains no valid time.
    problem: why there is nothing to archive, or None. unchanged: the server has no other version than the known one.
    """

    files: t.Collection[ExtractedFile]
    modified: t.Dict[str, t.Optional[datetime.datetime]]
    validators: Validators
    problem: t.Optional[str]
    unchanged: bool


def problems(options: WebOptions) -> t.List[str]:
    """Mistakes in these options that show only when they are seen together, each as 'option: what is wrong'."""
    found = []
    for name, url, schemes in (("url", options["url"], ["https"]), ("proxy", options["proxy"], ["http", "https"])):
        if url is not None:
            problem = _problem_of_url(url, schemes)
            if problem is not None:
                found.append("%s: %s" % (name, problem))
            elif name == "url" and urlsplit(url).username is not None:
                found.append("url: must not contain a user or a password; use the options user and password")
    if options["token"] and options["user"]:
        found.append("token: cannot be combined with user")
    if bool(options["user"]) != bool(options["password"]):
        found.append("user: requires password, and vice versa")
    if options["client_key"] and not options["client_certificate"]:
        found.append("client_key: requires client_certificate")
    if re.search(r"[\r\n:]|^$", options["token_header"]):
        found.append("token_header: is not a valid header name")
    if options["min_size"] is not None and parse_size(options["min_size"]) > parse_size(options["max_size"]):
        found.append("min_size: must not be larger than max_size")
    try:
        load_timezone(options["timezone"])
    except ConfigError as error:
        found.append("timezone: %s" % error)
    return found


def _problem_of_url(url: str, schemes: t.Sequence[str]) -> t.Optional[str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in schemes:
        return "must begin with %s" % " or ".join(scheme + "://" for scheme in schemes)
    return None if parts.hostname and port != 0 else "contains no host name, or an invalid port"


def collect(
    options: WebOptions,
    folder: str,
    now: datetime.datetime,
    known: t.Optional[Validators] = None,
    progress: t.Optional[Progress] = None,
) -> Dump:
    """Download the zip that ``options`` describe and extract the files to archive below ``folder``.

    now: an aware datetime; defines "today". known: the version that was archived before. progress: called with the bytes as they arrive.
    Raises WebError, IntegrityError if the zip is refused, ConfigError if another user could exchange ``folder``, DiskFullError. A member
    that is missing or not from today is the ``problem`` of the result, not an error.
    """
    # Nobody else can change names in it, so the download can be opened by its path.
    with failing_clearly(folder), open_private(folder, create=True):
        path = os.path.join(folder, ".download")
        try:
            download = fetch(options, path, known, progress)
            if download.unchanged:
                return Dump([], {}, download.validators, None, True)
            return unpack(options, path, folder, now, download.validators)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def unpack(options: WebOptions, path: str, folder: str, now: datetime.datetime, validators: Validators) -> Dump:
    """Extract the files to archive from the zip ``path``; the rest as for ``collect``."""
    limits = zips.Limits(parse_size(options["max_unpacked"]), options["max_ratio"], options["max_members"])
    subject = shown(options["url"])
    try:
        listed = [member for member in zips.members(path, limits) if not member.is_folder]
        wanted = None if options["member"] is None else [plain(options["member"])]
        chosen = [member for member in listed if wanted is None or member.name in wanted]
        zone = load_timezone(options["timezone"])
        modified = {member.name: _in_zone(member.modified, zone) for member in chosen}
        problem = _problem(options, chosen, listed, modified, now.astimezone(zone).date())
        if problem is not None:
            return Dump([], modified, validators, problem, False)
        files = zips.extract(path, folder, wanted, limits, overwrite=True)
    except IntegrityError as error:
        # Messages name the URL, not the temporary file.
        raise type(error)(error.message, subject, error.hint) from error
    for file in files:
        moment = modified[file.name]
        if moment is not None:
            os.utime(file.path, (moment.timestamp(), moment.timestamp()))
    return Dump(files, modified, validators, None, False)


def _in_zone(moment: t.Optional[datetime.datetime], zone: datetime.tzinfo) -> t.Optional[datetime.datetime]:
    """The time of a member; one that is not exact is taken as a time of this zone."""
    if moment is None:
        return None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def _problem(
    options: WebOptions,
    chosen: t.Sequence[zips.Member],
    listed: t.Sequence[zips.Member],
    modified: t.Mapping[str, t.Optional[datetime.datetime]],
    today: datetime.date,
) -> t.Optional[str]:
    subject = shown(options["url"])
    if not chosen:
        there = ", ".join(ascii(member.name) for member in listed[:10]) + (", ..." if len(listed) > 10 else "")
        what = "no file" if options["member"] is None else "no file %s" % ascii(options["member"])
        return "%s contains %s (it contains %s)" % (subject, what, there or "no files")
    if options["modified"] == "today":
        for name, moment in modified.items():
            if moment is None or moment.date() != today:
                when = "has no date" if moment is None else "is from %s" % moment.date().isoformat()
                return "%s in %s %s, not from today (%s, %s)" % (ascii(name), subject, when, today.isoformat(), options["timezone"])
    return None


# -- fetching ---------------------------------------------------------------------------------------------------------


def fetch(options: WebOptions, path: str, known: t.Optional[Validators] = None, progress: t.Optional[Progress] = None) -> Download:
    """Download the URL to the new file ``path`` (mode 0600), in bounded memory; retry temporary errors, doubling the delay each time.

    The file exists only if it is complete, its size is within the limits, and it begins like a zip. Raises WebError.
    """
    pace = Pace(options)
    retries = net.Retries(options["attempts"], parse_duration(options["retry_delay"]))

    def fetch_once() -> Download:
        try:
            return _fetch_once(options, path, known, progress, pace)._replace(attempts=retries.count)
        except WebError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            raise

    return retries.call(fetch_once, lambda error: isinstance(error, WebError) and error.reason in _RETRYABLE and pace.left() > 0)


class Pace:
    """How fast a download must be: the time limits of its requests, and of all of it with every attempt.

    The timeout of a socket begins again with each byte: a server that sends one byte a second would hold the job for ever.
    """

    def __init__(self, options: WebOptions) -> None:
        self._subject = shown(options["url"])
        self._timeout = parse_duration(options["timeout"])
        self._rate = max(1, parse_size(options["min_rate"]))
        self._duration = options["max_duration"]
        self._end = time.monotonic() + parse_duration(options["max_duration"])
        self._watch = watch.Watch()
        # Small enough that a server at the minimum rate sends it within the timeout.
        self.chunk = int(min(CHUNK, max(1, self._rate * self._timeout)))

    def left(self) -> float:
        """Seconds until the end of the whole download."""
        return self._end - time.monotonic()

    @contextlib.contextmanager
    def attempt(self) -> t.Iterator[None]:
        """The connections that the body opens are those that ``within`` can end."""
        self._watch = watch.Watch()
        with contextlib.closing(self._watch):
            yield

    @contextlib.contextmanager
    def within(self, size: int) -> t.Iterator[None]:
        """Give the server the time for so many bytes. Raises WebError too_slow or too_long, in place of what the body raises then."""
        error = None
        try:
            with self._watch.limit(max(0.0, min(self.left(), self._timeout + size / self._rate))):
                yield
        except Exception as caught:
            if not self._watch.expired:
                raise
            error = caught
        if self._watch.expired:
            if self.left() <= 0:
                message = "the download takes longer than max_duration (%s)" % self._duration
                raise WebError("too_long", message, self._subject) from error
            raise WebError(
                "too_slow", "the server sends less than min_rate (%s per second)" % format_size(self._rate), self._subject
            ) from error


def _fetch_once(options: WebOptions, path: str, known: t.Optional[Validators], progress: t.Optional[Progress], pace: Pace) -> Download:
    url = options["url"]
    if known is not None and known.url != _digest(url):
        known = None
    with pace.attempt(), _opened(options, known, pace) as response:
        validators = Validators(_digest(url), response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if response.status == 304 and known is not None:
            return Download(True, 0, None, known, 1)
        check_status(response, url, options["client_certificate"], lambda: next(_chunks(response, url, pace), b""))
        size, sha256 = write_body(response, path, options, progress, pace)
    if options["min_size"] is not None and size < parse_size(options["min_size"]):
        raise WebError("too_small", "the file has %s, less than min_size" % format_size(size), shown(url))
    return Download(False, size, sha256, validators, 1)


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()


@contextlib.contextmanager
def _opened(options: WebOptions, known: t.Optional[Validators], pace: Pace) -> t.Iterator[t.Any]:
    """The response, after redirects. Network errors become WebError."""
    with needed("urllib3", "jobs that download from a web server"):
        import urllib3
    seconds = parse_duration(options["timeout"])
    timeout = urllib3.Timeout(connect=seconds, read=seconds)
    context = _tls_context(options)
    # urllib3 1.26 gives OpenSSL no name to check for an IP address, which Python refuses. It checks names and addresses itself if OpenSSL
    # does not, as it does with a context that it makes itself.
    context.check_hostname = not t.cast(t.Any, urllib3).__version__.startswith("1.")
    settings: t.Dict[str, t.Any] = {"ssl_context": context, "timeout": timeout, "retries": False}
    if options["proxy"]:
        pool: t.Any = urllib3.ProxyManager(_without_login(options["proxy"]), proxy_headers=_proxy_login(options["proxy"]), **settings)
    else:
        pool = urllib3.PoolManager(**settings)
    pool.pool_classes_by_scheme = watch.watched(pool.pool_classes_by_scheme)
    url = options["url"]
    try:
        for _redirect in range(REDIRECTS + 1):
            with pace.within(CHUNK), network_errors(url):
                response = pool.request("GET", url, headers=request_headers(options, url, known), redirect=False, preload_content=False)
            location = response.headers.get("Location")
            if response.status not in (301, 302, 303, 307, 308) or not location:
                try:
                    with network_errors(url):
                        yield response
                finally:
                    response.release_conn()
                return
            response.release_conn()
            url = redirect_target(url, location)
        raise WebError("redirect", "the server redirects more than %d times" % REDIRECTS, shown(options["url"]))
    finally:
        pool.clear()


def request_headers(options: WebOptions, url: str, known: t.Optional[Validators]) -> t.Dict[str, str]:
    """The headers of a request for ``url``: the URL of the options, or a redirect target. Another server gets no credentials.

    known: the version that was downloaded before, if any.
    """
    headers = {"Accept": "application/zip, */*", "Accept-Encoding": "identity", "User-Agent": "log-archive"}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    if known is not None and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    if urlsplit(url)[:2] == urlsplit(options["url"])[:2]:
        headers.update(_login(options))
    return headers


def redirect_target(url: str, location: str) -> str:
    """The URL to which ``url`` redirects, by the header Location. Raises WebError if it is not valid or not encrypted."""
    try:
        target = urljoin(url, location)
        scheme = urlsplit(target).scheme
    except ValueError:
        raise WebError("redirect", _BAD_REDIRECT, shown(url)) from None
    if scheme != "https":
        raise WebError("redirect", "the server redirects to %s, which is not encrypted" % shown(target), shown(url))
    return target


def _tls_context(options: WebOptions) -> ssl.SSLContext:
    context = net.tls_context(options["ca_bundle"])
    certificate = options["client_certificate"]
    if certificate:
        try:
            net.load_client_certificate(context, certificate, options["client_key"])
        except ConfigError as error:
            raise WebError("client_certificate", error.message, certificate) from error
    return context


def _login(options: WebOptions) -> t.Dict[str, str]:
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


def write_body(response: t.Any, path: str, options: WebOptions, progress: t.Optional[Progress], pace: Pace) -> t.Tuple[int, str]:
    most = parse_size(options["max_size"])
    subject = shown(options["url"])
    header = response.headers.get("Content-Length", "")
    # 18 digits are more than any file has; int() refuses thousands.
    expected = int(header[:19]) if header.isascii() and header.isdigit() else None
    if expected is not None and expected > most:
        raise WebError("too_large", "the file has %s, more than max_size" % format_size(expected), subject)
    sha256 = hashlib.sha256()
    size = 0
    with new_file(path, 0o600) as file:
        for chunk in _chunks(response, options["url"], pace):
            if not size and not chunk.startswith(b"PK"[: len(chunk)]):
                raise WebError("not_zip", "the response is not a zip file (%s)" % _kind(response, chunk), subject)
            size += len(chunk)
            if size > most:
                raise WebError("too_large", "the file is larger than max_size (%s)" % format_size(most), subject)
            sha256.update(chunk)
            file.write(chunk)
            if progress is not None:
                progress(len(chunk))
    if expected is not None and size != expected:
        raise WebError("truncated", "the response has %d bytes; the server announced %d" % (size, expected), subject)
    if not size:
        raise WebError("not_zip", "the response is not a zip file (it is empty)", subject)
    return size, sha256.hexdigest()


def _chunks(response: t.Any, url: str, pace: Pace) -> t.Iterator[bytes]:
    chunks = response.stream(pace.chunk, decode_content=False)
    while True:
        with pace.within(pace.chunk), network_errors(url):
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk


def _kind(response: t.Any, chunk: bytes) -> str:
    kind = ascii(response.headers.get("Content-Type", "unknown type")).strip("'")
    return "%s, begins with %s" % (kind[:60], ascii(chunk[:20].decode("latin-1")))


@contextlib.contextmanager
def network_errors(url: str) -> t.Iterator[None]:
    from urllib3.exceptions import HTTPError, LocationParseError, ProxyError

    try:
        yield
    except LocationParseError as error:
        raise WebError("redirect", _BAD_REDIRECT, shown(url)) from error
    except HTTPError as error:
        cause = net.find_cause(error)
        reason, message = "connection_lost", "the connection was lost (%s)" % type(error).__name__
        if cause is not None:
            reason, message = reason if cause.kind == "other" else cause.kind, cause.message
        # The proxy cannot be reached, or refuses the connection.
        if any(isinstance(wrapped, ProxyError) for wrapped in net.wrapped_errors(error)) and not reason.startswith("tls"):
            reason, message = "proxy", "the proxy failed: %s" % message
        raise WebError(reason, message, shown(url)) from error
