# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""One SFTP session: SFTP version 3 spoken over paramiko's SSH transport.

paramiko's own SFTP client is not used because it drops what an archive needs to know: the server's extensions, its limits, the code of
an error, and the answer to CLOSE (which carries ENOSPC). Sources of the formats: draft-ietf-secsh-filexfer-02 (SFTP 3), OpenSSH's
PROTOCOL (``*@openssh.com``), draft-ietf-secsh-filexfer-extensions-00 (check-file), sshd(8) (known_hosts).
"""

from __future__ import annotations

import base64
import binascii
import collections
import contextlib
import functools
import hashlib
import os
import re
import socket
import stat
import struct
import threading
import time
import typing as t

from ..base.errors import ConfigError, IntegrityError, MissingLibraryError, SourceError, StoreDeniedError, StoreError, StoreUnavailableError

INIT, VERSION = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT = 3, 4, 5, 6, 7, 8
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 15, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE, NO_CONNECTION, CONNECTION_LOST, OP_UNSUPPORTED = range(9)
NO_SPACE, QUOTA_EXCEEDED = 14, 15  # of SFTP 5 and later; some servers send them to everybody

FLAG_READ, FLAG_WRITE, FLAG_CREATE, FLAG_EXCLUSIVE = 0x01, 0x02, 0x08, 0x20

WINDOW = 4 * 1024 * 1024
"""Bytes of one file that are asked for or sent and not yet answered."""

_PIECE_UNKNOWN = 32 * 1024  # what every server must take (draft-02, section 3)
_PIECE_MOST = 255 * 1024  # OpenSSH's own limit, less than its packets of 256 KiB
_PACKET_MOST = 1024 * 1024
_RECEIVE = 4 * 1024 * 1024
_CHANNEL_WINDOW = 8 * 1024 * 1024
_HASH_SPEED = 20e6  # bytes per second; the slowest server that is waited for while it hashes or syncs a file
_KEEPALIVE = 15
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)  # Linux


class Status(Exception):
    """The server answered a request with something else than OK; ``code`` is of SFTP 3, ``text`` the server's own words."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__("%s (status %d)" % (text or "no reason given", code))
        self.code = code
        self.text = text


class Attributes(t.NamedTuple):
    """What the server tells of a file: size in bytes, mode as in stat(2), mtime in seconds; None for what it did not tell."""

    size: t.Optional[int]
    mode: t.Optional[int]
    mtime: t.Optional[int]

    def is_folder(self) -> bool:
        return self.mode is not None and stat.S_ISDIR(self.mode)

    def is_file(self) -> bool:
        return self.mode is not None and stat.S_ISREG(self.mode)


class Login(t.NamedTuple):
    """Where to connect and how; see SftpStore for the fields. ``private_key`` is a paramiko.PKey or None."""

    host: str
    port: int
    user: str
    private_key: t.Any
    password: t.Optional[str]
    host_key: t.Optional[t.Tuple[str, bytes]]
    known_hosts_files: t.Tuple[str, ...]
    accept_new_host_key: bool
    timeout: float

    @property
    def address(self) -> str:
        return "%s:%d" % ("[%s]" % self.host if ":" in self.host else self.host, self.port)

    def __repr__(self) -> str:
        return "Login(%s@%s)" % (self.user, self.address)


# -- keys -------------------------------------------------------------------------------------------------------------


def load_paramiko() -> t.Any:
    """The module paramiko; MissingLibraryError where it is not installed."""
    try:
        import paramiko
    except ImportError as error:
        raise MissingLibraryError("paramiko", "SFTP stores") from error
    return paramiko


