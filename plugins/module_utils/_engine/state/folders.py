# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders in which a job keeps its state and its spool."""

from __future__ import annotations

import contextlib
import os

from ..base import hints as t
from ..base.beneath import open_private
from ..base.errors import ConfigError, LogArchiveError


@contextlib.contextmanager
def held(path: str, create: bool = False) -> t.Iterator[int]:
    """A descriptor of the folder, which belongs to the running user, and which nobody else but root can change or exchange.

    create: make it (0700) if it is missing. Raises LogArchiveError if it cannot be made or opened, FileNotFoundError if it is missing and
    not to be made, and ConfigError if it belongs to another user, if others can write to it, or if it lies in a keyring or among the
    settings of the host.
    """
    with contextlib.ExitStack() as stack:
        if is_anothers(path):
            _refuse_other_owner(os.stat(path).st_uid, path)
        try:
            folder = stack.enter_context(open_private(path, create))
        except FileNotFoundError:
            if not create:
                raise
            raise LogArchiveError("cannot create the folder", path, _HINT) from None
        except OSError as error:
            raise LogArchiveError("cannot create or open the folder: %s" % error.strerror, path, _HINT) from error
        _refuse_other_owner(os.fstat(folder).st_uid, path)
        yield folder


def removals_path(state: str, job: str) -> str:
    """The file in which a job records the sources that it is deleting (see ``removals``)."""
    return os.path.join(state, "%s.removals.json" % job)


def rewraps_path(state: str, job: str) -> str:
    """The file in which a job records the manifests that it is exchanging (see ``rewraps``)."""
    return os.path.join(state, "%s.rewrap.json" % job)


def check(path: str) -> None:
    """Raise ConfigError as ``held`` would. A folder that is missing or that this user cannot open is not a mistake.

    Root may check the jobs of other users.
    """
    try:
        if not is_anothers(path):
            with held(path):
                pass
    except ConfigError:
        raise
    except (FileNotFoundError, LogArchiveError):
        pass


def is_anothers(path: str) -> bool:
    """Whether this user is root and the folder belongs to another user, who runs jobs."""
    try:
        return os.geteuid() == 0 and os.stat(path).st_uid != 0
    except OSError:
        return False


_HINT = "Create it for the user that runs the job, with mode 0700"


def _refuse_other_owner(owner: int, path: str) -> None:
    if owner == os.geteuid():
        return
    name = user_name(owner)
    if os.geteuid() == 0:
        raise ConfigError(
            # The runs of that user could not change files that root creates there.
            "the job belongs to the user %s, who owns this folder; a run as root would create files that this user cannot change" % name,
            path,
            "Run the job as %s (become_user, runuser), or with the command that the role runner installs, which does so by itself" % name,
        )
    raise ConfigError(
        "the folder belongs to the user %s and not to the user that runs the job" % name,
        path,
        "Choose another folder, or run: chown %s %s" % (user_name(os.geteuid()), path),
    )


def lock_of(state: str, job: str) -> str:
    """The path of the lock that a run of the job holds."""
    return os.path.join(state, "%s.lock" % job)


def user_name(uid: int) -> str:
    """The name of a user; the number of one that has none."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
