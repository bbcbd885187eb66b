# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The witness on the controller: what the chain cannot show by itself, and a host that lies about it."""

from __future__ import annotations

import json
import pathlib
import shutil
import typing as t

import pytest
from ansible.errors import AnsibleActionFail
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import chain, file as files
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import witness

JOB = "syslog"


def put(number: int) -> t.Tuple[str, t.Dict[str, t.Any]]:
    return "put", {"archive": "a/%d" % number, "store": "a", "size": 1, "sha256": "0", "manifest": "1", "keys": []}


class Host:
    """A host with a ledger, as far as the witness sees it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.state = folder / "state"
        self.state.mkdir(mode=0o700)
        self.ledger.begin("web1")

    @property
    def ledger(self) -> files.Ledger:
        return files.Ledger(str(self.state), JOB)

    def append(self, *numbers: int) -> None:
        self.ledger.append([put(number) for number in numbers])

    def row(self, known: t.Optional[witness.Known] = None, most: int = 2000) -> t.Dict[str, t.Any]:
        """What 'log-archive ledger witness' prints."""
        head = self.ledger.head()
        assert head is not None
        first = head.seq if known is None or known.head.seq > head.seq else known.head.seq
        lines = [line.decode() for line in self.ledger.lines(first)][:most]
        last = next(self.ledger.lines(head.seq)).decode()
        return {"job": JOB, "head": head._asdict(), "last": last, "entries": lines, "error": None}


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    host = Host(tmp_path)
    host.append(1, 2, 3)
    return host


def known_of(host: Host) -> witness.Known:
    seen = witness.check(None, host.row())
    assert seen.finding is None
    assert seen.head is not None
    return witness.Known(seen.head, "2024-01-12T13:00:00Z")


def test_a_ledger_that_grows(host: Host) -> None:
    known = known_of(host)
    host.append(4, 5)
    seen = witness.check(known, host.row(known))
    assert (seen.finding, seen.head, seen.whole) == (None, host.ledger.head(), True)
    # And one that did not change.
    known = witness.Known(t.cast(chain.Head, seen.head), known.at)
    assert witness.check(known, host.row(known)).head == known.head


def test_a_long_growth_comes_in_parts(host: Host) -> None:
    known = known_of(host)
    host.append(*range(4, 10))
    seen = witness.check(known, host.row(known, most=3))
    assert (seen.finding, seen.whole, t.cast(chain.Head, seen.head).seq) == (None, False, 5)


def test_a_key_that_was_rotated(host: Host) -> None:
    known = known_of(host)
    host.ledger.rotate()
    seen = witness.check(known, host.row(known))
    assert (seen.finding, seen.head) == (None, host.ledger.head())
    assert witness.check(None, host.row()).head == host.ledger.head()


def cut(host: Host) -> None:
    path = host.state / (JOB + ".ledger")
    lines = path.read_bytes().splitlines(keepends=True)[:-1]
    path.write_bytes(b"".join(lines))
    (host.state / (JOB + ".ledger.head")).unlink()
    host.ledger.recover()


def fork(host: Host) -> None:
    cut(host)
    host.append(7, 8)


def renew(host: Host) -> None:
    shutil.rmtree(host.state)
    host.state.mkdir(mode=0o700)
    host.ledger.begin("web1")
    host.append(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (
            cut,
            "it ends at entry 2: its end was cut off, or an older state of the host was restored. The witness knows entry 3 of",
        ),
        (fork, "its entry 3 is another one: it forked"),
        (renew, "it was deleted and started again"),
    ],
)
def test_what_the_chain_does_not_show(attack: t.Callable[[Host], None], why: str, host: Host) -> None:
    known = known_of(host)
    attack(host)
    host.ledger.replay(signatures=True)  # The chain is whole.
    seen = witness.check(known, host.row(known))
    assert why in str(seen.finding)
    assert "seen at 2024-01-12T13:00:00Z" in str(seen.finding)
    # It can be accepted.
    assert seen.head == host.ledger.head()


def test_a_ledger_that_is_gone(host: Host) -> None:
    known = known_of(host)
    row = {"job": JOB, "head": None, "last": "", "entries": [], "error": None}
    assert "it is gone. The witness knows entry 3" in str(witness.check(known, row).finding)
    assert witness.check(None, row).finding is None
    assert "it cannot be used: x" in str(witness.check(known, {**row, "error": "x"}).finding)


def test_entries_that_were_backdated(host: Host) -> None:
    known = known_of(host)._replace(at="2099-01-01T00:00:00Z")
    host.append(4, 5)
    seen = witness.check(known, host.row(known))
    assert seen.finding is None
    assert len(seen.warnings) == 1
    assert "entry 4 states the time" in seen.warnings[0]


def lie(row: t.Dict[str, t.Any], number: int) -> t.Dict[str, t.Any]:
    """A row in which something does not fit."""
    head, entries = dict(row["head"]), list(row["entries"])
    return [
        {**row, "head": {**head, "seq": head["seq"] + 1}, "entries": entries},
        {**row, "head": {**head, "sha256": "0" * 64}},
        {**row, "entries": []},
        {**row, "entries": [*entries[:-1], entries[-1].replace("a/5", "a/6")]},
        {**row, "entries": entries[:1] + entries[2:]},
        {**row, "head": {"seq": "x"}},
        {**row, "head": {**head, "seq": "x"}},
        {**row, "entries": [None, None]},
        {**row, "entries": "\udc80"},
        {"job": JOB},
    ][number]


@pytest.mark.parametrize("number", range(10))
def test_a_host_that_lies(number: int, host: Host) -> None:
    known = known_of(host)
    host.append(4, 5)
    seen = witness.check(known, lie(host.row(known), number))
    # A head that the entries do not reach is asked for again, and never reached.
    assert seen.finding is not None or not seen.whole


def test_a_first_look_at_a_host_that_lies(host: Host) -> None:
    row = host.row()
    unsigned = {**row["head"], "key": "0" * 64}
    assert "does not end as the host states" in str(witness.check(None, {**row, "head": {**unsigned, "seq": 9}}).finding)
    assert "its signature is not by the key" in str(witness.check(None, {**row, "head": unsigned}).finding)


def test_what_is_remembered(host: Host, tmp_path: pathlib.Path) -> None:
    remembered = witness.Witness(str(tmp_path / "witness"), "web1")
    assert remembered.known() == {}
    head = known_of(host).head
    remembered.remember(JOB, head)
    assert remembered.known()[JOB].head == head
    assert (tmp_path / "witness" / "web1" / "syslog.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "witness").stat().st_mode & 0o777 == 0o700
    (tmp_path / "witness" / "web1" / "syslog.json").write_text("{}")
    with pytest.raises(AnsibleActionFail, match="the file of the witness is damaged"):
        remembered.known()


@pytest.mark.parametrize(("folder", "name"), [("relative", "web1"), ("/x", ".."), ("/x", "a/b")])
def test_a_folder_that_cannot_be(folder: str, name: str) -> None:
    with pytest.raises(AnsibleActionFail, match="absolute path|name of a folder"):
        witness.Witness(folder, name)


@pytest.mark.parametrize("name", ["../x", ".x"])
def test_a_job_that_cannot_be(name: str, host: Host, tmp_path: pathlib.Path) -> None:
    with pytest.raises(AnsibleActionFail, match="the name of the job"):
        witness.Witness(str(tmp_path / "witness"), "web1").remember(name, known_of(host).head)


def test_audits_in_one_table() -> None:
    from ansible_collections.infra_ops.log_archive.plugins.plugin_utils import audits

    head = {"ledger": "1" * 32, "seq": 3, "sha256": "2" * 64, "key": "3" * 64}
    rows = [
        {"job": JOB, "store": None, "archives": 3, "head": head, "findings": []},
        {"job": JOB, "store": "s3", "archives": 3, "head": None, "findings": [{"kind": "missing", "key": "k", "error": "<k> is gone"}]},
    ]
    results = {
        "web1": {"rc": 4, "stdout": json.dumps(rows)},
        "web2": {"rc": 0, "stdout": json.dumps(rows[:1])},
        "web3": {"unreachable": True, "msg": "no route"},
        "web4": {"no_jobs": True},
    }
    gone = {"findings": ["ledger of syslog: it is gone"], "msg": "x"}
    witnessed = {"web1": {"findings": [], "ledgers": {JOB: head}}, "web2": gone, "web3": None}
    lines = audits.audit(results, witnessed)
    assert lines[:3] == ["web1: syslog: missing: <k> is gone", "web2: witness: ledger of syslog: it is gone", "web3: unreachable: no route"]
    assert lines[-1] == "4 hosts audited, 3 findings"
    table = [line.split() for line in lines[3:-1]]
    assert ["web1", JOB, "s3", "3", "-", "-", "1", "missing"] in table
    assert ["web1", JOB, "(ledger)", "3", "4", "seen", "none"] in table
    assert ["web2", JOB, "(ledger)", "3", "4", "FAILED", "none"] in table
    page = audits.page(results, witnessed)
    assert "<li>web1: syslog: missing: &lt;k&gt; is gone</li>" in page
    assert page.count('<tr class="failed">') == 3


def test_a_renamed_job_is_compared_with_what_is_known_of_its_earlier_name(host: Host) -> None:
    known = {"old": known_of(host)}
    host.append(4)
    row = dict(host.row(known["old"]), was=["older", "old"])
    assert witness.earlier_name(known, row) == "old"
    seen = witness.check(known["old"], row)
    assert (seen.finding, seen.head and seen.head.seq) == (None, 4)


def test_a_host_cannot_end_the_record_of_a_job_by_the_name_of_another(host: Host, tmp_path: pathlib.Path) -> None:
    known = {"old": known_of(host)}
    (tmp_path / "other").mkdir()
    row = dict(Host(tmp_path / "other").row(), was=["old"])
    assert witness.earlier_name(known, row) is None
    assert witness.earlier_name({**known, JOB: known["old"]}, dict(host.row(), was=["old"])) is None
    assert [witness.earlier_name(known, dict(host.row(), was=was)) for was in (None, [], "old", [1])] == [None] * 4
