# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SSH connection below an SFTP session, over paramiko: deadlines, the check of the host key, the login."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
import typing as t

from ..base import net
from ..base.errors import StoreDeniedError, StoreError, StoreUnavailableError
from ..base.watch import MIN_RATE
from .sftp_certificate import ALGORITHMS as CERTIFICATES
from .sftp_host_keys import KnownKeys, check_host_key, known_keys_for, no_known_type
from .sftp_login import HostKey, Login, require_paramiko

if t.TYPE_CHECKING:
    import paramiko

Result = t.TypeVar("Result")

_KEEPALIVE = 15  # seconds
_SHA1_TYPES = {"ssh-rsa", "ssh-dss", "ssh-rsa-cert-v01@openssh.com", "ssh-dss-cert-v01@openssh.com"}
_CHANNEL_WINDOW = 8 * 1024 * 1024
_OUTPUT_LIMIT = 65536
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class DeadlineSocket(socket.socket):
    """The socket under paramiko's transport, with a deadline.

    paramiko waits for ever in several places (a write that the peer does not read, the answer to a channel request). All of them end
    when the socket ends, so the time limit is kept here: ``start_deadline`` starts it, ``stop_deadline`` stops it, and bytes that move
    extend it, up to its length: each by as long as it takes at MIN_RATE. So a server that moves one byte a second is late, and keepalive
    packets to a server that hangs are no progress. expired: whether the deadline ended the connection.

    prompt: acknowledge at once what arrives. During a login both sides send several small packets in a row, and sshd leaves Nagle's
    algorithm on: each late acknowledgement would cost 40 ms.
    """

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(fileno=connected.detach())
        self.expired = False
        self.prompt = True
        self._seconds: t.Optional[float] = None
        self._end = 0.0

    def start_deadline(self, seconds: float, left: t.Optional[float] = None) -> None:
        self._end = time.monotonic() + (seconds if left is None else left)
        self._seconds = seconds

    def left(self) -> float:
        """Seconds until the deadline."""
        return max(0.0, self._end - time.monotonic())

    def stop_deadline(self) -> None:
        self._seconds = None

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        try:
            data = super().recv(size, flags)
        except socket.timeout:
            if self._is_late():
                return b""
            raise
        if self.prompt and _QUICKACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return b"" if self._is_late() else self._moved(data, len(data))

    def send(self, data: t.Any, flags: int = 0, /) -> int:
        try:
            sent = super().send(data, flags)
        except socket.timeout:
            if self._is_late():
                raise ConnectionAbortedError("no progress within the timeout") from None
            raise
        if self._is_late():
            raise ConnectionAbortedError("no progress within the timeout")
        return self._moved(sent, sent)

    def _moved(self, result: Result, count: int) -> Result:
        seconds = self._seconds
        if seconds is not None:
            self._end = min(time.monotonic() + seconds, self._end + count / MIN_RATE)
        return result

    def _is_late(self) -> bool:
        if self._seconds is None or time.monotonic() < self._end:
            return False
        self.expired = True
        return True


@functools.cache
def _transport_class() -> t.Callable[[socket.socket], paramiko.Transport]:
    import logging

    import paramiko

    # paramiko logs errors that it also raises; without a handler they would be printed to stderr with a traceback.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())

    class Transport(paramiko.Transport):
        """paramiko's transport, which keeps the server's reason for a disconnect, and the types of the server's host keys."""

        farewell = ""
        host_key_types: t.Sequence[str] = ()

        def _parse_kex_init(self, message: paramiko.Message) -> None:
            # RFC 4253, section 7.1: a cookie of 16 bytes, the key exchanges, the types of host keys.
            message.get_bytes(16)
            message.get_list()
            self.host_key_types = message.get_list()
            message.rewind()
            parent: t.Any = super()
            parent._parse_kex_init(message)

        def _parse_disconnect(self, message: paramiko.Message) -> None:
            message.get_int()
            self.farewell = message.get_text()
            message.rewind()
            parent: t.Any = super()
            parent._parse_disconnect(message)

    return Transport


