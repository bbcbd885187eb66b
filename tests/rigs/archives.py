# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives in a folder, each of one log, without a job."""

from __future__ import annotations

import pathlib
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.envelope import FernetEnvelope
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import Key, key_id
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import source_at
from rigs.host import at

PERIOD = Period(at("2024-01-12 14:00"), at("2024-01-12 15:00"))
ENVELOPE = FernetEnvelope(Key(key_id(bytes(32)), bytes(32)))


def archive_maker(folder: pathlib.Path) -> t.Callable[[bytes], t.Tuple[str, t.Any]]:
    """A function that takes a log's bytes and makes a new archive ``x.tgz`` of it below the folder; it returns (path, manifest)."""
    log = folder / "log"
    numbers = iter(range(1000))

    def make(content: bytes) -> t.Tuple[str, t.Any]:
        log.write_bytes(content)
        path = str(folder / str(next(numbers)) / "x.tgz")
        return path, create_archive(path, Contents([source_at(str(log), PERIOD)], "h", "j", PERIOD), ENVELOPE).manifest

    return make
