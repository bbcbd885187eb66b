# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to the fields of a line before they are stored: rename, keep, encrypt."""

from __future__ import annotations

import json
import re
import typing as t

from ...base.errors import KeyMissingError
from ...crypto import fernet
from .refused import Refused

if t.TYPE_CHECKING:
    from ...config.stream_document import TransformOptions
    from ...crypto.keyring import Key
    from .tables import Table

_SEALED = re.compile(rb"([0-9a-f]{16}) (gAAAA[A-Za-z0-9_-]+={0,2})")


class Transform:
    """Applies ``stream_spec.TRANSFORM``. Raises KeyringError if fields are to be encrypted and the keyring has no current key.

    tables: of the profile, whose columns limit the length of a token.
    """

    def __init__(self, options: TransformOptions, time_field: str, tables: t.Sequence[Table]) -> None:
        self._rename = options["rename"]
        self._keep = None if options["keep"] is None else {time_field, *options["keep"]}
        self._encrypted = options["encrypt"]
        lengths = [(column.field, column.length) for table in tables for column in table.columns if column.length]
        self._limits = {name: min((length for field, length in lengths if field == name), default=0) for name in self._encrypted}
        self._key: t.Optional[Key] = None
        if self._encrypted:
            from ...crypto import keyring

            self._key = keyring.load_current(t.cast(str, options["keyring"]))

    def apply(self, fields: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        """The changed fields. A field that gets a new name replaces one that has it already. Raises Refused."""
        # All at once: two fields may exchange their names.
        fields.update({new: fields.pop(old) for old, new in self._rename.items() if old in fields})
        if self._keep is not None:
            fields = {name: value for name, value in fields.items() if name in self._keep}
        for name in self._encrypted:
            if fields.get(name) is not None:
                token = fields[name] = self._token(fields[name])
                limit = self._limits[name]
                if limit and len(token) > limit:
                    # Also if long values are truncated: nobody could decrypt a part of it.
                    raise Refused("long_value", "%s has %d characters if it is encrypted; its column takes %d" % (name, len(token), limit))
        return fields

    def sealed(self, line: bytes) -> bytes:
        """A rejected line, which may hold a field that is to be encrypted: the id of the key, a space, and a Fernet token."""
        return line if self._key is None else ("%s %s" % (self._key.id, fernet.token_of(self._key.secret, line))).encode("ascii")

    def _token(self, value: t.Any) -> str:
        if self._key is None:
            raise AssertionError("no field is to be encrypted")
        # A text is encrypted as it is, so that any Fernet implementation returns it; another value as JSON.
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return fernet.token_of(self._key.secret, text.encode("utf-8"))


def is_sealed(data: bytes, length: int) -> bool:
    """Whether ``Transform.sealed`` made this of a line, or of the beginning of one. length: of the line in its file."""
    return len(data) != length and _SEALED.fullmatch(data) is not None


def unsealed(folder: t.Optional[str], data: bytes, length: int) -> bytes:
    """The line that ``Transform.sealed`` encrypted. Any other is returned as it is: the stream did not encrypt when it was stored.

    folder: the keyring. length: of the line; one that was not encrypted is never longer. Raises KeyringError, IntegrityError.
    """
    found = _SEALED.fullmatch(data) if len(data) > length else None
    if found is None:
        return data
    id = found[1].decode("ascii")
    if folder is None:
        hint = "Set transform.keyring to the keyring that has this key"
        raise KeyMissingError("the key %s is needed for a rejected line, but the stream has no keyring" % id, hint=hint)
    from ...crypto import keyring

    return fernet.opened(keyring.load(folder, id).secret, found[2])
