# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seal archives, so that the hosts that sent them can no longer change them.

A host writes into /srv/log-archive/<account>/archive by SFTP. If that folder belongs to root and is sticky, the account is
append-only: each complete archive with its manifest is copied into files that belong to root, and these replace the files of the
host. Handles that the host still holds, hard links to what it sent, renames and deletes cannot affect the copy.

The host is the adversary here. Everything below its folder is opened relative to folder descriptors, and no symbolic link is followed,
so that nothing outside the folder is touched, even if the host swaps files at the same time. Runs as root, from cron or a timer, one
process at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pwd
import re
import resource
import signal
import stat
import sys
import time
import typing as t

MANIFEST_SUFFIX = ".manifest.json"
TEMP_PREFIX = ".log-archive-"
"""The prefix of the names of unfinished uploads (see the engine's base/durable.py)."""
LARGEST_MANIFEST = 64 << 20
"""Bytes; the same limit as in the engine."""
HEAD = re.compile(r"([0-9]{12})-([0-9a-f]{32})-([0-9a-f]{64})\.json", re.ASCII)
"""The name of the head of a ledger, in <host>/<job>/ledger: the number of its last entry, its id, and the SHA-256 of the entry."""
LARGEST_HEAD = 1 << 17
"""Bytes; an entry has at most half of that."""
HEADS_KEPT = 1000
"""Sealed heads that stay of each ledger."""
WORK_FOLDER = ".seal"
"""The folder for copies: beside the folder of the host, on the same file system, and invisible to the host."""
REFUSALS = "refused.json"

FOLDER_MODE = 0o1770
FILE_MODE = 0o440
DEEPEST = 32
MOST_ENTRIES = 200_000
MOST_REFUSALS = 10_000
MOST_LINES = 50
"""Lines in the log for each kind of event, in one run for one account: a host must not be able to fill the disk of the server."""
LONGEST_TEXT = 200
"""Characters of a path or a reason in the log. The host chooses the names in them."""
SECONDS = 20.0
"""After this time in a run, the rest of an account waits for the next run, so that one host does not hold up the others."""
MEMORY = 2 << 30
"""Bytes of address space: a malicious manifest that would fill the memory fails only itself."""
ALL_SEALED = 0
"""The mtime of a folder in which nothing is left to do. The kernel changes it when the host adds a name, and the host cannot set it,
because it does not own the folder. So each run searches only folders that changed, not all folders of past years."""

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# NONBLOCK: opening must not block, whatever the file is.
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CHUNK = 1 << 20
_SMALL = 1 << 16  # a file system may store this much without allocating blocks

Identity = t.List[t.List[int]]
"""What distinguishes the files of an archive from others of the same names."""


class Refused(Exception):
    """An archive of the host cannot be sealed; the text is the reason."""


class Postponed(Exception):
    """The time of the account in this run is used up."""


