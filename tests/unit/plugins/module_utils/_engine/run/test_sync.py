# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""log-archive sync: a store that a job gets later, or under another name, gets the archives that the job keeps."""

from __future__ import annotations

import contextlib
import json
import shutil

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import manifest_key
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import LockedError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.recorded import records
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import send as sending
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job, sync as syncing, verify as verifying
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run.sync import Wanted, sync
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.catalog import Catalog
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger.file import Ledger
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import Store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell.lacking import status_of
from rigs.grown import grow
from rigs.host import JOB, NAME, NOW, archives_in, assert_tidy, at, file_store, files_below
from rigs.runs import tree

pytest.importorskip("cryptography")


@pytest.fixture
def first(host):
    """A host with three archives in its store, and then a second store."""
    host.write_logs(12, 13, 14)
    assert host.run()["exit_code"] == 0
    host.second = host.folder / "second"
    host.stores.append({"type": "file", "name": "second", "path": str(host.second)})
    return host


def synced(host, check=False, sources=None, to=("second",), **changes):
    document = host.document(**changes)
    names = [store["name"] for store in document["stores"]]
    return sync(document, Wanted(names if sources is None else sources, to), NOW, check)


def lacking(host, **changes):
    return status_of(host.document(**changes), now=NOW)["lacking"]


def verified(host, **limits):
    """The exit code of 'log-archive verify', and the errors."""
    document = host.document()
    wanted = verifying.Wanted(NAME, limits.get("start"), limits.get("end"), None)
    with records(document, document["stores"], NAME) as recorded:
        done = verifying.verify(document, document["stores"], recorded, wanted, no_progress)
    return done.exit_code, [(row["store"], row["error"]) for row in done.rows if row["error"]]


def keys(store):
    return sorted(archives_in(file_store(store)))


def ledger_entries(host):
    return [json.loads(line) for line in Ledger(str(host.state), JOB).lines()]


def assert_whole(host):
    """Both stores have the same files, the catalog and the ledger have both copies, and nothing is left on the way."""
    stored = {name for name in files_below(host.store) if "ledger" not in name}
    assert stored == {name for name in files_below(host.second) if "ledger" not in name}
    for name in stored:
        assert (host.second / name).read_bytes() == (host.store / name).read_bytes()
    assert_tidy(host.second)
    assert host.spooled() == []
    catalog = Catalog(str(host.state))
    assert catalog.held(JOB, "second").keys() == set(keys(host.store))
    assert not catalog.entered.owes_entries(JOB)
    catalog.close()
    puts = [entry["payload"]["archive"] for entry in ledger_entries(host) if entry["op"] == "put" and entry["payload"]["store"] == "second"]
    assert sorted(puts) == keys(host.store)
    assert lacking(host) == {}
    assert verified(host) == (0, [])


def test_a_store_that_is_added_lacks_what_the_job_keeps_and_gets_it(first):
    row = status_of(first.document(), now=NOW)
    assert row["lacking"] == {"second": 3}
    assert row["exit_code"] == 3
    assert row["state"] == "stores lack archives that the job keeps: second (3); 'log-archive sync' copies them"
    before = tree(first.folder)
    planned = synced(first, check=True)
    assert tree(first.folder) == before
    done = synced(first)
    assert (done["exit_code"], done["outcome"], done["errors"]) == (0, "done", [])
    assert planned["synced"]["second"]["copied"] == done["synced"]["second"]["copied"] == keys(first.store)
    assert planned["synced"]["second"]["bytes"] == done["synced"]["second"]["bytes"] > 0
    assert_whole(first)
    again = synced(first)
    assert (again["changed"], again["outcome"]) == (False, "nothing to do")


@pytest.mark.parametrize("sources", [None, ["file"]])
def test_archives_that_somebody_removed_are_reported_and_not_put_back(first, sources):
    synced(first)
    gone = keys(first.second)[0]
    (first.second / gone).unlink()
    for check in (True, False):
        record = synced(first, check, sources)
        assert (record["outcome"], record["exit_code"]) == ("nothing to do", 0)
        (warning,) = record["warnings"]
        assert "store second: 1 archive(s) were removed there" in warning and gone in warning and "log-archive verify" in warning
    assert not (first.second / gone).exists()
    # Retention would have removed it: a rule of the server may have done so.
    assert synced(first, sources=sources, retention={"keep_last": 2})["warnings"] == []


