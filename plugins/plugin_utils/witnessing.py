# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The comparison of the ledgers of a host with the witness, for action plugins."""

from __future__ import annotations

import contextlib
import json
import typing as t

from ansible.errors import AnsibleActionFail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import remote
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.witness import Known, Seen, Witness, check, earlier_name

if t.TYPE_CHECKING:
    from ansible.plugins.action import ActionBase

ARGUMENTS: t.Dict[str, t.Any] = {
    "folder": {"type": "str", "required": True},
    "host": {"type": "str"},
    "command": {"type": "path", "default": "/opt/log-archive/bin/log-archive"},
    "config": {"type": "path"},
    "jobs": {"type": "list", "elements": "str", "default": []},
    "rows": {"type": "list", "elements": "dict"},
    "accept": {"type": "bool", "default": False},
}
"""The options of the module ledger_witness."""
MOST_PARTS = 1000
"""Answers of one host, with 2,000 entries each."""


@contextlib.contextmanager
def reporting() -> t.Iterator[None]:
    """Errors of the engine and of the files of the witness become AnsibleActionFail."""
    try:
        yield
    except LogArchiveError as error:
        raise AnsibleActionFail(str(error)) from None
    except OSError as error:
        raise AnsibleActionFail("cannot use the witness: %s: %s" % (error.filename, error.strerror)) from None


class Comparison:
    """One comparison, with the arguments of the module ledger_witness, for the host of the action."""

    def __init__(self, action: ActionBase, arguments: t.Mapping[str, t.Any]) -> None:
        self._action = action
        self._arguments = arguments

    def compare(self, host: str, remember: bool = True) -> t.Dict[str, t.Any]:
        """The result of the module, with ``failed`` and ``msg`` if something is wrong.

        host: the name of its folder. remember: whether to write what was seen.
        """
        arguments = self._arguments
        witness = Witness(arguments["folder"], host)
        known = witness.known()
        if arguments["rows"] is not None and all(_is_known(row, known) for row in arguments["rows"]):
            return {"changed": False, "findings": [], "ledgers": {}, "accepted": [], "folder": witness.folder}
        findings: t.List[str] = []
        warnings: t.List[str] = []
        accepted: t.List[str] = []
        ledgers: t.Dict[str, t.Dict[str, t.Any]] = {}
        looked = self._seen(known)
        for job, seen in looked.items():
            warnings += ["ledger of %s: %s" % (job, text) for text in seen.warnings]
            if seen.finding is not None:
                if not (arguments["accept"] and seen.head is not None):
                    findings.append("ledger of %s: %s" % (job, seen.finding))
                    continue
                accepted.append("ledger of %s: %s" % (job, seen.finding))
            if seen.head is not None:
                ledgers[job] = seen.head._asdict()
                if (job not in known or known[job].head != seen.head) and remember:
                    witness.remember(job, seen.head)
                    if job in self._renamed:
                        witness.forget(self._renamed[job])
        if not arguments["jobs"]:
            gone = sorted(known.keys() - looked.keys() - set(self._renamed.values()))
            warnings += ["the witness knows a ledger of the job %s, which the host does not have" % job for job in gone]
        changed = any(job not in known or known[job].head._asdict() != head for job, head in ledgers.items())
        result: t.Dict[str, t.Any] = {
            "changed": changed,
            "findings": findings,
            "ledgers": ledgers,
            "accepted": accepted,
            "warnings": warnings,
        }
        if findings:
            result.update(failed=True, msg="; ".join(findings))
        return dict(result, folder=witness.folder)

    def _seen(self, known: t.Mapping[str, Known]) -> t.Dict[str, Seen]:
        """What a look at each ledger shows. A long one comes in parts."""
        found: t.Dict[str, Seen] = {}
        latest = dict(known)
        self._renamed: t.Dict[str, str] = {}
        for _part in range(MOST_PARTS):
            waiting = [job for job, seen in found.items() if not seen.whole]
            jobs = waiting or self._arguments["jobs"]
            if found and not waiting:
                break
            for row in self._asked(jobs, latest):
                job = str(row.get("job"))
                earlier = earlier_name(latest, row)
                if earlier is not None:
                    latest[job] = latest.pop(earlier)
                    self._renamed[job] = earlier
                seen = check(latest.get(job), row)
                warnings = [*(found[job].warnings if job in found else ()), *seen.warnings]
                found[job] = seen._replace(warnings=warnings)
                if seen.finding is None and seen.head is not None:
                    latest[job] = Known(seen.head, latest[job].at if job in latest else "")
            if not found:
                break
        return found

    def _asked(self, jobs: t.Sequence[str], known: t.Mapping[str, Known]) -> t.List[t.Dict[str, t.Any]]:
        argv = [self._arguments["command"], "ledger", "witness", *jobs]
        argv += ["--known=%s=%d" % (job, one.head.seq) for job, one in known.items()]
        argv += ["--config", self._arguments["config"]] if self._arguments["config"] else []
        answer = remote.execute(self._action, argv)
        try:
            printed = json.loads(answer["stdout"])
        except ValueError:
            raise AnsibleActionFail(
                "log-archive printed no ledgers (status %s): %s" % (answer["rc"], answer["stderr"] or "no reason given")
            ) from None
        if not isinstance(printed, list):
            raise AnsibleActionFail(str(printed.get("error", {}).get("text", "log-archive printed no ledgers")))
        return [row for row in printed if isinstance(row, dict)]


def _is_known(row: t.Mapping[str, t.Any], known: t.Mapping[str, Known]) -> bool:
    """Whether a row of ``run`` or ``status`` states the very end that the witness knows."""
    if "stream" in row or "orphan" in row:
        return True
    ledger = row.get("ledger")
    one = known.get(str(row.get("job")))
    if not isinstance(ledger, dict) or one is None:
        return ledger is None and one is None
    stated = {name: value for name, value in one.head._asdict().items() if name in ledger}
    return {"ledger", "seq"} <= stated.keys() and all(ledger[name] == value for name, value in stated.items())
