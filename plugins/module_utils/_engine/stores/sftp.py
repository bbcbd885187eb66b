# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SFTP store: a folder on a server that speaks SFTP, reached by paramiko."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import shlex
import typing as t

from ..base.errors import (
    ConfigError,
    IntegrityError,
    StoreDeniedError,
    StoreError,
    StoreExistsError,
    StoreFullError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from . import _sftp_session as sftp
from .base import TEMP_PREFIX, VERIFICATION_LEVELS, Digests, Progress, Store, StoredObject, Verification, reaches

FILE_MODE = 0o600
FOLDER_MODE = 0o700
KNOWN_HOSTS_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

_GO_BACK = 2 * sftp.WINDOW
"""A resumed upload goes back this far: of what was sent, at most WINDOW bytes were not confirmed, so holes can only be there."""

_HASH_COMMANDS = (("md5sum", "md5", 32), ("sha256sum", "sha256", 64))


class SftpStore(Store):
    """Archives in a folder of an SFTP server.

    host, port, user: where to log in. path: folder on the server under which the keys are, absolute or relative to where the
    session starts; created when the first archive comes. private_key_file (with private_key_passphrase where it is encrypted) and
    password: how to log in, the key first where both are given. Nothing else is tried: no agent, no other key.

    host_key: the server's public key, ``ssh-ed25519 AAAA...``: no other is accepted, and known_hosts is not asked.
    known_hosts_file: asked where host_key is not given, by default ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts.
    accept_new_host_key: note the key of a server that known_hosts does not have; a changed key is refused all the same.

    timeout: seconds in which the server must answer or move on. verify_level: see VERIFICATION_LEVELS; ``server_digest`` is reached
    by ``remote_hash``. A remote hash that the server cannot compute is replaced by ``read_back``, which proves more.
    attempts, retry_delay: see Store.
    """

    type = "sftp"

    def __init__(
        self,
        host: str,
        user: str,
        path: str,
        port: int = 22,
        private_key_file: t.Optional[str] = None,
        private_key_passphrase: t.Optional[str] = None,
        password: t.Optional[str] = None,
        host_key: t.Optional[str] = None,
        known_hosts_file: t.Optional[str] = None,
        accept_new_host_key: bool = False,
        timeout: float = 30.0,
        verify_level: str = "remote_hash",
        attempts: int = 4,
        retry_delay: float = 1.0,
        name: str = "sftp",
    ) -> None:
        super().__init__(name, verify_level, attempts, retry_delay)
        problems = []
        if not path:
            problems.append("path: must not be empty; '.' is the folder where a session starts")
        if verify_level not in VERIFICATION_LEVELS:
            problems.append("verify_level: %r is not one of %s" % (verify_level, ", ".join(VERIFICATION_LEVELS)))
        if private_key_file is None and password is None:
            problems.append("private_key_file, password: one of them is needed")
        if problems:
            raise ConfigError("the options of the SFTP store are wrong", name, problems=problems)
        self._path = path.rstrip("/") or "/"
        self._private_key_file = private_key_file
        self._private_key_passphrase = private_key_passphrase
        files = KNOWN_HOSTS_FILES if known_hosts_file is None else (known_hosts_file,)
        self._login = sftp.Login(
            host=host,
            port=port,
            user=user,
            private_key=None,
            password=password,
            host_key=None if host_key is None else sftp.parse_host_key(host_key),
            known_hosts_files=tuple(os.path.expanduser(file) for file in files),
            accept_new_host_key=accept_new_host_key,
            timeout=timeout,
        )
        self._current: t.Optional[sftp.Session] = None
        self._root: t.Optional[str] = None
        # Ways to a remote hash that this server was seen not to have.
        self._missing: t.Set[str] = set()

    # -- the contract -------------------------------------------------------------------------------------------------

    def location(self, key: str = "") -> str:
        root = self._path if self._path.startswith("/") else "/~/" + self._path
        return "sftp://%s@%s%s" % (self._login.user, self._login.address, posixpath.join(root, key) if key else root)

    def free_bytes(self) -> t.Optional[int]:
        return t.cast(t.Optional[int], self._retrying(self._free_bytes))

    def close(self) -> None:
        """End the connection; the next call opens another."""
        if self._current is not None:
            self._current.close()
            self._current = None

    def _reset(self) -> None:
        self.close()
        self._missing.clear()

    def _put(self, path: str, key: str, digests: Digests, progress: Progress) -> Verification:
        session = self._session()
        final = self._remote(key)
        temporary = _temporary_name(final, digests)
        try:
            if _attributes(session, final) is not None:
                raise self._taken(session, key, temporary)
            resumed = self._upload(session, path, key, temporary, digests, progress)
            # Read through a new connection: what only this session believes to be written does not count.
            self.close()
            session = self._session()
            try:
                verification = self._prove(session, temporary, key, digests, self.verify_level)
            except (IntegrityError, StoreNotFoundError):
                self._discard(session, temporary)
                if not resumed:
                    raise
                return self._put(path, key, digests, progress)
            self._publish(session, key, temporary, final)
            found = session.lstat(final)
            if found.size != digests.size:
                session.remove(final)
        except sftp.Status as status:
            raise self._error(status, key, "put") from status
        if found.size != digests.size:
            raise IntegrityError("the server shows %s bytes after the rename, not %d" % (found.size, digests.size), self.location(key))
        return verification

    def _verify(self, key: str, digests: Digests, level: str) -> Verification:
        try:
            return self._prove(self._session(), self._remote(key), key, digests, level)
        except sftp.Status as status:
            raise self._error(status, key, "verify") from status

    def _get(self, key: str, sink: t.BinaryIO, progress: Progress) -> None:
        session = self._session()
        try:
            for piece in self._read(session, self._remote(key), key):
                sink.write(piece)
                progress(len(piece))
        except sftp.Status as status:
            raise self._error(status, key, "get") from status

    def _list(self, prefix: str) -> t.List[StoredObject]:
        found = [
            StoredObject(key, attributes.size or 0, attributes.mtime)
            for key, attributes in self._walk(prefix)
            if key.startswith(prefix) and not posixpath.basename(key).startswith(TEMP_PREFIX)
        ]
        return sorted(found, key=lambda item: item.key)

    def _delete(self, keys: t.Sequence[str]) -> t.Dict[str, t.Optional[str]]:
        session = self._session()
        outcome: t.Dict[str, t.Optional[str]] = {}
        folders: t.Set[str] = set()
        for key in keys:
            try:
                session.remove(self._remote(key))
            except sftp.Status as status:
                if status.code != sftp.NO_SUCH_FILE:
                    outcome[key] = str(self._error(status, key, "delete"))
                    continue
            outcome[key] = None
            parts = key.split("/")[:-1]
            folders.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        for folder in sorted(folders, key=lambda name: name.count("/"), reverse=True):
            try:
                session.remove_folder(self._remote(folder))
            except sftp.Status:
                # Not empty, which is the usual case; or not ours to remove. Neither is a failure to delete the keys.
                continue
        return outcome

    def _clean(self, prefix: str) -> t.List[str]:
        session = self._session()
        removed = []
        for key, _attributes in self._walk(prefix):
            folder, name = posixpath.split(key)
            if not name.startswith(TEMP_PREFIX) or not posixpath.join(folder, name[len(TEMP_PREFIX) :]).startswith(prefix):
                continue
            try:
                session.remove(self._remote(key))
            except sftp.Status as status:
                if status.code != sftp.NO_SUCH_FILE:
                    raise self._error(status, key, "clean") from status
            removed.append(key)
        return sorted(removed)

    # -- putting ------------------------------------------------------------------------------------------------------

    def _taken(self, session: sftp.Session, key: str, temporary: str) -> StoreExistsError:
        # Also where a run was killed while it renamed, and the server (OpenSSH: link, then unlink) left both names.
        self._discard(session, temporary)
        return StoreExistsError("something already stands there", self.location(key))

    def _upload(self, session: sftp.Session, path: str, key: str, temporary: str, digests: Digests, progress: Progress) -> bool:
        """Write the local file to the temporary name, complete and synced; return whether an earlier upload was resumed."""
        handle, offset = self._open_temporary(session, temporary, digests)
        written = offset

        def count(size: int) -> None:
            nonlocal written
            written += size
            progress(size)

        try:
            with open(path, "rb", buffering=0) as source:
                self._require_room(session, key, temporary, digests.size - offset)
                if offset:
                    progress(offset)
                    source.seek(offset)
                try:
                    session.write_file(handle, source, offset, digests.size, count)
                    session.sync_file(handle, digests.size)
                    session.close_file(handle, digests.size)
                except sftp.Status as status:
                    raise self._write_error(session, status, key, temporary, digests.size - written) from status
        except (StoreError, IntegrityError) as error:
            # The end of the connection closes the handle, whatever became of it.
            self.close()
            if isinstance(error, StoreFullError):
                # What is there of the archive would keep the server full.
                self._discard(self._session(), temporary)
            raise
        return offset > 0

    def _open_temporary(self, session: sftp.Session, temporary: str, digests: Digests) -> t.Tuple[bytes, int]:
        """Open the temporary file for writing; return its handle and the offset from which to send."""
        flags = sftp.FLAG_WRITE | sftp.FLAG_CREATE | sftp.FLAG_EXCLUSIVE
        for _attempt in range(3):
            try:
                return session.open_file(temporary, flags, FILE_MODE), 0
            except sftp.Status as status:
                if status.code == sftp.NO_SUCH_FILE:
                    # A folder is missing: the first archive of a day, or one that 'delete' found empty a moment ago.
                    self._make_folders(session, posixpath.dirname(temporary))
                    continue
                existing = _attributes(session, temporary)
                if existing is None:
                    raise
            # Its name holds the SHA-256 of the ciphertext, so it is the start of these very bytes.
            offset = (existing.size or 0) - _GO_BACK
            if existing.is_file() and offset > 0 and (existing.size or 0) <= digests.size and self.verify_level != "size":
                return session.open_file(temporary, sftp.FLAG_WRITE), offset
            session.remove(temporary)
        raise StoreUnavailableError("a temporary name or its folder vanishes while we use it", temporary)

    def _make_folders(self, session: sftp.Session, folder: str) -> None:
        if _attributes(session, folder, follow=True) is not None:
            return
        parent = posixpath.dirname(folder)
        if parent not in ("", folder):
            self._make_folders(session, parent)
        try:
            session.make_folder(folder, FOLDER_MODE)
        except sftp.Status:
            # Another run may have made it meanwhile.
            if _attributes(session, folder, follow=True) is None:
                raise

    def _require_room(self, session: sftp.Session, key: str, path: str, need: int) -> None:
        free = session.free_bytes(path)
        if free is not None and free < need:
            raise self._full(key, need, free)

    def _full(self, key: str, need: int, free: t.Optional[int]) -> StoreFullError:
        have = "" if free is None else ": %d bytes needed, %d free" % (need, free)
        return StoreFullError("the server has no room" + have, self.location(key), "Free space there, or prune the store")

    def _write_error(self, session: sftp.Session, status: sftp.Status, key: str, temporary: str, missing: int) -> StoreError:
        """What a refused write, sync or close means; ``missing``: bytes that the server has not confirmed."""
        known = self._error(status, key, "write")
        if status.code not in (sftp.FAILURE, sftp.BAD_MESSAGE) or isinstance(known, StoreFullError):
            return known
        # SFTP 3 has one code for all else, and ENOSPC is the likely case.
        try:
            free = session.free_bytes(temporary)
        except sftp.Status:
            free = None
        need = max(missing, 1024 * 1024)
        if free is not None and free < need:
            return self._full(key, need, free)
        return StoreUnavailableError(
            "the server could not write: %s" % status, self.location(key), "Look at its disk, its quota and its log"
        )

    def _publish(self, session: sftp.Session, key: str, temporary: str, final: str) -> None:
        """Give the file its final name, atomically and without replacing another.

        SFTP's own rename is the one that does not replace: OpenSSH makes it of link(2), which refuses an existing name, and unlink(2);
        ProFTPD refuses too. posix-rename replaces silently. It is used only where the server cannot do the other (a file system
        without hard links) and the name is seen to be free.
        """
        try:
            session.rename(temporary, final)
        except sftp.Status as status:
            if _attributes(session, final) is not None:
                raise self._taken(session, key, temporary) from status
            if "posix-rename@openssh.com" not in session.extensions:
                raise
            session.replace(temporary, final)

    def _discard(self, session: sftp.Session, path: str) -> None:
        try:
            session.remove(path)
        except sftp.Status as status:
            if status.code != sftp.NO_SUCH_FILE:
                raise

    # -- proving ------------------------------------------------------------------------------------------------------

    def _prove(self, session: sftp.Session, path: str, key: str, digests: Digests, level: str) -> Verification:
        found = _attributes(session, path)
        if found is None or not found.is_file():
            raise StoreNotFoundError("there is no such object", self.location(key))
        if found.size != digests.size:
            raise IntegrityError("the server has %s bytes, not %d" % (found.size, digests.size), self.location(key))
        if level == "size":
            return Verification("size", digests.size)
        if reaches("remote_hash", level):
            remote = self._remote_hash(session, path, digests.size)
            if remote is not None:
                algorithm, digest = remote
                self._compare(key, algorithm, digest, digests)
                return Verification("remote_hash", digests.size, digest if algorithm == "md5" else None)
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256()
        for piece in self._read(session, path, key):
            md5.update(piece)
            sha256.update(piece)
        self._compare(key, "md5", md5.hexdigest(), digests)
        self._compare(key, "sha256", sha256.hexdigest(), digests)
        return Verification("read_back", digests.size, md5.hexdigest())

    def _compare(self, key: str, algorithm: str, digest: str, digests: Digests) -> None:
        expected = digests.md5 if algorithm == "md5" else digests.sha256
        if digest != expected:
            raise IntegrityError("the server has other bytes: %s %s, not %s" % (algorithm, digest, expected), self.location(key))

    def _remote_hash(self, session: sftp.Session, path: str, size: int) -> t.Optional[t.Tuple[str, str]]:
        """(md5 or sha256, hex digest) as the server computes it, or None where it can do neither."""
        if "check-file" not in self._missing:
            told = session.check_file(path, size)
            if told is not None and told[0] in ("md5", "sha256"):
                return told
            self._missing.add("check-file")
        for command, algorithm, length in _HASH_COMMANDS:
            if command in self._missing:
                continue
            output = session.run("%s < %s" % (command, shlex.quote(path)), size)
            match = re.search(r"^([0-9a-f]{%d})\b" % length, output or "", re.MULTILINE)
            if match:
                return algorithm, match.group(1)
            self._missing.add(command)
        return None

    def _read(self, session: sftp.Session, path: str, key: str) -> t.Iterator[memoryview]:
        handle = session.open_file(path, sftp.FLAG_READ)
        found = session.fstat(handle)
        try:
            yield from session.read_file(handle, found.size or 0)
        except IntegrityError as error:
            self.close()
            raise IntegrityError(error.message, self.location(key)) from error
        session.close_file(handle)

    # -- names --------------------------------------------------------------------------------------------------------

    def _session(self) -> sftp.Session:
        if self._current is not None and not self._current.is_usable():
            self.close()
        if self._current is None:
            if self._private_key_file is not None and self._login.private_key is None:
                key = sftp.load_private_key(self._private_key_file, self._private_key_passphrase)
                self._login = self._login._replace(private_key=key)
            self._current = sftp.Session(self._login)
        if self._root is None:
            # Absolute, because a command does not start where an SFTP session does.
            relative = not self._path.startswith("/")
            self._root = posixpath.normpath(posixpath.join(self._current.realpath("."), self._path)) if relative else self._path
        return self._current

    def _remote(self, key: str) -> str:
        return posixpath.join(t.cast(str, self._root), key)

    def _walk(self, prefix: str) -> t.Iterator[t.Tuple[str, sftp.Attributes]]:
        """(key, attributes) of every file below the root in a folder where keys with ``prefix`` can be; temporary ones too."""
        session = self._session()
        folders = [prefix.rpartition("/")[0]]
        if folders[0] and any(part in ("", ".", "..") for part in folders[0].split("/")):
            return  # no key is like that, and it would lead out of the root
        while folders:
            folder = folders.pop()
            try:
                entries = session.scan(self._remote(folder))
            except sftp.Status as status:
                if status.code == sftp.NO_SUCH_FILE:
                    continue  # nothing was put yet, or it was removed while we walked
                raise self._error(status, folder, "list") from status
            for name, attributes in entries:
                key = posixpath.join(folder, name)
                if attributes.mode is None:
                    attributes = _attributes(session, self._remote(key)) or attributes
                if attributes.is_folder():
                    if (key + "/").startswith(prefix) or prefix.startswith(key + "/"):
                        folders.append(key)
                elif attributes.is_file():
                    yield key, attributes

    def _free_bytes(self) -> t.Optional[int]:
        session = self._session()
        folder = self._remote("")
        while True:
            try:
                return session.free_bytes(folder)
            except sftp.Status as status:
                parent = posixpath.dirname(folder)
                if status.code != sftp.NO_SUCH_FILE or parent == folder:
                    raise self._error(status, "", "ask for free space") from status
                folder = parent

    def _error(self, status: sftp.Status, key: str, what: str) -> StoreError:
        where = self.location(key)
        if status.code == sftp.NO_SUCH_FILE:
            return StoreNotFoundError("there is no such object or folder", where)
        if status.code == sftp.PERMISSION_DENIED:
            return StoreDeniedError(
                "the server refuses to %s: permission denied" % what,
                where,
                "Look at owner and mode of the file and its folder; the login is user '%s'" % self._login.user,
            )
        if status.code in (sftp.NO_SPACE, sftp.QUOTA_EXCEEDED) or re.search(r"no space|quota", status.text, re.IGNORECASE):
            return StoreFullError("the server has no room: %s" % status, where, "Free space there, or prune the store")
        if status.code in (sftp.NO_CONNECTION, sftp.CONNECTION_LOST):
            return StoreUnavailableError("the server lost its connection: %s" % status, where)
        return StoreError("the server fails to %s: %s" % (what, status), where, "Look at the path on the server and at its log")


def _temporary_name(final: str, digests: Digests) -> str:
    folder, name = posixpath.split(final)
    # 200 of 255 bytes, so that a long name still leaves room for the rest.
    return posixpath.join(folder, "%s%s.%s.part" % (TEMP_PREFIX, name[:200], digests.sha256[:16]))


def _attributes(session: sftp.Session, path: str, follow: bool = False) -> t.Optional[sftp.Attributes]:
    """Attributes of a path; None where nothing is there."""
    try:
        return session.stat(path) if follow else session.lstat(path)
    except sftp.Status as status:
        if status.code != sftp.NO_SUCH_FILE:
            raise
        return None
