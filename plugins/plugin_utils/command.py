# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registered result of a task that ran ``log-archive COMMAND --json`` on one host.

A result may also be of an unreachable host, of a host without the command, ``{"no_jobs": True}`` for a host that has nothing to run, or
undefined because nothing ran there.
"""

from __future__ import annotations

import errno
import json
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_CONFIG, EXIT_DONE, EXIT_PARTLY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.lists import first
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.recap import MOST_PROBLEMS

Row = t.Dict[str, t.Any]

MISSING_COMMAND = "missing_command"
"""The kind of error if the host does not have the command. All other kinds are the command's."""

NOT_KNOWN = ("unrecognized arguments", "invalid choice", "there is no command")
"""What the command of another version prints about an argument that it does not have."""
OTHER_VERSION = (
    "the command log-archive on this host has another version than the controller. If the version of the controller is the later one, run "
    "infra_ops.log_archive.site. It printed: %s"
)

LAST_LINES = 5
"""Of the command's standard error, if it printed no result."""


def rows(result: t.Any) -> t.List[Row]:
    """The list that the command printed; empty if it printed none."""
    printed = _printed(result)
    return printed if isinstance(printed, list) else []


def error_kind(result: t.Any) -> t.Optional[str]:
    """The kind of the error that ended the command before it had a result; None if it had one, or if the kind is unknown."""
    printed = _printed(result)
    if isinstance(printed, dict):
        kind = printed.get("error", {}).get("kind")
        return None if kind is None else str(kind)
    if _unknown_argument(result):
        return "usage"
    # The command prints JSON even if it is called wrongly. The module that runs it gives the error number of a program that is missing.
    if isinstance(result, dict) and result.get("rc") == errno.ENOENT and not result.get("stdout") and not result.get("stderr"):
        return MISSING_COMMAND
    return None


def errors(result: t.Any, partly: bool = False) -> t.List[str]:
    """What failed on the host, one text each. With ``partly``, archives that wait in the spool are no failure."""
    if not isinstance(result, dict):
        return ["nothing ran on this host"]
    if result.get("no_jobs"):
        return []
    if result.get("unreachable"):
        return ["unreachable: %s" % result.get("msg", "no reason given")]
    code = result.get("rc")
    if code == EXIT_DONE:
        return []
    ended = "log-archive ended with status %s" % code
    printed = _printed(result)
    if printed is None:
        return [_without_result(result)]
    if isinstance(printed, dict):
        # The text of the error that ended the command lists every mistake.
        error = printed.get("error", {})
        text = error.get("text") or ended
        # The playbooks make the arguments: a command that does not know one is of another version.
        other = error.get("kind") == "usage" and any(words in text for words in NOT_KNOWN)
        return [OTHER_VERSION % text if other else text]
    found = [text for row in printed for text in _errors_of_row(row)]
    if code == EXIT_PARTLY and partly and not found:
        return []
    return first(found, MOST_PROBLEMS) or [ended]


def _printed(result: t.Any) -> t.Any:
    """The JSON that the command printed; None if it printed none."""
    try:
        return json.loads(result.get("stdout") or "") if isinstance(result, dict) else None
    except ValueError:
        return None


def _unknown_argument(result: t.Any) -> str:
    """What the command of the first versions, which printed no JSON for it, prints about an argument that it does not have, or nothing."""
    if not isinstance(result, dict) or result.get("rc") != EXIT_CONFIG or result.get("stdout"):
        return ""
    lines = (result.get("stderr") or "").splitlines()
    return next((line for line in lines if ": error: " in line and any(words in line for words in NOT_KNOWN)), "")


def _without_result(result: t.Mapping[str, t.Any]) -> str:
    unknown = _unknown_argument(result)
    if unknown:
        return OTHER_VERSION % unknown
    if error_kind(result) == MISSING_COMMAND:
        return "not set up: the host does not have the command log-archive. Run infra_ops.log_archive.site"
    lines = (result.get("stderr") or result.get("msg") or "no reason given").strip().splitlines()
    return "log-archive printed no result (status %s): %s" % (result.get("rc"), " / ".join(lines[-LAST_LINES:]))


def _errors_of_row(row: Row) -> t.List[str]:
    """The errors in one row of ``run``, ``prune``, ``list``, ``verify``, ``status``, ``doctor``, ``drill`` or ``ledger verify``."""
    if "stream" in row:
        return ["stream %s: %s: %s" % (row["stream"], row["sink"], row["state"])] if row["exit_code"] else []
    job = "%s: " % row["job"] if row.get("job") else ""
    if "findings" in row and "state" not in row:
        return ["%s%s: %s" % (job, finding["kind"], finding["error"]) for finding in row["findings"]]
    if "tried" in row:
        store = "%sstore %s: " % (job, row["store"])
        return [
            store + text
            for text in (
                row["exit_code"] and row["error"],
                *("%s: %s" % (one["archive"], one["error"]) for one in row["tried"] if one["error"]),
            )
            if text
        ]
    if "remedy" in row:
        return ["%s%s: %s" % (job, row["check"], row["text"])] if row["exit_code"] else []
    if "errors" in row:
        return [job + text for text in row["errors"]]
    if isinstance(row.get("error"), dict):
        return [job + row["error"]["text"]]
    if "error" in row:
        subject = "".join("%s: " % text for text in (row["store"] and "store " + row["store"], row["key"]) if text)
        return [job + subject + row["error"]] if row["error"] else []
    return [job + row["state"]] if row.get("exit_code") else []
