# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host keys of SFTP servers: pinned ones, known_hosts files (sshd(8)), and the check of the key that a server offers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import typing as t

from ..base.beneath import guarded_parent, open_regular
from ..base.durable import make_folders
from ..base.errors import ConfigError, StoreDeniedError
from .sftp_login import HostKey, Login


class KnownKeys(t.NamedTuple):
    """The keys that are known for a server: those that are accepted, and the blobs of those that are revoked.

    without_port: keys of its host name alone. A server at another port than 22 may have one of them, as with OpenSSH; if it has not, it is
    a server that is not known, and not one with a changed key. authorities: keys that sign certificates of its host key.
    """

    accepted: t.List[HostKey]
    revoked: t.List[bytes]
    without_port: t.Tuple[HostKey, ...] = ()
    authorities: t.Tuple[HostKey, ...] = ()


def parse_host_key(text: str) -> HostKey:
    """The key in ``ssh-ed25519 AAAA... [comment]``, or in a line of ssh-keyscan with the host in front; else ConfigError."""
    fields = text.split()
    for kind, encoded in zip(fields[:2], fields[1:3]):
        try:
            blob = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            continue
        # A blob begins with its own type, as a string of SSH: four bytes of length, and the text.
        if blob.startswith(len(kind).to_bytes(4, "big") + kind.encode("utf-8", "surrogateescape")):
            return HostKey(kind, blob)
    raise ConfigError(
        "not a host key: %r" % text[:80],
        "host_key",
        "Give one line as in /etc/ssh/ssh_host_ed25519_key.pub: 'ssh-ed25519 AAAA...'",
    )


def fingerprint(blob: bytes) -> str:
    """``SHA256:...`` of a public key, as ssh-keygen -l prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def parse_known_hosts(lines: t.Iterable[str], host: str, port: int) -> KnownKeys:
    """The keys that lines of known_hosts have for a server.

    Names may be hashed, patterns (``*``, ``?``) and negated (``!``). Lines that cannot be read are skipped: they accept nothing.
    """
    plain = host.lower()
    name = plain if port == 22 else "[%s]:%d" % (plain, port)
    without_port: t.List[HostKey] = []
    authorities: t.List[HostKey] = []
    known = KnownKeys([], [])
    for line in lines:
        fields = line.split()
        marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
        if len(fields) < 3 or fields[0].startswith("#") or marker not in ("", "@revoked", "@cert-authority"):
            continue
        exact = _names_host(fields[0], name)
        if not exact and not _names_host(fields[0], plain):
            continue
        try:
            key = parse_host_key(" ".join(fields[1:3]))
        except ConfigError:
            continue
        if marker == "@revoked":
            known.revoked.append(key.blob)
        elif marker:
            authorities.append(key)
        elif exact:
            known.accepted.append(key)
        else:
            without_port.append(key)
    return known._replace(without_port=tuple(without_port), authorities=tuple(authorities))


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


def known_keys_for(login: Login) -> KnownKeys:
    """The pinned key of a login, or those in its known_hosts files; ConfigError if a file cannot be read."""
    if login.host_key is not None:
        return KnownKeys([login.host_key], [])
    lines: t.List[str] = []
    for path in login.known_hosts_files:
        try:
            with open(open_regular(path), encoding="utf-8", errors="replace") as stream:
                lines.extend(stream)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ConfigError("cannot read the known hosts: %s" % error.strerror, path, "Check known_hosts_file") from error
    return parse_known_hosts(lines, login.host, login.port)


def check_host_key(login: Login, offered: HostKey, known: KnownKeys, certificate: t.Optional[bytes] = None) -> None:
    """Raise StoreDeniedError unless the offered key is known, or is new and ``login`` accepts that; record a new key if it states so.

    certificate: of the key, as SSH encodes it. One that an authority of known_hosts signed for this host makes the key known.
    """
    shown = _shown(offered)
    scan = "ssh-keyscan -p %d -t %s %s" % (login.port, offered.type.replace("ssh-", "").partition("-")[0], login.host)
    if offered.blob in known.revoked:
        raise StoreDeniedError("the host key %s of the server is marked as revoked; nothing was sent" % shown, login.address)
    if offered in known.accepted or (not known.accepted and offered in known.without_port):
        return
    reason = None
    if certificate is not None:
        from .sftp_certificate import judge

        proven, reason = judge(certificate, login.host, [key.blob for key in known.authorities], known.revoked)
        if proven:
            return
    if reason is not None:
        raise StoreDeniedError(
            "the certificate of the server's host key %s is not accepted: %s; nothing was sent" % (shown, reason),
            login.address,
            "Let the server's administrator renew the certificate, or put the host key itself into known_hosts",
        )
    if known.accepted:
        raise StoreDeniedError(
            "the server's host key is not the known one: expected %s, offered %s; nothing was sent"
            % (" or ".join(map(_shown, known.accepted)), shown),
            login.address,
            "If the server really has a new key, compare the fingerprint with its administrator, then put the line of '%s' into "
            "known_hosts or into the option host_key" % scan,
        )
    if not login.accept_new_host_key:
        raise StoreDeniedError(
            "the server's host key is not known: expected one from %s, offered %s; nothing was sent"
            % (" or ".join(login.known_hosts_files), shown),
            login.address,
            "Compare the fingerprint with the server's administrator, then add the line of '%s' to known_hosts, or give it as the option "
            "host_key" % scan,
        )
    if login.note_new_host_key:
        _note_host_key(login, offered)


def no_known_type(login: Login, known: KnownKeys) -> StoreDeniedError:
    """The error for a server without a key of a known type."""
    return StoreDeniedError(
        "the server has no host key of a known type: expected %s; nothing was sent" % " or ".join(map(_shown, known.accepted)),
        login.address,
        "If the server really has new keys, compare them with its administrator, then put a line of 'ssh-keyscan -p %d %s' into "
        "known_hosts or into the option host_key" % (login.port, login.host),
    )


def _shown(key: HostKey) -> str:
    return "%s %s" % (key.type, fingerprint(key.blob))


def _note_host_key(login: Login, key: HostKey) -> None:
    path = login.known_hosts_files[0]
    name = login.host if login.port == 22 else "[%s]:%d" % (login.host, login.port)
    # Not hashed: the job document contains the host name anyway, and a hash would only hide it from a reviewer.
    line = "%s %s %s\n" % (name, key.type, base64.b64encode(key.blob).decode("ascii"))
    try:
        make_folders(os.path.dirname(path) or ".")
        # An operator chooses the path: a line of ours must not spoil a key.
        with guarded_parent(path, among_settings=True) as (folder, file_name):
            descriptor = os.open(file_name, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
        with open(descriptor, "r+b", buffering=0) as stream:
            if stream.seek(0, os.SEEK_END):
                stream.seek(-1, os.SEEK_END)
                if stream.read(1) != b"\n":
                    line = "\n" + line
            stream.write(line.encode("ascii"))
    except OSError as error:
        raise ConfigError("cannot record the new host key: %s" % error.strerror, path, "Check known_hosts_file") from error