def load_private_key(path: str, passphrase: t.Optional[str]) -> t.Any:
    """The private key in a file (OpenSSH's or PEM format) as a paramiko.PKey; ConfigError where it cannot be used."""
    paramiko = load_paramiko()
    path = os.path.expanduser(path)
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            stream.read(1)
    except OSError as error:
        raise ConfigError("the private key cannot be read: %s" % error.strerror, path, "Look at private_key_file") from error
    reasons = []
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path, passphrase)
        except paramiko.PasswordRequiredException as error:
            raise ConfigError("the private key is encrypted", path, "Set private_key_passphrase") from error
        except (paramiko.SSHException, ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
            reasons.append("%s: %s" % (kind.__name__, error))
    raise ConfigError(
        "not a private key that paramiko can use, or the passphrase is wrong",
        path,
        "Look at private_key_file and private_key_passphrase",
        reasons,
    )


def parse_host_key(text: str) -> t.Tuple[str, bytes]:
    """(type, key) from ``ssh-ed25519 AAAA... [comment]``, or from a line of ssh-keyscan with the host in front; else ConfigError."""
    fields = text.split()
    for kind, encoded in zip(fields[:2], fields[1:3]):
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        if blob.startswith(_text(kind)):
            return kind, blob
    raise ConfigError(
        "not a host key: %r" % text[:80],
        "host_key",
        "Give one line as in /etc/ssh/ssh_host_ed25519_key.pub: 'ssh-ed25519 AAAA...'",
    )


def fingerprint(blob: bytes) -> str:
    """``SHA256:...`` of a public key, as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def known_host_keys(lines: t.Iterable[str], host: str, port: int) -> t.Tuple[t.List[t.Tuple[str, bytes]], t.List[bytes]]:
    """The keys that known_hosts has for a server: ((type, key) of each accepted one, each revoked key).

    Names may be hashed, patterns (``*``, ``?``) and negated (``!``). Lines of certificate authorities and lines that are not
    understood are left out: they accept nothing.
    """
    name = (host if port == 22 else "[%s]:%d" % (host, port)).lower()
    accepted = []
    revoked = []
    for line in lines:
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked") or not _names_host(fields[0], name):
            continue
        try:
            kind, blob = parse_host_key(" ".join(fields[1:3]))
        except ConfigError:
            continue
        if marker:
            revoked.append(blob)
        else:
            accepted.append((kind, blob))
    return accepted, revoked


def _names_host(names: str, host: str) -> bool:
    if names.startswith("|1|"):
        import hmac

        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in names.split("|")[2:4])
        except (binascii.Error, ValueError):
            return False
        return hmac.compare_digest(hmac.new(salt, host.encode(), "sha1").digest(), digest)
    found = False
    for name in names.lower().split(","):
        pattern = re.escape(name.lstrip("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if re.fullmatch(pattern, host):
            if name.startswith("!"):
                return False
            found = True
    return found


def _known_keys_of(login: Login) -> t.Tuple[t.List[t.Tuple[str, bytes]], t.List[bytes]]:
    if login.host_key is not None:
        return [login.host_key], []
    accepted: t.List[t.Tuple[str, bytes]] = []
    revoked: t.List[bytes] = []
    for path in login.known_hosts_files:
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                found = known_host_keys(stream, login.host, login.port)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError("the known hosts cannot be read: %s" % error.strerror, path, "Look at known_hosts_file") from error
        accepted += found[0]
        revoked += found[1]
    return accepted, revoked


def _check_host_key(login: Login, offered: t.Tuple[str, bytes], known: t.List[t.Tuple[str, bytes]], revoked: t.List[bytes]) -> None:
    kind, blob = offered
    scan = "ssh-keyscan -p %d -t %s %s" % (login.port, kind.replace("ssh-", "").partition("-")[0], login.host)
    if blob in revoked:
        raise StoreDeniedError("the server's host key %s %s is marked as revoked" % (kind, fingerprint(blob)), login.address)
    if offered in known:
        return
    if known:
        raise StoreDeniedError(
            "the server's host key is not the known one: expected %s, offered %s %s; nothing was sent"
            % (" or ".join("%s %s" % (have, fingerprint(key)) for have, key in known), kind, fingerprint(blob)),
            login.address,
            "If the server's key was really changed, compare the fingerprint with its administrator, then put the line of '%s' into "
            "known_hosts or into the option host_key" % scan,
        )
    if not login.accept_new_host_key:
        raise StoreDeniedError(
            "the server's host key is not known: expected one from %s, offered %s %s; nothing was sent"
            % (" or ".join(login.known_hosts_files), kind, fingerprint(blob)),
            login.address,
            "Compare the fingerprint with the server's administrator, then add the line of '%s' to known_hosts, or give it as the option "
            "host_key" % scan,
        )
    _remember_host_key(login, offered)


def _remember_host_key(login: Login, key: t.Tuple[str, bytes]) -> None:
    path = login.known_hosts_files[0]
    name = login.host if login.port == 22 else "[%s]:%d" % (login.host, login.port)
    # Not hashed: hashing would hide from nobody what the job document beside it says, and would hide it from a reviewer.
    line = "%s %s %s\n" % (name, key[0], base64.b64encode(key[1]).decode("ascii"))
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        with open(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "r+b", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    line = "\n" + line
            stream.write(line.encode("ascii"))
    except OSError as error:
        raise ConfigError("the new host key cannot be noted: %s" % error.strerror, path, "Look at known_hosts_file") from error


# -- the connection below ---------------------------------------------------------------------------------------------


class _Socket(socket.socket):
    """The socket under paramiko's transport, with a deadline.

    paramiko waits for ever in several places (a write that the peer does not read, the answer to a channel request). All of them end
    when the socket ends, so the time limit is kept here: ``wait`` starts it, ``rest`` stops it, and bytes that leave count as progress.

    prompt: acknowledge at once what arrives. During a login both sides send several small packets in a row, and sshd leaves Nagle's
    algorithm on: each late acknowledgement would cost 40 ms.
    """

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(fileno=connected.detach())
        self.expired = False
        self.prompt = True
        self._seconds: t.Optional[float] = None
        self._progress = 0.0

    def wait(self, seconds: float) -> None:
        self._progress = time.monotonic()
        self._seconds = seconds

    def rest(self) -> None:
        self._seconds = None

    def recv(self, size: int, flags: int = 0) -> bytes:
        try:
            data = super().recv(size, flags)
        except socket.timeout:
            if self._is_late():
                return b""
            raise
        if self.prompt and _QUICKACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        return data

    def send(self, data: bytes, flags: int = 0) -> int:  # type: ignore[override]
        try:
            sent = super().send(data, flags)
        except socket.timeout:
            if self._is_late():
                raise ConnectionAbortedError("no progress within the timeout") from None
            raise
        self._progress = time.monotonic()
        return sent

    def _is_late(self) -> bool:
        seconds = self._seconds
        if seconds is None or time.monotonic() - self._progress < seconds:
            return False
        self.expired = True
        return True


@functools.cache
def _transport_class() -> t.Any:
    import logging

    paramiko = load_paramiko()
    # paramiko logs errors that it also raises; without a handler they would be printed to stderr with a traceback.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())

    class Transport(paramiko.Transport):  # type: ignore[misc]
        """paramiko's transport, which keeps the server's reason for a disconnect."""

        farewell = ""

        def _parse_disconnect(self, message: t.Any) -> None:
            message.get_int()
            self.farewell = message.get_text()
            message.rewind()
            super()._parse_disconnect(message)

    return Transport


class _Connection:
    """An authenticated SSH connection. The host key is checked before anything that is ours is sent."""

    def __init__(self, login: Login) -> None:
        load_paramiko()
        self.login = login
        self.socket = self._reach()
        self.transport = _transport_class()(self.socket)
        try:
            self._exchange_keys()
            self._authenticate()
            self.transport.set_keepalive(_KEEPALIVE)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        # Without the shutdown the transport's thread notices only at its next poll, 0.1 s later.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.transport.close()

    @contextlib.contextmanager
    def answering(self, seconds: float) -> t.Iterator[None]:
        """Give the server this long to answer what the body asks; a lost connection becomes StoreUnavailableError."""
        paramiko = load_paramiko()
        self.socket.wait(seconds)
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            if isinstance(error, paramiko.ChannelException) and self.transport.is_active():
                raise
            raise self.lost(error) from error
        finally:
            self.socket.rest()

    def lost(self, error: t.Optional[BaseException] = None) -> StoreUnavailableError:
        """The error for a connection that does not answer or is gone."""
        if self.socket.expired:
            reason = "no answer within the timeout"
        else:
            reason = "the connection was cut"
            detail = self.transport.farewell or (str(error) if error is not None else "")
            reason += " (%s)" % detail if detail else ""
        return StoreUnavailableError(reason, self.login.address, "Look at the server and the network; see also the option timeout")

    def _reach(self) -> _Socket:
        try:
            connected = socket.create_connection((self.login.host, self.login.port), self.login.timeout)
        except OSError as error:
            raise StoreUnavailableError("cannot connect: %s" % error, self.login.address, "Look at host, port and firewall") from error
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Socket(connected)

    def _exchange_keys(self) -> None:
        paramiko = load_paramiko()
        login = self.login
        known, revoked = _known_keys_of(login)
        options = self.transport.get_security_options()
        # AES-GCM needs no separate MAC: about twice the throughput of paramiko's first choice.
        options.ciphers = sorted(options.ciphers, key=lambda name: "-gcm@" not in name)
        if known:
            # Ask for the kind of key that is known: a server has several, and another kind would look like a changed key.
            kinds = {kind for kind, _blob in known}
            names = [name for name in options.key_types if name in kinds or (name.startswith("rsa-sha2-") and "ssh-rsa" in kinds)]
            if not names:
                raise StoreDeniedError(
                    "the known host key is of a kind that paramiko cannot check: %s" % ", ".join(sorted(kinds)),
                    login.address,
                    "Pin another of the server's host keys (ssh-ed25519, ecdsa or rsa)",
                )
            options.key_types = names
        self.transport.banner_timeout = self.transport.handshake_timeout = self.transport.auth_timeout = login.timeout
        done = threading.Event()
        with self.answering(login.timeout):
            self.transport.start_client(event=done)
            # The socket's deadline ends this wait too.
            done.wait()
            error = self.transport.saved_exception
            if "no acceptable host key" in str(error):
                raise StoreDeniedError(
                    "the server has no host key of the known kind: expected %s; nothing was sent"
                    % " or ".join("%s %s" % (kind, fingerprint(blob)) for kind, blob in known),
                    login.address,
                    "If the server's keys were really changed, compare them with its administrator, then put a line of "
                    "'ssh-keyscan -p %d %s' into known_hosts or into the option host_key" % (login.port, login.host),
                ) from error
            if isinstance(error, paramiko.SSHException) and "ncompatible" in str(error):
                raise StoreError("no common way to encrypt: %s" % error, login.address, "Update the server or paramiko") from error
            if error is not None or not self.transport.is_active():
                raise EOFError(str(error or "")) from error
            key = self.transport.get_remote_server_key()
        _check_host_key(login, (key.get_name(), key.asbytes()), known, revoked)

    def _authenticate(self) -> None:
        login = self.login
        with self.answering(login.timeout):
            if login.private_key is not None:
                further = self._log_in("the private key", lambda: self.transport.auth_publickey(login.user, login.private_key))
            else:
                further = ["password"]
            if further and login.password is not None:
                further = self._log_in("the password", lambda: self.transport.auth_password(login.user, login.password))
        if not self.transport.is_authenticated():
            raise StoreDeniedError(
                "the server wants more to log in: %s" % ", ".join(further), login.address, "Set password or private_key_file"
            )

    def _log_in(self, what: str, attempt: t.Callable[[], t.List[str]]) -> t.List[str]:
        paramiko = load_paramiko()
        try:
            return attempt()
        except paramiko.AuthenticationException as error:
            lost = self.socket.expired or not self.transport.is_active()
            # A server that says goodbye here has counted a failure; one that only vanishes has not judged.
            if (lost and not self.transport.farewell) or "timeout" in str(error).lower():
                raise EOFError("during the login") from error
            allowed = getattr(error, "allowed_types", None)
            if what == "the private key" and allowed is None and self.login.password is not None and not lost:
                return ["password"]
            reason = self.transport.farewell or ("it accepts %s" % ", ".join(allowed) if allowed else "")
            raise StoreDeniedError(
                "the server refuses %s of user '%s'%s" % (what, self.login.user, " (%s)" % reason if reason else ""),
                self.login.address,
                "Look at user, private_key_file and password, and at the server's authorized_keys and log",
            ) from error


# -- the session ------------------------------------------------------------------------------------------------------


class Session:
    """An SFTP session on an SSH connection of its own. Paths are those of the server.

    Requests raise Status where the server refuses, StoreUnavailableError where it does not answer (within the login's timeout),
    StoreDeniedError where the login or the host key is refused. Not for use by several threads.

    extensions: name -> data, as the server announced them; max_read, max_write: bytes per request.
    """

    def __init__(self, login: Login) -> None:
        self.login = login
        self._connection = _Connection(login)
        self._socket = self._connection.socket
        self._buffer = bytearray()
        self._number = 0
        self._unanswered = 0
        self.max_read = self.max_write = _PIECE_UNKNOWN
        try:
            self._channel = self._open_channel()
            self.extensions = self._greet()
            if "limits@openssh.com" in self.extensions:
                self._ask_limits()
            self._socket.prompt = False
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def is_usable(self) -> bool:
        """Whether the connection is up and nothing unanswered is left on it."""
        return not self._unanswered and self._connection.transport.is_active() and not self._channel.closed

    # -- names --------------------------------------------------------------------------------------------------------

    def lstat(self, path: str) -> Attributes:
        """Attributes of the path itself, a symlink not followed."""
        return self._attributes(LSTAT, _text(path))

    def fstat(self, handle: bytes) -> Attributes:
        """Attributes of an open file."""
        return self._attributes(FSTAT, _bytes(handle))

    def stat(self, path: str) -> Attributes:
        """Attributes of what the path leads to."""
        return self._attributes(STAT, _text(path))

    def realpath(self, path: str) -> str:
        """The path, absolute."""
        reader = self._request(REALPATH, _text(path), NAME)
        reader.u32()
        return reader.text()

    def scan(self, path: str) -> t.List[t.Tuple[str, Attributes]]:
        """Names in a folder, without '.' and '..', with their attributes (symlinks not followed)."""
        handle = self._request(OPENDIR, _text(path), HANDLE).handle()
        entries = []
        while True:
            try:
                reader = self._request(READDIR, _bytes(handle), NAME)
            except Status as status:
                if status.code != EOF:
                    raise
                break
            for _index in range(reader.u32()):
                name = reader.text()
                reader.string()
                attributes = reader.attributes()
                if name not in (".", ".."):
                    entries.append((name, attributes))
        self.close_file(handle)
        return entries

    def make_folder(self, path: str, mode: int) -> None:
        """mkdir(2)."""
        self._request(MKDIR, _text(path) + struct.pack(">II", 4, mode))

    def remove(self, path: str) -> None:
        """unlink(2)."""
        self._request(REMOVE, _text(path))

    def remove_folder(self, path: str) -> None:
        """rmdir(2)."""
        self._request(RMDIR, _text(path))

    def rename(self, old: str, new: str) -> None:
        """SFTP's own rename, which must not replace what stands at ``new``."""
        self._request(RENAME, _text(old) + _text(new))

    def replace(self, old: str, new: str) -> None:
        """rename(2), which replaces (posix-rename@openssh.com)."""
        self._request(EXTENDED, _text("posix-rename@openssh.com") + _text(old) + _text(new))

    def free_bytes(self, path: str) -> t.Optional[int]:
        """Bytes free to us on the file system of ``path`` (statvfs@openssh.com); None where the server cannot tell."""
        if "statvfs@openssh.com" not in self.extensions:
            return None
        reader = self._request(EXTENDED, _text("statvfs@openssh.com") + _text(path), EXTENDED_REPLY)
        _block, fragment, _blocks, _free, available = (reader.u64() for _index in range(5))
        return fragment * available

    # -- files --------------------------------------------------------------------------------------------------------

    def open_file(self, path: str, flags: int, mode: t.Optional[int] = None) -> bytes:
        """Open with FLAG_* and, where it is created, ``mode``; return the handle."""
        attributes = struct.pack(">I", 0) if mode is None else struct.pack(">II", 4, mode)
        return self._request(OPEN, _text(path) + struct.pack(">I", flags) + attributes, HANDLE).handle()

    def close_file(self, handle: bytes, size: int = 0) -> None:
        """Close; Status where the server could not keep what was written. ``size``: what was, for the time that it may take."""
        self._request(CLOSE, _bytes(handle), seconds=self._patience(size))

    def sync_file(self, handle: bytes, size: int) -> None:
        """fsync(2) where the server offers it; ``size`` is the file's, for the time that it may take."""
        if "fsync@openssh.com" in self.extensions:
            self._request(EXTENDED, _text("fsync@openssh.com") + _bytes(handle), seconds=self._patience(size))

    def write_file(self, handle: bytes, source: t.BinaryIO, offset: int, size: int, progress: t.Callable[[int], None]) -> None:
        """Send ``source`` (unbuffered, at ``offset``) up to ``size`` to the same offsets of the file, WINDOW bytes ahead of the answers.

        progress: called with the bytes of each write that the server confirmed. After a refused write nothing more is sent, and
        Status is raised once all answers are in: the session can still be used.
        """
        waiting: t.Dict[int, int] = {}
        refused: t.List[Status] = []
        in_flight = 0
        common = struct.pack(">B", WRITE)
        named = _bytes(handle)

        def settle() -> int:
            number, kind, reader = self._answer()
            count = waiting.pop(number, 0)
            try:
                _expect(kind, reader, STATUS)
                progress(count)
            except Status as status:
                refused.append(status)
            return count

        with self._connection.answering(self.login.timeout):
            while offset < size and not refused:
                data = _read_local(source, min(self.max_write, size - offset))
                number = self._next_number()
                head = common + struct.pack(">I", number) + named + struct.pack(">QI", offset, len(data))
                self._send_bulk(struct.pack(">I", len(head) + len(data)) + head, data)
                waiting[number] = len(data)
                offset += len(data)
                in_flight += len(data)
                while in_flight > WINDOW:
                    in_flight -= settle()
            while waiting:
                settle()
        if refused:
            raise refused[0]

    def read_file(self, handle: bytes, size: int) -> t.Iterator[memoryview]:
        """The first ``size`` bytes of the file, in order, WINDOW bytes asked ahead. IntegrityError where it ends before.

        The session cannot be used for anything else until the iterator is exhausted; where it is left earlier, is_usable() is false.
        """
        order: t.Deque[int] = collections.deque()
        asked: t.Dict[int, t.Tuple[int, int]] = {}
        arrived: t.Dict[int, memoryview] = {}
        position = 0

        def ask(offset: int, count: int) -> int:
            number = self._next_number()
            self._send_packet(struct.pack(">BI", READ, number) + _bytes(handle) + struct.pack(">QI", offset, count))
            asked[number] = (offset, count)
            return number

        while position < size or order:
            with self._connection.answering(self.login.timeout):
                while position < size and len(order) * self.max_read < WINDOW:
                    count = min(self.max_read, size - position)
                    order.append(ask(position, count))
                    position += count
                number, kind, reader = self._answer()
                try:
                    _expect(kind, reader, DATA)
                except Status as status:
                    if status.code != EOF:
                        raise
                    raise IntegrityError("the file ended before its size") from status
                data = reader.string()
                offset, count = asked.pop(number)
                arrived[number] = data
                if not data:
                    raise StoreUnavailableError("the server answered a read with nothing", self.login.address)
                if len(data) < count:
                    again = ask(offset + len(data), count - len(data))
                    order.insert(order.index(number) + 1, again)
            while order and order[0] in arrived:
                yield arrived.pop(order.popleft())

    # -- digests ------------------------------------------------------------------------------------------------------

    def check_file(self, path: str, size: int) -> t.Optional[t.Tuple[str, str]]:
        """(algorithm, hex digest) of a file as the server computes it by check-file-name; None where the server does not do it.

        Asked without a look at the extensions: ProFTPD does it and does not announce it.
        """
        request = _text("check-file-name") + _text(path) + _text("sha256,md5") + struct.pack(">QQI", 0, 0, 0)
        try:
            reader = self._request(EXTENDED, request, EXTENDED_REPLY, self._patience(size))
        except Status as status:
            if status.code == NO_SUCH_FILE:
                raise
            return None
        algorithm = reader.text()
        # ProFTPD repeats the name of the extension before the algorithm, as the draft's text does and its example does not.
        if algorithm.startswith("check-file"):
            algorithm = reader.text()
        return algorithm.lower(), bytes(reader.rest()).hex()

    def run(self, command: str, size: int) -> t.Optional[str]:
        """What a command prints on the server; None where there is no shell or the command fails. ``size``: bytes that it will read."""
        paramiko = load_paramiko()
        transport = self._connection.transport
        self._socket.prompt = True
        try:
            with self._connection.answering(self.login.timeout):
                channel = transport.open_session(timeout=self.login.timeout)
        except paramiko.ChannelException:
            return None
        # Not the connection's deadline: something that accepts commands and never answers has no shell, and SFTP may still work.
        channel.settimeout(self._patience(size))
        try:
            self._socket.wait(self.login.timeout)
            channel.exec_command(command)
            # Where 'internal-sftp' is forced in place of the command, it waits for input: the end of it ends it.
            channel.shutdown_write()
            self._socket.rest()
            output = b""
            while len(output) < 65536:
                piece = channel.recv(65536)
                if not piece:
                    break
                output += piece
            if channel.recv_exit_status():
                return None
            return output.decode("utf-8", "replace")
        except (OSError, EOFError, paramiko.SSHException) as error:
            if not transport.is_active():
                raise self._connection.lost(error) from error
            return None
        finally:
            self._socket.rest()
            self._socket.prompt = False
            with contextlib.suppress(OSError, EOFError):
                channel.close()

    # -- packets ------------------------------------------------------------------------------------------------------

    def _open_channel(self) -> t.Any:
        paramiko = load_paramiko()
        try:
            with self._connection.answering(self.login.timeout):
                channel = self._connection.transport.open_session(window_size=_CHANNEL_WINDOW, timeout=self.login.timeout)
                try:
                    channel.invoke_subsystem("sftp")
                except paramiko.SSHException as error:
                    if self._connection.transport.is_active():
                        raise StoreDeniedError(
                            "the server offers no SFTP to this user", self.login.address, "Look for 'Subsystem sftp' in its sshd_config"
                        ) from error
                    raise
        except paramiko.ChannelException as error:
            raise StoreDeniedError("the server opens no session: %s" % error, self.login.address, "Look at the server's log") from error
        return channel

    def _greet(self) -> t.Dict[str, bytes]:
        with self._connection.answering(self.login.timeout):
            self._send(struct.pack(">IBI", 5, INIT, 3))
            packet = self._packet()
        if packet[0] != VERSION:
            raise self._nonsense()
        reader = _Reader(packet, 5)
        extensions = {}
        while reader.left():
            name = reader.text()
            extensions[name] = bytes(reader.string())
        return extensions

    def _ask_limits(self) -> None:
        try:
            reader = self._request(EXTENDED, _text("limits@openssh.com"), EXTENDED_REPLY)
        except Status:
            return  # announced and yet refused: what every server must take will do
        _packet, most_read, most_write = (reader.u64() for _index in range(3))
        # 0 means that the server knows no limit.
        self.max_read = min(most_read or _PIECE_UNKNOWN, _PIECE_MOST)
        self.max_write = min(most_write or _PIECE_UNKNOWN, _PIECE_MOST)

    def _attributes(self, kind: int, body: bytes) -> Attributes:
        return self._request(kind, body, ATTRS).attributes()

    def _request(self, kind: int, body: bytes, wanted: int = STATUS, seconds: t.Optional[float] = None) -> _Reader:
        number = self._next_number()
        with self._connection.answering(seconds or self.login.timeout):
            self._send_packet(struct.pack(">BI", kind, number) + body)
            answered, got, reader = self._answer()
        if answered != number:
            raise self._nonsense()
        _expect(got, reader, wanted)
        return reader

    def _patience(self, size: int) -> float:
        return self.login.timeout + size / _HASH_SPEED

    def _next_number(self) -> int:
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._unanswered += 1
        return self._number

    def _send_packet(self, packet: bytes) -> None:
        self._send(struct.pack(">I", len(packet)) + packet)

    def _send_bulk(self, head: bytes, data: bytes) -> None:
        """Send head and data cut at the size of SSH packets, so that nothing is copied twice."""
        most = self._channel.out_max_packet_size - 64
        first = most - len(head)
        self._send(head + data[:first])
        for start in range(first, len(data), most):
            self._send(data[start : start + most])

    def _send(self, data: bytes) -> None:
        while data:
            sent = self._channel.send(data)
            if not sent:
                raise self._connection.lost()
            data = data[sent:]

    def _answer(self) -> t.Tuple[int, int, _Reader]:
        packet = self._packet()
        self._unanswered -= 1
        self._socket.wait(self.login.timeout)
        reader = _Reader(packet, 1)
        return reader.u32(), packet[0], reader

    def _packet(self) -> memoryview:
        (size,) = struct.unpack(">I", self._take(4))
        if not 5 <= size <= _PACKET_MOST:
            raise self._nonsense()
        return memoryview(self._take(size))

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            # All that there is: paramiko moves the rest of its buffer at each smaller read.
            piece = self._channel.recv(_RECEIVE)
            if not piece:
                raise self._connection.lost()
            self._buffer += piece
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def _nonsense(self) -> StoreError:
        self._unanswered += 1
        return StoreError(
            "the server does not speak SFTP version 3",
            self.login.address,
            "A login script that prints something breaks SFTP: look at the user's .bashrc on the server",
        )


class _Reader:
    """Reads the fields of a packet, in order."""

    def __init__(self, data: memoryview, position: int) -> None:
        self._data = data
        self._position = position

    def left(self) -> int:
        return len(self._data) - self._position

    def _number(self, form: str, size: int) -> int:
        if self.left() < size:
            raise StoreError("the server sent a packet that is too short")
        (value,) = struct.unpack_from(form, self._data, self._position)
        self._position += size
        return t.cast(int, value)

    def u32(self) -> int:
        return self._number(">I", 4)

    def u64(self) -> int:
        return self._number(">Q", 8)

    def string(self) -> memoryview:
        size = self.u32()
        if self.left() < size:
            raise StoreError("the server sent a packet that is too short")
        self._position += size
        return self._data[self._position - size : self._position]

    def handle(self) -> bytes:
        return bytes(self.string())

    def text(self) -> str:
        return bytes(self.string()).decode("utf-8", "surrogateescape")

    def rest(self) -> memoryview:
        return self._data[self._position :]

    def attributes(self) -> Attributes:
        flags = self.u32()
        size = self.u64() if flags & 1 else None
        if flags & 2:
            self.u64()
        mode = self.u32() if flags & 4 else None
        mtime = None
        if flags & 8:
            self.u32()
            mtime = self.u32()
        if flags & 0x80000000:
            for _index in range(self.u32()):
                self.string()
                self.string()
        return Attributes(size, mode, mtime)


def _expect(kind: int, reader: _Reader, wanted: int) -> None:
    if kind == STATUS:
        code = reader.u32()
        if code != OK or wanted != STATUS:
            raise Status(code, reader.text() if reader.left() else "")
    elif kind != wanted:
        raise StoreError("the server answered with a packet of another kind (%d, not %d)" % (kind, wanted))


def _read_local(source: t.BinaryIO, count: int) -> bytes:
    try:
        data = source.read(count)
    except OSError as error:
        raise SourceError("the local file cannot be read: %s" % error.strerror, str(source.name)) from error
    if not data:
        raise IntegrityError("the local file is shorter than it must be", str(source.name))
    return data


def _bytes(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode("utf-8", "surrogateescape"))
