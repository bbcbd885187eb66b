# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to the fields of a line before they are stored: rename, keep, encrypt."""

from __future__ import annotations

import json
import typing as t

from .refused import Refused

if t.TYPE_CHECKING:
    from ...config.stream_document import TransformOptions
    from .tables import Table


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
        self._key = b""
        if self._encrypted:
            from ...crypto import keyring

            self._key = keyring.load_current(t.cast(str, options["keyring"])).secret

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

    def _token(self, value: t.Any) -> str:
        from ...crypto.fernet import Encryptor

        # A text is encrypted as it is, so that any Fernet implementation returns it; another value as JSON.
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        encryptor = Encryptor(self._key)
        return (encryptor.update(text.encode("utf-8")) + encryptor.finish()).decode("ascii")
