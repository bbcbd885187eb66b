# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recap of a fleet, sent by a play to a real SMTP server and a real webhook receiver; no secret is shown with -vvv."""

from __future__ import annotations

import importlib.util
import pathlib
import typing as t

from lab import quick_ansible
from lab.https import Authority
from lab.smtp import PASSWORD, USER, smtp_server
from lab.webhook import TOKEN, webhook

_spec = importlib.util.spec_from_file_location("integration_run", pathlib.Path(__file__).with_name("run.py"))
assert _spec is not None and _spec.loader is not None
runner = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(runner)


def test_the_recap_of_a_fleet(start_part: t.Callable[..., t.Any], tmp_path: pathlib.Path) -> None:
    authority = Authority(tmp_path / "ca")
    smtp = start_part(smtp_server(tmp_path, authority=authority))
    receiver = start_part(webhook(tmp_path, authority=authority))
    common = {"ca_bundle": authority.certificate_file, "when": ["failure"]}
    receivers = [
        {"type": "mail", "to": ["ops@example.com"], "server": smtp.host, "port": smtp.port, "user": USER, "password": PASSWORD, **common},
        {"type": "chat", "url": receiver.url(), **common},
        {"type": "ping", "url": receiver.url("/ping/marker-of-a-path"), "ca_bundle": authority.certificate_file},
    ]
    settings = dict(quick_ansible.environment(), ANSIBLE_VERBOSITY="3")
    result = runner.run("recap_notify", tmp_path, {"receivers": receivers}, settings)
    assert result.returncode == 0, result.stdout
    (mail,) = smtp.mails
    assert mail.encrypted and mail.message["Subject"] == "[log-archive] 2 runs on 2 hosts: 1 failed"
    html = mail.message.get_body(["html"]).get_content()
    assert "web1" in html and "the host could not be reached" in html
    chat, ping = receiver.taken()
    assert chat.text.splitlines()[0] == "#### :x: `2 runs on 2 hosts: 1 failed`"
    assert "- :x: `web2 syslog: the host could not be reached`" in chat.text.splitlines()
    assert ping.path == "/ping/marker-of-a-path/fail"
    for secret in (PASSWORD, TOKEN, "marker-of-a-path"):
        assert secret not in result.stdout