class Connection:
    """An authenticated SSH connection. The host key is checked before anything that is ours is sent.

    Raises StoreUnavailableError if the server cannot be reached or does not answer, StoreDeniedError if the login or the host key is
    refused.
    """

    def __init__(self, login: Login) -> None:
        require_paramiko()
        self.login = login
        self.socket = self._connect()
        self.transport = _transport_class()(self.socket)
        try:
            self._exchange_keys()
            self._authenticate()
            self.transport.set_keepalive(_KEEPALIVE)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        # Without the shutdown the transport's thread notices only at its next poll, 0.1 s later.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.transport.close()

    @contextlib.contextmanager
    def deadline(self, seconds: float, left: t.Optional[float] = None) -> t.Iterator[None]:
        """Give the server this long to answer what the body asks; a lost connection becomes StoreUnavailableError.

        left: what an interrupted deadline of this length had left.
        """
        import paramiko

        self.socket.start_deadline(seconds, left)
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            if isinstance(error, paramiko.ChannelException) and self.transport.is_active():
                raise
            raise self.lost(error) from error
        finally:
            self.socket.stop_deadline()

    def lost(self, error: t.Optional[BaseException] = None) -> StoreUnavailableError:
        """The error for a connection that does not answer or was lost."""
        if self.socket.expired:
            reason = "no answer within the timeout"
        else:
            reason = "the connection was cut"
            detail = self._farewell() or (str(error) if error is not None else "")
            reason += " (%s)" % detail if detail else ""
        return StoreUnavailableError(reason, self.login.address, "Check the server and the network, or increase the option timeout")

    def open_sftp_channel(self) -> paramiko.Channel:
        """A channel to the server's SFTP subsystem."""
        import paramiko

        try:
            with self.deadline(self.login.timeout):
                channel = self.transport.open_session(window_size=_CHANNEL_WINDOW, timeout=self.login.timeout)
                try:
                    channel.invoke_subsystem("sftp")
                except paramiko.SSHException as error:
                    if self.transport.is_active():
                        raise StoreDeniedError(
                            "the server does not offer SFTP to this user", self.login.address, "Check 'Subsystem sftp' in its sshd_config"
                        ) from error
                    raise
        except paramiko.ChannelException as error:
            raise StoreDeniedError(
                "the server refuses the session: %s" % error, self.login.address, "Check the log of the server"
            ) from error
        return channel

    def run(self, command: str, seconds: float) -> t.Optional[str]:
        """The output of a command on the server; None if it has no shell, the command fails, or it prints nothing for this long."""
        import paramiko

        self.socket.prompt = True
        try:
            with self.deadline(self.login.timeout):
                channel = self.transport.open_session(timeout=self.login.timeout)
        except paramiko.ChannelException:
            return None
        # Not the connection's deadline: a server that accepts commands and never answers has no shell, and SFTP may still work.
        channel.settimeout(seconds)
        try:
            self.socket.start_deadline(self.login.timeout)
            channel.exec_command(command)
            # If 'internal-sftp' is forced in place of the command, it waits for input: the end of the input ends it.
            channel.shutdown_write()
            self.socket.stop_deadline()
            output = b""
            end = time.monotonic() + seconds
            while len(output) < _OUTPUT_LIMIT and time.monotonic() < end:
                piece = channel.recv(_OUTPUT_LIMIT)
                if not piece:
                    break
                output += piece
            if channel.recv_exit_status():
                return None
            return output.decode("utf-8", "replace")
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not self.transport.is_active():
                raise self.lost(error) from error
            return None
        finally:
            self.socket.stop_deadline()
            self.socket.prompt = False
            with contextlib.suppress(OSError, EOFError):
                channel.close()

    # -- making it ----------------------------------------------------------------------------------------------------

    def _connect(self) -> DeadlineSocket:
        try:
            connected = socket.create_connection((self.login.host, self.login.port), self.login.timeout)
        except OSError as error:
            cause = net.find_cause(error)
            reason = str(error) if cause is None else cause.message
            raise StoreUnavailableError("cannot connect: %s" % reason, self.login.address, "Check host, port and firewall") from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return DeadlineSocket(connected)

    def _exchange_keys(self) -> None:
        import paramiko

        login = self.login
        known = known_keys_for(login)
        self._choose_algorithms(known)
        self.transport.banner_timeout = self.transport.handshake_timeout = self.transport.auth_timeout = login.timeout
        done = threading.Event()
        with self.deadline(login.timeout):
            self.transport.start_client(event=done)
            # The socket's deadline ends this wait too.
            done.wait()
            error = self.transport.saved_exception
            offered = set(getattr(self.transport, "host_key_types", ()))
            if "no acceptable host key" in str(error) and offered and offered <= _SHA1_TYPES:
                raise StoreDeniedError(
                    "the server has only host keys that it signs with SHA-1 (%s), which is no longer secure" % ", ".join(sorted(offered)),
                    login.address,
                    "Update the server, or give it a host key of the type ed25519",
                ) from error
            if "no acceptable host key" in str(error):
                raise no_known_type(login, known) from error
            if isinstance(error, paramiko.SSHException) and "ncompatible" in str(error):
                raise StoreError(
                    "the server and paramiko have no algorithm in common: %s" % error, login.address, "Update the server or paramiko"
                ) from error
            if error is not None or not self.transport.is_active():
                raise EOFError(str(error or "")) from error
            key = self.transport.get_remote_server_key()
        certificate = None if key.public_blob is None else key.public_blob.key_blob
        check_host_key(login, HostKey(key.get_name(), key.asbytes()), known, certificate)

    def _choose_algorithms(self, known: KnownKeys) -> None:
        options = self.transport.get_security_options()
        # AES-GCM needs no separate MAC: about twice the throughput of paramiko's first choice.
        options.ciphers = sorted(options.ciphers, key=lambda name: "-gcm@" not in name)
        if not known.accepted:
            # Preferred, and no more: another key only means that the server is not known.
            preferred = {key.type for key in known.without_port}
            types = sorted(options.key_types, key=lambda name: not _is_of_type(name, preferred))
            options.key_types = [*(CERTIFICATES if known.authorities else ()), *types]
            return
        # Ask for the type of key that is known: a server has several, and another type would look like a changed key.
        accepted = {key.type for key in known.accepted}
        names = [name for name in options.key_types if _is_of_type(name, accepted)]
        if not names:
            raise StoreDeniedError(
                "paramiko cannot check a host key of the known type: %s" % ", ".join(sorted(accepted)),
                self.login.address,
                "Set host_key or known_hosts_file to another host key of the server (ssh-ed25519, ecdsa or rsa)",
            )
        options.key_types = [*names, *(CERTIFICATES if known.authorities else ())]

    def _authenticate(self) -> None:
        login = self.login
        private_key, password = login.private_key, login.password
        with self.deadline(login.timeout):
            further = ["password"]
            if private_key is not None:
                further = self._try_login("the private key", lambda: self.transport.auth_publickey(login.user, private_key))
            if further and password is not None:
                further = self._try_login("the password", lambda: self.transport.auth_password(login.user, password))
        if not self.transport.is_authenticated():
            raise StoreDeniedError(
                "the server requires further authentication: %s" % ", ".join(further), login.address, "Set password or private_key_file"
            )

    def _try_login(self, credential: str, attempt: t.Callable[[], t.List[str]]) -> t.List[str]:
        """Try one credential; return the methods that the server wants besides."""
        import paramiko

        try:
            return attempt()
        except paramiko.AuthenticationException as error:
            lost = self.socket.expired or not self.transport.is_active()
            # A server that gives a reason for its disconnect has counted a failure; one that only vanishes has not judged.
            if (lost and not self._farewell()) or "timeout" in str(error).lower():
                raise EOFError("during the login") from error
            allowed = getattr(error, "allowed_types", None)
            if credential == "the private key" and allowed is None and self.login.password is not None and not lost:
                return ["password"]
            reason = self._farewell() or ("it accepts %s" % ", ".join(allowed) if allowed else "")
            raise StoreDeniedError(
                "the server refuses %s of user '%s'%s" % (credential, self.login.user, " (%s)" % reason if reason else ""),
                self.login.address,
                "Check user, private_key_file and password, and the server's authorized_keys and log%s" % self._sha1_hint(credential),
            ) from error

    def _sha1_hint(self, credential: str) -> str:
        key = self.login.private_key
        if credential != "the private key" or key is None or key.get_name() != "ssh-rsa":
            return ""
        return ". A server that accepts RSA keys only with SHA-1 (ssh-rsa) refuses this key; use one of the type ed25519"

    def _farewell(self) -> str:
        return str(getattr(self.transport, "farewell", ""))


def _is_of_type(algorithm: str, types: t.Collection[str]) -> bool:
    """Whether a signature algorithm belongs to a key of one of these types."""
    return algorithm in types or (algorithm.startswith("rsa-sha2-") and "ssh-rsa" in types)
