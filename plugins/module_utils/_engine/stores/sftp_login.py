# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The login of an SFTP store, and private keys."""

from __future__ import annotations

import os
import typing as t

from ..base.beneath import open_regular
from ..base.errors import ConfigError
from ..base.libraries import needed

if t.TYPE_CHECKING:
    import paramiko


class HostKey(t.NamedTuple):
    """A server's public key: its type (such as 'ssh-ed25519') and the key as SSH encodes it."""

    type: str
    blob: bytes


class Login(t.NamedTuple):
    """Where to connect and how.

    host_key: the only key accepted from the server; if None, known_hosts_files are asked. accept_new_host_key: accept the key of a server
    that they do not have. timeout: seconds in which the server must answer or move on. note_new_host_key: write it into the first of them.
    """

    host: str
    port: int
    user: str
    private_key: t.Optional[paramiko.PKey]
    password: t.Optional[str]
    host_key: t.Optional[HostKey]
    known_hosts_files: t.Tuple[str, ...]
    accept_new_host_key: bool
    timeout: float
    note_new_host_key: bool = True

    @property
    def address(self) -> str:
        """The host and the port, for messages."""
        return "%s:%d" % ("[%s]" % self.host if ":" in self.host else self.host, self.port)

    def __repr__(self) -> str:
        return "Login(%s@%s)" % (self.user, self.address)


def require_paramiko() -> None:
    """Raise MissingLibraryError if paramiko cannot be loaded."""
    with needed("paramiko", "SFTP stores"):
        import paramiko  # noqa: F401 - it is loaded here, and imported by its users


def load_private_key(path: str, passphrase: t.Optional[str]) -> paramiko.PKey:
    """The private key in a file (OpenSSH's or PEM format); ConfigError if it cannot be used."""
    require_paramiko()
    import paramiko

    path = os.path.expanduser(path)
    try:
        with open(open_regular(path), "rb") as stream:
            stream.read(1)
    except OSError as error:
        raise ConfigError("cannot read the private key: %s" % error.strerror, path, "Check private_key_file") from error
    reasons = []
    kinds: t.Tuple[t.Type[paramiko.PKey], ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
    for kind in kinds:
        try:
            return kind.from_private_key_file(path, passphrase)
        except paramiko.PasswordRequiredException as error:
            raise ConfigError("the private key is encrypted", path, "Set private_key_passphrase") from error
        except (paramiko.SSHException, ValueError, TypeError, IndexError, UnicodeDecodeError) as error:
            reasons.append("%s: %s" % (kind.__name__, error))
    raise ConfigError(
        "not a private key that paramiko can use, or the passphrase is wrong",
        path,
        "Check private_key_file and private_key_passphrase",
        reasons,
    )
