# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One service of AWS in one region: requests that are repeated while their error is temporary, and listings by pages."""

from __future__ import annotations

import typing as t

from . import aws, net
from .errors import LogArchiveError

MOST_PAGES = 100_000
MOST_EMPTY_PAGES = 1000
"""Pages of a listing without an entry, one after another. A service may filter a page to nothing, but not for ever."""


class Service:
    """A service, such as 'cloudtrail', 'logs', 'events' or 'sts'. Threads may share it: the client is made at once.

    attempts: of each request. retry_delay: seconds before the second attempt; it doubles with each further one.
    Raises MissingLibraryError, ConfigError, AwsError.
    """

    def __init__(self, name: str, access: aws.Access, attempts: int = 4, retry_delay: float = 1.0) -> None:
        self.name = name
        self._attempts = attempts
        self._retry_delay = retry_delay
        self.client: t.Any = aws.make_client(name, access, name if access.region is None else "%s in %s" % (name, access.region))
        self.region = t.cast(str, self.client.meta.region_name)
        self.subject = "%s in %s" % (name, self.region)

    def call(self, operation: str, **parameters: t.Any) -> t.Dict[str, t.Any]:
        """Send a request of boto3 (such as 'list_public_keys') and return its answer. Raises AwsError."""

        def send() -> t.Dict[str, t.Any]:
            try:
                return t.cast("t.Dict[str, t.Any]", getattr(self.client, operation)(**parameters))
            except aws.request_errors() as error:
                raise aws.explain(error, self.subject, self.region) from error

        return net.Retries(self._attempts, self._retry_delay).call(send, lambda error: getattr(error, "retryable", False))

    def pages(self, operation: str, member: str, token: str = "NextToken", **parameters: t.Any) -> t.Iterator[t.Dict[str, t.Any]]:
        """The entries ``member`` of all pages of a listing. token: the parameter of the next page ('NextToken', 'nextToken').

        Raises AwsError, and LogArchiveError for a listing that does not end.
        """
        empty = 0
        for _page in range(MOST_PAGES):
            answer = self.call(operation, **parameters)
            entries = answer.get(member) or []
            yield from entries
            empty = 0 if entries else empty + 1
            following = answer.get(token)
            if not following:
                return
            if following == parameters.get(token) or empty > MOST_EMPTY_PAGES:
                break
            parameters[token] = following
        raise LogArchiveError("the listing of %s does not end" % operation, self.subject)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()


def open_service(name: str, options: t.Mapping[str, t.Any], region: t.Optional[str] = None) -> Service:
    """The service that these options describe (``config.aws_spec.AWS``). region: another one than the option's."""
    from .units import parse_duration

    return Service(name, aws.access_of(options, region), options["attempts"], parse_duration(options["retry_delay"]))
