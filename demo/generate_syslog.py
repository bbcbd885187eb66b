#!/usr/bin/env python3
# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make syslogs that look and compress like real ones: the same bytes for the same arguments, on every machine.

    generate_syslog.py --root DIR --hours 26 --end 2024-01-12T12 --lines 2000 --host web1 --seed 1
    generate_syslog.py --single FILE --size 512M

The first writes one file per hour, named ``syslog.%Y%m%d.%H`` for the hour that it covers (UTC), the last one for ``--end``, each
with the time of its last line as mtime. The second writes one file of exactly that size. For tests, demo and benchmarks;
standard library only, importable (``hour``, ``write_hours``, ``write_single``).
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import re
import sys
import typing as t

_STAMP = "\0"
"""Stands for the time stamp in a line that is not dated yet."""

_POOL_LINES = 50_000
"""Different lines that ``write_single`` mixes: 5 MB, so that within the 32 KiB that deflate looks back hardly a line recurs."""

_USERS = [
    "root",
    "admin",
    "deploy",
    "backup",
    "postgres",
    "oracle",
    "git",
    "ubuntu",
    "test",
    "www-data",
    "alice",
    "bob",
    "carol",
    "dave",
    "jenkins",
    "ansible",
]
_PATHS = [
    "/",
    "/index.html",
    "/login",
    "/logout",
    "/api/v1/orders",
    "/api/v1/orders/{id}",
    "/api/v1/users/{id}",
    "/api/v2/search?q={word}&page={page}",
    "/static/app.{hex}.js",
    "/static/style.{hex}.css",
    "/images/{id}.png",
    "/favicon.ico",
    "/robots.txt",
    "/healthz",
    "/metrics",
    "/wp-login.php",
    "/cart",
    "/checkout/{id}",
]
_WORDS = [
    "lamp",
    "chair",
    "desk",
    "phone",
    "cable",
    "router",
    "switch",
    "rack",
    "server",
    "disk",
    "fan",
    "paper",
    "ink",
    "screen",
    "mouse",
    "printer",
]
_AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.2 Mobile/15E148 Safari/604.1",
    "curl/7.88.1",
    "Prometheus/2.45.0",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
]
_MONTHS = [
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
]
_UNITS = [
    ("apt-daily.service", "Daily apt download activities"),
    ("logrotate.service", "Rotate log files"),
    ("fstrim.service", "Discard unused blocks on filesystems from /etc/fstab"),
    ("man-db.service", "Daily man-db regeneration"),
    ("systemd-tmpfiles-clean.service", "Cleanup of Temporary Directories"),
    ("phpsessionclean.service", "Clean php session files"),
]
_CRON = [
    ("root", "   cd / && run-parts --report /etc/cron.hourly"),
    ("root", "command -v debian-sa1 > /dev/null && debian-sa1 1 1"),
    ("www-data", "/usr/bin/php -f /var/www/cloud/cron.php"),
    ("backup", "/usr/local/bin/snapshot --quiet --target /srv/backup"),
    ("postgres", "/usr/lib/postgresql/15/bin/vacuumdb --all --analyze-only"),
]


# -- events: one to five undated lines without the host, as a program would write them --------------------------------------


def _sshd_login(rng: random.Random) -> t.List[str]:
    tag = "sshd[%d]: " % _pid(rng)
    user, session = rng.choice(_USERS), rng.randrange(1, 90000)
    uid = rng.randrange(1000, 1030)
    peer = "%s port %d" % (_address(rng), _port(rng))
    return [
        tag + "Accepted publickey for %s from %s ssh2: ED25519 SHA256:%s" % (user, peer, _token(rng, 43)),
        tag + "pam_unix(sshd:session): session opened for user %s(uid=%d) by (uid=0)" % (user, uid),
        "systemd-logind[612]: New session %d of user %s." % (session, user),
        tag + "Disconnected from user %s %s" % (user, peer),
        tag + "pam_unix(sshd:session): session closed for user %s" % user,
    ]


def _sshd_attack(rng: random.Random) -> t.List[str]:
    tag = "sshd[%d]: " % _pid(rng)
    user, address = rng.choice(_USERS), _address(rng)
    peer = "%s port %d" % (address, _port(rng))
    return [
        tag + "Invalid user %s from %s" % (user, peer),
        tag + "pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=%s" % address,
        tag + "Failed password for invalid user %s from %s ssh2" % (user, peer),
        tag + "Connection closed by invalid user %s %s [preauth]" % (user, peer),
    ]


def _cron(rng: random.Random) -> t.List[str]:
    user, command = rng.choice(_CRON)
    return ["CRON[%d]: (%s) CMD (%s)" % (_pid(rng), user, command)]


