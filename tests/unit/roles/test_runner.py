# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the role runner, against the engine's tables."""

from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import protected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.host_spec import HOST, ROOTS

ROLE = pathlib.Path(__file__).resolve().parents[3] / "roles" / "runner"


def loaded(name: str) -> t.Dict[str, t.Any]:
    yaml = pytest.importorskip("yaml")
    return yaml.safe_load((ROLE / name).read_text(encoding="utf-8"))


def test_the_roots_are_those_that_the_engine_knows() -> None:
    options = loaded("meta/argument_specs.yml")["argument_specs"]["main"]["options"]["runner_roots"]["options"]
    assert {name: (option["type"], option["elements"]) for name, option in options.items()} == {
        name: (option["type"], option["elements"]) for name, option in ROOTS.items()
    }
    assert list(HOST) == ["roots"]


def test_the_settings_of_the_host_are_written_where_the_engine_reads_them() -> None:
    assert loaded("vars/main.yml")["_runner_host"] == "%s/%s" % (protected.SETTINGS, protected.HOST_FILE)
