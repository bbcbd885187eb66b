# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes to the fields of a line before they are stored: rename, keep, encrypt."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from ...config.stream_document import TransformOptions


class Transform:
    """Applies ``stream_spec.TRANSFORM``. Raises KeyringError if fields are to be encrypted and the keyring has no current key."""

    def __init__(self, options: TransformOptions, time_field: str) -> None:
        self._rename = options["rename"]
        self._keep = None if options["keep"] is None else {time_field, *options["keep"]}
        self._encrypted = options["encrypt"]
        self._key = b""
        if self._encrypted:
            from ...crypto import keyring

            self._key = keyring.load_current(t.cast(str, options["keyring"])).secret

    def apply(self, fields: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
        """The changed fields. A field that gets a new name replaces one that has it already."""
        # All at once: two fields may exchange their names.
        fields.update({new: fields.pop(old) for old, new in self._rename.items() if old in fields})
        if self._keep is not None:
            fields = {name: value for name, value in fields.items() if name in self._keep}
        for name in self._encrypted:
            if fields.get(name) is not None:
                fields[name] = self._token(fields[name])
        return fields

    def _token(self, value: t.Any) -> str:
        from ...crypto.fernet import Encryptor

        # A text is encrypted as it is, so that any Fernet implementation returns it; another value as JSON.
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        encryptor = Encryptor(self._key)
        return (encryptor.update(text.encode("utf-8")) + encryptor.finish()).decode("ascii")
