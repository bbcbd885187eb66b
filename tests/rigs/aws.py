# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services of AWS that give prepared answers. botocore checks requests and answers against its models of the services."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws import Access
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.aws_service import Service
from botocore.stub import ANY, Stubber

__all__ = ["ANY", "Answers", "answering"]

ACCESS = Access(region="eu-west-3", endpoint_url="http://127.0.0.1:9", access_key_id="AKIDEXAMPLE", secret_access_key="marker-of-a-secret")
"""Nothing listens there: a request without a prepared answer fails."""


@functools.cache
def _service(name: str, attempts: int) -> Service:
    # botocore reads a model of some MB for each client.
    return Service(name, ACCESS, attempts, retry_delay=0)


class Answers:
    """service: the service under test. Its answers are given in the order in which they were prepared."""

    def __init__(self, name: str, attempts: int = 1) -> None:
        self.service = _service(name, attempts)
        self._stubber = Stubber(self.service.client)

    def add(self, operation: str, answer: t.Mapping[str, t.Any], **wanted: t.Any) -> None:
        """The answer to the next request, which must be this operation with exactly these arguments; any, if none are given."""
        self._stubber.add_response(operation, answer, wanted or None)

    def add_error(self, operation: str, code: str, status: int = 400, message: str = "prepared") -> None:
        """The same with an error of the service."""
        self._stubber.add_client_error(operation, code, message, status)


@contextlib.contextmanager
def answering(name: str, attempts: int = 1) -> t.Iterator[Answers]:
    """A service of AWS with prepared answers; all of them must have been used at the end."""
    answers = Answers(name, attempts)
    with answers._stubber:
        yield answers
        answers._stubber.assert_no_pending_responses()
