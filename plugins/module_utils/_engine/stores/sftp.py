# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SFTP store: a folder on a server that speaks SFTP, reached by paramiko."""

from __future__ import annotations

import hashlib
import os
import posixpath
import typing as t

from ..base.durable import TEMP_PREFIX
from ..base.errors import ConfigError, IntegrityError, StoreError, StoreNotFoundError, StoreUnavailableError
from ..base.levels import VERIFICATION_LEVELS, reaches
from ..base.progress import Advance
from ..base.units import parse_duration
from . import sftp_packets as packets
from .base import MOST_OBJECTS, Digests, Outcome, Pieces, Store, StoredObject, Verification, final_name, listing_too_large, required
from .sftp_hash import RemoteHash
from .sftp_host_keys import parse_host_key
from .sftp_login import Login
from .sftp_packets import Attributes, Status
from .sftp_root import RemoteRoot
from .sftp_session import Session
from .sftp_upload import Upload

if t.TYPE_CHECKING:
    from ..base.beneath import Local
    from ..config.document import StoreOptions

KNOWN_HOSTS_FILES = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")

LONGEST_FOLDER = 4096
"""Characters in the path of a folder that is listed. No server has a longer one, but one could pretend that each folder has another."""

_HASHED = ("server_digest", "remote_hash")
"""The levels that a hash on the server reaches, and the size alone does not."""