def _systemd(rng: random.Random) -> t.List[str]:
    unit, text = rng.choice(_UNITS)
    return [
        "systemd[1]: Starting %s - %s..." % (unit, text),
        "systemd[1]: %s: Deactivated successfully." % unit,
        "systemd[1]: %s: Consumed %d.%03ds CPU time." % (unit, rng.randrange(9), rng.randrange(1000)),
        "systemd[1]: Finished %s - %s." % (unit, text),
    ]


def _kernel(rng: random.Random) -> t.List[str]:
    return [
        "kernel: [%d.%06d] [UFW BLOCK] IN=eth0 OUT= MAC=52:54:00:%02x:%02x:%02x:08:00 SRC=%s DST=10.0.0.%d LEN=%d TOS=0x00 PREC=0x00 "
        "TTL=%d ID=%d PROTO=TCP SPT=%d DPT=%d WINDOW=%d RES=0x00 SYN URGP=0"
        % (
            rng.randrange(100000, 9000000),
            rng.randrange(1000000),
            rng.randrange(256),
            rng.randrange(256),
            rng.randrange(256),
            _address(rng),
            rng.randrange(2, 30),
            rng.choice((40, 44, 52, 60)),
            rng.randrange(38, 250),
            rng.randrange(65536),
            _port(rng),
            rng.choice((22, 23, 80, 443, 445, 3306, 3389, 5432, 6379, 8080)),
            rng.choice((1024, 14600, 64240, 65535)),
        )
    ]


def _nginx(rng: random.Random) -> t.List[str]:
    tag, address, agent = "nginx[%d]: " % rng.choice((811, 812, 813, 814)), _address(rng), rng.choice(_AGENTS)
    lines = []
    for _request in range(rng.randrange(1, 5)):
        path = rng.choice(_PATHS).format(
            id=rng.randrange(1, 100000), word=rng.choice(_WORDS), page=rng.randrange(1, 20), hex="%08x" % rng.getrandbits(32)
        )
        status = rng.choice((200, 200, 200, 200, 200, 301, 304, 404, 499, 502))
        size, seconds = rng.randrange(120, 60000), rng.expovariate(20)
        lines.append(tag + '%s - - "GET %s HTTP/1.1" %d %d "-" "%s" %.3f' % (address, path, status, size, agent, seconds))
    return lines


def _postfix(rng: random.Random) -> t.List[str]:
    queue = "%011X" % rng.getrandbits(44)
    sender, receiver = rng.choice(_USERS), rng.choice(_USERS)
    client, address = rng.choice(_WORDS), _address(rng)
    return [
        "postfix/smtpd[%d]: connect from %s.example.net[%s]" % (_pid(rng), client, address),
        "postfix/smtpd[%d]: %s: client=%s.example.net[%s]" % (_pid(rng), queue, client, address),
        "postfix/cleanup[%d]: %s: message-id=<%s@%s.example.net>" % (_pid(rng), queue, _token(rng, 20), client),
        "postfix/qmgr[1190]: %s: from=<%s@example.net>, size=%d, nrcpt=1 (queue active)" % (queue, sender, rng.randrange(400, 90000)),
        "postfix/smtp[%d]: %s: to=<%s@example.org>, relay=mx%d.example.org[%s]:25, delay=%.2f, dsn=2.0.0, "
        "status=sent (250 2.0.0 Ok: queued as %s)"
        % (_pid(rng), queue, receiver, rng.randrange(1, 4), _address(rng), rng.uniform(0.1, 4), _token(rng, 10)),
    ]


_EVENTS = [_nginx, _sshd_attack, _sshd_login, _cron, _systemd, _kernel, _postfix]
_WEIGHTS = [36, 14, 4, 10, 3, 16, 6]


def _pid(rng: random.Random) -> int:
    return rng.randrange(300, 65536)


def _port(rng: random.Random) -> int:
    return rng.randrange(1024, 65536)


def _address(rng: random.Random) -> str:
    """Few addresses come often, many come once, as in life."""
    if rng.random() < 0.7:
        return "203.0.113.%d" % min(254, 1 + int(rng.expovariate(0.04)))
    return "%d.%d.%d.%d" % (rng.randrange(11, 223), rng.randrange(256), rng.randrange(256), rng.randrange(1, 255))


def _token(rng: random.Random, length: int) -> str:
    return "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", k=length))


def _events(rng: random.Random, host: str, lines: int) -> t.List[t.List[str]]:
    """Events of ``lines`` lines in all, each line with the mark where its stamp goes."""
    events: t.List[t.List[str]] = []
    left = lines
    while left > 0:
        event = rng.choices(_EVENTS, _WEIGHTS)[0](rng)[:left]
        events.append(["%s %s %s\n" % (_STAMP, host, line) for line in event])
        left -= len(event)
    return events


