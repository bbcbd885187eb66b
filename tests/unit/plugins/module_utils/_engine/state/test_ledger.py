# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ledger's format and its files: every change inside is found, and whatever cuts an append, the chain goes on."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import durable
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import DiskFullError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto.signing import Signer
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.state.ledger import chain, file as files, parts

JOB = "syslog"


def put(number: int, store: str = "a") -> t.Tuple[str, t.Dict[str, t.Any]]:
    payload = {
        "archive": "web1/syslog/2024/01/12/%d.tgz" % number,
        "store": store,
        "size": number,
        "sha256": "00",
        "manifest": "11",
        "keys": [],
    }
    return "put", payload


def tombstone(number: int, store: str = "a") -> t.Tuple[str, t.Dict[str, t.Any]]:
    return "prune", {"archive": "web1/syslog/2024/01/12/%d.tgz" % number, "store": store}


@pytest.fixture
def state(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with a ledger of five entries."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    ledger = files.Ledger(str(folder), JOB)
    ledger.begin("web1")
    assert ledger.append([put(1), put(2)]) == [1, 2]
    assert ledger.append([put(3), tombstone(1)]) == [3, 4]
    return folder


def opened(state: pathlib.Path) -> files.Ledger:
    return files.Ledger(str(state), JOB)


def path_of(state: pathlib.Path, part: str = "") -> pathlib.Path:
    return state / parts.name_of(JOB, part)


def sequence(state: pathlib.Path) -> t.List[int]:
    return [chain.parse(line, "x").seq for line in opened(state).lines()]


def test_what_it_says(state: pathlib.Path) -> None:
    contents, head = opened(state).replay(signatures=True)
    assert sorted(key for _store, key in contents.held) == ["web1/syslog/2024/01/12/2.tgz", "web1/syslog/2024/01/12/3.tgz"]
    assert contents.gone == {("a", "web1/syslog/2024/01/12/1.tgz"): 4}
    assert contents.entries == {"begin": 1, "put": 3, "prune": 1}
    assert head == opened(state).head()
    assert head.seq == 4
    first = chain.parse(next(opened(state).lines()), "x")
    assert (first.op, first.payload["host"], first.payload["job"], first.payload["key"]) == ("begin", "web1", JOB, head.key)
    assert [chain.parse(line, "x").seq for line in opened(state).lines(3)] == [3, 4]
    assert path_of(state, ".key").stat().st_mode & 0o777 == 0o600


def test_an_archive_that_comes_back_is_held_again(state: pathlib.Path) -> None:
    opened(state).append([put(1)])
    contents, _head = opened(state).replay()
    assert contents.gone == {}
    assert len(contents.held) == 3


def change(lines: t.List[bytes]) -> None:
    lines[2] = lines[2].replace(b'"size":2', b'"size":9')


def insert(lines: t.List[bytes]) -> None:
    lines.insert(2, lines[2])


def delete(lines: t.List[bytes]) -> None:
    del lines[2]


def reorder(lines: t.List[bytes]) -> None:
    lines[1], lines[2] = lines[2], lines[1]


def respell(lines: t.List[bytes]) -> None:
    lines[2] = lines[2].replace(b'"size":2', b'"size": 2')


def forge(lines: t.List[bytes]) -> None:
    """The same entry with another size, and all hashes after it made to fit."""
    head = None
    for number, line in enumerate(lines):
        entry = chain.parse(line, "x")
        if number:
            entry = entry._replace(prev=chain.sha256_of(lines[number - 1]))
        if number == 2:
            entry = entry._replace(payload={**entry.payload, "size": 9})
        lines[number] = chain.line_of(entry, Signer(b"x" * 32).sign) if number >= 2 else line
    assert head is None


def test_the_last_line_is_read_alone_and_only_if_it_is_that_of_the_head(state: pathlib.Path) -> None:
    assert opened(state).last_line() == list(opened(state).lines())[-1]
    assert files.Ledger(str(state), "other").last_line() is None
    path = path_of(state)
    path.write_bytes(path.read_bytes()[:-5] + b"xxxx\n")
    with pytest.raises(chain.BrokenLedgerError, match=r"last entry of the ledger \(4\) was changed"):
        opened(state).last_line()


@pytest.mark.parametrize("signatures", [True, False])
@pytest.mark.parametrize("attack", [change, insert, delete, reorder, respell, forge])
def test_every_change_inside_is_found(attack: t.Callable[[t.List[bytes]], None], signatures: bool, state: pathlib.Path) -> None:
    lines = list(opened(state).lines())
    attack(lines)
    following = chain.Chain("ledger", signatures=signatures)
    with pytest.raises(chain.BrokenLedgerError, match="broken at entry|cannot be read"):
        for line in lines:
            following.add(line)
        following.seal()


@pytest.mark.parametrize(
    ("text", "why"), [(b"", "cannot be read"), (b"[]\n", "canonical"), (b'{"version":1}\n', "canonical"), (b"[" * 100000, "cannot be read")]
)
def test_a_line_that_is_no_entry(text: bytes, why: str) -> None:
    with pytest.raises(chain.BrokenLedgerError, match=why):
        chain.parse(text, "ledger")


def test_a_version_that_is_not_known(state: pathlib.Path) -> None:
    line = next(opened(state).lines()).replace(b'"version":1', b'"version":2')
    with pytest.raises(chain.BrokenLedgerError, match="its version is 2, and this software knows 1"):
        chain.parse(line, "ledger")


def test_a_changed_last_entry_is_found_without_reading_the_rest(state: pathlib.Path) -> None:
    path = path_of(state)
    path.write_bytes(path.read_bytes()[:-2] + b" \n")
    with pytest.raises(chain.BrokenLedgerError, match=r"the last entry of the ledger \(4\) was changed"):
        opened(state).head()


def test_a_cut_at_the_border_of_two_entries_is_found_by_the_head_file(state: pathlib.Path) -> None:
    path = path_of(state)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    for call in (opened(state).head, opened(state).recover, lambda: opened(state).append([put(9)])):
        with pytest.raises(chain.BrokenLedgerError, match="the ledger was cut"):
            call()


def test_entries_that_are_missing_as_a_whole(state: pathlib.Path) -> None:
    path_of(state).unlink()
    with pytest.raises(chain.BrokenLedgerError, match="the ledger is missing, but its head file exists"):
        opened(state).recover()


@pytest.mark.parametrize("rest", [b"", b'{"half', b"\0" * 300, b"\0\0\n\0\n", b"{}\n"])
def test_what_lies_beyond_the_head_is_completed_or_dropped(rest: bytes, state: pathlib.Path) -> None:
    """A run that was killed, or a power failure, between the entries and the head."""
    head = path_of(state, ".head").read_bytes()
    opened(state).append([put(4)])
    path_of(state, ".head").write_bytes(head)
    with open(path_of(state), "ab") as file:
        file.write(rest)
    assert sequence(state) == [0, 1, 2, 3, 4]
    found = opened(state).recover()
    assert found is not None
    assert found.seq == 5
    assert opened(state).append([put(5)]) == [6]
    assert opened(state).replay(signatures=True)[1].seq == 6


def test_a_lost_head_file_is_made_again(state: pathlib.Path) -> None:
    path_of(state, ".head").unlink()
    assert opened(state).append([put(4)]) == [5]
    opened(state).replay(signatures=True)


@pytest.mark.parametrize("written", [0, 100, 10_000])
def test_a_full_disk_leaves_a_chain_that_goes_on(written: int, state: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes) -> None:
        os.write(fd, data[:written])
        raise OSError(28, "No space left on device")

    ledger = opened(state)
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_all", full)
        with pytest.raises(DiskFullError, match="the ledger cannot be written"):
            ledger.append([put(4)])
    assert ledger.append([put(5)])[0] in (5, 6)
    ledger.replay(signatures=True)


def test_the_head_is_written_after_the_entries(state: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: t.List[str] = []

    def note(name: str) -> t.Callable[..., t.Any]:
        real = getattr(durable, name)
        return lambda *arguments, **options: (steps.append(name), real(*arguments, **options))[1]

    fsync = os.fsync
    for name in ("write_all", "write_atomically"):
        monkeypatch.setattr(files, name, note(name))
    monkeypatch.setattr(os, "fsync", lambda fd: (steps.append("fsync"), fsync(fd))[1])
    opened(state).append([put(4)])
    assert steps[:3] == ["write_all", "fsync", "write_atomically"]
    assert steps.count("fsync") == 3


def test_a_new_key_is_signed_by_the_old_one(state: pathlib.Path) -> None:
    before = opened(state).head()
    after = opened(state).rotate()
    assert before is not None
    assert after.key != before.key
    assert after.ledger == before.ledger
    opened(state).append([put(4)])
    assert opened(state).replay(signatures=True)[1].seq == 6


def test_a_rotation_that_was_cut_is_completed(state: pathlib.Path) -> None:
    old = path_of(state, ".key").read_bytes()
    opened(state).rotate()
    new = path_of(state, ".key").read_bytes()
    path_of(state, ".key").write_bytes(old)
    path_of(state, ".next.key").write_bytes(new)
    path_of(state, ".next.key").chmod(0o600)
    opened(state).append([put(4)])
    assert path_of(state, ".key").read_bytes() == new
    assert not path_of(state, ".next.key").exists()
    opened(state).replay(signatures=True)


def test_a_key_that_others_may_read_is_refused(state: pathlib.Path) -> None:
    path_of(state, ".key").chmod(0o640)
    with pytest.raises(Exception, match="the group or others may read the key of the ledger"):
        opened(state).append([put(4)])


def test_another_key_is_refused_before_anything_is_written(state: pathlib.Path) -> None:
    path_of(state, ".key").write_text("00" * 32 + "\n")
    size = path_of(state).stat().st_size
    with pytest.raises(chain.BrokenLedgerError, match="the private key of the ledger is missing, or is that of another"):
        opened(state).append([put(4)])
    assert path_of(state).stat().st_size == size


def test_a_ledger_that_was_set_aside_is_named_by_the_new_one(state: pathlib.Path) -> None:
    old = opened(state).head()
    assert old is not None
    ledger = opened(state)
    assert os.path.exists(ledger.set_aside())
    assert not files.exists(str(state), JOB)
    new = ledger.begin("web1", [old.ledger])
    assert new.ledger != old.ledger
    first = chain.parse(next(ledger.lines()), "x")
    assert first.payload["after"] == [old.ledger]


def test_an_append_does_not_read_what_is_there(state: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(state).append([put(number) for number in range(2000)])
    ledger = opened(state)
    read = chain.parse
    parsed: t.List[int] = []
    monkeypatch.setattr(chain, "parse", lambda line, subject: (parsed.append(1), read(line, subject))[1])
    ledger.append([put(1)])
    assert parsed == []


def test_the_recipe_of_the_page_checks_a_ledger_without_this_software(state: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    import re

    page = pathlib.Path(__file__).parents[6] / "docs/ledger.md"
    recipe = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)[0]
    opened(state).rotate()
    opened(state).append([put(9)])
    head = opened(state).head()
    assert head is not None
    exec(recipe.replace("syslog.ledger", str(path_of(state))), {})  # noqa: S102
    assert capsys.readouterr().out.split() == [str(head.seq), head.sha256]
    path_of(state).write_bytes(path_of(state).read_bytes().replace(b'"size":2', b'"size":3'))
    with pytest.raises(Exception):  # noqa: B017, PT011 - InvalidSignature, without a message
        exec(recipe.replace("syslog.ledger", str(path_of(state))), {})  # noqa: S102
