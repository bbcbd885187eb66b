# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real OpenSSH server on 127.0.0.1 with its own keys and configuration."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import typing as t

from .processes import HOST, Daemon, Unavailable, answers, children_of, free_port, need_program, send

CONFIG = """\
ListenAddress {host}
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {access}/authorized_keys
StrictModes no
UsePAM no
UseDNS no
PermitRootLogin yes
PubkeyAuthentication yes
PasswordAuthentication {password}
KbdInteractiveAuthentication no
LoginGraceTime 20
MaxStartups 200
MaxSessions 200
LogLevel {level}
PrintMotd no
Subsystem sftp internal-sftp -d {root}
"""


def new_key(path: str, comment: str, kind: str = "ed25519") -> str:
    """Create a key pair without passphrase; return the public key as ``type base64``."""
    for name in (path, path + ".pub"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
    keygen = need_program("ssh-keygen", "openssh-client")
    subprocess.run([keygen, "-q", "-t", kind, "-N", "", "-C", comment, "-f", path], check=True)
    with open(path + ".pub", encoding="ascii") as stream:
        return " ".join(stream.read().split()[:2])


class SftpServer:
    """Where an SFTP server of the lab is and how to log in.

    host, port: its address; user: the login; private_key_file: accepted for that login; password: accepted too, None where only
    the key is; host_key: the server's public key as ``type base64``; known_hosts: the same as a line of known_hosts;
    known_hosts_file: a file with that line; root_folder: local path of the folder in which an SFTP session starts;
    log_file: the server's log.
    """

    def __init__(self, folder: str, root_folder: str, user: str, password: t.Optional[str]) -> None:
        self.folder = folder
        self.root_folder = root_folder
        self.host = HOST
        self.port = free_port()
        self.user = user
        self.password = password
        self.private_key_file = os.path.join(folder, "client_key")
        self.known_hosts_file = os.path.join(folder, "known_hosts")
        self.log_file = os.path.join(folder, "server.log")
        self.host_key = new_key(os.path.join(folder, "host_key"), "lab host")
        self.client_key = new_key(self.private_key_file, "lab client")
        with open(self.known_hosts_file, "w", encoding="ascii") as stream:
            stream.write(self.known_hosts + "\n")
        self.daemon: Daemon

    @property
    def known_hosts(self) -> str:
        """The line of a known_hosts file for this server's present key."""
        return "[%s]:%d %s" % (self.host, self.port, self.host_key)

    @property
    def pid(self) -> int:
        """Pid of the listening process."""
        return self.daemon.pid

    def start(self) -> None:
        """Start again after ``stop``, on the same port with the same keys."""
        self.daemon.start()

    def stop(self) -> None:
        """Stop listening and end all sessions; ``start`` brings it back."""
        self.daemon.stop()

    def pause(self) -> None:
        """Freeze the server and its sessions: connections stay open, nothing answers."""
        self.daemon.pause()

    def resume(self) -> None:
        """Undo ``pause``."""
        self.daemon.resume()

    def drop_sessions(self) -> int:
        """Kill all sessions and keep listening; return how many processes were killed."""
        pids = children_of(self.pid)
        send(reversed(pids), signal.SIGKILL)
        return len(pids)

    def sessions(self) -> int:
        """Number of session processes that are alive."""
        return len(children_of(self.pid))

    def change_host_key(self) -> None:
        """Give the server another host key on the same port. ``known_hosts_file`` keeps the old one, ``host_key`` is the new one."""
        self.stop()
        self.host_key = new_key(os.path.join(self.folder, "host_key"), "lab host, changed")
        self.start()

    def log(self) -> str:
        """The server's log so far."""
        with open(self.log_file, encoding="utf-8", errors="replace") as stream:
            return stream.read()


@contextlib.contextmanager
def temporary_user(home: str) -> t.Iterator[t.Tuple[str, str]]:
    """A Unix user without any right, removed afterwards; yields its name and its random password. Needs root."""
    if os.geteuid() != 0:
        raise Unavailable("a password login needs a temporary user, and only root can create one")
    useradd = need_program("useradd", "passwd")
    userdel = need_program("userdel", "passwd")
    chpasswd = need_program("chpasswd", "passwd")
    name = "lab%s" % secrets.token_hex(5)
    password = secrets.token_urlsafe(18)
    # -N -g nogroup: no group that would have to be removed too. -l: no entry in lastlog, which grows with the uid.
    subprocess.run([useradd, "-M", "-N", "-l", "-g", "nogroup", "-d", home, "-s", "/bin/sh", name], check=True, capture_output=True)
    try:
        subprocess.run([chpasswd], input="%s:%s\n" % (name, password), text=True, check=True, capture_output=True)
        yield name, password
    finally:
        subprocess.run([userdel, "-f", name], check=True, capture_output=True)


@contextlib.contextmanager
def openssh_server(
    folder: t.Union[str, os.PathLike[str]],
    root_folder: t.Union[None, str, os.PathLike[str]] = None,
    password: bool = False,
    internal_sftp_only: bool = False,
    debug: bool = False,
    extra_config: str = "",
) -> t.Iterator[SftpServer]:
    """Run sshd until the context ends.

    folder: for its keys, configuration and log; created where it is missing. root_folder: where SFTP sessions start, ``folder/root`` by
    default. password: create a Unix user without rights that logs in by password or key (root only); its root_folder, where
    none is given, is a temporary folder that this user can reach, removed afterwards. Without it the login is the present user by key.
    internal_sftp_only: no shell and no command, as on a server that offers SFTP alone. debug: log what every session does.
    extra_config: further lines of sshd_config.
    """
    sshd = need_program("sshd", "openssh-server")
    folder = os.path.abspath(os.fspath(folder))
    os.makedirs(folder, exist_ok=True)
    with contextlib.ExitStack() as stack:
        access = folder
        if password:
            # A test's own folder is often closed to other users; this one is open.
            access = tempfile.mkdtemp(prefix="log-archive-lab-")
            stack.callback(shutil.rmtree, access, ignore_errors=True)
            os.chmod(access, 0o755)
        root = os.path.abspath(os.fspath(root_folder)) if root_folder else os.path.join(access, "root")
        os.makedirs(root, exist_ok=True)
        if password:
            user, secret = stack.enter_context(temporary_user(root))
            shutil.chown(root, user)
            server = SftpServer(folder, root, user, secret)
        else:
            server = SftpServer(folder, root, getpass.getuser(), None)
        with open(os.path.join(access, "authorized_keys"), "w", encoding="ascii") as stream:
            stream.write(server.client_key + "\n")
        if os.geteuid() == 0:
            # sshd, when started by root, wants its privilege separation folder; the package's start script makes it.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        config_file = os.path.join(folder, "sshd_config")
        with open(config_file, "w", encoding="utf-8") as stream:
            stream.write(
                CONFIG.format(
                    host=HOST,
                    port=server.port,
                    folder=folder,
                    access=access,
                    root=root,
                    password="yes" if password else "no",
                    level="DEBUG1" if debug else "INFO",
                )
            )
            if internal_sftp_only:
                stream.write("AllowTcpForwarding no\nForceCommand internal-sftp -d %s\n" % root)
            stream.write(extra_config + "\n")
        server.daemon = Daemon([sshd, "-D", "-e", "-f", config_file], server.log_file, lambda: answers(server.port, b"SSH-2.0"))
        stack.callback(server.stop)
        server.start()
        yield server
