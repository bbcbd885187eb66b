# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Events for EventBridge.

Limits: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html.
An entry that fails is reported in an answer with status 200.
"""

from __future__ import annotations

import typing as t

from ..base.aws import BUSY, THROTTLED, AwsError
from ..base.aws_service import Service
from ..base.lists import some

MOST_ENTRIES = 10
MOST_BYTES = 256 * 1024
"""Of all entries of a request together. AWS raised it to 1 MB in 2026; targets and older endpoints still have this limit."""
_TIME_BYTES = 14

Entry = t.Dict[str, t.Any]


class PartlyFailedError(AwsError):
    """Some events were not accepted. failed: their places."""

    def __init__(self, reason: str, message: str, subject: str, hint: t.Optional[str], failed: t.Sequence[int]) -> None:
        super().__init__(reason, message, subject, hint)
        self.failed = failed


def size_of(entry: Entry) -> int:
    """Bytes of an entry, as the service counts them."""
    counted = [entry["Source"], entry["DetailType"], entry["Detail"], *entry.get("Resources", ())]
    return sum(len(text.encode("utf-8")) for text in counted) + (_TIME_BYTES if "Time" in entry else 0)


def split(entries: t.Sequence[Entry]) -> t.List[t.List[int]]:
    """The places of the entries, in requests that are within the limits. An entry that is too large by itself is in a request alone."""
    requests: t.List[t.List[int]] = []
    size = 0
    for place, entry in enumerate(entries):
        added = size_of(entry)
        # The total must be less than the limit.
        if not requests or len(requests[-1]) >= MOST_ENTRIES or size + added >= MOST_BYTES:
            requests.append([])
            size = 0
        requests[-1].append(place)
        size += added
    return requests


def put_events(service: Service, entries: t.Sequence[Entry]) -> None:
    """Send events. Raises PartlyFailedError if some were refused, or if a request failed: those after it are not sent. Raises AwsError."""
    failed: t.Dict[int, t.Mapping[str, str]] = {}
    for request in split(entries):
        try:
            answer = service.call("put_events", Entries=[entries[place] for place in request])
        except AwsError as error:
            unsent = sorted({*failed, *range(request[0], len(entries))})
            raise PartlyFailedError(error.reason, error.message, service.subject, error.hint, unsent) from error
        results = answer.get("Entries") or []
        for place, result in zip(request, results):
            if result.get("ErrorCode"):
                failed[place] = result
        if answer.get("FailedEntryCount", 0) > sum(place in failed for place in request):
            raise AwsError("other", "the answer counts failed events and does not name them", service.subject)
    if failed:
        codes = sorted({"%s (%s)" % (each["ErrorCode"], each.get("ErrorMessage", "")) for each in failed.values()})
        busy = all(each["ErrorCode"] in {*BUSY, *THROTTLED, "InternalException"} for each in failed.values())
        message = "%d of %d events were not accepted: %s" % (len(failed), len(entries), some(codes))
        raise PartlyFailedError("unavailable" if busy else "other", message, service.subject, None, sorted(failed))
