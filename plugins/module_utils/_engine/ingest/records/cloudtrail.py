# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of CloudTrail to the rows of the profile ``cloudtrail``."""

from __future__ import annotations

import json
import typing as t

from ...audit.record import call_of, class_of, is_denied, is_root, principal_of, source_of
from .fill import Filler, Values
from .refused import Refused
from .tables import (
    CLOUDTRAIL,
    DERIVED_ACCOUNT,
    DERIVED_CALL,
    DERIVED_CLASS,
    DERIVED_DENIED,
    DERIVED_PRINCIPAL,
    DERIVED_RESPONSE,
    DERIVED_ROOT,
    DERIVED_TYPE,
)

_KNOWN = frozenset(
    (
        "eventVersion", "userIdentity", "requestParameters", "additionalEventData", "requestID", "eventType", "apiVersion",
        "managementEvent", "resources", "recipientAccountId", "serviceEventDetails", "sharedEventID", "vpcEndpointId",
        "vpcEndpointAccountId", "eventCategory", "addendum", "sessionCredentialFromConsole", "eventContext", "edgeDeviceDetails",
        "tlsDetails", "insightDetails", "annotation",
    )
)  # fmt: skip
"""Fields of a record that ``extra`` holds: with parse.new_fields=reject they are not new."""


class CloudTrailParser:
    """The profile ``cloudtrail``: lines are records, one each."""

    def __init__(self, keep_new: bool, truncate: bool) -> None:
        self._keep_new = keep_new
        self._columns = frozenset(column.field for column in CLOUDTRAIL.columns)
        self._filler = Filler(CLOUDTRAIL, True, truncate)

    def row(self, time: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied."""
        if not self._keep_new:
            new = [name for name in fields if name not in _KNOWN and name not in self._columns and name != "responseElements"]
            if new:
                raise Refused("new_field", ", ".join(sorted(ascii(name[:100])[1:-1] for name in new)[:10]))
        identity = fields.get("userIdentity")
        identity = identity if isinstance(identity, dict) else {}
        derived = {
            DERIVED_PRINCIPAL: principal_of(fields),
            DERIVED_TYPE: identity.get("type"),
            DERIVED_ACCOUNT: fields.get("recipientAccountId") or identity.get("accountId"),
            DERIVED_CLASS: class_of(fields),
            DERIVED_CALL: call_of(fields),
            DERIVED_DENIED: is_denied(fields),
            DERIVED_ROOT: is_root(fields),
        }
        for name in (DERIVED_TYPE, DERIVED_ACCOUNT):
            if not isinstance(derived[name], str):
                # What is odd stays in ``extra`` as it is.
                derived[name] = None
        for name in ("eventSource", "eventName"):
            fields[name] = source_of(fields, name)
        response = fields.pop("responseElements", None)
        if response is not None:
            derived[DERIVED_RESPONSE] = json.dumps(response, ensure_ascii=False, separators=(",", ":"))
        if isinstance(fields.get("readOnly"), str):
            # Old records have "true" and "false".
            fields["readOnly"] = {"true": True, "false": False}.get(fields["readOnly"], fields["readOnly"])
        fields.update(derived)
        return CLOUDTRAIL.name, self._filler.fill(time, fields)
