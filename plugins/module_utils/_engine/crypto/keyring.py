# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keyring: a folder (0700) of Fernet keys; one is current.

==================  =====================================================================================================
``<id>.key``        0600; exactly the url-safe base64 text of one key and a newline, as any Fernet library reads it
``current``         the id of the key that encrypts new archives
``keyring.json``    ``{"created": {"<id>": <seconds since the epoch>}}``: when this keyring first got each key. (A copy or a
                    restore changes the times of the files.) A key that is missing here has an unknown age, which counts as
                    older than any other. Only ``rotate`` and ``list_keys`` read it: archives can be opened without it.
``removed/``        key files out of use; no function here destroys a key
``.lock``           held while something changes
==================  =====================================================================================================

A user other than root can use only keyrings that belong to root or to that user. Files that root writes into the keyring of another user
are given to that user.

Key id = the first 8 bytes, in hex, of HMAC-SHA256(the 32 bytes of the key, ``log-archive key id v1``). It identifies a key and reveals
nothing about it. Every function takes the folder first and raises KeyringError. Functions that change something take ``check``: return
what would change, and change nothing.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
import re
import shlex
import stat
import time
import typing as t

from ..base.durable import TEMP_PREFIX, fsync_folder, lock, make_folders, write_atomically
from ..base.errors import KeyMissingError, KeyringError

_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_KEY_TEXT = re.compile(rb"[A-Za-z0-9_-]{43}=")
_REMOVED = "removed"


class Key(t.NamedTuple):
    """A key: its id and its 32 raw bytes, which no repr, str or format shows."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return "Key(id=%r, secret=<hidden>)" % self.id


class KeyInfo(t.NamedTuple):
    """The public facts of a key. ``created``: when this keyring first got it, in seconds since the epoch, None if unknown."""

    id: str
    created: t.Optional[float]
    current: bool
    removed: bool


class Change(t.NamedTuple):
    """What a function changed, or would change. ``id``: the key concerned (None if a key would be generated);
    ``previous`` and ``current``: the ids of the current key before and after (None: no such key, or not known yet).
    """

    changed: bool
    id: t.Optional[str]
    previous: t.Optional[str]
    current: t.Optional[str]


def generate_key() -> bytes:
    """Return 32 fresh bytes for a key, from the kernel's random source."""
    return os.urandom(32)


def key_id(secret: bytes) -> str:
    """Return the id of a key, given its 32 raw bytes."""
    return hmac.new(secret, b"log-archive key id v1", "sha256").hexdigest()[:16]


def secret_of(text: bytes) -> t.Optional[bytes]:
    """The 32 bytes of a key from its text form; None if the text is no Fernet key."""
    return base64.urlsafe_b64decode(text) if _KEY_TEXT.fullmatch(text) else None


def load_current(folder: str) -> Key:
    """Return the key that encrypts new archives."""
    check_folder(folder)
    current = _current_id(folder)
    if current is None:
        raise KeyringError("the keyring has no current key", folder, "Create one with 'log-archive key create' or the module fernet_key")
    return load(folder, current)


def load(folder: str, wanted: str) -> Key:
    """Return the key with the id ``wanted``."""
    check_folder(folder)
    _check_id(wanted)
    try:
        return _read_key(folder, wanted)
    except FileNotFoundError:
        raise _missing(folder, wanted) from None


def list_keys(folder: str) -> t.List[KeyInfo]:
    """Return the facts of every key, including those out of use, oldest first."""
    check_folder(folder)
    created = _created(folder)
    current = _current_id(folder)
    in_use = _ids(folder)
    keys = [KeyInfo(id, created.get(id), id == current, False) for id in in_use]
    keys += [KeyInfo(id, created.get(id), False, True) for id in _ids(os.path.join(folder, _REMOVED)) if id not in in_use]
    return sorted(keys, key=lambda key: (key.created or 0, key.id))


def create(folder: str, check: bool = False) -> Change:
    """Make the folder if it is missing (below an existing one), and a current key if there is none."""
    if not _make_folder(folder, check):
        return Change(True, None, None, None)
    with _changing(folder, check):
        current = _current_id(folder)
        if current is not None:
            load(folder, current)
            return Change(False, current, current, current)
        return _new_current(folder, None, check)


def rotate(folder: str, older_than: t.Optional[float] = None, check: bool = False) -> Change:
    """Create a key and make it the current one; the previous one stays in use for the archives that it encrypted.

    older_than: only if the current key's age in seconds is at least this, or is unknown, or there is no current key.
    """
    check_folder(folder)
    with _changing(folder, check):
        current = _current_id(folder)
        if current is not None and older_than is not None:
            created = _created(folder).get(current)
            if created is not None and time.time() - created < older_than:
                return Change(False, current, current, current)
        return _new_current(folder, current, check)


