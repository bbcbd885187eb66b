# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limits that every store has, with stores and servers that do not end."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import base, file, sftp, sftp_packets, sftp_session
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import StoredObject
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.stores import new_store, store_options

if t.TYPE_CHECKING:
    import pathlib


class EndlessStore(FileStore):
    """A store that lists and sends without end."""

    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        return (StoredObject("%s%d" % (prefix, number), 1) for number in itertools.count())

    def _get(self, key: str, sink: t.BinaryIO, progress: t.Any) -> None:
        while True:
            sink.write(b"x" * 1000)


@pytest.fixture
def endless(tmp_path: pathlib.Path) -> EndlessStore:
    return EndlessStore(store_options("file", path=str(tmp_path)))


def test_a_listing_ends_at_the_most_objects(endless: EndlessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST_OBJECTS", 1000)
    with pytest.raises(StoreError, match="more than 1000 objects") as caught:
        endless.list("web1/")
    assert caught.value.subject == endless.location("web1/")


def test_a_listing_ends_at_the_most_bytes_of_names(endless: EndlessStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "LARGEST_LISTING", 10_000)
    with pytest.raises(StoreError, match=r"more than 9\.8 KiB of names"):
        endless.list("x" * 100)


def test_an_object_ends_at_the_most_bytes_that_the_caller_accepts(endless: EndlessStore) -> None:
    sink = io.BytesIO()
    with pytest.raises(IntegrityError, match="more than the expected 2500 bytes"):
        endless.get("a", sink, most=2500)
    assert len(sink.getvalue()) <= 2500


def test_a_folder_of_a_file_store_has_a_limit_too(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        (tmp_path / ("folder%d" % number)).mkdir()
    store = new_store("file", path=str(tmp_path))
    assert store.list() == []
    monkeypatch.setattr(file, "MOST_OBJECTS", 10)
    with pytest.raises(StoreError, match="more than"):
        store.list()


def test_a_file_store_of_deep_folders_is_listed(tmp_path: pathlib.Path) -> None:
    # Python's own functions recurse.
    subprocess.run(["mkdir", "-p", "d/" * 1500 + "x"], cwd=tmp_path, check=True)
    subprocess.run(["touch", "d/" * 1500 + "y"], cwd=tmp_path, check=True)
    try:
        assert [item.key for item in new_store("file", path=str(tmp_path)).list()] == ["d/" * 1500 + "y"]
    finally:
        subprocess.run(["rm", "-r", "d"], cwd=tmp_path, check=True)


class Listing:
    """The channel of an SFTP session with a server that answers every READDIR with the same names, for ever."""

    def __init__(self, *names: bytes, mode: int = 0o100644) -> None:
        one = [sftp_packets.pack_bytes(name) * 2 + struct.pack(">II", 4, mode) for name in names]
        self._answer = struct.pack(">I", len(one)) + b"".join(one)

    def request(self, kind: int, _body: bytes, _wanted: int = 0, **_options: t.Any) -> sftp_packets.PacketReader:
        answer = self._answer if kind == sftp_packets.READDIR else sftp_packets.pack_bytes(b"handle")
        return sftp_packets.PacketReader(memoryview(answer), 0)

    seconds_for = float


def session_with(channel: Listing) -> sftp_session.Session:
    session = sftp_session.Session.__new__(sftp_session.Session)
    session._channel = t.cast(t.Any, channel)
    return session


def test_a_folder_of_an_sftp_server_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sftp_session, "MOST_OBJECTS", 1000)
    with pytest.raises(StoreError, match="more than"):
        session_with(Listing(b"a", b"b")).scan("/data")


def test_an_sftp_server_that_ends_with_an_answer_of_no_names() -> None:
    assert session_with(Listing()).scan("/data") == []


@pytest.mark.parametrize("name", [b"", b"/etc/passwd", b"a/b", b"a\0b"])
def test_an_sftp_server_cannot_list_what_is_no_name(name: bytes) -> None:
    with pytest.raises(StoreError, match="no name of a file"):
        session_with(Listing(name)).scan("/data")


def test_an_sftp_server_with_a_folder_in_each_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store("sftp", host="h", user="u", path="/data", password="x")
    store._root._absolute = "/data"
    endless = [("folder", sftp_packets.Attributes(None, 0o040755, None))]
    monkeypatch.setattr(sftp.RemoteRoot, "session", lambda _root: session_with(Listing()))
    monkeypatch.setattr(sftp_session.Session, "scan", lambda _self, _path: endless)
    with pytest.raises(StoreError, match="a path of 4\\d\\d\\d characters"):
        store.list()
