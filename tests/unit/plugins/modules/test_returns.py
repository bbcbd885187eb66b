# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The RETURN blocks of modules document the types that the engine returns, key by key."""

from __future__ import annotations

import importlib
import typing as t

import pytest
import yaml
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.facts import LocalArchive, PeriodText
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.staging import ExtractedFile
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.keyring import KeyInfo
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.facts import HeldArchive, SentArchive, Totals
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.retention import Item
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.verify import Counts, FailedArchive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.drill import StoreDrill
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.record import AdoptedRow
from rigs.returns import documented, stated

PREFIX = "ansible_collections.infra_ops.log_archive.plugins.modules."


def rows(type: t.Any, **added: str) -> t.Tuple[str, t.Dict[str, t.Any]]:
    """A list of the type's rows, to which the module adds these keys."""
    return ("list", {**documented(type), **added})


PLAN = ("list", {"key": "str", "time": "str", "host": "str", "job": "str", "size": "int", "reasons": ("list", "str")})
PLACE = {"archive": "str", "host": "str", "job": "str", "store": "str", "authenticated": "bool", "log": "str"}
RETURNED: t.Dict[str, t.Dict[str, t.Any]] = {
    "archive_create": {"archives": rows(LocalArchive, state="str", seconds="float")},
    "archive_upload": {"archives": rows(SentArchive, path="str")},
    "archive_verify": {**documented(Counts), "failed_archives": rows(FailedArchive)},
    "archive_prune": {
        "keep": PLAN,
        "remove": PLAN,
        "removed": ("list", "str"),
        "bytes_freed": "int",
        "refusals": ("list", "str"),
        "damaged": "dict",
        "failed_keys": "dict",
    },
    "archive_restore": {
        "files": rows(ExtractedFile, archive="str", store="str", authenticated="bool"),
        "failed_archives": ("list", {"archive": "str", "error": "str"}),
    },
    "archive_adopt": {
        "objects": ("list", documented(AdoptedRow, {"PeriodText": PeriodText})),
        "unmatched": "int",
        "own": "int",
        "elsewhere": "int",
    },
    "archive_drill": {"drills": rows(StoreDrill)},
    "archive_search": {
        "lines": ("list", dict(PLACE, line="int", text="str", matched="bool", cut="bool")),
        "counts": ("list", dict(PLACE, count="int")),
        "matched": "int",
        "archives": "int",
        "complete": "bool",
        "failed_archives": ("list", {"archive": "str", "log": "str", "error": "str"}),
    },
    "archive_info": {
        "archives": rows(HeldArchive),
        "totals": documented(Totals),
        "damaged": "dict",
        "without_archive": ("list", "str"),
        "others": ("list", "str"),
    },
    "fernet_key": {"current": "str", "previous": "str", "key_id": "str", "keys": rows(KeyInfo)},
}


@pytest.mark.parametrize("name", sorted(RETURNED))
def test_the_return_block_agrees_with_the_types(name: str) -> None:
    assert stated(yaml.safe_load(importlib.import_module(PREFIX + name).RETURN)) == RETURNED[name]


def test_a_row_of_a_plan_has_the_keys_of_an_item() -> None:
    # ``reasons`` replaces ``protected``, and no item of the module is only expected.
    assert set(PLAN[1]) - {"reasons"} == set(Item._fields) - {"protected", "expected"}
