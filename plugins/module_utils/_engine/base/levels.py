# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verification levels: how strong the proof is that a store holds what was sent."""

from __future__ import annotations

VERIFICATION_LEVELS = ("size", "server_digest", "remote_hash", "read_back")
"""What a store can prove, weakest first. size: the size is right. server_digest: the server checked a digest that we sent, or reports the
right one. remote_hash: the server hashed the stored file. read_back: we read the stored file and hashed it.
"""
AUTHENTICATED = "authenticated"
"""read_back, and the key proves manifest, archive and logs. No store can prove this, but its user, who has the key, can."""
CHECK_LEVELS = (*VERIFICATION_LEVELS, AUTHENTICATED)
"""What ``verify`` can prove, weakest first."""


def reaches(level: str, wanted: str) -> bool:
    """Whether verification ``level`` is at least as strong as ``wanted``."""
    return CHECK_LEVELS.index(level) >= CHECK_LEVELS.index(wanted)
