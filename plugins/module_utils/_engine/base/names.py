# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File names are bytes: the same ones in the tar, the manifest, the catalog and all output, whatever the locale.

In the engine a name is a text: its bytes as UTF-8, others as surrogate escapes (PEP 383). Python gives and takes names in this way in its
UTF-8 mode (PEP 540), in which the installed command always runs, and in every locale with UTF-8. Elsewhere a name that is not ASCII would
be another one, so it is refused. That concerns a module under a locale such as de_DE.ISO-8859-1.
"""

from __future__ import annotations

import sys
import typing as t

HINT = "Set PYTHONUTF8=1 in its environment (Ansible's keyword environment)"


def plain(name: str) -> str:
    """The name of a member of an archive without "./" parts: tar, bsdtar and zip write "./dump.sql" for "dump.sql"."""
    return "/".join(part for part in name.split("/") if part != ".")


def is_exact(name: str) -> bool:
    """Whether this process takes the name as its bytes."""
    return name.isascii() or sys.getfilesystemencoding() == "utf-8"


def add_folders(folders: t.Set[str], name: str) -> None:
    """Add the folders on the way to a relative path. folders: those of others, each with the folders on the way to it."""
    folder = name.rpartition("/")[0]
    while folder and folder not in folders:
        folders.add(folder)
        folder = folder.rpartition("/")[0]


def inexact() -> str:
    """Why a name is refused."""
    return "the name is not ASCII, and this Python takes names as %s, not as bytes" % sys.getfilesystemencoding()
