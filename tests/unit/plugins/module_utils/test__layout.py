# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What host_layout removes, and what it keeps. Its integration target has the rest; users are removed on hosts of tests/fleet."""

from __future__ import annotations

import os
import pathlib
import pwd
import subprocess
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _layout

ME = pwd.getpwuid(os.geteuid())


def run_command(argv: t.Sequence[str], **_options: t.Any) -> t.Tuple[int, str, str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def ensure(check: bool = False, **given: t.Any) -> _layout.Layout:
    checked = ArgumentSpecValidator(_layout.ARGUMENTS).validate(given)
    assert not checked.error_messages
    layout = _layout.Layout(check, run_command)
    _layout.check_options(checked.validated_parameters)
    layout.ensure(checked.validated_parameters)
    return layout


def absent(path: pathlib.Path, **options: t.Any) -> t.Dict[str, t.Any]:
    return {"path": str(path), "state": "absent", **options}


def test_a_check_reports_what_is_then_removed(tmp_path: pathlib.Path) -> None:
    top = tmp_path / "etc"
    (top / "jobs.d").mkdir(parents=True)
    (top / "jobs.d" / "one.json").touch()
    (top / "ssh").symlink_to(tmp_path)
    paths = [absent(top / "jobs.d" / "one.json"), absent(top / "ssh"), absent(top / "jobs.d", if_empty=True), absent(top, if_empty=True)]
    checked = ensure(check=True, paths=paths)
    assert top.exists() and (top / "jobs.d" / "one.json").exists()
    done = ensure(paths=paths)
    assert not top.exists() and tmp_path.exists()
    assert checked.changes == done.changes == [entry["path"] for entry in paths]
    assert checked.differences == done.differences
    assert ensure(paths=paths).changes == []


@pytest.mark.parametrize("check", [True, False])
def test_a_folder_that_is_not_empty_stays(tmp_path: pathlib.Path, check: bool) -> None:
    (tmp_path / "etc" / "jobs.d").mkdir(parents=True)
    (tmp_path / "etc" / ".hidden").symlink_to("nowhere")
    layout = ensure(check, paths=[absent(tmp_path / "etc" / "jobs.d"), absent(tmp_path / "etc", if_empty=True)])
    assert layout.kept == [str(tmp_path / "etc")]
    assert (tmp_path / "etc").exists()


def test_files_at_any_depth_keep_a_folder_and_empty_folders_do_not(tmp_path: pathlib.Path) -> None:
    deep = tmp_path / "account" / "archive" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "account" / "beside").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (deep / "loop").symlink_to(tmp_path)
    paths = [absent(tmp_path / "account", unless_files_in=str(tmp_path / "account" / "archive"))]
    (deep / "one").touch()
    kept = ensure(paths=paths)
    assert (kept.kept, kept.changes) == ([str(tmp_path / "account")], [])
    (deep / "one").unlink()
    assert ensure(paths=paths).changes == [str(tmp_path / "account")]
    assert not (tmp_path / "account").exists()


def test_what_comes_after_the_look_is_not_removed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    listdir = os.listdir

    def late(path: str) -> t.List[str]:
        found = listdir(path)
        (folder / "of an operator.json").touch()
        return found

    monkeypatch.setattr(os, "listdir", late)
    with pytest.raises(OSError, match="not empty"):
        ensure(paths=[absent(folder, if_empty=True)])
    assert (folder / "of an operator.json").exists()


def test_a_user_with_another_comment_stays() -> None:
    users = [{"name": ME.pw_name, "state": "absent", "comment": "not %s" % ME.pw_gecos}, {"name": "log-archive-nobody", "state": "absent"}]
    layout = ensure(users=users, groups=[{"name": "log-archive-nobody", "state": "absent"}])
    assert layout.changes == []
    assert ensure(check=True, users=[{**users[0], "comment": ME.pw_gecos}]).changes == ["user %s" % ME.pw_name]


@pytest.mark.parametrize("option", [{"if_empty": True}, {"unless_files_in": "/x"}], ids=["if_empty", "unless_files_in"])
def test_a_condition_of_removal_needs_a_removal(option: t.Dict[str, t.Any]) -> None:
    with pytest.raises(_layout.LayoutError, match="needs state=absent"):
        ensure(paths=[{"path": "/x", "state": "directory", **option}])
