# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HMAC of a manifest, against an HKDF that is written out here from RFC 5869."""

from __future__ import annotations

import hmac

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import mac

pytest.importorskip("cryptography")
SECRET = bytes(range(32))


def test_the_key_is_the_first_block_of_hkdf_sha_256() -> None:
    pseudorandom = hmac.digest(b"infra_ops.log_archive", SECRET, "sha256")
    assert mac.derive_key(SECRET) == hmac.digest(pseudorandom, b"manifest hmac v1\x01", "sha256")


def test_the_vector_of_the_documentation() -> None:
    assert mac.derive_key(SECRET).hex() == "5911b67f6065611610aa9dce5fa920925e512f68ba4a31925580772a733dbeaf"
    pieces = [b'{"version"', b":2}\n"]
    assert mac.hmac_of(mac.derive_key(SECRET), pieces) == "ee4c99c1fbb4c37c4bf57f10069882ac6bbb878e06361ddff2e5a5adb27a6ba8"


def test_no_part_of_the_fernet_key_is_the_key() -> None:
    assert mac.derive_key(SECRET) not in (SECRET, SECRET[:16], SECRET[16:])
    assert mac.derive_key(SECRET) != mac.derive_key(bytes(32))
