# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the engine."""

from __future__ import annotations

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors


def test_what_a_server_answers_does_not_make_an_error_of_any_length() -> None:
    error = errors.StoreError(
        "the server answered 500 " + "x" * 10_000_000, "s3://b/" + "k" * 10_000_000, "Set region to " + "y" * 10_000_000
    )
    assert len(str(error)) < 4 * errors.LONGEST and len(error.message) < 2 * errors.LONGEST
    assert "the server answered 500 x" in str(error) and "more characters)" in str(error)
    assert str(errors.LogArchiveError("m" * errors.LONGEST)) == "m" * errors.LONGEST
