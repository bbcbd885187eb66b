# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells demo/run.py what happens in the play while it happens: one JSON line per event, in the file $LOG_ARCHIVE_DEMO_EVENTS."""

from __future__ import annotations

import json
import os
import time
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: events
type: notification
short_description: Write the events of a play as JSON lines
description:
  - Each line has the C(event), the C(time) in seconds since the epoch, and where they apply the C(task), C(action), C(host) and C(result).
options: {}
"""


class CallbackModule(CallbackBase):
    """Results come as other callbacks get them: without what modules declare as secret."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "events"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:
        self._write("task", task=task.get_name(), action=task.action)

    def v2_runner_on_start(self, host: t.Any, task: t.Any) -> None:
        self._write("started", host=host.get_name(), task=task.get_name(), action=task.action)

    def v2_runner_item_on_ok(self, result: t.Any) -> None:
        self._write_result("item", result)

    def v2_runner_item_on_failed(self, result: t.Any) -> None:
        self._write_result("item_failed", result)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        self._write_result("ok", result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:
        self._write_result("failed", result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        self._write_result("failed", result)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:
        self._write("stats", hosts={host: stats.summarize(host) for host in stats.processed})

    def _write_result(self, event: str, result: t.Any) -> None:
        # Of a loop, each result came as an item.
        result_of_item = None if "results" in result.result else result.result
        self._write(event, host=result.host.get_name(), task=result.task.get_name(), action=result.task.action, result=result_of_item)

    def _write(self, event: str, **fields: t.Any) -> None:
        with open(os.environ["LOG_ARCHIVE_DEMO_EVENTS"], "a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps(dict(fields, event=event, time=time.time())) + "\n")
