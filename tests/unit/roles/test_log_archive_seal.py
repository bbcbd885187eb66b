# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that seals what append-only hosts have sent (role archive_server), against hosts that want to undo it."""

from __future__ import annotations

import collections
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import pathlib
import pwd
import resource
import stat
import subprocess
import sys
import time
import typing as t

import lab
import pytest

PROGRAM = pathlib.Path(__file__).resolve().parents[3] / "roles" / "archive_server" / "files" / "log_archive_seal.py"
# Users of this process alone: 'retire' ends all processes of one, and tests run side by side.
HOST = 100_000 + 2 * os.getpid()
OTHER = HOST + 1
DAY = "web1/syslog/2024/01/12"
ARCHIVE = DAY + "/syslog.20240112.12.tgz.fernet"
MANIFEST = ".manifest.json"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of several users need root")


@pytest.fixture(scope="module")
def seal() -> t.Any:
    spec = importlib.util.spec_from_file_location("log_archive_seal", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Server:
    """A base folder with the folders of two accounts, la-web1 (append-only unless said otherwise) and la-db1."""

    def __init__(self, seal: t.Any, base: pathlib.Path, capsys: t.Any) -> None:
        self.seal = seal
        self.base = base
        self.capsys = capsys
        self.events: list[dict[str, t.Any]] = []
        base.mkdir(mode=0o755)
        for name, gid in (("la-web1", HOST), ("la-db1", OTHER)):
            folder = base / name / "archive"
            folder.mkdir(parents=True)
            os.chown(folder, 0, gid)
            folder.chmod(0o1770)
        self.chroot = base / "la-web1"
        self.folder = self.chroot / "archive"

    def path(self, name: str) -> pathlib.Path:
        return self.folder / name

    def run(self, *arguments: str) -> int:
        """Run the program; its events go to ``events``."""
        limits, memory = resource.getrlimit(resource.RLIMIT_AS), self.seal.MEMORY
        # The program limits its memory. Here it runs in a process that may have that much already, of other tests and their libraries.
        self.seal.MEMORY += int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        try:
            code = self.seal.main([*arguments, str(self.base)])
        finally:
            self.seal.MEMORY = memory
            resource.setrlimit(resource.RLIMIT_AS, limits)
        self.events = [json.loads(line) for line in self.capsys.readouterr().out.splitlines()]
        return code

    def told(self) -> list[tuple[str, str]]:
        return [(event["event"], event["path"]) for event in self.events]

    @contextlib.contextmanager
    def as_host(self, uid: int = HOST) -> t.Iterator[None]:
        """What is done inside is done by the host's account, in its folder."""
        before = os.getcwd()
        groups = os.getgroups()
        os.chdir(self.folder)
        os.setgroups([])
        os.setegid(uid)
        os.seteuid(uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
            os.chdir(before)

    def upload(self, name: str = ARCHIVE, data: bytes = b"ciphertext", **said: t.Any) -> None:
        """What the SFTP store leaves: folders 0700, files 0600, manifest first."""
        with self.as_host():
            make_folders(os.path.dirname(name))
            for path, content in ((name + MANIFEST, manifest(data, **said)), (name, data)):
                with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                    file.write(content)


def make_folders(path: str) -> None:
    parent = os.path.dirname(path)
    if parent:
        make_folders(parent)
    if path and not os.path.isdir(path):
        os.mkdir(path, 0o700)


def manifest(data: bytes, **said: t.Any) -> bytes:
    archive = dict({"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}, **said)
    return json.dumps({"archive": archive, "sources": []}).encode()


def owner_and_mode(path: pathlib.Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


SEALED = (0, HOST, 0o440)
TAKEN_OVER = (0, HOST, 0o1770)


@pytest.fixture
def server(seal: t.Any, tmp_path: pathlib.Path, capsys: t.Any, monkeypatch: t.Any) -> Server:
    ids = {"la-web1": HOST, "la-db1": OTHER}
    monkeypatch.setattr(seal.pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "*", ids[name], ids[name], "", "/", "")))
    return Server(seal, tmp_path / "srv", capsys)


# -- sealing ----------------------------------------------------------------------------------------------------------


def test_an_archive_with_its_manifest_is_sealed(server: Server) -> None:
    server.upload()
    modified = server.path(ARCHIVE).stat().st_mtime_ns
    assert server.run() == 0
    assert server.told() == [("sealed", ARCHIVE)]
    for path in (server.path(ARCHIVE), server.path(ARCHIVE + MANIFEST)):
        assert owner_and_mode(path) == SEALED
    assert server.path(ARCHIVE).read_bytes() == b"ciphertext"
    assert server.path(ARCHIVE).stat().st_mtime_ns == modified
    folder = server.path(ARCHIVE).parent
    while folder != server.chroot:
        assert owner_and_mode(folder) == TAKEN_OVER
        folder = folder.parent
    assert os.listdir(server.chroot / ".seal") == []


def test_the_host_can_still_read_and_add(server: Server) -> None:
    server.upload()
    server.run()
    with server.as_host():
        assert pathlib.Path(ARCHIVE).read_bytes() == b"ciphertext"
    second = ARCHIVE.replace("12.tgz", "13.tgz")
    server.upload(second, b"more")
    server.upload("web1/syslog/2024/01/13/syslog.20240113.00.tgz.fernet")
    server.run()
    assert sorted(server.told()) == [("sealed", second), ("sealed", "web1/syslog/2024/01/13/syslog.20240113.00.tgz.fernet")]


def _states(folder: pathlib.Path) -> t.Dict[pathlib.Path, t.Tuple[int, ...]]:
    """Of everything below the folder what a change would show; the time of the last access is not a change."""
    found = {path: path.lstat() for path in folder.rglob("*")}
    return {path: (s.st_ino, s.st_mode, s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}


def test_a_second_run_does_nothing_and_looks_into_no_finished_day(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload()
    server.run()
    server.run()
    assert server.events == []
    before = _states(server.base)
    scanned = []
    entries = seal._entries
    monkeypatch.setattr(seal, "_entries", lambda fd: scanned.append(os.readlink("/proc/self/fd/%d" % fd)) or entries(fd))
    server.run()
    assert server.events == []
    assert str(server.path(DAY).parent) in scanned
    assert str(server.path(DAY)) not in scanned
    assert _states(server.base) == before


def test_a_name_that_comes_while_a_folder_is_marked_as_finished_is_seen_by_the_next_run(
    server: Server, seal: t.Any, monkeypatch: t.Any
) -> None:
    server.upload()
    server.run()
    later = ARCHIVE.replace("12.tgz", "13.tgz")
    mark = seal.Sealer._mark

    def upload_and_mark(self: t.Any, folder: int, names: set[str]) -> None:
        server.upload(later)
        mark(self, folder, names)

    monkeypatch.setattr(seal.Sealer, "_mark", upload_and_mark)
    server.run()
    monkeypatch.setattr(seal.Sealer, "_mark", mark)
    assert server.events == []
    server.run()
    assert server.told() == [("sealed", later)]


def test_what_is_not_whole_is_left_alone(server: Server) -> None:
    server.upload()
    with server.as_host():
        os.unlink(ARCHIVE)
        for name in ("/lonely.tgz.fernet", "/.log-archive-x.tgz.fernet", "/.log-archive-x.tgz.fernet.manifest.json"):
            pathlib.Path(DAY + name).write_bytes(b"")
    server.run()
    assert server.events == []
    for path in server.path(DAY).iterdir():
        assert path.stat().st_uid == HOST
    with server.as_host():
        os.unlink(ARCHIVE + MANIFEST)  # the store takes a manifest back whose archive did not come
    server.upload()
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"sha256": "0" * 64}, "the SHA-256 of the archive differs from its manifest", id="other bytes"),
        pytest.param({"size": 11}, "the archive has 10 bytes; its manifest records 11", id="other size"),
        pytest.param({"size": True}, "the manifest has no valid size and SHA-256 of the archive", id="no size"),
        pytest.param({"sha256": None}, "the manifest has no valid size and SHA-256 of the archive", id="no digest"),
    ],
)
def test_what_differs_from_its_manifest_is_told_once_and_not_sealed(server: Server, change: dict[str, t.Any], why: str) -> None:
    server.upload(**change)
    assert server.run() == 0
    assert server.told() == [("refused", ARCHIVE)]
    assert why in server.events[0]["text"]
    assert owner_and_mode(server.path(ARCHIVE)) == (HOST, HOST, 0o600)
    server.run()
    assert server.events == []
    server.upload()
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"archive": 1}', b"[" * 100000, b"\xff"])
def test_a_manifest_that_is_none_is_refused(server: Server, content: bytes) -> None:
    server.upload()
    with server.as_host():
        pathlib.Path(ARCHIVE + MANIFEST).write_bytes(content)
    assert server.run() == 0
    assert server.told() == [("refused", ARCHIVE)]


