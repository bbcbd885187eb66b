# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The limits that every store has, and what each does with the exceptions of its library."""

from __future__ import annotations

import io
import itertools
import socket
import ssl
import struct
import subprocess
import types
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError, StoreError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores import (
    base,
    file_root,
    layout,
    sftp,
    sftp_packets,
    sftp_session,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.base import StoredObject
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.stores import new_store, store_options

if t.TYPE_CHECKING:
    import pathlib


class EndlessStore(FileStore):
    """A store that lists and sends without end."""

    def _list(self, prefix: str) -> t.Iterator[StoredObject]:
        return (StoredObject("%s%d" % (prefix, number), 1) for number in itertools.count())

    def _get(self, key: str, start: int) -> base.Pieces:
        while True:
            yield b"x" * 1000


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
    monkeypatch.setattr(file_root, "MOST_OBJECTS", 10)
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
    login = types.SimpleNamespace(timeout=60.0, address="h:22")


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
    with pytest.raises(StoreError, match="not a file name"):
        session_with(Listing(name)).scan("/data")


def test_an_sftp_server_with_a_folder_in_each_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    store = new_store("sftp", host="h", user="u", path="/data", password="x")
    store._root._absolute = "/data"
    endless = [("folder", sftp_packets.Attributes(None, 0o040755, None))]
    monkeypatch.setattr(sftp.RemoteRoot, "session", lambda _root: session_with(Listing()))
    monkeypatch.setattr(sftp_session.Session, "scan", lambda _self, *_path: endless)
    with pytest.raises(StoreError, match="a path of 4\\d\\d\\d characters"):
        store.list()


# -- exceptions ----------------------------------------------------------------------------------------------------------

DIGESTS = base.Digests(0, "", "")


class Broken(base.Store):
    """A store with a library that raises ``error`` in each operation."""

    default_level = "size"

    def __init__(self, error: BaseException) -> None:
        super().__init__(store_options("file", attempts=2, retry_delay="0"))
        self.error = error
        self.calls = 0

    def _location(self, name: str = "") -> str:
        return "broken:" + name

    def _fail(self, *_arguments: t.Any) -> t.Any:
        self.calls += 1
        raise self.error

    _put = _replace = _verify = _list = _folders = _delete = _clean = _fail

    def _get(self, key: str, start: int) -> base.Pieces:
        yield b"first"
        self._fail()


CALLS: t.Dict[str, t.Tuple[t.Any, ...]] = {
    "put": ("/dev/null", "a", DIGESTS),
    "replace": ("/dev/null", "a", DIGESTS),
    "verify": ("a", DIGESTS),
    "get": ("a", io.BytesIO()),
    "list": (),
    "hosts": (),
    "delete": (["a"],),
    "clean": (),
}


@pytest.mark.parametrize(
    ("error", "kind", "calls"),
    [
        (RecursionError("secret"), errors.StoreError, 1),
        (UnicodeDecodeError("utf-8", b"secret", 0, 1, "secret"), errors.StoreError, 1),
        (KeyError("secret"), errors.StoreError, 1),
        (struct.error("secret"), errors.StoreError, 1),
        (AttributeError("secret"), errors.StoreError, 1),
        (ssl.SSLError(1, "no shared cipher"), errors.StoreUnavailableError, 2),
        (socket.timeout("secret"), errors.StoreUnavailableError, 2),
        (ConnectionResetError(104, "Connection reset by peer"), errors.StoreUnavailableError, 2),
        (socket.gaierror(-2, "Name or service not known"), errors.StoreUnavailableError, 2),
        (errors.StoreDeniedError("no"), errors.StoreDeniedError, 1),
    ],
)
@pytest.mark.parametrize("call", sorted(CALLS))
def test_every_exception_of_a_library_is_an_error_of_the_store(
    call: str, error: Exception, kind: t.Type[errors.StoreError], calls: int
) -> None:
    store = Broken(error)
    with pytest.raises(errors.StoreError) as raised:
        getattr(store, call)(*CALLS[call])
    assert raised.type is kind
    assert raised.value is error or raised.value.__cause__ is error
    assert "secret" not in str(raised.value)
    assert store.calls == calls


def test_an_interrupt_is_none() -> None:
    with pytest.raises(KeyboardInterrupt):
        Broken(KeyboardInterrupt()).list()


def test_a_local_file_that_cannot_be_opened_is_not_the_store(tmp_path: pathlib.Path) -> None:
    gone = str(tmp_path / "gone")
    with pytest.raises(errors.SourceError, match="gone: cannot read the archive in the spool"), base.open_spooled(gone):
        pass


def test_keys_are_looked_at_together_as_one_by_one() -> None:
    """No name of the store may pass because of the names beside it."""
    parts = ("a", "\n", ".", "..", "", "...", ".a", base.TEMP_PREFIX, base.TEMP_PREFIX + "x", "a" + base.TEMP_PREFIX, "a\0")
    names = [*parts, *("%s/%s" % pair for pair in itertools.product(parts, parts))]
    for name, other in itertools.product(names, ("b/c", "b/\n", "\n/b")):
        if not layout.is_key(name):
            assert not base.are_keys([name]) and not base.are_keys([other, name]) and not base.are_keys([name, other]), (name, other)
    assert base.are_keys(["a/b", "a/\n/b", ".a/b.", "a/...", "a" + base.TEMP_PREFIX])
