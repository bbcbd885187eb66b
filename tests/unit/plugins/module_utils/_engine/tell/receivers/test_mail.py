# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail messages, and errors of SMTP servers in words. Mail that is sent: tests/faults/test_notify.py."""

from __future__ import annotations

import gzip
import json
import os
import smtplib
import socket
from email import message_from_bytes, policy

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.messages import Message
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import mail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers.base import ReceiverError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.records import complete

RECORD = complete(
    {"host": "web1", "job": "syslog", "outcome": "failed", "errors": ["no key \u2013 \u00fc"], "started": "2024-01-12T15:05:00Z"}
)


def target(attach_log=False, **options):
    made = normalise_receiver(dict({"type": "mail", "to": ["Ops Team <ops@example.com>", "root@example.com"]}, **options))
    # Only the document of a job may have it.
    return dict(made, attach_log=attach_log)


def composed(message=None, **options):
    """The mail as its reader gets it."""
    return message_from_bytes(mail.compose(target(**options), message or Message([RECORD])).as_bytes(), policy=policy.default)


def test_a_mail_has_text_and_html_and_the_headers_of_an_automatic_message():
    got = composed(**{"from": "Archive <archive@example.com>"})
    assert got["Subject"] == "[log-archive] web1 syslog: failed"
    assert got["From"] == "Archive <archive@example.com>"
    assert got["To"] == "Ops Team <ops@example.com>, root@example.com"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"].datetime is not None and got["Message-ID"].endswith("@example.com>")
    assert "no key \u2013 \u00fc" in got.get_body(["plain"]).get_content()
    assert "no key \u2013 \u00fc" in got.get_body(["html"]).get_content()
    assert list(got.iter_attachments()) == []


def test_the_default_sender_is_this_host():
    assert composed()["From"] == "Log archive <log-archive@%s>" % socket.gethostname()


def test_every_line_is_short_enough_for_any_server():
    record = complete({"host": "web1", "job": "syslog", "outcome": "failed", "errors": ["x" * 5000]})
    data = mail.compose(target(), Message([record])).as_bytes()
    assert max(map(len, data.splitlines())) <= 998


def test_no_name_from_elsewhere_adds_a_header():
    record = complete({"host": "web1\nBcc: other@example.com", "job": "syslog", "outcome": "done", "errors": []})
    got = composed(Message([record]))
    assert got["Bcc"] is None and "\n" not in got["Subject"]


def test_the_log_is_attached_on_request_only(tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_text('{"event": "run_ended"}\n')
    message = Message([RECORD], log=str(log))
    assert list(composed(message).iter_attachments()) == []
    (attached,) = composed(message, attach_log=True).iter_attachments()
    assert (attached.get_filename(), attached.get_content_type()) == ("events.jsonl.gz", "application/gzip")
    assert gzip.decompress(attached.get_content()) == log.read_bytes()
    log.unlink()
    assert list(composed(message, attach_log=True).iter_attachments()) == []


@pytest.mark.parametrize("limit", [100, 1000, 20_000])
def test_the_end_of_a_log_is_whole_lines_below_the_limit(tmp_path, limit):
    log = tmp_path / "log"
    lines = [json.dumps({"number": number, "noise": os.urandom(20).hex()}) for number in range(2000)]
    log.write_text("\n".join(lines) + "\n")
    data = mail.end_of_log(str(log), limit)
    assert data is not None and limit // 4 < len(data) <= limit
    kept = gzip.decompress(data).decode().splitlines()
    assert kept == lines[-len(kept) :]


def test_a_log_of_one_line_that_is_too_large_is_not_attached(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(os.urandom(5000).hex().encode() + b"\n")
    assert mail.end_of_log(str(log), 100) is None
    log.write_bytes(b"")
    assert mail.end_of_log(str(log), 100) is None


def test_a_log_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ReceiverError, match="cannot attach .*: it is not a regular file") as caught:
        mail.end_of_log(str(tmp_path), 100)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("error", "text", "retryable"),
    [
        (smtplib.SMTPAuthenticationError(535, b"marker-of-a-secret"), "the server refuses the login (535)", False),
        (smtplib.SMTPAuthenticationError(454, b"busy"), "the server refuses the login (454)", True),
        (smtplib.SMTPNotSupportedError("STARTTLS extension not supported by server."), "the server does not support STARTTLS", False),
        (smtplib.SMTPNotSupportedError("SMTP AUTH extension not supported by server."), "the server does not support login", False),
        (smtplib.SMTPSenderRefused(550, b"no", "a@b.c"), "the server refuses the mail (550 no)", False),
        (smtplib.SMTPDataError(451, b"bu\x00sy"), "the server refuses the mail (451 bu sy)", True),
        (
            smtplib.SMTPDataError(550, b"got marker-of-a-secret"),
            "the server refuses the mail (550 its answer contains the password)",
            False,
        ),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "the server closed the connection", True),
        (ConnectionRefusedError(111, "Connection refused"), "connection refused", True),
        (smtplib.SMTPException("marker-of-a-secret"), "the mail was not sent (SMTPException)", True),
    ],
)
def test_an_error_of_the_server_in_words(error, text, retryable):
    shown = mail._smtp_error(error, target(server="s", user="u", password="marker-of-a-secret"))
    assert (str(shown), shown.retryable) == (text, retryable)


def test_only_the_refused_recipients_are_tried_again():
    error = smtplib.SMTPRecipientsRefused({"root@example.com": (450, b"later")})
    shown = mail._smtp_error(error, target())
    assert str(shown) == "the server refuses root@example.com (450 later)"
    assert shown.retryable and shown.rest["to"] == ["root@example.com"]
    assert not mail._smtp_error(smtplib.SMTPRecipientsRefused({"root@example.com": (550, b"never")}), target()).retryable
