# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of receivers: complete, and cheap to ask for mistakes in options."""

from __future__ import annotations

import subprocess
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_receiver
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import NOTIFY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import RECEIVERS

URL = "https://example.com/x"
NEEDED = {
    "log": {"path": "/x"},
    "mail": {"to": ["root"]},
    "chat": {"url": URL},
    "textfile": {"path": "/x"},
    "ping": {"url": URL},
    "cloudwatch": {},
    "eventbridge": {},
}


def test_every_type_has_a_receiver():
    assert sorted(RECEIVERS) == sorted(NOTIFY["type"]["choices"]) == sorted(NEEDED)


@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_a_receiver_accepts_its_required_options_alone(kind):
    target = normalise_receiver(dict(NEEDED[kind], type=kind))
    receiver = RECEIVERS[kind]()
    assert receiver.problems(target, None) == []
    assert set(receiver.default_when) <= set(NOTIFY["when"]["choices"])
    assert (receiver.start is not None) == (kind in ("ping", "textfile"))
    assert receiver.is_local == (kind in ("log", "textfile"))


def test_checking_options_imports_no_network_and_no_mail_transport():
    """Every run checks its job document; most runs notify nobody."""
    code = """
import sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import RECEIVERS
for receiver in RECEIVERS.values():
    receiver()
print(" ".join(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    assert {"boto3", "ssl", "socket", "smtplib", "logging", "urllib.request", "http.client", "email.message", "apprise"}.isdisjoint(
        done.stdout.split()
    )
