# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalog: archives, copies and pruning."""

from __future__ import annotations

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LogArchiveError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from rigs.growth import assert_linear, sqlite_steps_of
from rigs.manifests import manifest


@pytest.fixture
def catalog(tmp_path):
    opened = Catalog(str(tmp_path))
    yield opened
    opened.close()


def test_the_life_of_an_archive(catalog):
    entry = catalog.add("host", "job", "k", manifest(), ["a", "b"])
    assert catalog.by_key("k") == entry == catalog.entry(entry.id)
    assert catalog.entries("job", spooled=True) == [entry]
    assert catalog.awaited("job") == {"k": ["a", "b"]}
    assert list(catalog.archived_sources("job", ["/var/log/x\udcff", "/else"])) == [("/var/log/x\udcff", 1, 2)]
    assert catalog.archived_sources("other", ["/var/log/x\udcff"]) == {}
    catalog.set_failed(entry, "b", "why \udcff")
    catalog.set_verified(entry, "a", "k.r2", "read_back", "etag")
    copies = catalog.copies(entry)
    assert (copies["a"].state, copies["a"].key, copies["a"].verified_by) == ("verified", "k.r2", "read_back")
    assert (copies["b"].state, copies["b"].error) == ("pending", "why \\udcff")
    assert catalog.held("job", "a") == {"k.r2": manifest()}
    catalog.await_stores(entry, ["a", "c"])
    assert catalog.awaited("job") == {"k": ["b", "c"]}
    catalog.unspool(entry)
    assert catalog.awaited("job") == {}
    assert catalog.entries("job", spooled=True) == []
    assert not catalog.was_pruned("a", "k.r2")
    catalog.set_pruned("a", ["k.r2", "foreign \udcff"])
    assert catalog.was_pruned("a", "k.r2")
    assert catalog.held("job", "a") == {}
    assert list(catalog.archived_sources("job", ["/var/log/x\udcff"])) == [("/var/log/x\udcff", 1, 2)], "pruned is archived all the same"


def test_a_source_that_changed_while_it_was_read_is_not_archived_yet(catalog):
    catalog.add("host", "job", "k", manifest(changed=True), ["a"])
    assert catalog.archived_sources("job", ["/var/log/x\udcff"]) == {}


def test_a_forgotten_archive_is_made_again(catalog):
    entry = catalog.add("host", "job", "k", manifest(), ["a"])
    catalog.forget(entry)
    assert catalog.archived_sources("job", ["/var/log/x\udcff"]) == {}
    assert catalog.by_key("k") is None
    assert catalog.awaited("job") == {}


def test_an_adopted_ciphertext(catalog):
    entry = catalog.add("host", "job", "k", manifest("ours"), ["a", "b", "c"])
    catalog.set_verified(entry, "a", "k", "size", None, manifest("theirs", 20))
    catalog.set_verified(entry, "b", "k", "size", None)
    adopted = catalog.adopt(entry, "a", manifest("theirs", 20))
    assert adopted == catalog.entry(entry.id)
    copies = catalog.copies(adopted)
    assert copies["a"].manifest is None and copies["b"].manifest == manifest("ours")
    assert copies["c"].state == "pending"


def test_covered_periods(catalog):
    catalog.add("host", "job", "k", manifest(), [])
    assert catalog.covers("job", "2024-01-12T14:00:00Z", "2024-01-12T15:00:00Z")
    assert not catalog.covers("job", "2024-01-12T15:00:00Z", "2024-01-12T16:00:00Z")
    assert not catalog.covers("other", "2024-01-12T14:00:00Z", "2024-01-12T15:00:00Z")


def test_a_prune_is_due_after_a_new_copy_or_a_new_policy(catalog):
    entry = catalog.add("host", "job", "k", manifest(), ["a"])
    assert catalog.prunes.needed("job", "a", "policy")
    catalog.prunes.set_done("job", "a", "policy")
    assert not catalog.prunes.needed("job", "a", "policy")
    assert catalog.prunes.needed("job", "a", "another policy")
    catalog.set_verified(entry, "a", "k", "size", None)
    assert catalog.prunes.needed("job", "a", "policy")


def test_a_transaction_is_whole_or_not_there(catalog):
    entry = catalog.add("host", "job", "k", manifest(), ["a"])
    with pytest.raises(LogArchiveError, match="UNIQUE"):
        catalog.add("host", "job", "k", manifest("y"), ["b"])
    assert catalog.entries("job") == [entry]
    catalog.set_verified(entry, "a", "k", "size", None)


def test_no_query_of_an_idle_run_reads_every_archive(catalog):
    """Ten years of hourly archives must not make an idle run slow."""
    plans = [
        "SELECT id, host, job, key, manifest, spooled FROM archives WHERE job = 'j' AND spooled >= 1",
        "SELECT 1 FROM archives WHERE job = 'j' AND period_start >= 'a' AND period_start < 'b'",
        "SELECT archives.key, store FROM copies JOIN archives ON archives.id = archive WHERE state = 'pending' AND copies.job = 'j'",
        "SELECT sources.size FROM sources JOIN archives ON archives.id = archive WHERE path = x'00' AND job = 'j' AND NOT changed",
        "SELECT started FROM runs WHERE job = 'j' ORDER BY id LIMIT 1",
        "SELECT 1 FROM copies WHERE store = 's' AND key = 'k' AND state = 'pruned'",
    ]
    for statement in plans:
        details = [row[3] for row in catalog._database.execute("EXPLAIN QUERY PLAN " + statement)]
        assert not any(detail.startswith("SCAN") for detail in details), (statement, details)


def test_retention_reads_an_index_of_what_a_store_holds(catalog):
    held = catalog.held_by("host", "job", "a")
    asked = []
    catalog._database._connection.set_trace_callback(asked.append)
    held.count(), held.starts(), held.of_period(1), held.start_of("k"), held.below("host/job/2024/01/12/")
    catalog._database._connection.set_trace_callback(None)
    assert len(asked) == 5
    details = [[row[3] for row in catalog._database.execute("EXPLAIN QUERY PLAN " + statement)] for statement in asked]
    assert [one[0].partition("copies ")[2].split(" (")[0] for one in details] == [
        "USING COVERING INDEX copies_by_start",
        "USING COVERING INDEX copies_by_start",
        "USING INDEX copies_by_start",
        "USING INDEX copies_by_key",
        "USING INDEX copies_by_key",
    ]
    assert not any("TEMP B-TREE" in detail for one in details[:2] for detail in one), details


def test_totals_take_linear_work(tmp_path):
    def work(count):
        (tmp_path / str(count)).mkdir()
        catalog = Catalog(str(tmp_path / str(count)))
        for number in range(count):
            entry = catalog.add("host", "job", str(number), manifest(), ["a", "b"])
            for store in "ab":
                catalog.set_verified(entry, store, str(number), "read_back", None)
            catalog.unspool(entry)
        steps = sqlite_steps_of(catalog._database._connection, lambda: catalog.counts.totals("job"))
        assert catalog.counts.totals("job") == (count, 10 * count, count)
        catalog.close()
        return steps

    assert_linear(work)
