# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exit codes of each command, for its help and the manual page. The tables of the README and docs/ are compared with these."""

from __future__ import annotations

import typing as t

SIGNALS = "129, 130, 143"

COMMON = {
    "0": "done, or nothing to do",
    "1": "failed, or the result cannot be printed (a full disk): the work goes on without it",
    "2": "a mistake in a job document or on the command line",
    "3": "partly done: archives wait in the spool, a log could not be read, or a prune was refused; the next run continues."
    " status: or something is left of a job or store that no document names any more (see 'log-archive orphans --help')",
    "4": "integrity failure: an archive or a manifest is damaged, missing or not authentic",
    "5": "locked: another run of the same job is active",
    SIGNALS: "interrupted by SIGHUP, SIGINT (Ctrl-C) or SIGTERM; the next run completes what is left",
}
"""Of all commands together."""

_KEY = {"2": "a mistake in a job document or on the command line, or a key is missing"}
_STREAM = {"2": "a mistake in a stream document or on the command line"}
_PRUNED = {"3": "partly done: a guard refused to prune a store"}
_INTERRUPTED = {SIGNALS: "interrupted by SIGHUP, SIGINT (Ctrl-C) or SIGTERM"}
_CONTINUED = {SIGNALS: _INTERRUPTED[SIGNALS] + "; the next call continues"}
_AT_ONCE = {"1": "failed, or the result cannot be printed (a full disk)", **_INTERRUPTED}

