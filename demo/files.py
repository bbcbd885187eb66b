# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of the demo, and how it names them."""

from __future__ import annotations

import contextlib
import pathlib
import shutil


class Failed(Exception):
    """The demo cannot go on; the message gives the reason."""


def remove(path: pathlib.Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write(path: pathlib.Path, text: str, mode: int = 0o600) -> None:
    """Write a file whole, or leave it as it was."""
    part = path.with_name(path.name + ".part")
    part.touch(mode)
    part.chmod(mode)
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def sized(size: float) -> str:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.units import format_size

    return format_size(size)


def shown_path(path: pathlib.Path) -> str:
    """The path as a person would type it here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(pathlib.Path.cwd()))
    return str(path)
