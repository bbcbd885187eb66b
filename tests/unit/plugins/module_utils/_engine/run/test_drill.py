# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore drills of a real host in a folder: the sample, what is compared, what is reported, and that no plaintext stays."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import pathlib
import re
import shutil
import stat
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import IntegrityError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import drill as drills
from rigs.host import JOB, NAME, Host, files_below

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """A host with six archives in each of two stores."""
    folder = tmp_path_factory.mktemp("drill")
    stores = [{"type": "file", "name": name, "path": str(folder / name)} for name in ("first", "second")]
    host = Host(folder / "host", stores)
    host.write_logs(*range(9, 15))
    assert host.run()["exit_code"] == 0
    return host


@pytest.fixture
def host(made: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A copy of it, and an empty folder for plaintext."""
    (tmp_path / "plain").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "plain"))
    shutil.copytree(made.folder.parent, tmp_path / "copy", symlinks=True)
    stores = [{"type": "file", "name": name, "path": str(tmp_path / "copy" / name)} for name in ("first", "second")]
    copy = Host.__new__(Host)
    copy.__dict__.update(
        {name: tmp_path / "copy" / "host" / value.name for name, value in vars(made).items() if name not in ("stores", "folder")}
    )
    copy.folder, copy.stores = tmp_path / "copy" / "host", stores
    copy.write_document()
    return copy


def drill(host: Host, *arguments: str, code: int = 0) -> t.List[t.Dict[str, t.Any]]:
    """The rows of a drill. It leaves nothing in the folder for plaintext."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        returned = cli.main(["drill", *arguments, "--json", "--config", str(host.folder / "jobs")])
    assert returned == code, out.getvalue() + err.getvalue()
    assert os.listdir(os.environ["TMPDIR"]) == []
    return t.cast("t.List[t.Dict[str, t.Any]]", json.loads(out.getvalue()))


def tried(row: t.Mapping[str, t.Any]) -> t.List[str]:
    return [one["archive"] for one in row["tried"]]


def test_a_sample_of_each_store_is_restored_as_it_was_archived(host: Host) -> None:
    before = files_below(host.folder.parent)
    rows = drill(host, "--sample", "2")
    assert [(row["host"], row["job"], row["store"], row["archives"], len(row["tried"])) for row in rows] == [
        (NAME, JOB, "first", 6, 2),
        (NAME, JOB, "second", 6, 2),
    ]
    for one in (one for row in rows for one in row["tried"]):
        assert one["error"] is None and one["files"] == 1 and one["source_bytes"] >= 3000 and one["seconds"] > 0
        assert len(one["key_id"]) > 8 and one["start"] < one["end"]
    assert files_below(host.folder.parent) == before


def test_a_seed_tries_the_same_archives_again_and_others_do_not(host: Host) -> None:
    first = tried(drill(host, "--seed", "a", "--store", "first")[0])
    assert first == tried(drill(host, "--seed", "a", "--store", "second")[0])
    assert any(tried(drill(host, "--seed", seed, "--store", "first")[0]) != first for seed in "bcde")
    # What is archived later does not change the order of the others.
    keys = ["archive-%d" % number for number in range(50)]
    chosen = drills.sample(keys, 5, "seed")
    assert chosen == drills.sample(reversed(keys), 5, "seed") and set(drills.sample([*keys, "new"], 5, "seed")) - {"new"} <= set(chosen)
    assert len(drills.sample(keys, 100, "seed")) == 50


def test_a_damaged_archive_is_reported_and_the_others_are_tried(host: Host) -> None:
    path = sorted((host.folder.parent / "first").rglob("*.fernet"))[2]
    victim = str(path.relative_to(host.folder.parent / "first"))
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    first, second = drill(host, "--sample", "10", code=4)
    assert [one["archive"] for one in first["tried"] if one["error"]] == [victim]
    assert len(first["tried"]) == len(second["tried"]) == 6
    assert (first["exit_code"], second["exit_code"]) == (4, 0)


def test_an_archive_that_a_store_lost_is_not_taken_from_the_other(host: Host) -> None:
    shutil.rmtree(host.folder.parent / "first")
    first, second = drill(host, code=4)
    assert all(one["error"] for one in first["tried"]) and not any(one["error"] for one in second["tried"])


def test_without_its_key_nothing_is_restored(host: Host) -> None:
    for path in host.keyring.glob("*.key"):
        path.unlink()
    (row, _other) = drill(host, "--sample", "1", code=2)
    assert "key" in row["tried"][0]["error"]


def test_a_job_without_archives_has_failed_its_drill(host: Host) -> None:
    host.write_document(name="empty", select={"paths": [str(host.folder / "empty")]})
    (row, _other) = drill(host, "empty", code=1)
    assert row["error"] == "the catalog has no archive in this store, so nothing was tried"


def test_restored_bytes_are_compared_with_what_the_host_recorded(tmp_path: pathlib.Path) -> None:
    (tmp_path / "log").write_bytes(b"other")
    source = {"name": "log", "size": 5, "sha256": "0" * 64}
    with pytest.raises(IntegrityError, match="1 of 1 restored logs differ"):
        drills.compare(t.cast("t.Any", {"sources": [source]}), str(tmp_path))


def test_the_plaintext_of_a_killed_drill_is_removed_by_the_next_and_that_of_a_running_one_stays(host: Host) -> None:
    parent = pathlib.Path(os.environ["TMPDIR"])
    killed = parent / (drills.PREFIX + "killed")
    (killed / "restored").mkdir(parents=True)
    (killed / "restored" / "secret").write_text("a line\n")
    with drills.private_folder(str(parent)) as running:
        assert not killed.exists()
        assert stat.S_IMODE(os.stat(running).st_mode) == 0o700
        with drills.private_folder(str(parent)):
            assert os.path.isdir(running)
    drill(host, "--sample", "1")


def test_what_only_looks_like_the_folder_of_a_drill_does_not_stop_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file and a link, and a folder that another drill removes at the same time."""
    parent = pathlib.Path(os.environ["TMPDIR"])
    (parent / (drills.PREFIX + "file")).touch()
    (parent / (drills.PREFIX + "link")).symlink_to("/etc")
    listed = os.listdir
    gone = drills.PREFIX + "gone"
    monkeypatch.setattr(os, "listdir", lambda folder: [*listed(folder), *([gone] if drills.PREFIX + "file" in listed(folder) else [])])
    with drills.private_folder(str(parent)) as private:
        assert os.path.isdir(private)
    monkeypatch.setattr(os, "listdir", listed)
    assert sorted(os.listdir(parent)) == [drills.PREFIX + "file", drills.PREFIX + "link"]


def test_a_folder_without_space_is_reported_for_each_archive(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> t.NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(drills, "new_locked_folder", full)
    rows = drill(host, "--sample", "2", code=1)
    assert ["no space left" in one["error"] for row in rows for one in row["tried"]] == [True] * 4


def test_a_page_that_cannot_be_written_hides_no_result(host: Host, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is that of the damaged archive. A pipe is not replaced."""
    for path in (host.folder.parent / "first").rglob("*.fernet"):
        path.write_bytes(b"x" * path.stat().st_size)
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path / "nowhere" / "page", "No such file or directory"), (tmp_path / "pipe", "it is not a file")):
        arguments = ("drill", "--sample", "1", "--html", str(path), "--config", str(host.folder / "jobs"))
        assert cli.main(arguments) == 4
        printed = capsys.readouterr()
        assert "tried 2 of 12 archives" in printed.out and "%s: cannot write the page: %s" % (path, why) in printed.err
    assert stat.S_ISFIFO(os.stat(tmp_path / "pipe").st_mode)


