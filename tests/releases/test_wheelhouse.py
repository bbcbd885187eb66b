# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wheels for hosts of other Debian releases that have no internet: 'make releases', which makes a root file system of each release."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import lab
import pytest
from fleet.roles import play, succeed

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
LIBRARIES = "import apprise, boto3, cryptography, isal, msgspec, paramiko, psycopg, pybase64"


@pytest.mark.parametrize("suite", ["bullseye", "trixie"])
def test_a_host_without_internet_gets_the_wheels_of_its_kind(suite: str, tmp_path: pathlib.Path) -> None:
    with lab.fleet(tmp_path / "fleet", light=("old1",), suite=suite) as fleet:
        host = fleet.hosts["old1"]
        probe = (CHECKOUT / "roles/dependencies/files/probe.py").read_text(encoding="utf-8")
        kind = json.loads(host.run(["/usr/bin/python3", "-I", "-c", probe]).stdout)
        needs = {
            "release": kind["release"],
            "python": kind["full"],
            "requirements": ["cryptography>=3.4", "boto3>=1.26.20", "paramiko>=3.2", "psycopg[binary]>=3.1", "apprise>=1.7"],
            "optional": ["isal>=1.5.1", "pybase64>=1.2", "msgspec>=0.18"],
        }
        # Not on the fleet's controller, which has no internet either.
        argv = [sys.executable, str(CHECKOUT / "playbooks/files/wheelhouse.py"), str(tmp_path / "wheels")]
        made = subprocess.run(argv, input=json.dumps([needs]), capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        wanted = {
            "dependencies_stores": ["s3", "sftp"],
            "dependencies_sinks": ["postgresql"],
            "dependencies_uses": ["chat"],
            "dependencies_wheelhouse": str(tmp_path / "wheels"),
        }
        checked = succeed(host, ["dependencies"], "--check", **wanted)
        assert "found: apprise " in " ".join(checked.output.split())
        assert succeed(host, ["dependencies"], **wanted).changed > 0
        host.run(["/opt/log-archive/venv/bin/python", "-I", "-c", LIBRARIES])
        assert play(host, ["dependencies"], **wanted).changed == 0
