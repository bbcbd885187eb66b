# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query logs of Route 53: of its Resolver, as JSON, and of public hosted zones, as text.

https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resolver-query-logs-format.html and query-logs.html#query-logs-format there.
"""

from __future__ import annotations

import typing as t

from .fill import Filler, Values
from .refused import Refused
from .tables import ROUTE53, ROUTE53_PUBLIC

PUBLIC_FIELDS = (
    "version", "query_timestamp", "hosted_zone_id", "query_name", "query_type", "rcode", "protocol", "edge_location", "resolver_ip",
    "edns_client_subnet",
)  # fmt: skip
"""The values of a line about a public zone, in their order. They are separated by spaces; ``-`` is none."""
_KNOWN = frozenset(("version", "answers", "srcids", "srcport", "firewall_protection", "rdata", "resolver_endpoint_id"))
"""Fields that ``extra`` holds: with parse.new_fields=reject they are not new."""


class Route53Parser:
    """The profile ``route53_resolver``: lines are objects."""

    def __init__(self, keep_new: bool, truncate: bool) -> None:
        self._keep_new = keep_new
        self._known = _KNOWN.union(column.field for column in ROUTE53.columns)
        self._filler = Filler(ROUTE53, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        new = () if self._keep_new else sorted(ascii(name[:100])[1:-1] for name in fields if name not in self._known)
        if new:
            raise Refused("new_field", ", ".join(new[:10]))
        port = fields.get("srcport")
        if isinstance(port, str) and port.isascii() and port.isdigit() and len(port) <= 5:
            # AWS writes the port as a text.
            fields["srcport"] = int(port)
        return ROUTE53.name, self._filler.fill(time, fields)


class PublicParser:
    """The profile ``route53_public``."""

    def __init__(self, keep_new: bool, truncate: bool) -> None:
        self._keep_new = keep_new
        self._filler = Filler(ROUTE53_PUBLIC, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        if "more" in fields and not self._keep_new:
            raise Refused("new_field", "more than %d values" % len(PUBLIC_FIELDS))
        return ROUTE53_PUBLIC.name, self._filler.fill(time, fields)


def decode_public(line: bytes) -> t.Dict[str, t.Any]:
    """The fields of a line about a public zone. ``more`` has the values that a later version adds. Raises Refused."""
    try:
        values = line.decode("utf-8").split()
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", "byte %d" % error.start) from None
    if len(values) < len(PUBLIC_FIELDS):
        raise Refused("field_count", "%d values for %d fields" % (len(values), len(PUBLIC_FIELDS)))
    if b"\0" in line:
        raise Refused("bad_text", "U+0000")
    fields: t.Dict[str, t.Any] = {name: value for name, value in zip(PUBLIC_FIELDS, values) if value != "-"}
    more = values[len(PUBLIC_FIELDS) :]
    return {**fields, "more": more} if more else fields
