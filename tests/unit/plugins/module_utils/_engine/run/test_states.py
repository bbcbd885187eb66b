# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several archives of one log, made while it grew: which of them is the newest, whatever the clock of the host was."""

from __future__ import annotations

import datetime
import os
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive import create
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.naming import unrevised
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings.inventory import Choice
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from rigs.host import NOW, Host, archives_in, file_store
from rigs.runs import ALL, lose, restore

pytest.importorskip("cryptography")


class SetBack:
    """A host whose clock goes back three minutes with each tick; the logs that it writes have the times of that clock."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = host
        self.now = NOW
        clock = self

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz: t.Optional[datetime.tzinfo] = None) -> datetime.datetime:
                return clock.now

        monkeypatch.setattr(create, "datetime", Clock)

    def write(self, name: str, content: str) -> None:
        path = self.host.logs / name
        path.write_text(content)
        os.utime(path, (self.now.timestamp(),) * 2)

    def tick(self) -> None:
        self.now -= datetime.timedelta(minutes=3)


@pytest.fixture
def clock(host, monkeypatch):
    return SetBack(host, monkeypatch)


def restored(host, name):
    return (host.folder / "to" / str(host.logs / name)[1:]).read_text()


@pytest.mark.parametrize("select", [{}, ALL], ids=["hour", "none"])
@pytest.mark.parametrize("group", ["file", "period", "run"])
def test_the_last_of_twelve_states_is_restored(host, clock, select, group):
    for number in range(12):
        clock.write("syslog.20240112.14", "line\n" * number + "state %d" % number)
        assert host.run(select=select, archive={"group": group, "name": "syslog"})["exit_code"] == 0
        clock.tick()
    warnings: t.List[str] = []
    assert len(restore(host, host.folder / "to", warn=warnings.append)) == 1
    assert restored(host, "syslog.20240112.14").endswith("state 11")
    assert ["11 archive(s) of older states" in warning for warning in warnings] == [True]
    restore(host, host.folder / "latest", Choice(latest=True))
    assert (host.folder / "latest" / str(host.logs / "syslog.20240112.14")[1:]).read_text().endswith("state 11")


def test_the_newest_state_of_each_log_of_archives_of_several(host, clock):
    """The first archive has the only state of b and an old one of a."""
    for name in ("a", "b"):
        clock.write(name, "first")
    host.run(select=ALL, archive={"group": "run"})
    clock.write("a", "second")
    host.run(select=ALL, archive={"group": "run"})
    for _again in range(2):
        rows = [(os.path.basename(file.path), file.state) for one in restore(host, host.folder / "to") for file in one.files]
        assert sorted(name for name, _state in rows) == ["a", "b"]
        assert (restored(host, "a"), restored(host, "b")) == ("second", "first")
    assert {state for _name, state in rows} == {"unchanged"}


def test_an_older_state_is_restored_by_its_key(host, clock):
    for number in range(3):
        clock.write("syslog.20240112.14", "state %d" % number)
        host.run()
        clock.tick()
    key = next(key for key in archives_in(file_store(host.store)) if unrevised(key)[1] == 2)
    restore(host, host.folder / "to", Choice([key]))
    assert restored(host, "syslog.20240112.14") == "state 1"


def test_a_log_of_the_same_path_each_hour_gives_its_last_hour(host):
    """Without a time in its name a log has the same path in each period, and only one of them can be there."""
    for hour in (12, 13, 14):
        path = host.logs / "app.log"
        path.write_text("hour %d" % hour)
        moment = NOW.replace(hour=hour, minute=30)
        os.utime(path, (moment.timestamp(),) * 2)
        host.run(moment + datetime.timedelta(hours=1), select={"patterns": ["app.log"]})
    restore(host, host.folder / "to")
    assert restored(host, "app.log") == "hour 14"


def test_retention_keeps_the_newest_state(host, clock):
    for number in range(3):
        clock.write("syslog", "state %d" % number)
        host.run(select=ALL, retention={"keep_last": 1, "max_delete_share": 1})
        clock.tick()
    restore(host, host.folder / "to")
    assert restored(host, "syslog") == "state 2"


@pytest.mark.parametrize("lost", [[], ["state"]])
def test_states_that_wait_in_the_spool_keep_their_order_in_a_store_that_has_another_archive_there(host, clock, lost, monkeypatch):
    down = host.folder / "not" / "mounted"
    host.stores[:] = [{"type": "file", "path": str(down), "attempts": 1}]
    for number in range(12):
        clock.write("syslog.20240112.14", "state %d" % number)
        assert host.run()["exit_code"] == 3
        clock.tick()
    down.mkdir(parents=True)
    other = Host(host.folder / "other", host.stores)
    other.write_logs(14)
    other.run()
    lose(host, *lost)
    with monkeypatch.context() as patched:
        patched.setattr(job, "collect", lambda run: [])
        assert host.run()["exit_code"] == 0
    for path in other.logs.iterdir():
        path.unlink()
    restore(host, host.folder / "to", Choice([str(host.logs / "syslog.20240112.14")]))
    assert restored(host, "syslog.20240112.14") == "state 11"