@pytest.mark.parametrize(("hour", "warnings"), [(12, 1), (13, 0)])
def test_a_part_reports_what_was_removed_of_its_time(first, hour, warnings):
    synced(first)
    (first.second / keys(first.second)[0]).unlink()
    wanted = Wanted(["file"], ["second"], at("2024-01-12 %d:15" % hour), at("2024-01-12 %d:45" % hour))
    assert len(sync(first.document(), wanted, NOW)["warnings"]) == warnings


def test_a_store_that_was_renamed_is_read_and_nothing_is_copied(host):
    host.write_logs(12, 13, 14)
    host.run()
    host.stores[0]["name"] = "second"
    host.second = host.store
    assert lacking(host) == {"second": 3}
    # A run before the sync: what it finds there is not taken for something that others put there.
    host.write_logs(15)
    assert host.run(at("2024-01-12 16:05"))["exit_code"] == 0
    code, ((_store, why),) = verified(host)
    assert code == 1 and why.startswith("it lacks 3 archive(s)")
    done = synced(host)
    assert (done["exit_code"], done["synced"]["second"]["copied"]) == (0, [])
    assert done["synced"]["second"]["present"] == keys(host.store)[:3]
    assert_whole(host)


STEPS = [
    (syncing, "fetch"),
    (syncing, "find"),
    (sending, "put"),
    (Catalog, "set_verified"),
    (syncing.Context, "enter"),
    (syncing, "send_head"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("where", "step"), STEPS, ids=[step for _where, step in STEPS])
def test_a_sync_that_is_interrupted_at_any_step_ends_the_same_when_it_runs_again(first, monkeypatch, where, step, after):
    real, calls = getattr(where, step), []

    def interrupted(*arguments, **options):
        calls.append(step)
        # The steps of the second archive, if there are as many.
        if len(calls) >= (2 if step in ("fetch", "find", "put", "set_verified") else 1):
            if after:
                real(*arguments, **options)
            raise KeyboardInterrupt
        return real(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(where, step, interrupted)
        with pytest.raises(KeyboardInterrupt):
            synced(first)
    assert synced(first)["exit_code"] == 0
    assert_whole(first)


def test_an_interrupted_copy_is_known_and_no_finding(first, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "set_verified", lambda *_arguments: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            synced(first)
    first.write_document()
    row = json.loads(first.command("status", "--json").stdout)[0]
    assert (row["findings"], row["backlog"], row["lacking"]) == ([], {"second": 1}, {"second": 2})


def test_a_run_and_a_sync_exclude_each_other(first):
    with job.locked(first.document()), pytest.raises(LockedError):
        synced(first)


def test_a_damaged_source_is_reported_and_the_rest_is_copied(first):
    damaged, *whole = keys(first.store)
    path = first.store / damaged
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    done = synced(first)
    assert (done["exit_code"], done["outcome"]) == (4, "integrity failure")
    assert done["errors"] == ["%s: the store's copy differs from the manifest" % path]
    assert done["synced"]["second"]["copied"] == keys(first.second) == whole
    assert list(done["synced"]["second"]["failed"]) == [damaged]
    assert first.spooled() == []
    # A third store has it whole: then it is copied from there, and the damage is still reported.
    first.stores.append({"type": "file", "name": "third", "path": str(first.folder / "third")})
    shutil.copytree(first.store, first.folder / "third")
    data[100] ^= 1
    (first.folder / "third" / damaged).write_bytes(data)
    assert synced(first, to=("third",))["synced"]["third"]["present"] == keys(first.folder / "third")
    done = synced(first)
    assert (done["exit_code"], done["synced"]["second"]["copied"], done["synced"]["second"]["failed"]) == (4, [damaged], {})


@pytest.mark.parametrize("other", ["manifest", "archive"])
def test_another_object_of_that_name_is_a_conflict(first, other):
    taken = keys(first.store)[1]
    name = taken if other == "archive" else manifest_key(taken)
    path = first.second / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another object")
    done = synced(first)
    assert path.read_bytes() == b"another object"
    assert not (first.second / (manifest_key(taken) if other == "archive" else taken)).exists()
    assert (done["exit_code"], len(done["synced"]["second"]["copied"])) == (3, 2)
    (error,) = done["errors"]
    assert "store second: %s: " % path in error
    assert "it was not overwritten" in error
    # It is not on record as a copy, and the store still lacks the archive.
    assert lacking(first) == {"second": 1}
    path.unlink()
    assert synced(first)["exit_code"] == 0
    assert_whole(first)


def test_an_archive_that_is_damaged_at_the_destination_is_not_counted(first):
    synced(first)
    (first.state / "catalog.sqlite").unlink()
    # The new catalog learns what the stores have from the logs that are still there.
    damaged = first.second / keys(first.second)[0]
    damaged.write_bytes(b"\0" * damaged.stat().st_size)
    first.stores.pop()
    assert first.run(at("2024-01-12 15:06"))["exit_code"] == 0
    first.stores.append({"type": "file", "name": "second", "path": str(first.second)})
    done = synced(first)
    assert (done["exit_code"], len(done["synced"]["second"]["present"])) == (4, 2)
    assert lacking(first) == {"second": 1}


def test_only_what_retention_keeps_is_lacking(first):
    # The new store keeps the archives of the last two hours.
    policy = {"keep_last": 2}
    first.stores[1]["retention"] = policy
    assert lacking(first) == {"second": 2}
    assert synced(first)["synced"]["second"]["copied"] == keys(first.store)[1:]
    # What retention removes is not lacking afterwards.
    first.stores[1]["retention"] = {"keep_last": 1}
    first.write_logs(15)
    assert first.run(at("2024-01-12 16:05"))["exit_code"] == 0
    assert len(keys(first.second)) == 1
    assert lacking(first) == {}


def test_what_a_store_was_not_to_get_is_copied_on_request(first):
    first.stores[1].update(required=False, max_backlog=0, path=str(first.folder / "not" / "mounted"), attempts=1)
    first.write_logs(15)
    assert first.run(at("2024-01-12 16:05"))["given_up"].keys() == {"second"}
    first.stores[1].update(path=str(first.second))
    assert lacking(first) == {"second": 3}
    assert len(synced(first)["synced"]["second"]["copied"]) == 4
    assert_whole(first)


def test_a_part_is_copied_by_time_and_by_source(first):
    first.stores.append({"type": "file", "name": "third", "path": str(first.folder / "third")})
    documented = first.document()
    wanted = Wanted(["file"], ["third"], start=at("2024-01-12 13:00"), end=at("2024-01-12 14:00"))
    assert sync(documented, wanted, NOW)["synced"]["third"]["copied"] == keys(first.store)[1:2]
    done = synced(first, sources=["third"])
    assert done["synced"]["second"]["copied"] == keys(first.store)[1:2]
    (error,) = done["errors"]
    assert "2 archive(s) cannot be copied: none of the stores to copy from has them, only file: " in error
    assert done["exit_code"] == 3


def test_a_part_is_copied_by_the_folders_of_its_days(host, monkeypatch):
    grow(host, 60, now=at("2024-01-12 12:05"))
    host.write_logs(12)
    host.run()
    host.second = host.folder / "second"
    host.stores.append({"type": "file", "name": "second", "path": str(host.second)})
    host.write_logs(13, 14)
    host.run()
    listed = []

    def counting(look):
        return lambda store, prefix="", *more: (listed.append((store.name, prefix)), look(store, prefix, *more))[1]

    monkeypatch.setattr(FileStore, "survey", counting(FileStore.survey))
    monkeypatch.setattr(Store, "list", counting(Store.list))
    record = sync(host.document(), Wanted(["file"], ["second"], at("2024-01-12 12:00"), at("2024-01-12 13:00")), NOW)
    assert [key[-14:-11] for key in record["synced"]["second"]["copied"]] == [".12"]
    day = "web1/syslog/2024/01/12/"
    assert {prefix for store, prefix in listed if store == "file"} == {day}
    assert {prefix for store, prefix in listed if store == "second" and "ledger" not in prefix} == {day}


def test_a_store_that_left_the_job_is_named(first):
    del first.stores[0]
    done = synced(first)
    assert done["exit_code"] == 1
    assert "3 archive(s) cannot be copied" in done["errors"][0]
    assert "Add that store to the job again" in done["errors"][0]


def test_the_spool_is_no_destination(first):
    first.stores[1]["path"] = str(first.spool)
    done = synced(first)
    assert done["exit_code"] == 2
    assert "the store is the spool" in done["errors"][0]


def test_verify_fails_if_a_store_was_never_sent_what_it_should_have(first):
    why = "it lacks 3 archive(s) that the job keeps and other stores have, so they were not verified. 'log-archive sync syslog' copies them"
    assert verified(first) == (1, [("second", why)])
    code, ((_store, error),) = verified(first, start=at("2024-01-12 14:00"))
    assert (code, error) == (1, why.replace("3", "1"))
    assert verified(first, start=at("2024-01-12 15:00")) == (0, [])
    # Those that are there are verified all the same.
    first.write_logs(15)
    first.run(at("2024-01-12 16:05"))
    assert verified(first) == (1, [("second", why)])


@pytest.mark.parametrize("since", [None, "2024-01-12 12:00", "2024-01-12 12:30", "2024-01-12 14:00", "2024-01-13 00:00"])
@pytest.mark.parametrize("until", [None, "2024-01-12 12:00", "2024-01-12 13:00", "2024-01-12 13:30", "2024-01-12 15:00"])
def test_what_a_store_lacks_of_a_time_is_that_part_of_all(first, since, until):
    start, end = (None if moment is None else at(moment) for moment in (since, until))
    with contextlib.closing(Catalog(str(first.state))) as catalog:
        every = catalog.lacking.of(JOB, "second")
        assert len(every) == 3
        assert catalog.lacking.of(JOB, "second", start=start, end=end) == [one for one in every if one.touches(start, end)]


def test_retention_judges_what_a_store_lacks_of_a_time_among_all(first):
    # The newest is of another time: without it this one would be the last, which is kept.
    first.stores[1]["retention"] = {"keep_last": 1}
    assert verified(first, start=at("2024-01-12 13:00"), end=at("2024-01-12 14:00")) == (0, [])
    code, ((_store, error),) = verified(first, start=at("2024-01-12 14:00"))
    assert (code, error.partition(" that")[0]) == (1, "it lacks 1 archive(s)")


def test_a_job_that_has_archived_nothing_lacks_nothing(host):
    host.stores.append({"type": "file", "name": "second", "path": str(host.folder / "second")})
    assert lacking(host) == {}
    assert verified(host) == (0, [])
    host.run()
    assert verified(host) == (0, [])
    assert synced(host)["outcome"] == "nothing to do"


def test_the_command(first):
    first.write_document()
    for arguments, why in [
        (["sync", JOB, "--from", "file", "--to", "file"], "--from and --to name the same store"),
        (["sync"], "no job given"),
        (["sync", JOB, "--to", "unknown"], "has no store of this name"),
    ]:
        refused = first.command(*arguments)
        assert refused.returncode == 2
        assert why in refused.stderr
    text = first.command("status").stdout
    assert "second=3" in text
    done = first.command("sync", JOB, "--from", "file", "--to", "second")
    assert done.returncode == 0
    assert "syslog: done\n  synced   second: 3 copied (" in done.stdout
    assert_whole(first)


def test_what_a_lost_catalog_knew_is_learned_from_the_store_and_copied(first):
    """The logs are gone, so a run finds nothing to look for in the store."""
    for path in first.logs.iterdir():
        path.unlink()
    (first.state / "catalog.sqlite").unlink()
    assert first.run(stores=first.stores[:1])["archives"] == []
    record = synced(first, check=True)
    assert record["synced"]["second"]["copied"] == [] and "3 archive(s) that the catalog does not know would be" in record["warnings"][0]
    record = synced(first)
    assert (record["outcome"], len(record["synced"]["second"]["copied"]), record["warnings"]) == ("done", 3, [])
    assert_whole(first)
    assert verified(first) == (0, [])
    assert synced(first)["changed"] is False


def test_what_nobody_can_prove_is_not_learned(first):
    (first.state / "catalog.sqlite").unlink()
    for path in first.state.glob("syslog.ledger*"):
        path.unlink()
    for path in first.store.rglob("*.manifest.json"):
        manifest = json.loads(path.read_text())
        manifest.pop("hmac")
        path.write_text(json.dumps(manifest))
    record = synced(first)
    assert record["synced"]["second"]["copied"] == []
    assert "3 archive(s) that the catalog does not know are not copied, such as: " in record["warnings"][0]