class Log:
    """One JSON line per event on standard output, at most MOST_LINES for each account and kind of event."""

    def __init__(self) -> None:
        self.failed = False
        self._counts: t.Dict[str, t.Dict[str, int]] = {}

    def write(self, event: str, account: str, **fields: t.Any) -> None:
        counts = self._counts.setdefault(account, {})
        counts[event] = counts.get(event, 0) + 1
        if counts[event] <= MOST_LINES:
            self._print(event, account=account, **{name: _shortened(value) for name, value in fields.items()})

    def error(self, account: str, **fields: t.Any) -> None:
        self.failed = True
        self.write("error", account, **fields)

    def end(self) -> None:
        """For each account, write how many events of each kind have no line."""
        for account, counts in self._counts.items():
            more = {event: count - MOST_LINES for event, count in counts.items() if count > MOST_LINES}
            if more:
                self._print("not shown", account=account, **more)

    @staticmethod
    def _print(event: str, **fields: t.Any) -> None:
        line = dict({"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event}, **fields)
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


def _shortened(value: t.Any) -> t.Any:
    if not isinstance(value, str) or len(value) <= LONGEST_TEXT:
        return value
    half = (LONGEST_TEXT - 3) // 2
    return value[: LONGEST_TEXT - 3 - half] + "..." + value[-half:]


class Account:
    """An account of the server: its name and ids, its chroot folder, and below that the folder in which the host writes."""

    def __init__(self, name: str, base: int) -> None:
        user = pwd.getpwnam(name)
        if user.pw_uid == 0:
            raise Refused("the account belongs to root")
        self.name = name
        self.uid = user.pw_uid
        self.gid = user.pw_gid
        with contextlib.ExitStack() as stack:
            self.chroot = _opened(stack, name, base)
            if os.fstat(self.chroot).st_uid != 0:
                raise Refused("the folder %s does not belong to root" % name)
            self.folder = _opened(stack, "archive", self.chroot)
            self._stack = stack.pop_all()

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *_exception: t.Any) -> None:
        self._stack.close()

    def is_append_only(self) -> bool:
        status = os.fstat(self.folder)
        return status.st_uid == 0 and bool(status.st_mode & stat.S_ISVTX)


def _opened(stack: contextlib.ExitStack, name: str, folder: int) -> int:
    fd = os.open(name, _OPEN_FOLDER, dir_fd=folder)
    stack.callback(os.close, fd)
    return fd


def _entries(folder: int) -> t.List[t.Tuple[str, os.stat_result]]:
    """Names and lstat(2) results of the entries of a folder, at most MOST_ENTRIES. Entries that vanish meanwhile are skipped."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found.append((entry.name, entry.stat(follow_symlinks=False)))
            if len(found) > MOST_ENTRIES:
                raise Refused("more than %d names in one folder" % MOST_ENTRIES)
    return found


class Refusals:
    """What was refused of an account, so that each is reported once: files by their path, with their identity."""

    def __init__(self, account: str, log: Log, work: int) -> None:
        self._account = account
        self._log = log
        self._work = work
        self._before = self._load()
        self._now: t.Dict[str, Identity] = {}

    def has(self, subject: str, identity: Identity) -> bool:
        """Whether the same files were refused before. They are not looked at again."""
        if self._before.get(subject) != identity:
            return False
        self._now[subject] = identity
        return True

    def add(self, subject: str, identity: Identity, why: str) -> None:
        """Report what is refused, unless it was before."""
        if self._before.get(subject) != identity:
            self._log.write("refused", account=self._account, path=subject, text=why)
        if len(self._now) < MOST_REFUSALS:
            self._now[subject] = identity

    def keep_others(self) -> None:
        """Keep those of before that this run did not come to."""
        others = [subject for subject in self._before if subject not in self._now]
        self._now.update({subject: self._before[subject] for subject in others[: MOST_REFUSALS - len(self._now)]})

    def save(self) -> None:
        """Write them for the next run, if they changed."""
        if self._now == self._before:
            return
        fd = os.open("part-refused", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600, dir_fd=self._work)
        with open(fd, "w", encoding="ascii") as file:
            json.dump(self._now, file)
        os.rename("part-refused", REFUSALS, src_dir_fd=self._work, dst_dir_fd=self._work)

    def _load(self) -> t.Dict[str, Identity]:
        try:
            fd = os.open(REFUSALS, _OPEN_FILE, dir_fd=self._work)
        except FileNotFoundError:
            return {}
        with open(fd, encoding="ascii") as file:
            try:
                return t.cast("t.Dict[str, Identity]", json.load(file))
            except ValueError:
                return {}  # truncated by a power failure: report them again


def _identity(*files: os.stat_result) -> Identity:
    return [[status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns] for status in files]


# -- sealing ----------------------------------------------------------------------------------------------------------


class Sealer:
    """Seals the complete archives in the folder of one account."""

    def __init__(self, account: Account, log: Log) -> None:
        self.account = account
        self.log = log

    def run(self) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkdir(WORK_FOLDER, 0o700, dir_fd=self.account.chroot)
        with contextlib.ExitStack() as stack:
            self.work = _opened(stack, WORK_FOLDER, self.account.chroot)
            for name in os.listdir(self.work):
                if name.startswith("part-"):  # left by a run that was killed
                    os.unlink(name, dir_fd=self.work)
            self.refusals = Refusals(self.account.name, self.log, self.work)
            self._deadline = time.monotonic() + SECONDS
            try:
                self._walk(self.account.folder, "", 0)
            except Postponed:
                self.log.write("postponed", self.account.name, text="this took longer than %g s; the next run goes on" % SECONDS)
                self.refusals.keep_others()
            self.refusals.save()

    def _walk(self, folder: int, path: str, depth: int) -> None:
        """Take over a folder, then its entries. From the top down: the host cannot move or rename the entries of a folder that we own."""
        if depth > DEEPEST:
            raise Refused("folders deeper than %d levels" % DEEPEST)
        self._take_over(folder)
        if os.fstat(folder).st_mtime_ns == ALL_SEALED:
            return
        entries = _entries(folder)
        quiet = True
        for name, status in entries:
            self._check_time()
            if stat.S_ISDIR(status.st_mode):
                quiet = False
                if not self._is_quiet(status):
                    self._walk_into(folder, name, "%s%s/" % (path, name), depth)
        files = dict(entries)
        for name, status in entries:
            self._check_time()
            if stat.S_ISDIR(status.st_mode):
                continue
            if not self._is_sealed(status):
                quiet = False
            if name.endswith(MANIFEST_SUFFIX) and not name.startswith(TEMP_PREFIX):
                archive = name[: -len(MANIFEST_SUFFIX)]
                if archive in files and not (self._is_sealed(status) and self._is_sealed(files[archive])):
                    self._seal(folder, archive, path, (files[archive], status))
        if path.endswith("/ledger/"):
            self._seal_heads(folder, path, files)
        if quiet and entries:
            self._mark(folder, set(files))

    def _check_time(self) -> None:
        if time.monotonic() >= self._deadline:
            raise Postponed

    def _walk_into(self, folder: int, name: str, path: str, depth: int) -> None:
        try:
            inner = os.open(name, _OPEN_FOLDER, dir_fd=folder)
        except OSError as error:
            # Removed or replaced since it was listed; the next run handles it.
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return
            raise
        try:
            self._walk(inner, path, depth + 1)
        except Refused as refused:
            self.refusals.add(path, [], str(refused))
        finally:
            os.close(inner)

    def _take_over(self, folder: int) -> None:
        status = os.fstat(folder)
        if status.st_uid not in (0, self.account.uid):
            raise Refused("the folder belongs to user %d" % status.st_uid)
        if not self._is_ours(status):
            # Set the mode first, so that the folder is always writable for an upload in progress, and again after the change of owner,
            # because the host could change it until then.
            os.fchmod(folder, FOLDER_MODE)
            os.fchown(folder, 0, self.account.gid)
            os.fchmod(folder, FOLDER_MODE)
            os.utime(folder)

    def _is_ours(self, status: os.stat_result) -> bool:
        return (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, self.account.gid, FOLDER_MODE)

    def _is_quiet(self, status: os.stat_result) -> bool:
        return self._is_ours(status) and status.st_mtime_ns == ALL_SEALED

    def _is_sealed(self, status: os.stat_result) -> bool:
        return stat.S_ISREG(status.st_mode) and (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (
            0,
            self.account.gid,
            FILE_MODE,
        )

    def _mark(self, folder: int, names: t.Set[str]) -> None:
        """Mark a folder as done, unless the host has added a name since the folder was listed."""
        os.utime(folder, ns=(time.time_ns(), ALL_SEALED))
        if set(os.listdir(folder)) != names:
            os.utime(folder)

    def _seal(self, folder: int, name: str, path: str, seen: t.Sequence[os.stat_result]) -> None:
        subject = path + name
        identity = _identity(*seen)
        if self.refusals.has(subject, identity):
            return
        try:
            self._seal_pair(folder, name)
        except Refused as refused:
            self.refusals.add(subject, identity, str(refused))
        except FileNotFoundError:
            return  # the host removed one of them
        except OSError as error:
            self.log.error(account=self.account.name, path=subject, text="cannot be sealed (%s)" % error.strerror)
        else:
            self.log.write("sealed", account=self.account.name, path=subject, size=seen[0].st_size)

    def _seal_pair(self, folder: int, name: str) -> None:
        with contextlib.ExitStack() as stack:
            manifest, manifest_status = self._open(stack, folder, name + MANIFEST_SUFFIX)
            if manifest_status.st_size > LARGEST_MANIFEST:
                raise Refused("the manifest has %d bytes; the limit is %d" % (manifest_status.st_size, LARGEST_MANIFEST))
            described = _read(manifest, LARGEST_MANIFEST + 1)
            size, sha256 = _expected(described)
            archive, archive_status = self._open(stack, folder, name)
            if archive_status.st_size != size:
                raise Refused("the archive has %d bytes; its manifest records %d" % (archive_status.st_size, size))
            if archive_status.st_blocks * 512 + _SMALL < size // 2:
                raise Refused("the archive is a sparse file")
            # Archive before manifest: even if this is killed between the two, a sealed manifest always has a sealed archive.
            part = self._part(stack, "part-archive", archive_status)
            if _copy(archive, part, size) != sha256:
                raise Refused("the SHA-256 of the archive differs from its manifest")
            self._replace(folder, name, "part-archive", part, archive, archive_status)
            part = self._part(stack, "part-manifest", manifest_status)
            if part is not None:
                _write(part, described)
            self._replace(folder, name + MANIFEST_SUFFIX, "part-manifest", part, manifest, manifest_status)
            os.fsync(folder)

    def _seal_heads(self, folder: int, path: str, files: t.Mapping[str, os.stat_result]) -> None:
        """Seal the heads of a ledger, oldest first, and report one that is not later than those before it."""
        heads = sorted(name for name in files if HEAD.fullmatch(name))
        sealed = [name for name in heads if self._is_sealed(files[name])]
        for name in heads:
            self._check_time()
            if self._is_sealed(files[name]):
                continue
            subject = path + name
            status = files[name]
            identity = _identity(status)
            if self.refusals.has(subject, identity):
                continue
            try:
                self._seal_head(folder, name)
            except Refused as refused:
                self.refusals.add(subject, identity, str(refused))
            except FileNotFoundError:
                continue  # the host removed it
            except OSError as error:
                self.log.error(account=self.account.name, path=subject, text="cannot be sealed (%s)" % error.strerror)
            else:
                self.log.write("sealed", account=self.account.name, path=subject, size=status.st_size)
                why = _why_not_later(name, sealed)
                if why is not None:
                    self.log.write("finding", account=self.account.name, path=subject, text=why)
                sealed.append(name)
        for name in sorted(sealed)[:-HEADS_KEPT]:
            os.unlink(name, dir_fd=folder)

    def _seal_head(self, folder: int, name: str) -> None:
        with contextlib.ExitStack() as stack:
            head, status = self._open(stack, folder, name)
            data = _read(head, LARGEST_HEAD + 1)
            _check_head(name, data)
            part = self._part(stack, "part-head", status)
            if part is not None:
                _write(part, data)
            self._replace(folder, name, "part-head", part, head, status)
            os.fsync(folder)

    def _open(self, stack: contextlib.ExitStack, folder: int, name: str) -> t.Tuple[int, os.stat_result]:
        try:
            fd = os.open(name, _OPEN_FILE, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise Refused("%s is not a file" % name) from error
            raise
        stack.callback(os.close, fd)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise Refused("%s is not a file" % name)
        if status.st_uid not in (0, self.account.uid):
            raise Refused("%s belongs to user %d" % (name, status.st_uid))
        return fd, status

    def _part(self, stack: contextlib.ExitStack, name: str, status: os.stat_result) -> t.Optional[int]:
        """A new file for a copy, owned by root; None if the file already belongs to root, sealed by a run that was killed afterwards."""
        if status.st_uid == 0:
            return None
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.work)
        stack.callback(self._discard, name, fd)
        return fd

    def _discard(self, name: str, fd: int) -> None:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.work)

    def _replace(self, folder: int, name: str, part_name: str, part: t.Optional[int], original: int, status: os.stat_result) -> None:
        fd = original if part is None else part
        os.fchown(fd, 0, self.account.gid)
        os.fchmod(fd, FILE_MODE)
        if part is not None:
            os.utime(part, ns=(status.st_mtime_ns, status.st_mtime_ns))
            os.fsync(part)
            os.rename(part_name, name, src_dir_fd=self.work, dst_dir_fd=folder)


def _check_head(name: str, data: bytes) -> None:
    """Raise Refused unless the head of a ledger is what its name states."""
    if len(data) > LARGEST_HEAD:
        raise Refused("the head of the ledger has more than %d bytes" % LARGEST_HEAD)
    try:
        head = json.loads(data)
        stated = "%012d-%s-%s.json" % (head["seq"], head["ledger"], hashlib.sha256(head["entry"].encode("ascii")).hexdigest())
        entry = json.loads(head["entry"])
        same = (entry["seq"], entry["ledger"]) == (head["seq"], head["ledger"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as error:
        raise Refused("the head of the ledger cannot be read (%s)" % type(error).__name__) from error
    if stated != name or not same:
        raise Refused("the head of the ledger is not the one of its name")


def _why_not_later(name: str, sealed: t.Sequence[str]) -> t.Optional[str]:
    """Why a head does not continue the heads that were sealed before; None if it does. A ledger only grows."""
    if not sealed:
        return None
    newest = max(sealed)
    if name[13:45] != newest[13:45]:
        return "the ledger was started again: the head before was entry %d of %s" % (int(newest[:12]), newest[13:45])
    if name[:12] <= newest[:12]:
        return "the ledger was cut or forked: entry %d was sealed before" % int(newest[:12])
    return None


def _expected(manifest: bytes) -> t.Tuple[int, str]:
    """Size and SHA-256 of the archive that a manifest describes."""
    try:
        archive = json.loads(manifest)["archive"]
        size, sha256 = archive["size"], archive["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise Refused("the manifest cannot be read (%s)" % type(error).__name__) from error
    if not isinstance(size, int) or isinstance(size, bool) or not isinstance(sha256, str):
        raise Refused("the manifest has no valid size and SHA-256 of the archive")
    return size, sha256


def _read(fd: int, most: int) -> bytes:
    data = b""
    while len(data) < most:
        piece = os.read(fd, most - len(data))
        if not piece:
            break
        data += piece
    return data


def _copy(source: int, target: t.Optional[int], size: int) -> str:
    """Copy ``size`` bytes and return their SHA-256."""
    sha256 = hashlib.sha256()
    left = size
    while left:
        piece = os.read(source, min(_CHUNK, left))
        if not piece:
            break
        sha256.update(piece)
        left -= len(piece)
        if target is not None:
            _write(target, piece)
    if os.read(source, 1):
        raise Refused("the archive grew while it was copied")
    return sha256.hexdigest()


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


# -- handing over -----------------------------------------------------------------------------------------------------


def give(folder: int, uid: int, gid: int, folder_mode: int, file_mode: int, depth: int = 0) -> None:
    """Change the owner and mode of a folder and all files below it, from the bottom up. Other kinds of entries are skipped."""
    if depth > DEEPEST:
        raise Refused("folders deeper than %d levels" % DEEPEST)
    for name, status in _entries(folder):
        is_folder = stat.S_ISDIR(status.st_mode)
        if not is_folder and not stat.S_ISREG(status.st_mode):
            continue
        try:
            fd = os.open(name, _OPEN_FOLDER if is_folder else _OPEN_FILE, dir_fd=folder)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
                continue
            raise
        try:
            if is_folder:
                give(fd, uid, gid, folder_mode, file_mode, depth + 1)
            elif stat.S_ISREG(os.fstat(fd).st_mode):
                os.fchown(fd, uid, gid)
                os.fchmod(fd, file_mode)
        finally:
            os.close(fd)
    os.fchown(folder, uid, gid)
    os.fchmod(folder, folder_mode)
    if os.fstat(folder).st_mtime_ns == ALL_SEALED:
        os.utime(folder)


def end_sessions(uid: int) -> None:
    """Kill the processes of a user, and wait until they are gone."""
    deadline = time.monotonic() + 10
    while True:
        running = _processes(uid)
        if not running:
            return
        if time.monotonic() > deadline:
            raise Refused("processes do not end: %s" % ", ".join(map(str, running)))
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _processes(uid: int) -> t.List[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # Not the owner of /proc/PID: for a process that is not dumpable, such as sshd, that is root.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open("/proc/%s/status" % pid, "rb") as file:
            fields = dict(line.split(b":", 1) for line in file.read().splitlines() if b":" in line)
            if b"%d" % uid in fields[b"Uid"].split() and not fields[b"State"].strip().startswith(b"Z"):
                found.append(int(pid))
    return found


# -- the command ------------------------------------------------------------------------------------------------------


def seal_all(base: int, log: Log) -> None:
    """Seal the complete archives of all append-only accounts."""
    for name in sorted(os.listdir(base)):
        try:
            with Account(name, base) as account:
                if account.is_append_only():
                    Sealer(account, log).run()
        except (KeyError, NotADirectoryError, FileNotFoundError):
            continue  # not an account, a removed one (its archives belong to root), or one that is being created
        except Refused as refused:
            log.error(account=name, path="", text=str(refused))
        except OSError as error:
            log.error(account=name, path=os.fsdecode(error.filename or ""), text=error.strerror)


def main(arguments: t.Optional[t.Sequence[str]] = None) -> int:
    """Run the command; return 0, or 1 if something failed. A refused archive is logged and is not a failure."""
    parser = argparse.ArgumentParser(
        prog="log-archive-seal", description="Seal archives, so that the hosts that sent them can no longer change them."
    )
    parser.add_argument("base", metavar="FOLDER", help="the parent folder of the account folders, such as /srv/log-archive")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--release", metavar="ACCOUNT", help="give an account its archives back, because it is no longer append-only")
    what.add_argument("--retire", metavar="ACCOUNT", help="end the sessions of an account and give its archives to root")
    options = parser.parse_args(arguments)
    log = Log()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY if soft == resource.RLIM_INFINITY else min(MEMORY, soft), hard))
    base = os.open(options.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The run of each minute gives up if another one is active; the other commands wait for it.
        fcntl.flock(base, fcntl.LOCK_EX | (0 if options.release or options.retire else fcntl.LOCK_NB))
        if options.release or options.retire:
            with Account(options.release or options.retire, base) as account:
                if options.release:
                    give(account.folder, account.uid, account.gid, 0o700, 0o600)
                else:
                    end_sessions(account.uid)
                    give(account.folder, 0, 0, 0o700, 0o400)
        else:
            seal_all(base, log)
            log.end()
    except BlockingIOError:
        return 0
    except Refused as refused:
        log.error(account=options.release or options.retire, path="", text=str(refused))
    finally:
        os.close(base)
    return 1 if log.failed else 0


if __name__ == "__main__":
    sys.exit(main())
