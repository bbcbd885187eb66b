# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import socket

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.watch import Watch


def test_a_shorter_limit_ends_the_connection_before_the_longer_one_that_it_replaces() -> None:
    ours, peers = socket.socketpair()
    with ours, peers, contextlib.closing(Watch()) as watch, watch.limit(600):
        watch.add(ours)
        watch.allow(0.05)
        ours.settimeout(300)
        assert ours.recv(1) == b""
    assert watch.expired
