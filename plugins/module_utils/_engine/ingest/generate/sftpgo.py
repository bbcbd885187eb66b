# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a busy SFTPGo server, made up: sessions of users with transfers and commands, web requests and refused logins.

The fields and their order are those of SFTPGo 2.7 (``internal/logger``): ``level`` first, ``time`` second, without a zone.
"""

from __future__ import annotations

import heapq
import json
import random
import typing as t
from datetime import datetime, timedelta

from ...base.named_tuple import NamedTuple

USERS = ("acme", "globex", "initech", "umbrella", "hooli", "stark", "wayne", "tyrell", "wonka", "Jürgen & Söhne", "cyberdyne", "soylent")
PROTOCOLS = (("SFTP", "SSH", 2022), ("FTP", "FTP", 2121), ("HTTP", "HTTP", 8080), ("DAV", "DAV", 8090), ("SCP", "SSH", 2022))
FOLDERS = ("in", "out", "reports", "invoices/2026", "backup", "日本")
SUFFIXES = (".csv", ".zip", ".pdf", ".xml", ".tar.gz", ".parquet")
ERRORS = ("quota exceeded", "connection lost", "permission denied", "context canceled")
INTRUDERS = ("root", "admin", "test", "oracle", "")
ACTIVITY = (2, 1, 1, 1, 2, 4, 7, 12, 20, 26, 28, 26, 20, 22, 26, 25, 22, 16, 10, 7, 6, 5, 4, 3)
"""Sessions an hour, by the hour of the day, on a working day. A weekend day has a fifth of them."""


class Line(NamedTuple):
    """One line, with its newline. kind: transfer, command, login, failed_login, http or application."""

    time: datetime
    kind: str
    text: str


def generate_lines(seed: int, start: datetime) -> t.Iterator[Line]:
    """The lines of a server, without end, in the order of their times from ``start`` on. The same arguments give the same lines."""
    chance = random.Random(seed)
    coming: t.List[t.Tuple[datetime, int, Line]] = []
    number = 0
    moment = start
    while True:
        moment = _next_session(chance, moment)
        for line in _session(chance, moment, number):
            heapq.heappush(coming, (line.time, number, line))
            number += 1
        # All lines of later sessions come later.
        while coming and coming[0][0] <= moment:
            yield heapq.heappop(coming)[2]


def _next_session(chance: random.Random, moment: datetime) -> datetime:
    an_hour = ACTIVITY[moment.hour] * (0.2 if moment.weekday() >= 5 else 1.0)
    seconds = chance.expovariate(an_hour / 3600)
    # The rate changes with the hour: do not let a quiet one last for days.
    return moment + timedelta(milliseconds=int(min(seconds, 3600) * 1000))


def _session(chance: random.Random, moment: datetime, number: int) -> t.Iterator[Line]:
    if chance.random() < 0.08:
        yield from _refused_logins(chance, moment)
        return
    user = USERS[min(int(chance.paretovariate(0.8)) - 1, len(USERS) - 1)]
    protocol, login_protocol, port = PROTOCOLS[min(int(chance.paretovariate(1.2)) - 1, len(PROTOCOLS) - 1)]
    address = "198.51.100.%d" % (20 + USERS.index(user) * 3 + chance.randrange(3))
    if chance.random() < 0.04:
        address = "2001:db8::%x" % (0x70 + USERS.index(user))
    client_port = chance.randrange(40000, 61000)
    remote = "[%s]:%d" % (address, client_port) if ":" in address else "%s:%d" % (address, client_port)
    connection = "%s_%08x_%d" % (protocol, chance.getrandbits(32), number)
    common = {"local_addr": "192.0.2.5:%d" % port, "remote_addr": remote}
    end = {"connection_id": connection, "protocol": protocol}
    yield _line(
        moment,
        "login",
        "info",
        "login",
        {
            "ip": address,
            "username": user,
            "method": "publickey" if login_protocol == "SSH" and chance.random() < 0.7 else "password",
            "protocol": login_protocol,
            "connection_id": connection,
            "client": {"SSH": "SSH-2.0-OpenSSH_9.2p1 Debian-2", "FTP": "lftp 4.9"}.get(login_protocol, "Mozilla/5.0"),
            "encrypted": login_protocol != "FTP" or chance.random() < 0.8,
        },
    )
    for _unused in range(1 + min(int(chance.paretovariate(1.1)), 40)):
        moment += timedelta(milliseconds=int(chance.expovariate(1 / 2500)))
        path = "/%s/%s-%05d%s" % (chance.choice(FOLDERS), user[:4].lower(), chance.randrange(2000), chance.choice(SUFFIXES))
        if chance.random() < 0.72:
            yield from _transfer(chance, moment, user, path, common, end)
        else:
            yield _command(chance, moment, user, path, common, end)
        if protocol == "HTTP":
            yield _request(chance, moment, path, common, number)


def _transfer(
    chance: random.Random, moment: datetime, user: str, path: str, common: t.Dict[str, t.Any], end: t.Dict[str, t.Any]
) -> t.Iterator[Line]:
    sender = "Upload" if chance.random() < 0.6 else "Download"
    size = int(min(chance.lognormvariate(11.5, 2.6), 8e9))
    fields = {
        **common,
        "elapsed_ms": 3 + size // chance.randrange(20000, 90000),
        "size_bytes": size,
        "username": user,
        "file_path": "/srv/sftpgo/data/%s%s" % (user, path),
        "virtual_path": path,
        **end,
    }
    if end["protocol"] == "FTP":
        fields["ftp_mode"] = "passive"
    failed = chance.random() < 0.03
    if failed:
        fields["error"] = chance.choice(ERRORS)
    line = _line(moment, "transfer", "error" if failed else "info", sender, fields)
    yield line
    if chance.random() < 0.005:
        yield line  # Two events can be equal to the millisecond: two identical lines are two transfers.
    if end["protocol"] == "SFTP" and not failed and chance.random() < 0.1:
        text = '%s file size %d, num files 1, deleted files 0, fs path "%s"' % (sender.lower(), size, fields["file_path"])
        yield _line(moment, "application", "debug", "SFTP", {"connection_id": end["connection_id"], "message": text})


def _command(chance: random.Random, moment: datetime, user: str, path: str, common: t.Dict[str, t.Any], end: t.Dict[str, t.Any]) -> Line:
    sender = chance.choice(("Rename", "Rename", "Remove", "Remove", "Mkdir", "Chmod", "Chtimes"))
    root = "/srv/sftpgo/data/%s" % user
    target = path.replace("/in/", "/done/", 1) + ".done" if sender == "Rename" else ""
    fields = {
        **common,
        "username": user,
        "file_path": root + path,
        "target_path": root + target if target else "",
        "virtual_path": path,
        "virtual_target_path": target,
        "filemode": "-rw-r-----" if sender == "Chmod" else "",
        "uid": -1,
        "gid": -1,
        "access_time": "",
        "modification_time": moment.strftime("%Y-%m-%dT%H:%M:%S") if sender == "Chtimes" else "",
        "size": -1,
        "elapsed": chance.randrange(9),
        "ssh_command": "",
        **end,
    }
    return _line(moment, "command", "info", sender, fields)


def _request(chance: random.Random, moment: datetime, path: str, common: t.Dict[str, t.Any], number: int) -> Line:
    fields = {
        **common,
        "proto": "HTTP/2.0",
        "method": "GET",
        "user_agent": "Mozilla/5.0",
        "uri": "https://files.example.net/web/client/files?path=%s" % path.replace("/", "%2F"),
        "cipher_suite": "TLS_AES_128_GCM_SHA256",
        "request_id": "host/%08x-%06d" % (number, chance.randrange(10**6)),
        "resp_status": 200 if chance.random() < 0.97 else 404,
        "resp_size": chance.randrange(300, 90000),
        "elapsed_ms": chance.randrange(1, 80),
    }
    return _line(moment, "http", "debug", "httpd", fields)


def _refused_logins(chance: random.Random, moment: datetime) -> t.Iterator[Line]:
    address = "203.0.113.%d" % chance.randrange(1, 60)
    for _unused in range(1 + min(int(chance.paretovariate(0.9)), 30)):
        user = chance.choice(INTRUDERS)
        fields = {
            "client_ip": address,
            "username": user,
            "login_type": "password",
            "protocol": "SSH",
            "error": 'username "%s" does not exist' % user if user else "no auth tried",
        }
        yield _line(moment, "failed_login", "debug", "connection_failed", fields)
        moment += timedelta(milliseconds=chance.randrange(1200))


def _line(moment: datetime, kind: str, level: str, sender: str, fields: t.Mapping[str, t.Any]) -> Line:
    text = moment.strftime("%Y-%m-%dT%H:%M:%S.") + "%03d" % (moment.microsecond // 1000)
    line = json.dumps({"level": level, "time": text, "sender": sender, **fields}, ensure_ascii=False, separators=(",", ":"))
    # Go's encoder escapes '&', so that JSON can be put into HTML.
    return Line(moment, kind, line.replace("&", "\\u0026") + "\n")
