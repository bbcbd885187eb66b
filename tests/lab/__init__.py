# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real servers and real hosts for tests and benchmarks: context managers that start, wait, and stop by pid.

Servers listen on 127.0.0.1; hosts live in their own network namespaces.

Put the folder ``tests`` on sys.path and ``import lab``. Nothing here needs pytest; nothing installs anything: what is missing raises
Unavailable, which says how to get it.
"""

from __future__ import annotations

from .delay_proxy import delay_proxy
from .filesystems import small_filesystem
from .fleet import Fleet, Host, fleet
from .moto import AwsServer, aws_server
from .openssh import SftpServer, openssh_server
from .processes import HOST, NotReady, Unavailable, free_port, overdue, patience, wait_until
from .proftpd import proftpd_server
from .proxy import TcpProxy, tcp_proxy
from .swift import S3Server, swift_s3

__all__ = [
    "HOST",
    "AwsServer",
    "Fleet",
    "Host",
    "NotReady",
    "S3Server",
    "SftpServer",
    "TcpProxy",
    "Unavailable",
    "aws_server",
    "delay_proxy",
    "fleet",
    "free_port",
    "openssh_server",
    "overdue",
    "patience",
    "proftpd_server",
    "small_filesystem",
    "swift_s3",
    "tcp_proxy",
    "wait_until",
]
