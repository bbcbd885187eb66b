# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a host that its job documents cannot change: /etc/log-archive/host.json, which only root may write."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from ..base import protected
from ..base.errors import ConfigError
from .check import normalise_options
from .host_spec import HOST, ROOTS

LARGEST = 1 << 20
"""Bytes of the file."""

Roots = t.Mapping[str, t.Optional[t.Sequence[str]]]
"""By an option of ``host_spec.ROOTS``: the folders below which the paths of job documents must lie; None if they may lie anywhere."""


def path() -> str:
    """Where the file is."""
    return os.path.join(protected.SETTINGS, protected.HOST_FILE)


def roots() -> Roots:
    """The roots of this host. Raises ConfigError if the file is not root's alone, or not valid."""
    where = path()
    try:
        folder = os.open(protected.SETTINGS, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return dict.fromkeys(ROOTS)
    except OSError as error:
        raise _unreadable(where, error) from error
    try:
        try:
            descriptor = os.open(protected.HOST_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return dict.fromkeys(ROOTS)
        except OSError as error:
            raise _unreadable(where, error) from error
        try:
            file = open(descriptor, "rb")  # noqa: SIM115
        except OSError as error:
            os.close(descriptor)
            raise _unreadable(where, error) from error
        with file:
            _require_of_root(os.fstat(folder), protected.SETTINGS)
            _require_of_root(os.fstat(descriptor), where)
            text = file.read(LARGEST)
    finally:
        os.close(folder)
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("not valid JSON: %s" % error, where) from error
    return t.cast(Roots, normalise_options(given, HOST, where)["roots"])


def _require_of_root(status: os.stat_result, path: str) -> None:
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            "it belongs to the user with id %d and has the mode %04o; only root may be able to change the settings of the host"
            % (status.st_uid, stat.S_IMODE(status.st_mode)),
            path,
            "Run: chown root %s && chmod go-w %s" % (path, path),
        )


def _unreadable(path: str, error: OSError) -> ConfigError:
    return ConfigError("cannot read the settings of the host: %s" % error.strerror, path, "Make it a regular file of root with mode 0644")
