# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folders in which a job keeps its state and its spool."""

from __future__ import annotations

import os

from ..base.errors import ConfigError, LogArchiveError


def prepare(path: str) -> None:
    """Create the folder (0700) if it is missing, and refuse one of another user if the run is root's.

    Raises LogArchiveError if it cannot be created, ConfigError if it belongs to another user.
    """
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        owner = os.stat(path).st_uid
    except OSError as error:
        raise LogArchiveError(
            "cannot create the folder: %s" % error.strerror, path, "Create it for the user that runs the job, with mode 0700"
        ) from error
    if os.geteuid() == 0 and owner != 0:
        name = _user_name(owner)
        raise ConfigError(
            # The runs of that user could not change files that root creates there.
            "the job belongs to the user %s, who owns this folder; a run as root would create files that this user cannot change" % name,
            path,
            "Run the job as %s (become_user, runuser), or with the command that the role runner installs, which does so by itself" % name,
        )


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
