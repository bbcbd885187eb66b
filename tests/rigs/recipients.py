# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key pairs of recipients, as age-keygen and ``key new-identity`` make them."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import bech32, hpke, recipients

AGE, HPKE = recipients.AGE, recipients.HPKE
KINDS = (AGE, HPKE)


def identity_file(folder: pathlib.Path, kind: str, name: t.Optional[str] = None) -> t.Tuple[str, str]:
    """Write a new identity to a file (0600) in the folder; returns the recipient and the path."""
    if kind == HPKE:
        public, private = recipients.new_identity()
    else:
        secret = hpke.generate()
        public, private = bech32.encode("age", hpke.public_key(secret)), bech32.encode("age-secret-key-", secret).upper()
    path = folder / (name or "%s.identity" % kind)
    path.touch(0o600)
    path.write_text("# created: 2024-01-12T15:05:00Z\n# public key: %s\n%s\n" % (public, private))
    return public, str(path)
