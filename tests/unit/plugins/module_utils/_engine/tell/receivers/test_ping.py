# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pings: the URL for each event. Requests that are sent: tests/faults/test_notify.py."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import ping


@pytest.mark.parametrize("event", ["", "/start", "/fail"])
@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://hc.example.com/ping/uuid", "https://hc.example.com/ping/uuid%s"),
        ("https://hc.example.com/ping/uuid/", "https://hc.example.com/ping/uuid%s"),
        ("https://hc.example.com/ping/uuid?rid=7", "https://hc.example.com/ping/uuid%s?rid=7"),
        ("http://user:secret@localhost:8000/x", "http://user:secret@localhost:8000/x%s"),
    ],
)
def test_the_event_is_appended_to_the_path(url, wanted, event):
    assert ping.url_of(url, event) == wanted % event