def import_key(folder: str, key_text: t.Union[str, bytes], make_current: bool = False, check: bool = False) -> Change:
    """Import a key, given its base64 text; bring it back if it was removed, rewrite its file if that is damaged.

    The folder is made if it is missing, as by ``create``.
    """
    secret = secret_of((key_text.encode("utf-8", "replace") if isinstance(key_text, str) else key_text).strip())
    if secret is None:
        raise KeyringError(
            "the text to import is not a Fernet key", folder, "A key is 44 characters of URL-safe base64; nothing was imported"
        )
    id = key_id(secret)
    if not _make_folder(folder, check):
        return Change(True, id, None, id if make_current else None)
    with _changing(folder, check):
        previous = _current_id(folder)
        current = id if make_current else previous
        try:
            known = secret_of(_content(_key_path(folder, id), private=True).strip()) == secret
        except FileNotFoundError:
            known = False
        if not check:
            if not known:
                _write_key(folder, secret)
            if current != previous:
                _set_current(folder, id)
        return Change(not known or current != previous, id, previous, current)


def ensure_folder(folder: str) -> None:
    """Make the folder of a keyring if it is missing, and check it."""
    _make_folder(folder, check=False)


def add(folder: str, secret: bytes) -> Key:
    """Put a key into an existing keyring, unless it is there. The current key stays, and none becomes current."""
    id = key_id(secret)
    try:
        return load(folder, id)
    except KeyMissingError:
        import_key(folder, base64.urlsafe_b64encode(secret))
        return Key(id, secret)


def read_private_key(path: str) -> bytes:
    """The 32 bytes of the key in a file that only root or this user can read."""
    try:
        secret = secret_of(_content(path, private=True).strip())
    except FileNotFoundError:
        secret = None
    if secret is None:
        raise KeyringError("the file does not hold one Fernet key", path, "A key is 44 characters of URL-safe base64")
    return secret


def read_key_text(path: str) -> str:
    """The text of a key to import, from a file."""
    try:
        return _content(path).decode("ascii", "replace")
    except FileNotFoundError:
        raise KeyringError("the key file to import does not exist", path) from None


def remove(folder: str, unwanted: str, check: bool = False) -> Change:
    """Take a key out of use: its file moves to ``removed/``. The current key is refused."""
    check_folder(folder)
    _check_id(unwanted)
    with _changing(folder, check):
        current = _current_id(folder)
        if unwanted == current:
            raise KeyringError("cannot remove the key %s: it is the current key" % unwanted, folder, "Rotate first, then remove it")
        try:
            # Check the file before it moves, so that a damaged key does not replace a good copy in removed/.
            _read_key(folder, unwanted)
        except FileNotFoundError:
            if unwanted not in _ids(os.path.join(folder, _REMOVED)):
                raise _missing(folder, unwanted) from None
            return Change(False, unwanted, current, current)
        if not check:
            removed = os.path.join(folder, _REMOVED)
            _make_folder(removed, check)
            _give_away(removed, folder)
            os.replace(_key_path(folder, unwanted), _key_path(removed, unwanted))
            fsync_folder(removed)
            fsync_folder(folder)
        return Change(True, unwanted, current, current)


def _new_current(folder: str, previous: t.Optional[str], check: bool) -> Change:
    if check:
        return Change(True, None, previous, None)
    secret = generate_key()
    id = key_id(secret)
    _write_key(folder, secret)
    _set_current(folder, id)
    return Change(True, id, previous, id)


def _write_key(folder: str, secret: bytes) -> None:
    id = key_id(secret)
    created = _created(folder)
    created.setdefault(id, int(time.time()))
    owner = _owner(folder)
    listed = json.dumps({"created": created}, indent=1, sort_keys=True).encode() + b"\n"
    write_atomically(os.path.join(folder, "keyring.json"), listed, owner=owner)
    write_atomically(_key_path(folder, id), base64.urlsafe_b64encode(secret) + b"\n", owner=owner)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_key_path(os.path.join(folder, _REMOVED), id))


def _set_current(folder: str, id: str) -> None:
    write_atomically(os.path.join(folder, "current"), id.encode() + b"\n", owner=_owner(folder))


def _owner(folder: str) -> t.Optional[t.Tuple[int, int]]:
    """The owner to set for files that are written to the keyring; None to leave it."""
    status = os.stat(folder)
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 else None


@contextlib.contextmanager
def _changing(folder: str, check: bool) -> t.Iterator[None]:
    """Lock the keyring; an OSError becomes a KeyringError."""
    try:
        if check:
            yield
            return
        with lock(os.path.join(folder, ".lock"), wait=True):
            _give_away(os.path.join(folder, ".lock"), folder)
            for name in os.listdir(folder):
                if name.startswith(TEMP_PREFIX):
                    # A leftover of a killed process. It may contain a key that was never used.
                    os.unlink(os.path.join(folder, name))
            yield
    except OSError as error:
        raise KeyringError("cannot change the keyring: %s" % error.strerror, folder) from error


