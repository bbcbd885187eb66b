# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real ProFTPD with mod_sftp on 127.0.0.1: an SFTP server that is not OpenSSH and that knows check-file."""

from __future__ import annotations

import contextlib
import glob
import grp
import os
import pwd
import secrets
import subprocess
import typing as t

from .openssh import SftpServer
from .processes import HOST, Daemon, Unavailable, answers, need_program

CONFIG = """\
ModulePath {modules}
LoadModule mod_sftp.c
ServerName lab
ServerType standalone
DefaultAddress {host}
Port {port}
SocketBindTight on
UseIPv6 off
UseReverseDNS off
User {user}
Group {group}
RootLogin on
RequireValidShell off
AuthOrder mod_auth_file.c
AuthUserFile {folder}/passwd
PidFile {folder}/proftpd.pid
ScoreboardFile {folder}/scoreboard
SystemLog {folder}/server.log
TransferLog none
WtmpLog off
DelayEngine off
MaxInstances 100
SFTPEngine on
SFTPLog {folder}/sftp.log
SFTPHostKey {folder}/host_key
SFTPAuthMethods publickey password
SFTPAuthorizedUserKeys file:{folder}/authorized_keys
DefaultChdir {root}
"""


def modules_folder() -> str:
    """Folder of ProFTPD's modules, with mod_sftp in it."""
    for path in glob.glob("/usr/lib/proftpd/mod_sftp.so") + glob.glob("/usr/lib/*/proftpd/mod_sftp.so"):
        return os.path.dirname(path)
    raise Unavailable("ProFTPD's mod_sftp is not installed: 'apt-get install proftpd-core proftpd-mod-crypto'")


@contextlib.contextmanager
def proftpd_server(
    folder: t.Union[str, os.PathLike[str]],
    root_folder: t.Union[None, str, os.PathLike[str]] = None,
    extra_config: str = "",
) -> t.Iterator[SftpServer]:
    """Run ProFTPD with mod_sftp until the context ends; one virtual user ``lab`` that logs in by key or password.

    folder: for its keys, configuration and log (the protocol's log is ``sftp.log``). root_folder: where sessions start, ``folder/root``
    by default. extra_config: further lines of proftpd.conf (``AllowOverwrite on``: the default refuses to replace a file).
    """
    proftpd = need_program("proftpd", "proftpd-core")
    modules = modules_folder()
    folder = os.path.abspath(os.fspath(folder))
    root = os.path.abspath(os.fspath(root_folder)) if root_folder else os.path.join(folder, "root")
    os.makedirs(root, exist_ok=True)
    server = SftpServer(folder, root, "lab", secrets.token_urlsafe(18))
    private = os.open(os.path.join(folder, "passwd"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(private, "w", encoding="utf-8") as stream:
        hashed = subprocess.run(
            [need_program("openssl", "openssl"), "passwd", "-6", "-stdin"],
            input=t.cast(str, server.password) + "\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        stream.write("%s:%s:%d:%d::%s:/bin/false\n" % (server.user, hashed, os.geteuid(), os.getegid(), root))
    with open(os.path.join(folder, "authorized_keys"), "w", encoding="ascii") as stream:
        # mod_sftp reads public keys in RFC 4716's format, not in OpenSSH's.
        public = server.private_key_file + ".pub"
        subprocess.run([need_program("ssh-keygen", "openssh-client"), "-e", "-f", public], stdout=stream, check=True)
    config_file = os.path.join(folder, "proftpd.conf")
    with open(config_file, "w", encoding="utf-8") as stream:
        stream.write(
            CONFIG.format(
                modules=modules,
                host=HOST,
                port=server.port,
                folder=folder,
                root=root,
                user=pwd.getpwuid(os.geteuid()).pw_name,
                group=grp.getgrgid(os.getegid()).gr_name,
            )
            + extra_config
            + "\n"
        )
    server.daemon = Daemon([proftpd, "-n", "-q", "-c", config_file], server.log_file, lambda: answers(server.port, b"SSH-2.0"))
    try:
        server.start()
        yield server
    finally:
        server.stop()
