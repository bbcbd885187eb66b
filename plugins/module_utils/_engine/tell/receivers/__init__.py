# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Those who are told of a run: a log file, mail, chat, Prometheus, a healthcheck. One module for each type of ``job_spec.NOTIFY``.

Each has ``deliver(target, news)``: one attempt, which raises ``ReceiverError`` where it fails. What they raise never holds a URL or a
password. They are given texts to deliver (``base.News``) and know nothing of jobs and recaps.
"""

from __future__ import annotations

import typing as t


def problems(target: t.Mapping[str, t.Any], log: t.Optional[str]) -> t.List[str]:
    """Mistakes in the options of one target that its table cannot tell. log: the event log of the job."""
    kind = target["type"]
    if kind == "mail":
        return _problems_of_mail(target, log)
    if kind == "chat":
        return _problems_of_url(target["url"], None)
    if kind == "ping":
        return _problems_of_url(target["url"], ("http", "https"))
    if kind == "log" and target["path"] == log:
        return ["path: is the job's event log; give the recaps a file of their own"]
    return []


def _problems_of_mail(target: t.Mapping[str, t.Any], log: t.Optional[str]) -> t.List[str]:
    from .addresses import problem

    found = []
    for index, address in enumerate(target["to"]):
        wrong = problem(address, local=not target["server"])
        if wrong:
            found.append("to[%d]: is %r, %s" % (index, address, wrong))
    wrong = problem(target["from"], local=False) if target["from"] else None
    if wrong:
        found.append("from: is %r, %s" % (target["from"], wrong))
    if not target["server"]:
        given = [name for name in ("port", "tls", "user", "password", "ca_bundle") if target[name] is not None]
        found += ["%s: is for a server; name it, or leave this out" % name for name in given]
    if bool(target["user"]) != bool(target["password"]):
        found.append("user: and password go together; give both or none")
    if target["tls"] == "none" and target["password"]:
        found.append("tls: is none, which would send the password for everyone to read; use starttls or tls")
    if target["attach_log"] and not log:
        found.append("attach_log: there is no log to attach; say where the job writes one (log)")
    return found


def _problems_of_url(url: str, schemes: t.Optional[t.Sequence[str]]) -> t.List[str]:
    """The URL itself is a secret: it is not shown."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return ["url: is no URL"]
    if not parts.scheme or "://" not in url or not url.isprintable() or " " in url:
        return ["url: is no URL"]
    if schemes and parts.scheme not in schemes:
        return ["url: must begin with %s" % " or ".join(scheme + "://" for scheme in schemes)]
    if parts.scheme in ("http", "https") and not host:
        return ["url: names no host"]
    return []
