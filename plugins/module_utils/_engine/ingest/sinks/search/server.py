# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A search server through its product's own client library: one request at a time, answers and errors in one form."""

from __future__ import annotations

import json
import re
import typing as t

from ....base.libraries import needed
from ....base.net import find_cause, system_ca
from ....base.units import parse_duration
from ....config.sink_spec import uses_tls
from ..base import SinkDeniedError, SinkError, SinkUnavailableError
from ..other_server import MYSQL, POSTGRESQL, SSH, server_at, wrong_server

if t.TYPE_CHECKING:
    from ....config.stream_document import SinkOptions

PORT = 9200
WAIT, REJECT, DONE = "wait", "reject", "done"
"""What an answer means for a document: send it again later; the server will never take it; the server has it."""
_WAITING = frozenset(
    (
        "cluster_block_exception",
        "index_closed_exception",
        "index_not_found_exception",
        "unavailable_shards_exception",
        "validation_exception",
    )
)
"""Errors that pass when somebody acts, although their status is that of a wrong document."""
_FIELD = re.compile(r"failed to parse (?:field )?\[([^\]\s]{1,200})\](?: of type \[(\w+)\])?|dynamic introduction of \[([^\]\s]{1,200})\]")


class TooLargeError(SinkError):
    """The server, or a proxy in front of it, takes no request of this size."""


class BusyError(SinkUnavailableError):
    """The server has no room for the request now (429)."""


class ForbiddenError(SinkDeniedError):
    """The user is known, and lacks the right (403)."""


class Outcome(t.NamedTuple):
    """What became of one document. what: WAIT, REJECT or DONE; status: of HTTP; reason: without any value of the document."""

    what: str
    status: int
    reason: str

    @property
    def is_denied(self) -> bool:
        """Whether the user lacks the right to write."""
        return self.status in (401, 403) and self.reason not in _WAITING


