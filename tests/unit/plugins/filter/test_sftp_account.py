# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's account on the archive server is a user name, and its own."""

from __future__ import annotations

import re

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.infra_ops.log_archive.plugins.filter.sftp_account import FilterModule, sftp_account


@pytest.mark.parametrize("host", ["web1", "db-01", "a", "a" * 29, "0-b"])
def test_a_plain_name_stays_as_it_is(host: str) -> None:
    assert sftp_account(host) == "la-" + host


@pytest.mark.parametrize(
    ("host", "begins"),
    [
        ("web1.example.org", "la-web1-example-org-"),
        ("WEB1", "la-web1-"),
        ("a" * 30, "la-" + "a" * 22 + "-"),
        ("db_1", "la-db-1-"),
        ("-x-", "la-x-"),
        ("2001:db8::1", "la-2001-db8-1-"),
        ("serveur-été", "la-serveur-t-"),
        ("été", "la-t-"),
        ("…", "la--"),
        ("web-abc123", "la-web-abc123-"),
    ],
)
def test_another_name_ends_with_a_hash(host: str, begins: str) -> None:
    account = sftp_account(host)
    assert re.fullmatch(re.escape(begins) + "[0-9a-f]{6}", account)
    assert len(account) <= 32


def test_hosts_do_not_share_an_account() -> None:
    hosts = ["web1", "WEB1", "Web1", "web.1", "web-1", "web_1", *("a" * length for length in range(1, 60))]
    # A host that is called as another one's account would be.
    hosts += [sftp_account(host)[len("la-") :] for host in hosts if sftp_account(host) != "la-" + host]
    assert len({sftp_account(host) for host in hosts}) == len(set(hosts))


@pytest.mark.parametrize("host", [None, "", 7, ["web1"]])
def test_an_input_that_is_no_name_is_refused(host: object) -> None:
    with pytest.raises(AnsibleFilterError, match="the input must be the name of a host"):
        sftp_account(host)


def test_ansible_finds_it() -> None:
    assert FilterModule().filters() == {"sftp_account": sftp_account}
