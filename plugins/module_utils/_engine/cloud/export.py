# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Export a span of time of a log group to a bucket. An account can run one export at a time, for all its users."""

from __future__ import annotations

import hashlib
import time
import typing as t

from ..base.aws import AwsError
from ..base.aws_service import Service
from ..base.errors import ConfigError, LogArchiveError

PAUSE = 5.0
"""Seconds between two looks at an export."""

ACTIVE = ("PENDING", "RUNNING", "PENDING_CANCEL")
_BUSY = "LimitExceededException"


class ExportError(LogArchiveError):
    """An export failed, or did not end in time."""

    kind = "export"


class Wanted(t.NamedTuple):
    """An export. start, end: milliseconds since the epoch; the end is not part of it. prefix: of its keys in the bucket."""

    group: str
    bucket: str
    prefix: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name of its task: the same for the same export, so that a later call finds it."""
        parts = "\0".join([self.group, self.bucket, self.prefix, str(self.start), str(self.end)])
        return "log-archive-%s" % hashlib.sha256(parts.encode("utf-8")).hexdigest()[:32]


class Export(t.NamedTuple):
    """task_id: None if it was only checked. changed: whether a task was, or would be, started by this call."""

    task_id: t.Optional[str]
    changed: bool


def check_wanted(wanted: Wanted) -> None:
    """Raise ConfigError for a span that cannot be exported."""
    if wanted.end <= wanted.start:
        raise ConfigError("start is not earlier than end", wanted.group, "Swap them")
    if wanted.end > time.time() * 1000:
        raise ConfigError("the end of the export is in the future, so events would be missing", wanted.group, "Choose an end in the past")


def export(service: Service, wanted: Wanted, seconds: float, check: bool = False) -> Export:
    """Export, and wait for the end; nothing is started if the same export has completed before, as long as the service remembers it.

    Waits for another export of the account to end. seconds: to wait for both together. check: start nothing.
    Raises AwsError, ConfigError, ExportError. An export that takes too long goes on, and a later call finds it.
    """
    check_wanted(wanted)
    deadline = time.monotonic() + seconds
    mine = _of_name(service, wanted.name)
    if mine is None:
        if check:
            return Export(None, True)
        task_id = _start(service, wanted, deadline, seconds)
    else:
        task_id = mine["taskId"]
    if not (check and mine is not None):
        _wait(service, task_id, deadline, seconds)
    return Export(task_id, mine is None)


def _of_name(service: Service, name: str) -> t.Optional[t.Dict[str, t.Any]]:
    """The task with this name that has completed or still runs."""
    for task in service.pages("describe_export_tasks", "exportTasks", "nextToken"):
        if task.get("taskName") == name and _status(task) in ("COMPLETED", "PENDING", "RUNNING"):
            return task
    return None


def _status(task: t.Mapping[str, t.Any]) -> str:
    return str(task.get("status", {}).get("code", "")).upper()


def _start(service: Service, wanted: Wanted, deadline: float, seconds: float) -> str:
    while True:
        # Checked first, so that the message can name the other export.
        running = [task for task in service.pages("describe_export_tasks", "exportTasks", "nextToken") if _status(task) in ACTIVE]
        if not running:
            try:
                answer = service.call(
                    "create_export_task",
                    taskName=wanted.name,
                    logGroupName=wanted.group,
                    fromTime=wanted.start,
                    to=wanted.end - 1,
                    destination=wanted.bucket,
                    destinationPrefix=wanted.prefix,
                )
                return str(answer["taskId"])
            except AwsError as error:
                # Somebody else was faster.
                if error.code != _BUSY:
                    raise
        if time.monotonic() >= deadline:
            name = running[0].get("taskName") or running[0]["taskId"] if running else "an unknown one"
            hint = "Try again after that export, or raise timeout; an account can run one export at a time"
            raise ExportError("another export (%s) did not end within %g s" % (name, seconds), wanted.group, hint)
        _sleep(deadline)


def _wait(service: Service, task_id: str, deadline: float, seconds: float) -> None:
    while True:
        tasks = service.call("describe_export_tasks", taskId=task_id).get("exportTasks") or []
        status = _status(tasks[0]) if tasks else "UNKNOWN"
        if status == "COMPLETED":
            return
        if status not in ACTIVE:
            message = tasks[0].get("status", {}).get("message", "") if tasks else "the service no longer knows it"
            text = "the export ended as %s%s" % (status, " (%s)" % message if message else "")
            raise ExportError(text, task_id, "Check that the policy of the bucket allows CloudWatch Logs to write")
        if time.monotonic() >= deadline:
            raise ExportError("the export did not end within %g s" % seconds, task_id, "It goes on; run this again to wait for it")
        _sleep(deadline)


def _sleep(deadline: float) -> None:
    time.sleep(max(0.0, min(PAUSE, deadline - time.monotonic())))