def test_a_name_that_is_not_utf_8_is_on_the_page(host: Host, tmp_path: pathlib.Path) -> None:
    drill(host, "--sample", "1", "--seed", "a\n\udcff", "--html", str(tmp_path / "page"))
    assert b"Restore drill: passed" in (tmp_path / "page").read_bytes()


def test_the_page_has_what_was_tried_and_shows_names_as_text(host: Host, tmp_path: pathlib.Path) -> None:
    page = tmp_path / "drill.html"
    rows = drill(host, "--sample", "2", "--seed", "<script>alert(1)</script>", "--html", str(page))
    text = page.read_text(encoding="utf-8")
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "<h1>Restore drill: passed</h1>" in text and "<script" not in text and "&lt;script&gt;" in text
    assert not re.search(r"https?://|src=|url\(", text)
    for archive in (name for row in rows for name in tried(row)):
        assert "<td>%s</td>" % archive in text
    assert text.count("as archived") == 4


@pytest.mark.parametrize("arguments", [["--sample", "0"], ["--sample", "x"], ["--store", "third"]])
def test_wrong_usage_is_refused(host: Host, arguments: t.List[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drill", *arguments, "--config", str(host.folder / "jobs")]) == 2
    assert arguments[0].lstrip("-") in capsys.readouterr().err


def test_a_folder_that_does_not_exist_is_named(host: Host, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drill", "--folder", str(tmp_path / "nowhere"), "--config", str(host.folder / "jobs")]) == 1
    assert "%s: No such file" % (tmp_path / "nowhere") in capsys.readouterr().err
