# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The work of a run grows with the number of archives, not with its square."""

from __future__ import annotations

import shutil

import pytest
from rigs.growth import assert_linear, calls_of
from rigs.host import Host
from rigs.runs import ALL, lose

pytest.importorskip("cryptography")


@pytest.fixture
def host_with_logs(host):
    """A function: a fresh host with this number of logs, each called app.log in a folder of its own; further stores may be given."""

    def make(count, stores=None):
        shutil.rmtree(host.folder / str(count), ignore_errors=True)
        made = Host(host.folder / str(count), stores)
        for number in range(count):
            log = made.logs / str(number) / "app.log"
            log.parent.mkdir()
            log.write_text("log %d\n" % number)
        return made

    return make


def run(host):
    record = host.run(select=ALL)
    assert len(record["archives"]) == len(list(host.logs.iterdir()))
    return record


def test_logs_of_one_base_name_are_packed_in_linear_work(host_with_logs):
    run(host_with_logs(1))  # Loads the libraries.

    def work(count):
        host = host_with_logs(count)
        return calls_of(lambda: run(host))

    assert_linear(work)


def test_a_first_run_with_a_store_that_is_down_is_linear(host_with_logs, tmp_path):
    down = [{"type": "file", "path": str(tmp_path / "not" / "mounted"), "attempts": 1}]
    run(host_with_logs(1, down))

    def work(count):
        host = host_with_logs(count, down)
        return calls_of(lambda: run(host))

    assert_linear(work)


def test_a_lost_catalog_is_relearned_in_linear_work(host_with_logs):
    def work(count):
        host = host_with_logs(count)
        run(host)
        lose(host, "state")
        calls = calls_of(lambda: host.run(select=ALL))
        assert host.run(select=ALL)["changed"] is False
        return calls

    work(1)
    assert_linear(work)