class SearchServer:
    """A server of the type ``opensearch`` or ``elasticsearch``. name: how messages name it."""

    def __init__(self, options: SinkOptions) -> None:
        self._product = options["type"]
        port = options["port"] or PORT
        self.name = "%s:%d" % (options["host"], port)
        self._address = options["host"], port
        is_secure = uses_tls(options["tls"], options["host"], options["socket"])
        make = _opensearch if self._product == "opensearch" else _elasticsearch
        ca_bundle = (options["ca_bundle"] or system_ca()) if is_secure else None
        self._request, self._error, self._close = make(options, port, ca_bundle)

    def close(self) -> None:
        """Close the connections."""
        self._close()

    def request(self, method: str, path: str, body: t.Any = None, missing_is_none: bool = False, **params: t.Any) -> t.Any:
        """The decoded answer. body: an object, or the text of a bulk request. Raises SinkError; returns None for 404 if that is wanted."""
        try:
            return self._request(method, path, params, body)
        except self._error as error:
            if missing_is_none and _status_of(error) == 404:
                return None
            raise self._failed(error, "%s %s" % (method, path)) from None

    def check_product(self) -> None:
        """Raise SinkError if the server is known to be the other product. The client of Elasticsearch checks it with each answer."""
        if self._product == "opensearch" and self._distribution() == "elasticsearch":
            raise SinkError("the server is Elasticsearch, not OpenSearch", self.name, "Set type to elasticsearch")

    def _distribution(self) -> t.Optional[str]:
        """The product, None if the user may not ask for it."""
        try:
            try:
                answer = self.request("GET", "/")
            except (SinkUnavailableError, SinkDeniedError):
                raise
            except SinkError:
                # Some servers do not answer to this path.
                answer = self.request("GET", "/_nodes/_local/http", filter_path="nodes.*.build_flavor")
        except ForbiddenError:
            return None
        version = answer.get("version") if isinstance(answer, dict) else None
        if isinstance(version, dict):
            return "opensearch" if version.get("distribution") == "opensearch" else "elasticsearch"
        return "elasticsearch" if isinstance(answer, dict) and answer.get("nodes") else None

    def existing(self, names: t.Iterable[str]) -> t.Set[str]:
        """Those of these indices that exist."""
        path = "/%s/_settings/index.uuid" % ",".join(sorted(names))
        answer = self.request("GET", path, ignore_unavailable="true", allow_no_indices="true", expand_wildcards="all")
        return set(answer) if isinstance(answer, dict) else set()

    def create_index(self, name: str, body: t.Mapping[str, t.Any]) -> None:
        """Create an index unless it exists. body: its settings, and its mappings if they are not those of a template."""
        try:
            self.request("PUT", "/" + name, dict(body))
        except AlreadyExistsError:
            pass

    def bulk(self, text: str, count: int) -> t.List[Outcome]:
        """Send the lines of a bulk request with this number of documents; returns what became of each, in their order."""
        wanted = "errors,items.*.status,items.*.error.type,items.*.error.reason"
        answer = self.request("POST", "/_bulk", text, filter_path=wanted)
        items = answer.get("items") if isinstance(answer, dict) else None
        if not isinstance(items, list) or len(items) != count or not all(isinstance(item, dict) and len(item) == 1 for item in items):
            raise SinkUnavailableError("the answer to a bulk request does not have a result for each of %d documents" % count, self.name)
        if answer.get("errors") is False:
            return [_DONE] * count
        return [_outcome(next(iter(item.values()))) for item in items]

    def _failed(self, error: t.Any, what: str) -> SinkError:
        status, kind = _status_of(error), _type_of(error)
        # OpenSearch does not know the media types of Elasticsearch.
        if type(error).__name__ == "UnsupportedProductError" or (self._product == "elasticsearch" and status == 406 and not kind):
            return SinkError("the server is not Elasticsearch", self.name, "If it is OpenSearch, set type to opensearch")
        if status is None:
            cause = find_cause(error)
            if cause is not None and cause.is_certificate:
                return SinkDeniedError("the server cannot be trusted: %s" % cause.message, self.name, "Check ca_bundle and host")
            found = server_at(*self._address) if cause is None else ""
            if found in (MYSQL, POSTGRESQL, SSH):
                return wrong_server(found, self.name, "a search server")
            reason = cause.message if cause is not None else type(error).__name__
            return SinkUnavailableError("the server cannot be reached (%s)" % reason, self.name)
        shown = "%s: status %d%s" % (what.partition("?")[0], status, " (%s)" % kind if kind else "")
        if kind == "resource_already_exists_exception":
            return AlreadyExistsError(shown, self.name)
        if kind == "media_type_header_exception":
            return SinkError("the server is older than Elasticsearch 8", self.name, "Upgrade it to Elasticsearch 8 or 9")
        if status == 413:
            return TooLargeError("the server accepts no request of this size (%s)" % shown, self.name)
        if status == 429:
            return BusyError("the server cannot take requests now (%s)" % shown, self.name)
        if status == 401:
            return SinkDeniedError("the server refuses the user (%s)" % shown, self.name, "Check user and password, or api_key")
        if status == 403 and kind not in _WAITING:
            return ForbiddenError("the user lacks a right (%s)" % shown, self.name, "Grant the user the right to make this request")
        if status >= 500 or status == 408 or kind in _WAITING:
            return SinkUnavailableError("the server cannot answer now (%s)" % shown, self.name)
        return SinkError("the server refuses a request (%s)" % shown, self.name)


class AlreadyExistsError(SinkError):
    """The index exists."""


_DONE = Outcome(DONE, 201, "")


def _outcome(item: t.Mapping[str, t.Any]) -> Outcome:
    """What the answer for one document means. 409: a document with this id is there, and that is this one."""
    status = item.get("status")
    if not isinstance(status, int):
        return Outcome(WAIT, 0, "no status")
    if status < 300 or status == 409:
        return _DONE
    error = item.get("error")
    kind = error.get("type") if isinstance(error, dict) else None
    if kind in _WAITING or status in (401, 403, 404, 408, 429) or status >= 500:
        return Outcome(WAIT, status, str(kind))
    return Outcome(REJECT, status, "%s%s" % (kind, _field(error)))