def _give_away(path: str, folder: str) -> None:
    owner = _owner(folder)
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def _make_folder(folder: str, check: bool) -> bool:
    """Make the folder unless it exists; return whether it exists now."""
    if not os.path.isdir(folder):
        if check:
            return False
        parent = os.path.dirname(os.path.abspath(folder))
        try:
            make_folders(parent, 0o755)
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
                fsync_folder(parent)
        except OSError as error:
            raise KeyringError("cannot create the keyring: %s" % error.strerror, folder) from error
    check_folder(folder)
    return True


def check_folder(folder: str) -> None:
    """Raise KeyringError unless the folder exists and is private."""
    try:
        status = os.stat(folder)
    except FileNotFoundError:
        raise KeyringError(
            "the keyring does not exist", folder, "Create it with 'log-archive key create' or the module fernet_key, or import your key"
        ) from None
    except OSError as error:
        raise KeyringError("cannot read the keyring: %s" % error.strerror, folder) from error
    if not stat.S_ISDIR(status.st_mode):
        raise KeyringError("the keyring is not a folder", folder)
    check_private(status, folder, "0700")


def check_private(status: os.stat_result, path: str, mode: str, kind: t.Type[KeyringError] = KeyringError) -> None:
    """Raise ``kind`` if others than root and this user can read what has this status. mode: the one to advise, in octal."""
    problems, commands = [], []
    if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        problems.append("belongs to user %d and not to root or user %d" % (status.st_uid, os.geteuid()))
        commands.append("chown %d %s" % (os.geteuid(), shlex.quote(path)))
    if status.st_mode & 0o077:
        problems.append("is open to its group or to others (%04o)" % stat.S_IMODE(status.st_mode))
        commands.append("chmod %s %s" % (mode, shlex.quote(path)))
    if problems:
        raise kind(
            "it %s, so its keys may no longer be secret" % " and ".join(problems),
            path,
            "Run: %s; rotate the key if someone else may have read it" % " && ".join(commands),
        )


def _content(path: str, private: bool = False) -> bytes:
    """Read a small file. private: require that only root or this user can read it. Raises FileNotFoundError, KeyringError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if private:
                check_private(os.fstat(fd), path, "0600")
            return os.read(fd, 1 << 20)
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        from ..base.rights import who_needs_the_right

        raise KeyringError("cannot read the file: %s" % error.strerror, path, who_needs_the_right(error, "read it")) from error


def _read_key(folder: str, id: str) -> Key:
    path = _key_path(folder, id)
    secret = secret_of(_content(path, private=True).strip())
    if secret is None or key_id(secret) != id:
        why = "does not hold one Fernet key" if secret is None else "holds another key than its name states"
        raise KeyringError(
            "the key file is damaged: it %s" % why,
            path,
            "Import the key %s again from your copy, with 'log-archive key import' or the module fernet_key" % id,
        )
    return Key(id, secret)


def _missing(folder: str, wanted: str) -> KeyMissingError:
    ids = _ids(folder)
    held = "it holds %s" % ", ".join(ids) if ids else "it holds none"
    removed = os.path.join(folder, _REMOVED)
    if wanted in _ids(removed):
        where = "it was taken out of use: import it again from %s" % _key_path(removed, wanted)
    else:
        where = "import it from your copy"
    return KeyMissingError(
        "the key %s is needed, but it is not in use in the keyring (%s)" % (wanted, held),
        folder,
        "%s with 'log-archive key import' or the module fernet_key" % (where[0].upper() + where[1:]),
    )


def is_key_id(text: str) -> bool:
    """Whether a text has the form of a key id."""
    return _ID.fullmatch(text) is not None


def _check_id(id: str) -> None:
    if not is_key_id(id):
        raise KeyringError("not a key id", ascii(id), "A key id has 16 hexadecimal digits, in lower case")


def _key_path(folder: str, id: str) -> str:
    return os.path.join(folder, id + ".key")


def _ids(folder: str) -> t.List[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise KeyringError("cannot read the folder: %s" % error.strerror, folder) from error
    return sorted(name[:-4] for name in names if name.endswith(".key") and _ID.fullmatch(name[:-4]))


def _current_id(folder: str) -> t.Optional[str]:
    path = os.path.join(folder, "current")
    try:
        id = _content(path).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    if not _ID.fullmatch(id):
        raise KeyringError(
            "the file is damaged: it does not contain one key id", path, "Write the id of the current key into it, 16 hexadecimal digits"
        )
    return id


def _created(folder: str) -> t.Dict[str, float]:
    path = os.path.join(folder, "keyring.json")
    try:
        created: t.Dict[str, float] = json.loads(_content(path))["created"]
        if all(_ID.fullmatch(id) and isinstance(when, (int, float)) for id, when in created.items()):
            return created
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise KeyringError(
        "the file with the ages of the keys is damaged",
        path,
        "Remove it: the keys stay, but their ages become unknown, so the next rotation is due",
    )
