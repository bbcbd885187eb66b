# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chat: URLs for Apprise, and what its log reveals about a failure. Messages that are sent: tests/faults/test_notify.py."""

from __future__ import annotations

import logging

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import chat
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.apprise_log import AppriseLog, capture


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://chat.example.com/hooks/abc", "mmosts://chat.example.com/abc"),
        ("https://chat.example.com:8443/hooks/abc/", "mmosts://chat.example.com:8443/abc"),
        ("http://localhost:8065/hooks/abc?channel=ops", "mmost://localhost:8065/abc?channel=ops"),
        ("https://example.com/team/hooks/abc", "mmosts://example.com/team/abc"),
        ("slack://a/b/c", "slack://a/b/c"),
        ("jsons://example.com/hooks/abc", "jsons://example.com/hooks/abc"),
        ("https://example.com/other/abc", "https://example.com/other/abc"),
    ],
)
def test_a_webhook_of_mattermost_in_apprises_notation(url, wanted):
    assert chat.apprise_url(url) == wanted


def logged(*calls):
    log = AppriseLog()
    for level, text, *arguments in calls:
        log.emit(logging.LogRecord("apprise", level, __file__, 1, text, tuple(arguments), None))
    return log.reason()


@pytest.mark.parametrize(
    ("calls", "reason", "retryable"),
    [
        ([], "the service did not accept the message", True),
        ([(logging.WARNING, "Failed to send: %s, error=%d.", "Forbidden", 403)], "it answered with status 403", False),
        ([(logging.WARNING, "Failed: error=%d.", 503)], "it answered with status 503", True),
        ([(logging.DEBUG, "Exception: %s", ConnectionRefusedError(111, "Connection refused"))], "connection refused", True),
        ([(logging.DEBUG, "Socket Exception: HTTPSConnectionPool(...): Read timed out.")], "it did not answer in time", True),
        (
            [(logging.DEBUG, "marker-of-a-token"), (logging.DEBUG, "Exception: %s", KeyError("marker"))],
            "the service did not accept the message",
            True,
        ),
    ],
)
def test_the_reason_of_a_failure_is_found_in_apprises_log(calls, reason, retryable):
    error = logged(*calls)
    assert (str(error), error.retryable) == (reason, retryable)


def test_apprises_log_goes_nowhere_else(capsys):
    log = capture()
    logging.getLogger("apprise").warning("marker-of-a-token error=%d", 500)
    assert str(log.reason()) == "it answered with status 500"
    captured = capsys.readouterr()
    assert "marker" not in captured.out + captured.err
