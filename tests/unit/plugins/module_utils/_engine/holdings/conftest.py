# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file store with three archives, as a job makes them."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import head_of
from rigs.host import Host, file_store, files_below


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store with three archives, made once."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.write_logs(12, 13, 14)
    host.run()
    return {name: (host.store / name).read_bytes() for name in files_below(host.store) if head_of(name) is None}


@pytest.fixture
def store(template, tmp_path):
    for name, data in template.items():
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return file_store(tmp_path / "store")
