# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of a job document agree with the tables that declare its options."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import document, spec

SCALARS = {
    "str": str,
    "path": str,
    "int": int,
    "bool": bool,
    "float": float,
    "duration": document.Duration,
    "size": document.Size,
}
PARTS = {
    "select": document.SelectOptions,
    "web": document.WebOptions,
    "archive": document.ArchiveOptions,
    "encryption": document.EncryptionOptions,
    "retention": document.RetentionOptions,
    "schedule": document.ScheduleOptions,
    "stores": document.JobStore,
    "notify": document.NotifyTarget,
}


def type_of(name: str, option: t.Mapping[str, t.Any]) -> t.Any:
    """The type of an option's value once every key is present."""
    element = option["elements"] if option["type"] == "list" else option["type"]
    plain = PARTS[name] if element == "dict" else SCALARS[element]
    value = t.List[plain] if option["type"] == "list" else plain
    return value if option.get("required") or "default" in option else t.Optional[value]


@pytest.mark.parametrize(
    ("declared", "table"),
    [
        (document.SelectOptions, spec.SELECTION),
        (document.ArchiveOptions, spec.ARCHIVE),
        (document.EncryptionOptions, spec.ENCRYPTION),
        (document.RetentionOptions, spec.RETENTION),
        (document.StoreOptions, spec.STORE),
        (document.JobStore, spec.JOB["stores"]["options"]),
        (document.WebOptions, spec.WEB),
        (document.ScheduleOptions, spec.SCHEDULE),
        (document.NotifyTarget, spec.NOTIFY),
        (document.JobDocument, spec.JOB),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_type_has_the_keys_and_types_of_its_table(declared: t.Any, table: spec.Spec) -> None:
    expected = {name: type_of(name, option) for name, option in table.items()}
    if declared in (document.StoreOptions, document.JobStore):
        expected["name"] = str  # A store without a name is named after its type.
    assert t.get_type_hints(declared) == expected
