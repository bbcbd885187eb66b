# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query logs of Route 53 Resolver: https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/resolver-query-logs-format.html."""

from __future__ import annotations

import typing as t

from .fill import Filler, Values
from .refused import Refused
from .tables import ROUTE53

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
