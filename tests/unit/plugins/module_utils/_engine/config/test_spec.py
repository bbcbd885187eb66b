# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the job and the stream document are complete."""

from __future__ import annotations

import re

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import option, spec as job_spec, stream_spec


def test_every_option_is_described_and_every_default_is_allowed():
    def walk(spec):
        for name, declared in spec.items():
            assert declared["description"], name
            if "default" in declared and declared.get("choices"):
                defaults = declared["default"] if declared["type"] == "list" else [declared["default"]]
                assert set(defaults) <= set(declared["choices"])
            assert not ("default" in declared and declared.get("required")), name
            if "options" in declared:
                walk(declared["options"])

    walk(job_spec.JOB)
    walk(stream_spec.STREAM)


def test_plain_text_has_no_markup():
    assert option.plain("Use O(path) as C(a.b) and V(1)") == "Use path as a.b and 1"
    for declared in job_spec.STORE.values():
        assert not re.search(r"\b[A-Z]\(", option.plain(" ".join(declared["description"])))


@pytest.mark.parametrize(
    "name",
    ["a", "web1.example.com", "A-b_c.9", "", ".a", "-", "a b", "a/b", "a\n", "\u00e9", "a\u0661", "a" * 100, "a" * 101, "a\0"],
)
def test_a_plain_name_is_what_its_regular_expression_says(name):
    assert option.is_allowed(name, option.PLAIN_NAME) == (re.fullmatch(option.PLAIN_NAME, name) is not None)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://s3.example.com", True), ("http://127.0.0.1:9000/a/b", True), ("https://a/", True), ("ftp://a", False),
        ("https:/a", False), ("https://", False), ("https:///a", False), ("https://u:p@a", False), ("https://a/?q", False),
        ("https://a#f", False), ("https://a b", False), ("https://a\n", False), ("a", False), ("", False),
    ],
)  # fmt: skip
def test_an_endpoint_has_a_server_and_neither_credentials_nor_a_query(url, allowed):
    assert option.is_endpoint(url) is allowed
