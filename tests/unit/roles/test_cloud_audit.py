# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The systemd unit of the role cloud_audit starts the same line as cron. The role in plays: tests/integration."""

from __future__ import annotations

import pathlib
import re

import pytest

jinja2 = pytest.importorskip("jinja2")

TEMPLATES = pathlib.Path(__file__).resolve().parents[3] / "roles" / "cloud_audit" / "templates"
LINE = (
    """umask 027; 'it''s' audit validate 'a b' --report /100%/x; status=$?; test $status = 0 || logger "ended with $status"; exit $status"""
)


def rendered(template: str) -> str:
    variables = {
        "_cloud_audit_line": LINE,
        "cloud_audit_user": "audit",
        "_cloud_audit_entry": {"cron": "30 6 * * *", "on_calendar": "06:30"},
    }
    text = (TEMPLATES / template).read_text(encoding="utf-8")
    return str(jinja2.Environment(trim_blocks=True, keep_trailing_newline=True).from_string(text).render(variables))


def test_the_unit_runs_the_line() -> None:
    (command,) = re.findall(r'^ExecStart=/bin/sh -c "(.*)"$', rendered("service.j2"), re.MULTILINE)
    # As systemd reads it: quotes and specifiers are escaped. A quote without a backslash would end the argument.
    assert not re.search(r'(?<!\\)"', command)
    assert command.replace('\\"', '"').replace("$$", "$").replace("%%", "%") == LINE
    assert "User=audit" in rendered("service.j2") and "OnCalendar=06:30" in rendered("timer.j2")


def test_cron_runs_the_line() -> None:
    entry = rendered("cron.j2").splitlines()[-1].split(None, 6)
    assert entry[5] == "audit" and entry[6].replace("\\%", "%") == LINE and not re.search(r"(?<!\\)%", entry[6])
