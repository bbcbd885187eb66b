# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a record of CloudTrail says. The profile's tests have the principals and the classes."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.audit import record


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "Client.UnauthorizedOperation"])
def test_denied_calls(code):
    assert record.is_denied({"errorCode": code})
    assert not record.is_denied({"errorCode": "NoSuchBucket"})
    assert not record.is_denied({"errorCode": 5})


def test_root_use_is_what_a_person_did_with_the_root_user():
    root = {"type": "Root", "arn": "arn:aws:iam::1:root"}
    assert record.is_root({"userIdentity": root, "eventType": "AwsApiCall"})
    assert not record.is_root({"userIdentity": {**root, "invokedBy": "support.amazonaws.com"}})
    assert not record.is_root({"userIdentity": root, "eventType": "AwsServiceEvent"})
    assert not record.is_root({"userIdentity": "Root"})
