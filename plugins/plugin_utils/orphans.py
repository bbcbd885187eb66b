# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left of jobs, stores and hosts that the inventory no longer has: on the hosts, in the stores and on the archive servers."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import EXIT_DONE, EXIT_PARTLY
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.command import Row, error_kind, rows as rows_of_result

MORE = "there may be more orphans: "
"""What the command prints on standard error before the reason."""
NOTHING = "Nothing is left of jobs, stores or hosts that no longer exist."
ACCOUNT_OF = "Log archives of "
"""The comment of an account on an archive server, before the name of its host (role archive_server)."""

Results = t.Mapping[str, t.Any]


def fleet(
    results: Results, listed: Results, inventory: t.Sequence[str], servers: t.Sequence[str], accounts: t.Sequence[str]
) -> t.List[str]:
    """The lines of the filter fleet_orphans. See DOCUMENTATION there."""
    left = [*_silent(results), *_orphans(results), *_hosts_in_stores(listed, inventory), *accounts]
    return [*(left or [NOTHING]), *_elsewhere(listed, servers)]


def _silent(results: Results) -> t.Iterator[str]:
    """Hosts of which nobody knows all that is left there."""
    for host, result in sorted(results.items()):
        result = result if isinstance(result, dict) else {}
        told = [line.partition(MORE) for line in (result.get("stderr") or "").splitlines() if MORE in line]
        if told:
            yield from ("%s: %s%s" % (host, MORE, why) for _before, _more, why in told)
        elif result.get("rc") not in (EXIT_DONE, EXIT_PARTLY) and not result.get("no_jobs"):
            yield "%s: what is left there is not known, because its log-archive gave no result" % host


def _orphans(results: Results) -> t.Iterator[str]:
    for host, result in sorted(results.items()):
        for row in rows_of_result(result):
            if "orphan" in row:
                yield "%s: orphan %s: %s" % (host, row["job"], row["state"])


def _hosts_in_stores(listed: Results, inventory: t.Iterable[str]) -> t.Iterator[str]:
    """What stores have of hosts that are neither in the inventory nor a host that a job document names. A store that many share has one
    line."""
    found: t.List[t.Tuple[str, Row]] = []
    for host, result in sorted(listed.items()):
        if error_kind(result) == "usage":
            yield "%s: its log-archive cannot list the hosts in stores: run infra_ops.log_archive.site" % host
        found += [(host, row) for row in rows_of_result(result) if "hosts" in row]
    known = {*_as_in_comments(inventory), *(name for _host, row in found for name in row["own"])}
    seen: t.Set[str] = set()
    for host, row in found:
        if row["error"] is not None:
            yield "%s: store %s cannot be listed: %s" % (host, row["store"], row["error"])
        location = row["location"]
        for name in row["hosts"]:
            place = "%s%s/%s" % ("" if re.match(r"[a-z0-9]+://", location) else host + ":", location, name)
            if name not in known and place not in seen:
                seen.add(place)
                yield "%s: store %s has archives of %s, which the inventory no longer has (%s)" % (
                    host,
                    row["store"],
                    name,
                    row["location"],
                )


def _elsewhere(listed: Results, servers: t.Sequence[str]) -> t.List[str]:
    """Servers that are not in the inventory: their accounts and keys cannot be listed with the rights of a host."""
    places: t.List[str] = []
    for _host, result in sorted(listed.items()):
        for row in rows_of_result(result):
            place = re.match(r"(s3|sftp)://(?:[^/@]*@)?([^/]*)", str(row.get("location") or ""))
            if place is not None and re.sub(r":[0-9]+$", "", place[2]) not in servers:
                places.append("%s://%s" % place.groups())
    if not places:
        return []
    shown = ", ".join(dict.fromkeys(places))
    return ["Keys and accounts of former hosts and stores cannot be seen from here on %s: look there (docs/changing.md)." % shown]


def former_accounts(passwd: t.Any, inventory: t.Iterable[str]) -> t.List[t.Dict[str, str]]:
    """The accounts of hosts that the inventory does not have, from the result of ``getent passwd`` on an archive server."""
    known = set(_as_in_comments(inventory))
    found = []
    for line in (passwd.get("stdout_lines") or []) if isinstance(passwd, dict) else []:
        fields = line.split(":")
        host = fields[4][len(ACCOUNT_OF) :] if len(fields) > 5 and fields[4].startswith(ACCOUNT_OF) else ""
        if host and host not in known:
            found.append({"account": fields[0], "host": host, "folder": fields[5]})
    return found


def account_lines(passwds: Results, inventory: t.Sequence[str], removed: t.Container[str]) -> t.List[str]:
    """The lines of the filter fleet_accounts. See DOCUMENTATION there."""
    lines = []
    for server, passwd in sorted(passwds.items()):
        if isinstance(passwd, dict) and passwd.get("rc") != 0:
            lines.append("%s: its accounts cannot be read: %s" % (server, passwd.get("msg") or passwd.get("stderr") or "no reason given"))
        for one in former_accounts(passwd, inventory):
            if one["account"] not in removed:
                lines.append(
                    "%s: account %s of %s, which the inventory no longer has (its archives are in %s)"
                    % (server, one["account"], one["host"], one["folder"])
                )
    return lines


def actions(result: t.Any, asked: t.Mapping[str, t.Sequence[str]], jobs: Results, options: t.Mapping[str, t.Any]) -> t.List[t.List[str]]:
    """The value of the filter orphan_actions. See DOCUMENTATION there."""
    rows = rows_of_result(result)
    stores_of = ["--stores-of", str(options.get("stores_of") or "")]
    only_store = ["--store", str(options["store"])] if options.get("store") else []
    words = [word for word, name in (("--spool", "spool"), ("--records", "records")) if options.get(name)]
    waiting = {row["job"] for row in rows if row.get("spool", {}).get("archives")}
    in_stores = {row["job"] for row in rows if row.get("stores")}
    return [
        *(["send", job, *stores_of, *only_store] for job in asked["send"] if job in waiting),
        *(["adopt", job, "--into", heir["name"]] for job in asked["adopt"] for heir in jobs.values() if job in heir.get("was", [])),
        *(["remove-archives", job, *stores_of, *only_store] for job in asked["remove_archives"] if job in in_stores),
        *(["remove", job, *only_store, *words] for job in asked["remove"] if job in {row["job"] for row in rows}),
    ]


def _as_in_comments(inventory: t.Iterable[str]) -> t.Iterator[str]:
    """The names of hosts as the comments of their accounts have them: a field of /etc/passwd cannot contain a colon."""
    return (name.replace(":", ".") for name in inventory)