class SftpStore(Store):
    """Archives in a folder of an SFTP server, which is created when the first archive comes.

    The login uses the private key first if both a key and a password are given. Nothing else is tried: no agent, no other key.
    A remote hash that the server cannot compute is replaced by ``read_back``, which proves more.
    """

    default_level = "remote_hash"

    def __init__(self, options: StoreOptions) -> None:
        super().__init__(options)
        problems = []
        if not options["path"]:
            problems.append("path: must not be empty; '.' is the folder in which a session starts")
        if self.verify_level not in VERIFICATION_LEVELS:
            problems.append("verify: %r is not one of %s" % (self.verify_level, ", ".join(VERIFICATION_LEVELS)))
        if options["private_key_file"] is None and options["password"] is None:
            problems.append("private_key_file, password: one of them is needed")
        if problems:
            raise ConfigError("the options of the SFTP store are wrong", self.name, problems=problems)
        self._root = _remote_root(options, self.name)
        self._hash = RemoteHash()
        # By digests: how many bytes from the start of an upload the server has confirmed.
        self._confirmed: t.Dict[Digests, int] = {}

    # -- the interface of a store -------------------------------------------------------------------------------------

    def _location(self, name: str = "") -> str:
        return self._root.location(name)

    def free_bytes(self) -> t.Optional[int]:
        return self._retrying(self._free_bytes)

    def leave_no_trace(self) -> None:
        self._root.login = self._root.login._replace(note_new_host_key=False)

    def close(self) -> None:
        self._root.close()

    def _reset(self) -> None:
        self.close()
        self._hash.reset()

    def _put(self, path: Local, name: str, digests: Digests, progress: Advance) -> Verification:
        # Without a hash nothing would show what an earlier upload left.
        return self._upload(path, name, digests, progress, resume=self.verify_level != "size")

    def _replace(self, path: Local, name: str, digests: Digests) -> None:
        upload = Upload(self._root, name, digests, resume=False)
        try:
            upload.replace(self._root.session(), path, lambda: self._prove_sent(upload.temporary, name, digests))
        except Status as status:
            raise self._root.error(status, name, "replace") from status

    def _upload(self, path: Local, key: str, digests: Digests, progress: Advance, resume: bool) -> Verification:
        session = self._root.session()
        upload = Upload(self._root, key, digests, resume, self._confirmed.pop(digests, None))

        def hash_of_sent() -> t.Optional[t.Tuple[str, str]]:
            # A command sees what the server has, and not only this session: it needs no second login.
            return self._hash.by_command(session, upload.temporary, digests.size) if self.verify_level in _HASHED else None

        try:
            upload.refuse_taken_key(session)
            try:
                resumed, remote = upload.send(session, path, progress, hash_of_sent)
            except StoreUnavailableError:
                self._confirmed[digests] = upload.confirmed
                raise
            try:
                verification = self._compared(remote, key, digests) or self._prove_sent(upload.temporary, key, digests)
            except (IntegrityError, StoreNotFoundError):
                upload.discard(self._root.session())
                if not resumed:
                    raise
                return self._upload(path, key, digests, progress, resume=False)
            session = self._root.session()
            size = upload.publish(session)
            if size != digests.size:
                session.remove(upload.final)
        except Status as status:
            raise self._root.error(status, key, "put") from status
        if size != digests.size:
            raise IntegrityError("the object has %s bytes after the rename, not %d" % (size, digests.size), self._location(key))
        return verification

    def _verify(self, name: str, digests: Digests, level: str) -> Verification:
        session = self._root.session()
        try:
            return self._prove(session, self._root.path_of(name), name, digests, level)
        except Status as status:
            raise self._root.error(status, name, "verify") from status

    def _get(self, name: str, start: int) -> Pieces:
        session = self._root.session()
        try:
            yield from self._read(session, self._root.path_of(name), name, start)
        except Status as status:
            raise self._root.error(status, name, "get") from status

    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        for key, attributes in self._walk(prefix):
            if not posixpath.basename(key).startswith(TEMP_PREFIX):
                yield StoredObject(key, attributes.size or 0, attributes.mtime)

    def _folders(self) -> t.Iterator[str]:
        return self._root.folders()

    def _delete(self, names: t.Sequence[str], outcome: Outcome) -> None:
        session = self._root.session()
        folders: t.Set[str] = set()
        for key in names:
            try:
                session.remove_if_there(self._root.path_of(key))
            except Status as status:
                outcome[key] = str(self._root.error(status, key, "delete"))
                continue
            outcome[key] = None
            parts = key.split("/")[:-1]
            folders.update("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        for folder in sorted(folders, key=lambda name: name.count("/"), reverse=True):
            try:
                session.remove_folder(self._root.path_of(folder))
            except Status:
                # Not empty, which is the usual case; or not ours to remove. Neither is a failure to delete the keys.
                continue

    def _clean(self, prefix: str) -> t.List[str]:
        session = self._root.session()
        removed = []
        for key, _attributes in self._walk(prefix):
            if not posixpath.basename(key).startswith(TEMP_PREFIX):
                continue
            try:
                session.remove_if_there(self._root.path_of(key))
            except Status as status:
                raise self._root.error(status, key, "clean") from status
            removed.append(key)
        return sorted(removed)

    # -- proving ------------------------------------------------------------------------------------------------------

    def _prove_sent(self, path: str, key: str, digests: Digests) -> Verification:
        """Prove what was written through a new connection, if more is to be proven than its size: the server must have the bytes, not
        only the session."""
        if self.verify_level != "size":
            self.close()
        return self._prove(self._root.session(), path, key, digests, self.verify_level)

    def _prove(self, session: Session, path: str, key: str, digests: Digests, level: str) -> Verification:
        found = session.find(path)
        if found is None or not found.is_file():
            raise StoreNotFoundError("the object does not exist", self._location(key))
        if found.size != digests.size:
            raise IntegrityError("the object has %s bytes, not %d" % (found.size, digests.size), self._location(key))
        if level == "size":
            return Verification("size", digests.size)
        if reaches("remote_hash", level):
            verification = self._compared(self._hash.of(session, path, digests.size), key, digests)
            if verification is not None:
                return verification
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = hashlib.sha256()
        for piece in self._read(session, path, key):
            md5.update(piece)
            sha256.update(piece)
        self._compare(key, "md5", md5.hexdigest(), digests)
        self._compare(key, "sha256", sha256.hexdigest(), digests)
        return Verification("read_back", digests.size, md5.hexdigest())

    def _compared(self, remote: t.Optional[t.Tuple[str, str]], key: str, digests: Digests) -> t.Optional[Verification]:
        """What a hash of the server proves; None if it has none."""
        if remote is None:
            return None
        algorithm, digest = remote
        self._compare(key, algorithm, digest, digests)
        return Verification("remote_hash", digests.size, digest if algorithm == "md5" else None)

    def _compare(self, key: str, algorithm: str, digest: str, digests: Digests) -> None:
        expected = digests.md5 if algorithm == "md5" else digests.sha256
        if digest != expected:
            raise IntegrityError(
                "the content on the server differs: its %s is %s, not %s" % (algorithm, digest, expected), self._location(key)
            )

    def _read(self, session: Session, path: str, key: str, start: int = 0) -> t.Iterator[memoryview]:
        handle = session.open_file(path, packets.FLAG_READ)
        found = session.fstat(handle)
        try:
            yield from session.read_file(handle, found.size or 0, start)
        except IntegrityError as error:
            self.close()
            raise IntegrityError(error.message, self._location(key)) from error
        session.close_file(handle)

    # -- folders ------------------------------------------------------------------------------------------------------

    def _walk(self, prefix: str) -> t.Iterator[t.Tuple[str, Attributes]]:
        """(name, attributes) of every file that begins with ``prefix``. An unfinished upload begins as its final name does."""
        session = self._root.session()
        folders = [prefix.rpartition("/")[0]]
        if folders[0] and any(part in ("", ".", "..") for part in folders[0].split("/")):
            return  # no key is like that, and it would lead out of the root

        def wanted(name: str) -> bool:
            return final_name(name).startswith(prefix)

        seen = 0
        while folders:
            folder = folders.pop()
            if len(folder) > LONGEST_FOLDER:
                raise StoreError("the server lists a folder with a path of %d characters" % len(folder), self._location(folder[:100]))
            try:
                # Of a folder that other programs fill, only our names are kept and looked at.
                entries = session.scan(self._root.path_of(folder), wanted if self.layout.is_flat else None)
            except Status as status:
                if not seen:
                    self._root.require_folder(session)
                if status.code == packets.NO_SUCH_FILE:
                    continue  # nothing was put yet, or it was removed while we walked
                raise self._root.error(status, folder, "list") from status
            seen += len(entries)
            if seen > MOST_OBJECTS:
                raise listing_too_large(self._location(prefix))
            for name, attributes in entries:
                key = posixpath.join(folder, name)
                if attributes.mode is None:
                    attributes = session.find(self._root.path_of(key)) or attributes
                if attributes.is_folder():
                    if not self.layout.is_flat and ((key + "/").startswith(prefix) or prefix.startswith(key + "/")):
                        folders.append(key)
                elif attributes.is_file() and wanted(key):
                    yield key, attributes

    def _free_bytes(self) -> t.Optional[int]:
        session = self._root.session()
        folder = self._root.path_of("")
        while True:
            try:
                return session.free_bytes(folder)
            except Status as status:
                parent = posixpath.dirname(folder)
                if status.code != packets.NO_SUCH_FILE or parent == folder:
                    raise self._root.error(status, "", "report its free space") from status
                folder = parent


def _remote_root(options: StoreOptions, name: str) -> RemoteRoot:
    known_hosts_file, host_key = options["known_hosts_file"], options["host_key"]
    files = KNOWN_HOSTS_FILES if known_hosts_file is None else (known_hosts_file,)
    login = Login(
        host=required(options["host"], "host", name),
        port=options["port"],
        user=required(options["user"], "user", name),
        private_key=None,
        password=options["password"],
        host_key=None if host_key is None else parse_host_key(host_key),
        known_hosts_files=tuple(os.path.expanduser(file) for file in files),
        accept_new_host_key=options["accept_new_host_key"],
        timeout=parse_duration(options["timeout"]),
    )
    return RemoteRoot(login, required(options["path"], "path", name), options["private_key_file"], options["private_key_passphrase"])
