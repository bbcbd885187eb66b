# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with logs, a keyring and a job, in a folder; and what must be true of its stores after a run, whatever came before."""

from __future__ import annotations

import collections
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sys
import typing as t
from datetime import datetime, timezone

from ansible_collections.infra_ops.log_archive.plugins.module_utils import _engine
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import (
    facts,
    manifest as manifests,
    restore as restoring,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.durable import TEMP_PREFIX
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Store
from rigs.stores import new_store

NAME = "web1"
JOB = "syslog"


def at(text: str) -> datetime:
    """A time in UTC: '2024-01-12 15:05'."""
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


NOW = at("2024-01-12 15:05")
"""Ten to three: the log of 14 o'clock is the last that is closed."""


class Host:
    """A folder with ``logs``, ``spool``, ``state``, ``keyring`` and, for file stores, ``store``."""

    def __init__(self, folder: t.Union[str, pathlib.Path], stores: t.Optional[t.List[t.Dict[str, t.Any]]] = None) -> None:
        self.folder = pathlib.Path(folder)
        self.logs = self.folder / "logs"
        self.spool = self.folder / "spool"
        self.state = self.folder / "state"
        self.keyring = self.folder / "keyring"
        self.events = self.folder / "events.jsonl"
        self.store = self.folder / "store"
        self.stores = stores if stores is not None else [{"type": "file", "path": str(self.store)}]
        self.logs.mkdir(parents=True, exist_ok=True)
        keyring.create(str(self.keyring))

    def write_logs(self, *hours: int, size: int = 3000) -> t.List[pathlib.Path]:
        """The logs of these hours of 2024-01-12, each with its own bytes, about ``size`` of them."""
        paths = []
        for hour in hours:
            path = self.logs / ("syslog.20240112.%02d" % hour)
            path.write_bytes(log_bytes(str(hour), size))
            paths.append(path)
        return paths

    def given(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        """The job as a person would write it. changes: further keys; ``select`` is merged."""
        select = {"paths": [str(self.logs)], "patterns": ["syslog.%Y%m%d.%H"], "period": "hour", "catch_up": "6h"}
        select.update(changes.pop("select", {}))
        document = {
            "name": JOB,
            "host": NAME,
            "select": select,
            "encryption": {"keyring": str(self.keyring)},
            "stores": self.stores,
            "spool": str(self.spool),
            "state": str(self.state),
            "log": str(self.events),
        }
        document.update(changes)
        return document

    def document(self, **changes: t.Any) -> t.Dict[str, t.Any]:
        """The job as ``job.run`` takes it."""
        return normalise(self.given(**changes))

    def run(self, now: datetime = NOW, check: bool = False, **changes: t.Any) -> t.Dict[str, t.Any]:
        """One run of the job in this process."""
        return job.run(self.document(**changes), now=now, check=check)

    def write_document(self, **changes: t.Any) -> pathlib.Path:
        """The job's document in the folder ``jobs``."""
        folder = self.folder / "jobs"
        folder.mkdir(exist_ok=True)
        path = folder / ("%s.json" % changes.get("name", JOB))
        path.touch(0o600)
        path.write_text(json.dumps(self.given(**changes), indent=1))
        return path

    def command(self, *arguments: str, **options: t.Any) -> subprocess.CompletedProcess[str]:
        """Run the command ``log-archive`` in its own process."""
        options.setdefault("capture_output", True)
        return subprocess.run([*COMMAND, *arguments], check=False, text=True, env=self.environment(), **options)

    def environment(self, **more: str) -> t.Dict[str, str]:
        """The environment in which the command finds the engine and this host's jobs."""
        return dict(os.environ, PYTHONPATH=ENGINE_PATH, LOG_ARCHIVE_CONFIG=str(self.folder / "jobs"), **more)

    def spooled(self) -> t.List[str]:
        """Every file in the spool."""
        return files_below(self.spool)


ENGINE_PATH = os.pathsep.join(path for path in sys.path if path)
COMMAND = [sys.executable, "-c", "from %s.cli.main import end_with_main; end_with_main()" % _engine.__name__]


def log_bytes(seed: str, size: int) -> bytes:
    """Text that compresses as logs do, other for each seed."""
    digest = hashlib.sha256(seed.encode()).hexdigest()
    line = "Jan 12 web1 app[%s]: request %%d of %s took %%d ms\n" % (seed, digest)
    lines = []
    length = 0
    number = 0
    while length < size:
        number += 1
        lines.append(line % (number, number * 7919 % 997))
        length += len(lines[-1])
    return "".join(lines).encode()[:size]


def random_bytes(size: int) -> bytes:
    """Bytes that do not compress."""
    return os.urandom(size)


def files_below(folder: t.Union[str, pathlib.Path]) -> t.List[str]:
    """Relative paths of all files, links and other non-folders below a folder, sorted."""
    found = []
    for path, _folders, names in os.walk(folder):
        found += [os.path.relpath(os.path.join(path, name), folder) for name in names]
    return sorted(found)


def archives_in(store: t.Any, incomplete: bool = False) -> t.Dict[str, facts.Manifest]:
    """Every archive of a store by key, after a check that each has its manifest and each manifest its archive.

    incomplete: there may be manifests without an archive, of uploads that failed.
    """
    held = inventory.read(store)
    assert held.damaged == {}
    assert incomplete or held.orphans == [], "manifests without an archive"
    assert held.others == [], "archives without a manifest"
    return {archive.key: archive.manifest for archive in held.archives}


def assert_complete(store: t.Any, host: Host, wanted: t.Mapping[str, bytes]) -> None:
    """Every source is in exactly one archive of the store, and every archive reads back and restores to these very bytes.

    wanted: what was in each source, by path.
    """
    archives = archives_in(store)
    counted = collections.Counter(source["path"] for manifest in archives.values() for source in manifest["sources"])
    assert counted == dict.fromkeys(wanted, 1)
    for key, manifest in archives.items():
        assert store.verify(key, manifests.digests(manifest), "read_back").level == "read_back"
        assert_restores(store, key, manifest, host, wanted)


def assert_restores(store: t.Any, key: str, manifest: facts.Manifest, host: Host, wanted: t.Mapping[str, bytes]) -> None:
    """The archive restores to these bytes."""
    import tempfile

    data = io.BytesIO()
    store.get(key, data)
    opener = envelope.for_archive(manifest["encryption"], str(host.keyring), False, key)
    with tempfile.TemporaryDirectory() as folder:
        for file in restoring.restore(data, opener, folder, key, manifest):
            with open(file.path, "rb") as restored:
                assert restored.read() == wanted["/" + file.name]


def file_store(path: t.Union[str, pathlib.Path]) -> Store:
    """A file store over a folder: how the local root of a server of the lab is looked at."""
    return t.cast(Store, new_store("file", name="look", path=str(path)))


def assert_tidy(root: t.Union[str, pathlib.Path]) -> None:
    """No unfinished upload is left below the folder of a store."""
    assert [name for name in files_below(root) if os.path.basename(name).startswith(TEMP_PREFIX)] == []
