# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of an SFTP store on its server: the session to it, the paths of keys, and refusals as errors of a store."""

from __future__ import annotations

import posixpath
import re
import typing as t

from ..base.errors import StoreDeniedError, StoreError, StoreFullError, StoreNotFoundError, StoreUnavailableError
from . import sftp_packets as packets
from .sftp_login import Login, load_private_key
from .sftp_packets import Status
from .sftp_session import Session


class RemoteRoot:
    """The root folder of a store, over a session that is opened at first use and again after it was lost.

    path: absolute, or relative to the folder in which a session starts, which "~" names. private_key_file: read at the first login.
    """

    def __init__(self, login: Login, path: str, private_key_file: t.Optional[str], passphrase: t.Optional[str]) -> None:
        self.login = login
        path = path.rstrip("/") or "/"
        self.path = "." if path == "~" else path[2:] if path.startswith("~/") else path
        self._private_key_file = private_key_file
        self._passphrase = passphrase
        self._session: t.Optional[Session] = None
        self._absolute: t.Optional[str] = None

    def session(self) -> Session:
        """A usable session."""
        if self._session is not None and not self._session.is_usable():
            self.close()
        if self._session is None:
            if self._private_key_file is not None and self.login.private_key is None:
                self.login = self.login._replace(private_key=load_private_key(self._private_key_file, self._passphrase))
            self._session = Session(self.login)
        if self._absolute is None:
            # Absolute, because a command and an SFTP session may start in different folders.
            relative = not self.path.startswith("/")
            self._absolute = posixpath.normpath(posixpath.join(self._session.realpath("."), self.path)) if relative else self.path
        return self._session

    def close(self) -> None:
        """End the session, if any."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def path_of(self, key: str) -> str:
        """The absolute path of a key on the server. It needs a session before."""
        return posixpath.join(t.cast(str, self._absolute), key)

    def location(self, key: str = "") -> str:
        """The URL of a key, without any secret."""
        root = self.path if self.path.startswith("/") else "/~/" + self.path
        return "sftp://%s@%s%s" % (self.login.user, self.login.address, posixpath.join(root, key) if key else root)

    def require_folder(self, session: Session) -> None:
        """Raise StoreError if the root exists and is not a folder: servers answer like for one that does not exist."""
        root = self.path_of("").rstrip("/") or "/"
        found = session.find(root, follow=True)
        if found is not None and found.mode is not None and not found.is_folder():
            raise not_a_folder(ascii(root), self.location())

    def folders(self) -> t.Iterator[str]:
        """The names of the folders in it; nothing if it does not exist. Raises StoreError."""
        session = self.session()
        try:
            entries = session.scan(self.path_of(""))
        except Status as status:
            self.require_folder(session)
            if status.code == packets.NO_SUCH_FILE:
                return
            raise self.error(status, "", "list") from status
        for name, attributes in entries:
            found = session.find(self.path_of(name)) or attributes if attributes.mode is None else attributes
            if found.is_folder():
                yield name

    def error(self, status: Status, key: str, action: str) -> StoreError:
        """The error of a store for a request that the server refused. action: the attempt, such as 'list'."""
        location = self.location(key)
        if status.code == packets.NO_SUCH_FILE:
            return StoreNotFoundError("the object or folder does not exist", location)
        if status.code == packets.PERMISSION_DENIED:
            return StoreDeniedError(
                "the server refuses to %s: permission denied" % action,
                location,
                "Check the owner and mode of the file and its folder; the store logs in as user '%s'" % self.login.user,
            )
        if status.code in (packets.NO_SPACE, packets.QUOTA_EXCEEDED) or re.search(r"no space|quota", status.text, re.IGNORECASE):
            return StoreFullError("the server has no space: %s" % status, location, "Free some space on the server, or prune the store")
        if re.search(r"not a directory", status.text, re.IGNORECASE):
            return not_a_folder("a part of the path", location)
        if status.code in (packets.NO_CONNECTION, packets.CONNECTION_LOST):
            return StoreUnavailableError("the server lost its connection: %s" % status, location)
        return StoreError("the server failed to %s: %s" % (action, status), location, "Check the path, and the log of the server")

    def full(self, key: str, need: int, free: int) -> StoreFullError:
        """The error for a server without room for ``need`` bytes."""
        message = "the server has no room: %d bytes needed, %d free" % (need, free)
        return StoreFullError(message, self.location(key), "Free some space on the server, or prune the store")


def not_a_folder(what: str, location: str) -> StoreError:
    """The error for a store if its path, or a part of it (``what``), is a file on the server."""
    return StoreError("%s on the server is a file, not a folder" % what, location, "Set path to a folder")
