# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail addresses: which are accepted."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.receivers import addresses


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("ops@example.com", "ops@example.com"),
        ("Ops Team <ops+archive@example.com>", "ops+archive@example.com"),
        ('"Ops, Team" <o\'ps_1@mail.example.co.uk>', "o'ps_1@mail.example.co.uk"),
        ("ops@xn--exmple-cua.com", "ops@xn--exmple-cua.com"),
        ("ops@[127.0.0.1]", "ops@[127.0.0.1]"),
    ],
)
def test_an_address(text, bare):
    assert addresses.problem(text, local=False) is None
    assert addresses.parse(text).addr_spec == bare


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "ops",
        "ops@",
        "@example.com",
        "ops@@example.com",
        "ops@a@b",
        "a b@example.com",
        "ops@example..com",
        "ops.@example.com",
        "ops@exa mple.com",
        "a@example.com, b@example.com",
        "a@example.com;",
        "team: a@example.com;",
        "ops@example.com\nBcc: other@example.com",
        "ops@example.com\r\nBcc: other@example.com",
        "\u00fc@example.com",
        "ops@ex\u00e4mple.com",
        "-oQ/tmp@example.com",
        "Ops <-f@example.com>",
        "ops@example.com\x00",
    ],
)
def test_not_an_address(text):
    assert addresses.problem(text, local=False)


def test_a_user_of_this_host():
    assert addresses.problem("root", local=True) is None
    assert addresses.parse("root").username == "root"
    for text in ("", "no user", "-f", "root\nBcc: x@example.com", "a@b@c"):
        assert addresses.problem(text, local=True)
