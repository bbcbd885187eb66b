# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody who can write to a store, and has no key, can do to the archives there."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.manifest import dump
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key


def read_manifest(store: pathlib.Path, key: str) -> t.Dict[str, t.Any]:
    """The manifest of an archive."""
    return t.cast(t.Dict[str, t.Any], json.loads((store / manifest_key(key)).read_bytes()))


def write_manifest(store: pathlib.Path, key: str, manifest: t.Any) -> None:
    """Write a manifest in its canonical form."""
    (store / manifest_key(key)).write_bytes(dump(manifest))


def alter(store: pathlib.Path, key: str, **changes: t.Any) -> None:
    """Change fields of a manifest; None removes one."""
    manifest = {**read_manifest(store, key), **changes}
    write_manifest(store, key, {name: value for name, value in manifest.items() if value is not None})


def downgrade(store: pathlib.Path, key: str, **changes: t.Any) -> None:
    """Strip the HMAC of a manifest and lower its version, so that it can be changed."""
    alter(store, key, version=1, hmac=None, **changes)


def copy(store: pathlib.Path, key: str, to: str, archive: bool = True, manifest: bool = True) -> None:
    """Put an archive, its manifest or both in the place of another."""
    os.makedirs((store / to).parent, exist_ok=True)
    if archive:
        shutil.copy(store / key, store / to)
    if manifest:
        shutil.copy(store / manifest_key(key), store / manifest_key(to))


def remove(store: pathlib.Path, key: str) -> None:
    """Remove an archive and its manifest."""
    (store / key).unlink()
    (store / manifest_key(key)).unlink()
