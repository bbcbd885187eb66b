# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of stores: one line for each type that a job document can name, and defaults that are stated once."""

from __future__ import annotations

import inspect
import re
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.levels import VERIFICATION_LEVELS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.store_spec import NEEDED_BY_STORE, STORE, STORE_PROBLEMS
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.opening import CLASSES
from rigs.stores import new_store, store_options

NEEDED: t.Dict[str, t.Dict[str, t.Any]] = {
    "file": {"path": "/srv/archives"},
    "s3": {"bucket": "archives"},
    "sftp": {"host": "server", "user": "la", "path": "archives", "password": "marker"},
}


def test_every_type_of_a_document_has_a_line_and_no_other() -> None:
    assert sorted(CLASSES) == sorted(STORE["type"]["choices"]) == sorted(NEEDED_BY_STORE) == sorted(NEEDED)
    assert sorted(STORE_PROBLEMS) == sorted(CLASSES)


def test_only_the_file_store_is_on_this_host() -> None:
    assert [kind for kind in sorted(CLASSES) if not CLASSES[kind]().remote] == ["file"]


@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_a_store_has_the_name_and_the_defaults_of_the_document(kind: str) -> None:
    store = new_store(kind, **NEEDED[kind])
    assert (store.type, store.name) == (kind, kind)
    assert (store.attempts, store.retry_delay) == (STORE["attempts"]["default"], float(STORE["retry_delay"]["default"]))
    assert store.verify_level == CLASSES[kind]().default_level
    assert store.verify_level in VERIFICATION_LEVELS
    assert new_store(kind, **dict(NEEDED[kind], name="other", verify="size")).verify_level == "size"


@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_a_store_states_no_default_of_its_own(kind: str) -> None:
    parameters = inspect.signature(CLASSES[kind]().__init__).parameters
    assert list(parameters) == ["self", "options"]


def test_the_document_describes_the_default_levels_as_they_are() -> None:
    text = " ".join(STORE["verify"]["description"])
    described = re.search(r"The default is V\((\w+)\) for a file store, V\((\w+)\) for S3 and V\((\w+)\) for SFTP", text)
    assert described is not None
    assert list(described.groups()) == [CLASSES[kind]().default_level for kind in ("file", "s3", "sftp")]


@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_options_of_other_types_are_ignored(kind: str) -> None:
    options = dict(store_options(kind, **NEEDED[kind]), required=True, retention=None, append_only=False)
    assert isinstance(CLASSES[kind]()(t.cast(t.Any, options)), Store)


@pytest.mark.parametrize(("kind", "option"), [(kind, option) for kind in sorted(NEEDED) for option in NEEDED_BY_STORE[kind]])
def test_an_option_that_the_store_needs_is_named(kind: str, option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        new_store(kind, **dict(NEEDED[kind], **{option: None}))


@pytest.mark.parametrize("kind", sorted(NEEDED))
def test_no_secret_is_in_the_location_or_the_text_of_a_store(kind: str) -> None:
    store = new_store(kind, **NEEDED[kind])
    assert "marker" not in store.location("key") + repr(store) + str(vars(store))