def _field(error: t.Any) -> str:
    """Which field is wrong. The message of a server quotes values, so no other part of it is kept."""
    found = _FIELD.search(str(error.get("reason"))) if isinstance(error, dict) else None
    if found is None:
        return ""
    return " (%s%s)" % (found[1] or found[3], " of type %s" % found[2] if found[2] else "")


def _status_of(error: t.Any) -> t.Optional[int]:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _type_of(error: t.Any) -> str:
    """The type in the body of an error, "" if there is none."""
    body = getattr(error, "body", None) or getattr(error, "info", None)
    if isinstance(body, str):
        try:
            body = json.loads(body)
        except ValueError:
            return ""
    inner = body.get("error") if isinstance(body, dict) else None
    kind = inner.get("type") if isinstance(inner, dict) else None
    return kind if isinstance(kind, str) and re.fullmatch(r"\w{1,100}", kind) else ""


Request = t.Callable[[str, str, t.Mapping[str, t.Any], t.Any], t.Any]
Made = t.Tuple[Request, t.Any, t.Callable[[], None]]


def _opensearch(options: SinkOptions, port: int, ca_bundle: t.Optional[str]) -> Made:
    with needed("opensearch-py", "a sink of type opensearch", module="opensearchpy"):
        import opensearchpy
    _silence("opensearch", "urllib3")
    client = opensearchpy.OpenSearch(
        hosts=[{"host": options["host"], "port": port}],
        http_auth=(options["user"], options["password"] or "") if options["user"] else None,
        headers={"authorization": "ApiKey %s" % options["api_key"]} if options["api_key"] else None,
        use_ssl=ca_bundle is not None,
        verify_certs=ca_bundle is not None,
        ca_certs=ca_bundle,
        timeout=parse_duration(options["timeout"]),
        max_retries=0,
    )

    def request(method: str, path: str, params: t.Mapping[str, t.Any], body: t.Any) -> t.Any:
        kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
        return client.transport.perform_request(method, path, params=dict(params), body=body, headers={"content-type": kind})

    return request, opensearchpy.OpenSearchException, client.close


_COMPATIBLE = "application/vnd.elasticsearch+%s; compatible-with=8"
"""What servers of the versions 8 and 9 accept. The client would write its own version."""


def _elasticsearch(options: SinkOptions, port: int, ca_bundle: t.Optional[str]) -> Made:
    with needed("elasticsearch", "a sink of type elasticsearch"):
        import elasticsearch
    import warnings

    _silence("elasticsearch", "elastic_transport", "urllib3")
    warnings.filterwarnings("ignore", category=elasticsearch.ElasticsearchWarning)
    given: t.Dict[str, t.Any] = {"ca_certs": ca_bundle} if ca_bundle else {}
    if options["user"]:
        given["basic_auth"] = (options["user"], options["password"] or "")
    if options["api_key"]:
        given["api_key"] = options["api_key"]
    client = elasticsearch.Elasticsearch(
        [{"scheme": "https" if ca_bundle else "http", "host": options["host"], "port": port}],
        request_timeout=parse_duration(options["timeout"]),
        max_retries=0,
        **given,
    )

    def request(method: str, path: str, params: t.Mapping[str, t.Any], body: t.Any) -> t.Any:
        headers = {"accept": _COMPATIBLE % "json"}
        if body is not None:
            headers["content-type"] = _COMPATIBLE % ("x-ndjson" if isinstance(body, str) else "json")
        lines = body.encode("utf-8") if isinstance(body, str) else body
        return client.perform_request(method, path, params=params, headers=headers, body=lines).body

    return request, (elasticsearch.ApiError, elasticsearch.TransportError, elasticsearch.UnsupportedProductError), client.close


def _silence(*names: str) -> None:
    """Keep the messages of libraries off standard error: every failure is reported once, by the sink."""
    import logging

    for name in names:
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
