# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Public keys that one host gives for the files of another; the good ones are ssh-keygen's own."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.ssh_public_key import FilterModule, ssh_public_key

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGeHHDU8hoaMgPzZRUkvQ1EHXZ2bwAW6ak9HBqRn5x0G"
ORIGIN = "web1:/etc/log-archive/ssh/id_ed25519.pub"


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="no ssh-keygen")
@pytest.mark.parametrize("options", [["-t", "ed25519"], ["-t", "rsa", "-b", "2048"], ["-t", "ecdsa"], ["-t", "ecdsa", "-b", "521"]])
def test_a_key_of_openssh_is_returned_as_it_is(tmp_path: pathlib.Path, options: list[str]) -> None:
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-C", "log-archive@web1 (über)", "-f", tmp_path / "key"], check=True)
    text = (tmp_path / "key.pub").read_text(encoding="utf-8")
    assert ssh_public_key(text, ORIGIN) == text.rstrip("\n")
    assert ssh_public_key(text, ORIGIN, comment=False) == " ".join(text.split()[:2])


@pytest.mark.parametrize("text", [KEY, KEY + "\n", KEY + "\r\n", KEY + " web1\n"])
def test_one_line_is_accepted(text: str) -> None:
    assert ssh_public_key(text, ORIGIN, comment=False) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        None,
        KEY + "\n" + KEY + "\n",
        KEY + "\n\n",
        KEY + " web1\nssh-ed25519 AAAA\n",
        KEY + " web1\rport-forwarding",
        KEY + "\x0b" + KEY,
        KEY + " \u2028" + KEY,
        KEY + " \x1b[2J",
        " " + KEY,
        'command="/bin/sh" ' + KEY,
        ",port-forwarding " + KEY,
        "cert-authority " + KEY,
        "no-touch-required " + KEY,
        KEY.replace("ssh-ed25519", "ssh-dss"),
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        KEY.replace("AAAA", "AAA!"),
        KEY[:-1],
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "ssh-ed25519",
        KEY + " " + "x" * 9000,
    ],
)
def test_anything_else_is_refused_and_its_origin_is_named(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="^%s is not one public key" % ORIGIN):
        ssh_public_key(text, ORIGIN)


def test_the_filter_by_name() -> None:
    assert FilterModule().filters() == {"ssh_public_key": ssh_public_key}
