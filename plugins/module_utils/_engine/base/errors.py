# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors of the engine: what failed, on which object, and what to do."""

from __future__ import annotations

from . import hints as t
from .texts import line

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_PARTLY = 3
EXIT_INTEGRITY = 4
EXIT_LOCKED = 5
EXIT_SIGNAL = 128
"""Plus the number of the signal that ended the command."""
LONGEST = 4000
"""Characters of the message, the subject and the hint of an error: a server may answer anything, of any length."""
WORST_FIRST = (EXIT_INTEGRITY, EXIT_CONFIG, EXIT_FAILED, EXIT_PARTLY, EXIT_LOCKED, EXIT_DONE)


class LogArchiveError(Exception):
    """Base of every error that the engine raises on purpose. Its text is safe to show, whoever wrote its parts.

    message: what failed; subject: the object (a path, a key, a host:port); hint: what to do.
    exit_code: the status of the command if this error ends it. kind: a word for programs, which does not change when a message does.
    """

    kind = "failed"
    exit_code = EXIT_FAILED

    def __init__(self, message: str, subject: t.Optional[str] = None, hint: t.Optional[str] = None) -> None:
        super().__init__(message)
        self.message = _cut(message)
        self.subject = None if subject is None else _cut(subject)
        self.hint = None if hint is None else _cut(hint)

    def __str__(self) -> str:
        text = line(self.message) if self.subject is None else "%s: %s" % (line(self.subject), line(self.message))
        return text if self.hint is None else "%s. %s" % (text.rstrip("."), line(self.hint))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else "%s... (%d more characters)" % (text[:LONGEST], len(text) - LONGEST)


class UnexpectedError(LogArchiveError):
    """An exception that nothing expects: a defect of this software. Its type and its place are shown; its text may hold a secret."""

    kind = "unexpected"

    def __init__(self, error: BaseException) -> None:
        super().__init__("unexpected %s%s" % (type(error).__name__, _place(error)), hint="This is a defect; report it with this line")


_ENGINE = __file__[: -len("base/errors.py")]
_FRAMES = 4


def _place(error: BaseException) -> str:
    """Where in the engine the exception was raised, and from where that was called: ' in stores/s3.py line 120, from ...'."""
    lines = []
    traceback = error.__traceback__
    while traceback is not None:
        path = traceback.tb_frame.f_code.co_filename
        if path.startswith(_ENGINE):
            lines.append("%s line %d" % (path[len(_ENGINE) :], traceback.tb_lineno))
        traceback = traceback.tb_next
    return " in %s" % ", from ".join(lines[: -_FRAMES - 1 : -1]) if lines else ""


def typed(error: BaseException) -> LogArchiveError:
    """Any exception as an error of the engine: an error of the system with its reason and file, anything else as a defect."""
    if isinstance(error, LogArchiveError):
        return error
    # Python has no type of its own for a thread that cannot start.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't start new thread" in str(error)):
        return OutOfMemoryError()
    if isinstance(error, OSError) and error.strerror:
        return LogArchiveError(error.strerror, None if error.filename is None else ascii(error.filename).strip("'"))
    return UnexpectedError(error)


class ConfigError(LogArchiveError):
    """A value from the caller is wrong; ``problems`` lists every mistake, one line each."""

    kind = "config"
    exit_code = EXIT_CONFIG

    def __init__(
        self,
        message: str,
        subject: t.Optional[str] = None,
        hint: t.Optional[str] = None,
        problems: t.Sequence[str] = (),
    ) -> None:
        super().__init__(message, subject, hint)
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n  - ".join([super().__str__(), *map(line, self.problems)])


class KeyNameError(ConfigError):
    """The layout of a store has no name for an object with this key; other keys have one."""

    kind = "key_name"


class UsageError(ConfigError):
    """The command line is wrong."""

    kind = "usage"


class NoJobsError(ConfigError):
    """There is no job document: nothing was set up to run."""

    kind = "no_jobs"


class PruneRefusedError(LogArchiveError):
    """A guard of retention refused a plan: nothing of it was removed."""

    kind = "prune_refused"
    exit_code = EXIT_PARTLY


class RepeatedRefusalError(PruneRefusedError):
    """The same refusal in many runs: a failure, until somebody looks at the plan."""

    kind = "prune_refused_repeatedly"
    exit_code = EXIT_FAILED


