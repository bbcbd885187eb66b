# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores of a run: opened when first used, given up after a failure of the store, closed with the run."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    IntegrityError,
    LogArchiveError,
    SourceError,
    StoreUnavailableError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.stores import OpenStores
from rigs.host import Host


@pytest.fixture
def stores(tmp_path):
    options = [
        {"type": "file", "name": "first", "path": str(tmp_path / "first")},
        {"type": "file", "name": "second", "path": str(tmp_path / "second"), "required": False},
    ]
    opened = OpenStores(Host(tmp_path, options).document()["stores"])
    yield opened
    opened.close()


def test_names_in_the_order_of_the_job(stores):
    assert stores.names == ["first", "second"]
    assert stores.required == ["first"]


def test_a_store_is_opened_once(stores, tmp_path):
    store = stores.open("first")
    assert store.name == "first" and stores.open("first") is store
    assert store.location("x") == str(tmp_path / "first" / "x")


def test_close_closes_the_open_stores_only(stores, monkeypatch):
    closed = []
    monkeypatch.setattr(stores.open("second"), "close", lambda: closed.append("second"))
    stores.close()
    assert closed == ["second"]


@pytest.mark.parametrize(
    ("error", "dead"),
    [
        (StoreUnavailableError("down"), True),
        (LogArchiveError("no library"), True),
        (IntegrityError("damaged"), False),
        (SourceError("cannot be read", "/x"), False),
    ],
)
def test_only_an_error_of_the_store_itself_gives_it_up(stores, error, dead):
    stores.note_failure("first", error)
    assert stores.dead == ({"first": str(error)} if dead else {})