def _stamp(moment: datetime.datetime) -> str:
    # Not strftime: %b follows the locale.
    return "%s %2d %02d:%02d:%02d" % (_MONTHS[moment.month - 1], moment.day, moment.hour, moment.minute, moment.second)


# -- what others call -------------------------------------------------------------------------------------------------------


def hour(start: datetime.datetime, lines: int, host: str = "web1", seed: int = 1) -> t.Tuple[bytes, datetime.datetime]:
    """The syslog of the hour that begins at ``start``, of ``lines`` lines, and the time of its last line."""
    rng = random.Random("%s %s %d" % (start.strftime("%Y%m%d%H"), host, seed))
    events = _events(rng, host, lines)
    moments = [start + datetime.timedelta(seconds=second) for second in sorted(rng.randrange(3600) for _event in events)]
    text = "".join("".join(event).replace(_STAMP, _stamp(moment)) for event, moment in zip(events, moments))
    return text.encode(), moments[-1] if moments else start


def write_hours(root: str, hours: int, end: datetime.datetime, lines: int = 2000, host: str = "web1", seed: int = 1) -> t.List[str]:
    """Write ``hours`` hourly files into ``root``, the last one for the hour of ``end`` (UTC); return their paths, oldest first."""
    os.makedirs(root, exist_ok=True)
    last = end.replace(minute=0, second=0, microsecond=0, tzinfo=datetime.timezone.utc)
    paths = []
    for back in reversed(range(hours)):
        start = last - datetime.timedelta(hours=back)
        content, moment = hour(start, lines, host, seed)
        path = os.path.join(root, start.strftime("syslog.%Y%m%d.%H"))
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, (moment.timestamp(), moment.timestamp()))
        paths.append(path)
    return paths


def write_single(path: str, size: int, start: t.Optional[datetime.datetime] = None, host: str = "web1", seed: int = 1) -> None:
    """Write one syslog of exactly ``size`` bytes that begins at ``start``; its last line may be cut, and ends with a newline.

    Each second takes events from all over one pool at a random step and stamps them at once, so no step runs once per line.
    """
    rng = random.Random("%s %d" % (host, seed))
    pool = ["".join(event).encode() for event in _events(rng, host, _POOL_LINES)]
    moment = start or datetime.datetime(2024, 1, 12)
    left = size
    with open(path, "wb", buffering=1 << 20) as file:
        while left > 0:
            step = rng.randrange(len(pool) // 40, len(pool) // 10)
            block = b"".join(pool[rng.randrange(step) :: step]).replace(_STAMP.encode(), _stamp(moment).encode())
            if len(block) >= left:
                block = block[: left - 1] + b"\n"
            file.write(block)
            left -= len(block)
            moment += datetime.timedelta(seconds=1)


def parse_size(text: str) -> int:
    """Bytes of a size such as ``4096``, ``64K``, ``512M`` or ``4G`` (powers of 1024)."""
    match = re.fullmatch(r"([0-9]+)([KMG]?)(?:i?B)?", text, re.ASCII)
    if not match:
        raise ValueError("%r is not a size such as 512M" % text)
    return int(match[1]) << {"": 0, "K": 10, "M": 20, "G": 30}[match[2]]


def main(argv: t.Optional[t.Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Make syslogs that look and compress like real ones, the same for the same seed.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--root", metavar="DIR", help="write hourly files into this folder")
    what.add_argument("--single", metavar="FILE", help="write one large file")
    parser.add_argument("--hours", type=int, default=26, help="number of hourly files (default 26)")
    parser.add_argument("--end", metavar="YYYY-MM-DDTHH", help="hour of the last file, UTC (default: the hour before this one)")
    parser.add_argument("--lines", type=int, default=2000, help="lines per hourly file (default 2000)")
    parser.add_argument("--size", type=parse_size, default="512M", help="size of the large file: 64K, 512M, 4G (default 512M)")
    parser.add_argument("--host", default="web1", help="host name in the lines (default web1)")
    parser.add_argument("--seed", type=int, default=1, help="another number makes other lines (default 1)")
    arguments = parser.parse_args(argv)
    if arguments.single:
        write_single(arguments.single, arguments.size, host=arguments.host, seed=arguments.seed)
        return 0
    if arguments.end is None:
        end = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1)
    else:
        try:
            end = datetime.datetime.strptime(arguments.end, "%Y-%m-%dT%H")
        except ValueError:
            parser.error("--end: %r is not of the form 2024-01-12T12" % arguments.end)
    write_hours(arguments.root, arguments.hours, end, arguments.lines, arguments.host, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