class MissingLibraryError(LogArchiveError):
    """A Python library that this operation needs is not installed, or it cannot be loaded (``reason``); ``library`` is its name on PyPI.

    least: the lowest version that will do.
    """

    kind = "missing_library"
    exit_code = EXIT_CONFIG

    def __init__(self, library: str, needed_for: str, reason: t.Optional[str] = None, least: t.Optional[str] = None) -> None:
        import sys

        wanted = library if least is None else "%s>=%s" % (library, least)
        if reason is None:
            message = "the Python library '%s' is missing, needed for %s" % (library, needed_for)
            hint = "Install it for %s: '%s -m pip install %s', or your distribution's package (python3-%s on Debian)"
            hint %= (sys.executable, sys.executable, wanted, library.lower())
        else:
            message = "the Python library '%s' is installed but cannot be loaded (%s), needed for %s" % (library, reason, needed_for)
            hint = "Repair it for %s: '%s -m pip install --force-reinstall %s', or reinstall your distribution's package"
            hint += " (python3-%s on Debian)"
            hint %= (sys.executable, sys.executable, wanted, library.lower())
        super().__init__(message, hint=hint)
        self.library = library


class SelectionError(LogArchiveError):
    """The sources could not be selected, or a source that must exist does not."""

    kind = "selection"


class SourceError(LogArchiveError):
    """A source could not be read, or changed while it was read and the caller refuses changed sources.

    path: the source; vanished: it does not exist any more. The other sources are archived: the run is partly done.
    """

    kind = "source"
    exit_code = EXIT_PARTLY

    def __init__(self, message: str, path: str, hint: t.Optional[str] = None, vanished: bool = False) -> None:
        super().__init__(message, path if path.isprintable() else ascii(path), hint)
        self.path = path
        self.vanished = vanished


class OutOfMemoryError(LogArchiveError):
    """The process may not have more memory, or no more threads. What it has stored stays, and the next run completes the rest."""

    kind = "memory"
    text = "no memory or thread is left for this process"
    advice = "Raise its limits (ulimit -v and -u; MemoryMax= and TasksMax= of the systemd unit). A later run completes the work"

    def __init__(self) -> None:
        super().__init__(self.text, hint=self.advice)


class DiskFullError(LogArchiveError):
    """A local folder (spool, destination) has no room; no incomplete file was left there."""

    kind = "disk_full"


class KeyringError(LogArchiveError):
    """The keyring cannot be used: missing key, permissions that let others read it, damaged key file."""

    kind = "keyring"
    exit_code = EXIT_CONFIG


class KeyMissingError(KeyringError):
    """The keyring can be used, but does not have the key that one archive needs."""

    kind = "key_missing"


class NotARecipientError(KeyMissingError):
    """None of the identities is a recipient of the archive, or its recipient was removed."""

    kind = "not_a_recipient"


class IdentityError(KeyringError):
    """A file with identities, or with keys of archives, cannot be used."""

    kind = "identity"


class IntegrityError(LogArchiveError):
    """Bytes are wrong: a token does not authenticate, or a digest differs."""

    kind = "integrity"
    exit_code = EXIT_INTEGRITY


class LockedError(LogArchiveError):
    """Another run holds the lock."""

    kind = "locked"
    exit_code = EXIT_LOCKED


class StoreError(LogArchiveError):
    """A store failed. retryable: the same call may succeed later. advanced: before that, a part of the work was done that need not be done
    again."""

    kind = "store"
    retryable = False
    advanced = False


class StoreUnavailableError(StoreError):
    """The store cannot be reached, timed out, cut the connection or answered with a server error."""

    kind = "store_unavailable"
    retryable = True


class StoreDeniedError(StoreError):
    """The store refuses the credentials, the permission or the host key. Never retried: it could lock an account."""

    kind = "store_denied"


class StoreFullError(StoreError):
    """The store has no room (ENOSPC, EDQUOT, quota answers). Not retried within a run; the archive waits in the spool."""

    kind = "store_full"


class StoreNotFoundError(StoreError):
    """The key, bucket or folder does not exist in the store."""

    kind = "store_not_found"


class ArchiveNotFoundError(StoreNotFoundError):
    """The stores answer, but have no archive with this name or in this range of time."""

    kind = "archive_not_found"


class StoreExistsError(StoreError):
    """Another object is stored under the key; it is never overwritten."""

    kind = "store_exists"
