# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receivers of notifications refuse what they must: what they take proves something."""

from __future__ import annotations

import json
import pathlib
import smtplib
import ssl
import subprocess
import typing as t
import urllib.error
import urllib.request

import pytest
from lab.https import Authority
from lab.smtp import PASSWORD, USER, sendmail_program, smtp_server
from lab.webhook import LONGEST_POST, webhook


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def posted(url: str, payload: t.Any, authority: t.Optional[Authority], kind: str = "application/json") -> int:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    context = ssl.create_default_context(cafile=authority.certificate_file if authority else None)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind}), timeout=60, context=context) as answer:
            return t.cast(int, answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_webhook_takes_what_mattermost_does(start_part: t.Callable[..., t.Any], tmp_path: pathlib.Path, authority: Authority) -> None:
    server = start_part(webhook(tmp_path, authority=authority))
    assert posted(server.url(), {"text": "\U0001f600" * LONGEST_POST, "username": "archive"}, authority) == 200
    assert posted(server.url(), {"text": "x" * (LONGEST_POST + 1)}, authority) == 400
    assert posted(server.url(), {"text": ""}, authority) == 400
    assert posted(server.url(), {"text": "x", "colour": "red"}, authority) == 400
    assert posted(server.url(), {"text": "x", "username": "u" * 65}, authority) == 400
    assert posted(server.url(), b"no json", authority) == 400
    assert posted(server.url(), {"text": "x"}, authority, kind="text/plain") == 400
    assert posted(server.url("/hooks/another"), {"text": "x"}, authority) == 404
    assert posted(server.url("/ping"), b"anything", authority, kind="text/plain") == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        posted(server.url(), {"text": "x"}, None)
    assert len(server.taken()) == 2


def test_a_mail_is_taken_after_starttls_and_the_right_login(
    start_part: t.Callable[..., t.Any], tmp_path: pathlib.Path, authority: Authority
) -> None:
    server = start_part(smtp_server(tmp_path, authority=authority))
    with smtplib.SMTP(server.host, server.port, timeout=60) as smtp:
        with pytest.raises(smtplib.SMTPException):
            smtp.sendmail("a@example.com", ["b@example.com"], "Subject: early\n\n")
        smtp.starttls(context=ssl.create_default_context(cafile=authority.certificate_file))
        with pytest.raises(smtplib.SMTPException):
            smtp.sendmail("a@example.com", ["b@example.com"], "Subject: nobody\n\n")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(USER, "wrong")
        smtp.login(USER, PASSWORD)
        smtp.sendmail("a@example.com", ["b@example.com"], "Subject: right\n\n")
    assert [mail.message["Subject"] for mail in server.mails] == ["right"]


def test_the_sendmail_program_brings_mail(
    start_part: t.Callable[..., t.Any], tmp_path: pathlib.Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_part(smtp_server(tmp_path, tls="none", login=False, authority=authority))
    for name, value in start_part(sendmail_program(tmp_path / "home", server.port)).items():
        monkeypatch.setenv(name, value)
    subprocess.run(["sendmail", "-i", "-f", "a@example.com", "--", "root"], input=b"Subject: x\n\n.\n..\n", check=True)
    assert server.mails[0].recipients == ["root"]
    assert server.mails[0].message.get_content().splitlines() == [".", ".."]