OF: t.Dict[str, t.Tuple[str, t.Dict[str, str]]] = {
    "run": ("012345", {"3": COMMON["3"].partition(" status:")[0]}),
    "send": ("012345", {"3": "partly done: archives still wait in the spool; the next run continues"}),
    "list": (
        "01234",
        {
            "1": "the catalog or the store cannot be read, or the result cannot be printed",
            "3": "--hosts: a store cannot be listed",
            **_INTERRUPTED,
        },
    ),
    "verify": (
        "01234",
        {
            "0": "everything is as its manifest states",
            "1": "a store cannot be read or lacks archives that the job keeps, or the result cannot be printed",
            "3": "an upload or a removal was interrupted; the next run completes it",
            **_KEY,
            **_INTERRUPTED,
        },
    ),
    "restore": (
        "0124",
        {
            "1": "nothing matches, or a store or the destination failed; what was restored before stays",
            "4": "integrity failure: an archive or a manifest is damaged, missing or not authentic; the others were restored",
            **_KEY,
            **_INTERRUPTED,
        },
    ),
    "search": (
        "01234",
        {
            "0": "something was found, and everything was searched",
            "1": "nothing was found, and everything was searched",
            "2": "a mistake in the pattern, in a job document or on the command line; a key is missing",
            "3": "not everything was searched: a store failed, or a compressed log is damaged, truncated or of an unknown format",
            "4": "integrity failure: an archive or a manifest is damaged, missing or not authentic; the others were searched",
            **_INTERRUPTED,
        },
    ),
    "prune": ("012345", _PRUNED),
    "sync": ("012345", {"3": "partly done: something was not copied; the next call continues", **_CONTINUED}),
    "key": ("012", {**_KEY, **_AT_ONCE}),
    "key new-identity": ("012", {"2": "a mistake on the command line", **_AT_ONCE}),
    "key unwrap": ("0124", {**_KEY, **_AT_ONCE}),
    "key rewrap": ("012345", {**_KEY, "3": "partly done: archives wait in the spool, or a store failed; run the command again"}),
    "ledger": (
        "01245",
        {
            "1": "failed, a store cannot be listed, or the result cannot be printed",
            "4": "the ledger is broken, or a store does not have what it states",
            **_INTERRUPTED,
        },
    ),
    "check-config": ("012", {"2": "a mistake in a document or on the command line", **_AT_ONCE}),
    "sample-config": ("012", {"2": "a mistake on the command line", **_AT_ONCE}),
    "metrics": ("012", {"1": "a file cannot be written, or the catalog cannot be read", **_INTERRUPTED}),
    "status": (
        "01234",
        {
            "0": "every job and stream is fine",
            "1": "a run failed or is overdue, a store cannot be listed, a stream does not work, or the result cannot be printed",
            "3": "archives wait, are lacking or have an earlier name of the host, a run was partly done, a prune was refused, lines of a"
            " stream were rejected or lost, or something is left of a job or store that no document names any more (see 'log-archive"
            " orphans --help')",
            "4": "a store does not have what the catalog records, or the ledger is broken",
            **_INTERRUPTED,
        },
    ),
    "orphans": (
        "012345",
        {
            "0": "nothing is left, or the action is done",
            "2": "a mistake on the command line; or a job document cannot be read, which may name what is left",
            "3": "something is left; send, remove-archives: partly done",
            **_CONTINUED,
        },
    ),
    "adopt": (
        "012345",
        {
            "1": "failed: the store or the catalog cannot be used",
            "2": "a mistake in the template, in the job document or on the command line; or the key of the script is missing, and nothing"
            " was adopted",
            "3": "partly done: a name matches, but the object cannot be adopted; or the key of an archive is missing; the others were"
            " adopted",
            "4": "an archive is damaged, or a restore would refuse it; the others were adopted",
            **_CONTINUED,
        },
    ),
    "drill": (
        "0124",
        {
            "0": "every archive of the sample is as it was archived",
            "1": "a store failed, or a job has no archive in a store, so nothing was tried",
            "2": "a key is missing, or a mistake in a job document or on the command line",
            "4": "an archive is damaged, missing or not authentic, or a log in it differs from what was archived",
            **_INTERRUPTED,
        },
    ),
    "doctor": (
        "01234",
        {
            "0": "everything is fine",
            "1": "something is wrong, and the output names the command that fixes it",
            "2": "a mistake in a document or on the command line, or a key or a library is missing",
            "3": "archives wait for a store, or something cannot be read",
            "4": "integrity failure: a store does not have what the catalog records, or the ledger is broken",
            **_INTERRUPTED,
        },
    ),
    "follow": (
        "01235",
        {
            "0": "SIGINT (Ctrl-C) or SIGTERM ended it, and every line that was read is stored",
            "1": "a sink cannot be used, or the result cannot be printed",
            "3": "a file or folder cannot be read",
            **_STREAM,
            "5": "locked: another process already follows the stream",
            SIGNALS: "interrupted by a signal before it followed, or by SIGHUP",
        },
    ),
    "ingest": (
        "01235",
        {
            "1": "a sink cannot be used, or the result cannot be printed",
            "3": "a file or folder cannot be read, no folder of the stream exists, or --rejected: lines are still rejected",
            **_STREAM,
            "5": "locked: another process already follows the stream",
            **_CONTINUED,
        },
    ),
    "streams": (
        "0123",
        {
            "1": "a sink or the keyring cannot be used, nothing was stored yet, or one more rotation loses lines",
            **_STREAM,
            "3": "lines were rejected, or lost at the source in the last day, documents have waited for long, or something cannot be read",
            **_INTERRUPTED,
        },
    ),
    "stats": ("012", {**_STREAM, **_AT_ONCE}),
    "reveal": ("0124", {**_STREAM, "4": "a client id is damaged or was made with another key", **_INTERRUPTED}),
    "audit events": (
        "0123",
        {
            "1": "nothing could be read",
            "2": "a mistake on the command line or in a document",
            "3": "something could not be read; the rest was",
            **_INTERRUPTED,
        },
    ),
    "generate": ("012", {"1": "the log cannot be written", "2": "a mistake on the command line", **_INTERRUPTED}),
    "audit validate": (
        "01234",
        {
            "0": "the trail is complete and unaltered",
            "1": "the trail cannot be read, or the result cannot be printed",
            "3": "something could not be read or checked; the rest was",
            "4": "a part of the trail is missing, altered or unexplained",
            **_INTERRUPTED,
        },
    ),
    "completion": ("012", {"2": "a mistake on the command line", **_AT_ONCE}),
    "man": ("012", {"2": "a mistake on the command line", **_AT_ONCE}),
}
"""By command: the codes that it can give, and what they mean if that is not what COMMON states."""


def of(command: t.Optional[str]) -> t.Dict[str, str]:
    """What each exit code of a command means; without one, of all commands."""
    if command is None:
        return COMMON
    codes, meanings = OF[command]
    return {code: meanings.get(code, COMMON[code]) for code in [*codes, SIGNALS]}


def after_signal(command: str) -> t.Optional[str]:
    """What completes the work of a command that a signal ended, as a sentence; None if nothing does."""
    rest = of(command)[SIGNALS].partition("; ")[2]
    return rest[:1].upper() + rest[1:] or None


def epilog(command: t.Optional[str], width: int) -> str:
    """The end of the help of a command, in lines of at most ``width`` columns."""
    import textwrap

    lines = ["exit codes:"]
    for code, meaning in of(command).items():
        indent = "  %s  " % code
        # A long list of signals does not push its text to the right.
        lines += textwrap.wrap(meaning, max(width, 40), initial_indent=indent, subsequent_indent="     ", break_on_hyphens=False)
    return "\n".join(lines)
