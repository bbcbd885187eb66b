# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives as scripts made them before this software: with tarfile, zipfile and the Fernet class of cryptography alone."""

from __future__ import annotations

import io
import pathlib
import tarfile
import typing as t
import zipfile

MTIME = 1704067200


def member(name: str, size: int = 0, **fields: t.Any) -> tarfile.TarInfo:
    """The header of a file, or what the fields make of it."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime, info.mode = size, MTIME, 0o640
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def tgz(*files: t.Tuple[str, bytes], extra: t.Sequence[tarfile.TarInfo] = ()) -> bytes:
    """A gzip tar of these files. extra: headers of members without content, which come first."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for info in extra:
            archive.addfile(info)
        for name, content in files:
            archive.addfile(member(name, len(content)), io.BytesIO(content))
    return data.getvalue()


def zipped(*files: t.Tuple[str, bytes]) -> bytes:
    """A zip of these files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 12, 23, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def new_key(path: pathlib.Path) -> bytes:
    """A key file as ``Fernet.generate_key`` gives it, for its owner alone."""
    from cryptography.fernet import Fernet

    key: bytes = Fernet.generate_key()
    path.touch(0o600)
    path.write_bytes(key)
    return key


def encrypted(key: bytes, data: bytes) -> bytes:
    """What the script wrote to NAME.encrypted."""
    from cryptography.fernet import Fernet

    token: bytes = Fernet(key).encrypt(data)
    return token