def test_a_manifest_that_would_fill_the_memory_is_refused_alone(server: Server) -> None:
    server.upload("a" + ARCHIVE)
    with server.as_host():
        pathlib.Path("a" + ARCHIVE + MANIFEST).write_bytes(b"[" + b"[]," * ((63 << 20) // 3) + b"[]]")
    server.upload()
    # In a process of its own: how much memory this one has is for the limit to say.
    code = """
import importlib.util, pwd, sys
spec = importlib.util.spec_from_file_location("seal", sys.argv[1])
seal = importlib.util.module_from_spec(spec)
spec.loader.exec_module(seal)
seal.MEMORY = 600 << 20
seal.SECONDS = 3600.0
seal.pwd.getpwnam = lambda name: pwd.struct_passwd((name, "*", %d, %d, "", "/", ""))
sys.exit(seal.main(sys.argv[2:]))
""" % (HOST, HOST)
    done = subprocess.run([sys.executable, "-c", code, PROGRAM, server.base], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    events = [(event["event"], event["path"]) for event in map(json.loads, done.stdout.splitlines())]
    assert sorted(events) == [("refused", "a" + ARCHIVE), ("sealed", ARCHIVE)]


def test_a_huge_file_of_holes_is_not_copied(server: Server) -> None:
    server.upload(size=1 << 40)
    with server.as_host():
        os.truncate(ARCHIVE, 1 << 40)
    server.run()
    assert server.told() == [("refused", ARCHIVE)]
    assert "sparse" in server.events[0]["text"]


def test_a_run_that_was_killed_between_archive_and_manifest_is_completed(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload()
    replace = seal.Sealer._replace

    def killed(self: t.Any, folder: int, name: str, *rest: t.Any) -> None:
        if name.endswith(MANIFEST):
            raise KeyboardInterrupt
        replace(self, folder, name, *rest)

    monkeypatch.setattr(seal.Sealer, "_replace", killed)
    with pytest.raises(KeyboardInterrupt):
        server.run()
    monkeypatch.setattr(seal.Sealer, "_replace", replace)
    (server.chroot / ".seal" / "part-archive").write_bytes(b"left by a kill that no exception told")
    assert owner_and_mode(server.path(ARCHIVE)) == SEALED
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]
    assert owner_and_mode(server.path(ARCHIVE + MANIFEST)) == SEALED
    assert os.listdir(server.chroot / ".seal") == []


def test_one_run_at_a_time(server: Server) -> None:

    server.upload()
    with contextlib.ExitStack() as stack:
        fd = os.open(server.base, os.O_RDONLY)
        stack.callback(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        assert server.run() == 0
        assert server.events == []
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]


def test_an_account_that_may_delete_is_left_alone(server: Server) -> None:
    os.chown(server.folder, HOST, HOST)
    server.folder.chmod(0o700)
    server.upload()
    assert server.run() == 0
    assert server.events == []
    assert owner_and_mode(server.path(ARCHIVE)) == (HOST, HOST, 0o600)


def test_a_full_disk_is_told_and_harms_no_other_archive(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload("a" + ARCHIVE, b"large" * 100000)
    server.upload()
    write = seal._write

    def full(fd: int, data: bytes) -> None:
        if len(data) > 1000:
            raise OSError(28, "No space left on device")
        write(fd, data)

    monkeypatch.setattr(seal, "_write", full)
    assert server.run() == 1
    assert sorted(server.told()) == [("error", "a" + ARCHIVE), ("sealed", ARCHIVE)]
    assert os.listdir(server.chroot / ".seal") == []
    monkeypatch.setattr(seal, "_write", write)
    assert server.run() == 0
    assert server.told() == [("sealed", "a" + ARCHIVE)]


# -- attacks ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(server: Server) -> t.Iterator[Server]:
    """A server with a sealed archive; after the test it is still what the host sent."""
    server.upload()
    server.run()
    yield server
    server.run()
    assert server.path(ARCHIVE).read_bytes() == b"ciphertext"
    assert server.path(ARCHIVE + MANIFEST).read_bytes() == manifest(b"ciphertext")
    assert owner_and_mode(server.path(ARCHIVE)) == owner_and_mode(server.path(ARCHIVE + MANIFEST)) == SEALED


ATTACKS = {
    "delete": lambda: os.unlink(ARCHIVE),
    "delete the manifest": lambda: os.unlink(ARCHIVE + MANIFEST),
    "truncate": lambda: os.truncate(ARCHIVE, 0),
    "overwrite": lambda: os.close(os.open(ARCHIVE, os.O_WRONLY | os.O_TRUNC)),
    "append": lambda: os.close(os.open(ARCHIVE, os.O_WRONLY | os.O_APPEND)),
    "rename away": lambda: os.rename(ARCHIVE, DAY + "/other"),
    "rename over": lambda: os.rename(DAY + "/mine", ARCHIVE),
    "rename the day": lambda: os.rename(DAY, DAY + "x"),
    "rename the host": lambda: os.rename("web1", "web2"),
    "remove the day": lambda: os.rmdir(DAY),
    "make it writable": lambda: os.chmod(ARCHIVE, 0o600),
    "make the day private": lambda: os.chmod(DAY, 0o700),
    "take the day back": lambda: os.chown(DAY, HOST, HOST),
    "hide the day from the next run": lambda: os.utime(DAY, ns=(0, 0)),
    "link": lambda: os.link(ARCHIVE, DAY + "/link"),
    "look into the work folder": lambda: os.listdir("../.seal"),
    "write beside the archives": lambda: os.mkdir("../more"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_host_cannot_undo_what_is_sealed(sealed: Server, attack: str) -> None:
    with sealed.as_host():
        pathlib.Path(DAY + "/mine").write_bytes(b"evil")
        with pytest.raises(PermissionError):
            ATTACKS[attack]()


def test_a_handle_from_before_the_seal_writes_into_nothing(server: Server) -> None:
    server.upload()
    with server.as_host():
        handles = [os.open(name, os.O_RDWR) for name in (ARCHIVE, ARCHIVE + MANIFEST)]
    server.run()
    for handle in handles:
        os.pwrite(handle, b"evil", 0)
        os.ftruncate(handle, 4)
        os.close(handle)
    server.run()
    assert server.path(ARCHIVE).read_bytes() == b"ciphertext"
    assert server.path(ARCHIVE + MANIFEST).read_bytes() == manifest(b"ciphertext")


def test_a_hard_link_from_before_the_seal_is_another_file(server: Server) -> None:
    server.upload()
    with server.as_host():
        os.link(ARCHIVE, DAY + "/link")
    server.run()
    with server.as_host():
        pathlib.Path(DAY + "/link").write_bytes(b"evil")
    assert server.path(ARCHIVE).read_bytes() == b"ciphertext"
    assert owner_and_mode(server.path(ARCHIVE)) == SEALED


@pytest.mark.parametrize("kind", ["folder", "archive", "manifest", "both"])
def test_a_symbolic_link_leads_nowhere(server: Server, tmp_path: pathlib.Path, kind: str) -> None:
    """To a folder, archive and manifest of another host, which root could read and change."""
    other = server.base / "la-db1" / "archive"
    (other / "x").write_bytes(b"ciphertext")
    (other / ("x" + MANIFEST)).write_bytes(manifest(b"ciphertext"))
    for path in (other, other / "x", other / ("x" + MANIFEST)):
        os.chown(path, OTHER, OTHER)
    before = {path: path.lstat() for path in (other, *other.iterdir())}
    server.upload()
    with server.as_host():
        for name, target in {
            "folder": {DAY + "/evil": other, "evil": other},
            "archive": {ARCHIVE: other / "x"},
            "manifest": {ARCHIVE + MANIFEST: other / ("x" + MANIFEST)},
            "both": {ARCHIVE: other / "x", ARCHIVE + MANIFEST: other / ("x" + MANIFEST)},
        }[kind].items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
            os.symlink(target, name)
    server.run()
    assert server.told() == [("sealed" if kind == "folder" else "refused", ARCHIVE)]
    assert {path: path.lstat() for path in (other, *other.iterdir())} == before


def test_a_folder_swapped_for_a_link_while_it_is_walked(server: Server, tmp_path: pathlib.Path, seal: t.Any, monkeypatch: t.Any) -> None:
    """The moment between the look at a name and its opening."""
    outside = tmp_path / "etc"
    outside.mkdir()
    (outside / "shadow").write_bytes(b"x")
    before = (outside.lstat(), (outside / "shadow").lstat())
    server.upload()
    with server.as_host():
        os.mkdir("swapped", 0o700)
    walk_into = seal.Sealer._walk_into

    def swap(self: t.Any, folder: int, name: str, *rest: t.Any) -> None:
        if name == "swapped":
            with server.as_host():
                os.rename("swapped", "kept")
                os.symlink(outside, "swapped")
        walk_into(self, folder, name, *rest)

    monkeypatch.setattr(seal.Sealer, "_walk_into", swap)
    assert server.run() == 0
    assert server.told() == [("sealed", ARCHIVE)]
    assert (outside.lstat(), (outside / "shadow").lstat()) == before


@pytest.mark.parametrize("what", ["fifo", "folder", "socket"])
def test_no_file_at_all(server: Server, what: str) -> None:
    import socket

    server.upload()
    with server.as_host():
        os.unlink(ARCHIVE)
        if what == "fifo":
            os.mkfifo(ARCHIVE)
        elif what == "folder":
            os.mkdir(ARCHIVE)
        else:
            with socket.socket(socket.AF_UNIX) as listening:
                os.chdir(DAY)
                listening.bind(os.path.basename(ARCHIVE))
    assert server.run() == 0
    assert server.told() == [("refused", ARCHIVE)]


def test_an_archive_that_grows_while_it_is_copied_is_refused(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload()
    copy = seal._copy

    def grow(source: int, *rest: t.Any) -> str:
        with server.as_host(), open(ARCHIVE, "ab") as file:
            file.write(b"evil")
        return copy(source, *rest)

    monkeypatch.setattr(seal, "_copy", grow)
    server.run()
    assert server.told() == [("refused", ARCHIVE)]
    assert server.path(ARCHIVE).stat().st_uid == HOST


def test_an_archive_swapped_while_it_is_copied_is_the_one_that_was_checked(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload()
    copy = seal._copy

    def swap(source: int, *rest: t.Any) -> str:
        with server.as_host():
            os.rename(ARCHIVE, DAY + "/was")
            pathlib.Path(ARCHIVE).write_bytes(b"evil")
        return copy(source, *rest)

    monkeypatch.setattr(seal, "_copy", swap)
    server.run()
    assert server.path(ARCHIVE).read_bytes() == b"ciphertext"
    assert owner_and_mode(server.path(ARCHIVE)) == SEALED


def test_folders_without_end(server: Server) -> None:
    server.upload()
    with server.as_host():
        for _level in range(60):
            os.mkdir("d", 0o700)
            os.chdir("d")
    assert server.run() == 0
    assert sorted(event for event, _path in server.told()) == ["refused", "sealed"]
    server.run()
    assert server.events == []


def test_a_folder_with_too_many_names(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    server.upload()
    monkeypatch.setattr(seal, "MOST_ENTRIES", 10)
    with server.as_host():
        os.mkdir("many", 0o700)
        for number in range(12):
            pathlib.Path("many/%d" % number).touch()
    assert server.run() == 0
    assert sorted(server.told()) == [("refused", "many/"), ("sealed", ARCHIVE)]


# -- a host that wants to fill the log of the server, or to take all of its time --------------------------------------


def upload_many(server: Server, count: int, **said: t.Any) -> None:
    for number in range(count):
        server.upload("%s/%d.tgz.fernet" % (DAY, number), b"%d" % number, **said)


def counted(server: Server) -> dict[str, int]:
    return dict(collections.Counter(event["event"] for event in server.events))


def test_the_lines_of_one_run_for_one_account_are_capped_and_the_rest_is_counted(server: Server, seal: t.Any) -> None:
    more = seal.MOST_LINES + 7
    upload_many(server, more, sha256="0" * 64)
    assert server.run() == 0
    assert counted(server) == {"refused": seal.MOST_LINES, "not shown": 1}
    assert {name: server.events[-1][name] for name in ("account", "refused")} == {"account": "la-web1", "refused": 7}
    server.run()
    assert server.events == [], "what was only counted is reported once, too"
    upload_many(server, more)
    server.run()
    assert counted(server) == {"sealed": seal.MOST_LINES, "not shown": 1}


def test_one_account_leaves_the_lines_of_another_alone(server: Server, seal: t.Any) -> None:
    upload_many(server, seal.MOST_LINES + 1, sha256="0" * 64)
    server.folder = server.base / "la-db1" / "archive"
    with server.as_host(OTHER):
        make_folders(DAY)
        for name, content in ((ARCHIVE + MANIFEST, manifest(b"of db1")), (ARCHIVE, b"of db1")):
            pathlib.Path(name).write_bytes(content)
    server.run()
    assert ("sealed", ARCHIVE) in [(event["event"], event.get("path")) for event in server.events if event["account"] == "la-db1"]


def test_errors_are_capped(server: Server, seal: t.Any, monkeypatch: t.Any, small_filesystem: t.Any) -> None:
    monkeypatch.setattr(seal, "MOST_LINES", 2)
    full = Server(seal, small_filesystem(1 << 20) / "srv", server.capsys)
    upload_many(full, 5)
    # No copy has space.
    with full.as_host(), contextlib.suppress(OSError), open("rest", "wb") as rest:
        while True:
            rest.write(bytes(4096))
            rest.flush()
    assert full.run() == 1
    assert counted(full) == {"error": 2, "not shown": 1}


def test_a_path_in_the_log_has_a_limit(server: Server, seal: t.Any) -> None:
    name = "/".join(["n" * 200] * 10) + "/12.tgz.fernet"
    server.upload(name, sha256="0" * 64)
    server.run()
    (event,) = server.events
    assert len(event["path"]) == seal.LONGEST_TEXT
    assert event["path"].startswith("nnn") and event["path"].endswith("/12.tgz.fernet")


def test_an_account_that_takes_long_goes_on_in_the_next_run(server: Server, seal: t.Any, monkeypatch: t.Any) -> None:
    upload_many(server, 2, sha256="0" * 64)
    server.run()
    assert counted(server) == {"refused": 2}
    upload_many(server, 1)
    server.upload(ARCHIVE.replace("12/", "13/"))
    with monkeypatch.context() as patched:
        patched.setattr(seal, "SECONDS", 0)
        server.run()
    assert [(event["event"], event["account"]) for event in server.events] == [("postponed", "la-web1")]
    server.run()
    assert counted(server) == {"sealed": 2}, "what was refused before is not reported again"


# -- handing over -----------------------------------------------------------------------------------------------------


def test_release_gives_the_host_all_back(server: Server) -> None:
    server.upload()
    server.run()
    assert server.run("--release", "la-web1") == 0
    assert owner_and_mode(server.folder) == (HOST, HOST, 0o700)
    assert owner_and_mode(server.path(DAY)) == (HOST, HOST, 0o700)
    assert owner_and_mode(server.path(ARCHIVE)) == (HOST, HOST, 0o600)
    server.run()
    assert server.events == []
    os.chown(server.folder, 0, HOST)
    server.folder.chmod(0o1770)
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]
    assert owner_and_mode(server.path(ARCHIVE)) == SEALED


def test_retire_leaves_nothing_that_a_later_account_would_own(server: Server) -> None:
    server.upload()
    server.run()
    server.run()
    server.upload(ARCHIVE.replace("12.tgz", "13.tgz"))
    with server.as_host():
        os.symlink("/etc", "link")
    session = subprocess.Popen(["sleep", "600"], user=HOST, group=HOST)
    try:
        assert server.run("--retire", "la-web1") == 0
        assert session.wait(lab.patience(60)) == -9
    finally:
        session.kill()
        session.wait()
    owned = [path for path in server.folder.rglob("*") if not path.is_symlink() and path.lstat().st_uid != 0]
    assert owned == []
    assert owner_and_mode(server.path(ARCHIVE)) == (0, 0, 0o400)
    assert os.stat("/etc").st_mode & 0o777 == 0o755


def test_an_account_that_comes_back_finds_its_archives_sealed(server: Server) -> None:
    server.upload()
    server.run()
    server.run()
    server.run("--retire", "la-web1")
    os.chown(server.folder, 0, HOST)
    server.folder.chmod(0o1770)
    server.run()
    assert owner_and_mode(server.path(DAY)) == TAKEN_OVER
    assert owner_and_mode(server.path(ARCHIVE)) == SEALED
    with server.as_host():
        assert pathlib.Path(ARCHIVE).read_bytes() == b"ciphertext"


def test_an_unknown_account_is_an_error(server: Server) -> None:
    with pytest.raises(KeyError):
        server.run("--retire", "la-none")


def test_time_of_day_is_not_asked_of_the_host(server: Server) -> None:
    """A host whose uploads carry the mark of a finished folder on their files is looked at all the same."""
    server.upload()
    with server.as_host():
        for path in (ARCHIVE, ARCHIVE + MANIFEST, DAY):
            os.utime(path, ns=(0, 0))
    server.run()
    assert server.told() == [("sealed", ARCHIVE)]
    assert time.time() - server.path(DAY).stat().st_mtime < 3600


# -- the heads of ledgers ---------------------------------------------------------------------------------------------

LEDGER = "1" * 32


def send_head(server: Server, seq: int, ledger: str = LEDGER, text: str = "", wrong: t.Optional[dict[str, t.Any]] = None) -> str:
    """What a run leaves there: the head of a ledger under a name with its hash. wrong: fields that do not fit the name."""
    entry = json.dumps({"seq": seq, "ledger": ledger, "text": text}) + "\n"
    name = "web1/syslog/ledger/%012d-%s-%s.json" % (seq, ledger, hashlib.sha256(entry.encode()).hexdigest())
    with server.as_host():
        make_folders(os.path.dirname(name))
        with open(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump({"seq": seq, "ledger": ledger, "entry": entry, **(wrong or {})}, file)
    return name


def test_the_heads_of_a_ledger_are_sealed(server: Server) -> None:
    names = [send_head(server, seq) for seq in (3, 4)]
    assert server.run() == 0
    assert server.told() == [("sealed", name) for name in names]
    status = server.path(names[0]).stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (0, 0o440)
    with server.as_host(), pytest.raises(PermissionError):
        os.unlink(names[0])
    server.run()
    assert server.told() == []


@pytest.mark.parametrize(
    ("later", "why"),
    [
        ({"seq": 3}, "the ledger was cut or forked: entry 4 was sealed before"),
        ({"seq": 4, "text": "another"}, "the ledger was cut or forked: entry 4 was sealed before"),
        ({"seq": 9, "ledger": "2" * 32}, "the ledger was started again: the head before was entry 4 of %s" % LEDGER),
    ],
)
def test_a_ledger_that_does_not_grow_is_reported_once(server: Server, later: dict[str, t.Any], why: str) -> None:
    send_head(server, 4)
    server.run()
    name = send_head(server, **later)
    assert server.run() == 0
    assert server.told() == [("sealed", name), ("finding", name)]
    assert server.events[1]["text"] == why
    server.run()
    assert server.told() == []
    # A ledger that goes on is fine.
    send_head(server, 20, later.get("ledger", LEDGER))
    server.run()
    assert [event["event"] for event in server.events] == ["sealed"]


@pytest.mark.parametrize(
    "wrong", [{"seq": 5}, {"ledger": "2" * 32}, {"entry": "{}\n"}, {"entry": 1}, {"entry": "x" * 200_000}, {"seq": "3"}]
)
def test_a_head_that_is_not_the_one_of_its_name_is_refused(server: Server, wrong: dict[str, t.Any]) -> None:
    name = send_head(server, 3, wrong=wrong)
    assert server.run() == 0
    assert server.told() == [("refused", name)]
    server.run()
    assert server.told() == []


def test_only_the_last_heads_stay(server: Server, seal: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seal, "HEADS_KEPT", 2)
    names = [send_head(server, seq) for seq in (1, 2, 3)]
    server.run()
    assert [server.path(name).exists() for name in names] == [False, True, True]
