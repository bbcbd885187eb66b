# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events of applications, some of which name a client: no id of a client leaves this file as plaintext."""

from __future__ import annotations

import time
import typing as t

from ...crypto import client_ids
from .fill import Filler, Values
from .refused import Refused
from .tables import CLIENT_EVENT, CLIENT_ID, CLIENT_KEY, KIND

if t.TYPE_CHECKING:
    from ...config.stream_document import ClientIdOptions

_KEY = "clientid"
"""The key of a client id, in lower case and without spaces, "_" and "-": CLIENTID, CLIENT ID, CLIENT_ID, clientId."""
_KNOWN = frozenset(("ID", "log_level", "thread"))


class ClientEventsParser:
    """The profile ``client_events``. check: for a dry run, which creates no key."""

    def __init__(self, options: ClientIdOptions, keep_new: bool, truncate: bool, check: bool) -> None:
        self._keyring = options["keyring"]
        self._ids = client_ids.ClientIds(options["keyring"], options["deterministic"], create=not check)
        self._filler = Filler(CLIENT_EVENT, keep_new, truncate)

    def row(self, time_of_line: t.Tuple[str, str], fields: t.Dict[str, t.Any]) -> t.Tuple[str, Values]:
        """The name of the table and the values of its columns; ``fields`` is emptied. Raises Refused, KeyringError."""
        # In UTC, like the time of the row.
        month = time_of_line[0][:7]
        others = [name for name in fields if name not in _KNOWN]
        keys = [name for name in others if _is_key(name)]
        if len(keys) > 1:
            raise Refused("two_client_ids", ", ".join(sorted(keys)))
        fields[KIND] = "error" if keys else "data"
        if keys:
            token = self._token(month, fields.pop(keys[0]))
            if token is not None:
                fields[CLIENT_ID], fields[CLIENT_KEY] = token
        for name in others:
            if isinstance(fields.get(name), (dict, list)):
                fields[name] = self._without_ids(month, fields[name])
        if fields.get("ID").__class__ is int:
            fields["ID"] = str(fields["ID"])
        return CLIENT_EVENT.name, self._filler.fill(time_of_line, fields)

    def sealed(self, line: bytes) -> bytes:
        """A line that may hold a client id, encrypted with the key of this month: the time of the line may be unknown."""
        return self._ids.seal(time.strftime("%Y-%m", time.gmtime()), line)

    def unsealed(self, data: bytes, length: int) -> bytes:
        """The line that ``sealed`` encrypted; another as it is. length: of the line in its file. Raises KeyringError, IntegrityError."""
        return client_ids.unseal(self._keyring, data) if client_ids.is_sealed(data, length) else data

    def _token(self, month: str, value: t.Any) -> t.Optional[t.Tuple[str, str]]:
        """The token of an id and the name of its key; None if there is no id."""
        if value.__class__ is int:
            value = str(value)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise Refused("bad_type", "the client id is neither a text nor a whole number")
        # Never truncated: half of an id would be another id.
        size = len(value.encode("utf-8"))
        if size > client_ids.MOST_BYTES:
            raise Refused("long_value", "the client id has %d bytes; the limit is %d" % (size, client_ids.MOST_BYTES))
        return self._ids.token(month, value)

    def _without_ids(self, month: str, value: t.Any) -> t.Any:
        """A nested value with tokens in place of client ids."""
        if isinstance(value, list):
            return [self._without_ids(month, item) for item in value]
        if not isinstance(value, dict):
            return value
        return {name: self._nested(month, item) if _is_key(name) else self._without_ids(month, item) for name, item in value.items()}

    def _nested(self, month: str, value: t.Any) -> t.Optional[str]:
        token = self._token(month, value)
        return None if token is None else token[0]


def _is_key(name: str) -> bool:
    return name.replace(" ", "").replace("_", "").replace("-", "").lower() == _KEY
