# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the paths of a job document may lie, and the roots that a host fixes for all documents."""

from __future__ import annotations

import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import protected
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files, host, places
from rigs.host import Host, files_below

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can have the settings of a host")


@pytest.fixture
def settings(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder that takes the place of /etc/log-archive."""
    folder = tmp_path / "etc"
    folder.mkdir(mode=0o755)
    monkeypatch.setattr(protected, "SETTINGS", str(folder))
    return folder


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "site")


def problems(site: Host, **changes: t.Any) -> t.List[str]:
    """The problems of the job with these changes, as check-config finds them."""
    try:
        files.load(str(site.write_document(**changes)), look=True)
    except ConfigError as error:
        return error.problems or [str(error)]
    return []


def at(site: Host, option: str, path: t.Any) -> t.Dict[str, t.Any]:
    """The change that puts an option of the job at a path."""
    values: t.Dict[str, t.Any] = {
        "notify": [{"type": "log", "path": str(path)}],
        "textfile": [{"type": "textfile", "path": str(path)}],
        "stores": [{"type": "file", "path": str(path)}],
    }
    return {"notify" if option == "textfile" else option: values.get(option, str(path))}


OPTIONS = ["state", "spool", "log", "notify", "textfile", "stores"]


# -- keys and settings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("where", ["keyring", "etc"])
def test_no_path_of_a_document_lies_among_keys_and_settings(site: Host, settings: pathlib.Path, option: str, where: str) -> None:
    folder = site.keyring if where == "keyring" else settings
    (site.folder / "link").symlink_to(folder)
    (site.folder / "up").symlink_to("link/..")
    for path in (folder / "x", folder / "new" / "x", site.folder / "link" / "x", site.folder / "up" / folder.name / "x"):
        assert "it lies in" in "".join(problems(site, **at(site, option, path))), path
    assert problems(site) == []


@pytest.mark.parametrize("option", OPTIONS)
def test_no_path_lies_in_the_keyring_of_any_job_not_even_before_it_is_made(site: Host, option: str) -> None:
    later = site.folder / "later"
    for document in ({"encryption": {"keyring": str(later)}}, {"name": "other", "encryption": {"keyring": str(later)}}):
        site.write_document(**document)
        found = problems(site, **{"encryption": {"keyring": str(later)}, **at(site, option, later / "x")})
        assert "lies in the keyring %s" % later in "".join(found)
    found = problems(site, **at(site, option, later / "x"))
    assert "lies in the keyring %s" % later in "".join(found), "of the other job"


def test_a_log_with_the_name_of_a_key_is_refused(site: Host) -> None:
    assert "the name of a key" in "".join(problems(site, log=str(site.folder / ("0" * 16 + ".key"))))


def test_every_command_refuses_what_it_can_without_a_look_at_the_stores(site: Host, settings: pathlib.Path, monkeypatch: t.Any) -> None:
    """A store may be a mount of a server that does not answer."""
    looked = []
    for name in ("open", "stat", "lstat", "readlink", "access"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda path, *args, _real=real, **kwargs: looked.append(str(path)) or _real(path, *args, **kwargs))
    for option in OPTIONS:
        for path in (settings / "x", site.keyring / "x"):
            with pytest.raises(ConfigError, match="[0-9] paths? not allowed"):
                files.load(str(site.write_document(**at(site, option, path))))
    site.write_document(name="other", **at(site, "stores", "/hung/theirs"))
    looked.clear()
    files.load(str(site.write_document(**at(site, "stores", "/hung/mine"))))
    assert looked and not [path for path in looked if "hung" in path or "mine" in path]


@pytest.mark.parametrize("option", ["spool", "stores"])
def test_no_host_and_name_lead_from_a_harmless_folder_into_a_keyring_or_another_job(site: Host, option: str) -> None:
    above, host = site.folder.parent, site.folder.name
    elsewhere = {"log": None, "spool": "/var/spool/x", **at(site, "stores", "/var/backups"), **at(site, option, above)}
    found = problems(site, host=host, name=site.keyring.name, **elsewhere)
    assert "it lies in the keyring" in "".join(found)
    site.write_document(name="other", state=str(site.folder / "theirs"))
    found = problems(site, host=host, name="theirs", state=str(site.state), **elsewhere)
    assert "lies in the state of the job 'other'" in "".join(found)


@pytest.mark.parametrize("way", ["same", "below", "dots", "link"])
def test_a_store_is_not_the_spool(site: Host, way: str) -> None:
    site.spool.mkdir()
    (site.folder / "link").symlink_to("spool")
    path = {"same": "spool", "below": "spool/web1", "dots": "logs/../spool/.", "link": "link"}[way]
    assert "lies in the spool" in "".join(problems(site, **at(site, "stores", "%s/%s" % (site.folder, path))))


@pytest.mark.parametrize("second", ["store", "store/.", "link"])
def test_two_stores_are_not_one_folder(site: Host, second: str) -> None:
    site.store.mkdir()
    (site.folder / "link").symlink_to("store")
    stores = [{"type": "file", "name": name, "path": "%s/%s" % (site.folder, path)} for name, path in (("a", "store"), ("b", second))]
    assert "stores[1].path: %s/%s is the same folder as stores[0].path" % (site.folder, second) in "".join(problems(site, stores=stores))


@pytest.mark.parametrize(
    "store",
    [
        {"type": "s3", "bucket": "b", "prefix": "logs"},
        {"type": "sftp", "host": "backup1", "user": "u", "path": "logs", "password": "secret"},
    ],
)
def test_two_stores_are_not_one_place_of_a_server(site: Host, store: t.Dict[str, t.Any]) -> None:
    option = "prefix" if store["type"] == "s3" else "path"
    for same in ("logs/",) if option == "prefix" else ("logs/", "~/logs", "./logs"):
        stores = [dict(store, name="a"), dict(store, name="b", **{option: same})]
        assert "stores[1]: is the same place as stores[0]" in "".join(problems(site, stores=stores))
    stores[1][option] = "logs2"
    assert problems(site, stores=stores) == []


# -- other jobs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("theirs", ["state", "spool", "stores"])
def test_no_path_lies_in_a_folder_of_another_job(site: Host, option: str, theirs: str) -> None:
    folder = site.folder / "theirs"
    folder.mkdir(mode=0o700)
    (site.folder / "link").symlink_to("theirs")
    site.write_document(name="other", **at(site, theirs, folder))
    for path in (folder / "x", site.folder / "link" / "deep" / "x"):
        assert "of the job 'other'" in "".join(problems(site, **at(site, option, path)))
    shared = problems(site, **at(site, option, folder))
    assert bool(shared) is (option != theirs), "jobs may share a state, a spool or a store, and nothing else"


@pytest.mark.parametrize("layout", ["tree", "flat"])
def test_jobs_share_their_folders(site: Host, layout: str) -> None:
    stores = [{"type": "file", "path": str(site.store), "layout": layout}]
    site.write_document(name="other", stores=stores)
    assert problems(site, stores=stores) == []
    (site.folder / "jobs" / "broken.json").write_text("{")
    (site.folder / "jobs" / "odd.json").write_text('{"stores": [5, {"type": "file", "path": 7}], "state": 3, "encryption": "none"}')
    assert problems(site) == []


@pytest.mark.parametrize(
    "name", ["catalog.sqlite", "catalog.sqlite-wal", "other.lock", "syslog.removals.json", "x.web.json", "web/x/y", ".aws/credentials"]
)
def test_a_log_does_not_take_the_place_of_a_file_of_the_state(site: Host, name: str) -> None:
    assert "that the job keeps in its state" in "".join(problems(site, log=str(site.state / name)))
    assert problems(site, log=str(site.state / "events.jsonl")) == []


def test_a_log_does_not_lie_in_the_spool(site: Host) -> None:
    assert "lies in the spool" in "".join(problems(site, log=str(site.spool / "web1" / "other" / "x.tgz.fernet")))


# -- the roots of the host ---------------------------------------------------------------------------------------------


def fix(settings: pathlib.Path, **roots: t.Any) -> pathlib.Path:
    path = settings / "host.json"
    path.write_text(json.dumps({"roots": {name: list(map(str, paths)) for name, paths in roots.items()}}))
    path.chmod(0o644)
    return path


@needs_root
@pytest.mark.parametrize("option", [*OPTIONS, "select"])
def test_documents_choose_only_below_the_roots(site: Host, settings: pathlib.Path, option: str) -> None:
    root = site.folder / "root"
    (root / "inner").mkdir(parents=True, mode=0o755)
    outside = site.folder / "outside"
    outside.mkdir()
    (root / "way-out").symlink_to(outside)
    (outside / "way-in").symlink_to(root)
    fix(settings, **{"notify" if option == "textfile" else option: [root, site.folder / "second"]})

    def put(path: pathlib.Path) -> t.List[str]:
        change: t.Dict[str, t.Any] = {"select": {"paths": [str(path)]}} if option == "select" else at(site, option, path)
        return problems(site, **change)

    for allowed in (root / "inner", root / "new" / "deep", site.folder / "second" / "x"):
        assert put(allowed) == []
    for refused in (outside / "x", root / ".." / "outside", root / "way-out" / "x", outside / "way-in" / "inner", site.folder / "root2"):
        (problem,) = put(refused)
        assert "does not lie below %s or " % root in problem and str(settings / "host.json") in problem


@needs_root
def test_without_roots_documents_choose_freely_and_an_empty_list_allows_nothing(site: Host, settings: pathlib.Path) -> None:
    assert set(host.roots().values()) == {None}
    fix(settings)
    assert set(host.roots().values()) == {None} and problems(site) == []
    fix(settings, log=[])
    assert "does not lie below nothing" in "".join(problems(site))


@needs_root
@pytest.mark.parametrize("wrong", ["owner", "mode", "mode of the folder", "link", "folder", "not JSON", "unknown key", "relative"])
def test_settings_that_are_not_valid_or_not_of_root_alone_stop_every_job(site: Host, settings: pathlib.Path, wrong: str) -> None:
    path = fix(settings, log=[site.folder])
    if wrong == "owner":
        os.chown(path, 65534, 65534)
    elif wrong == "mode":
        path.chmod(0o664)
    elif wrong == "mode of the folder":
        settings.chmod(0o777)
    elif wrong == "link":
        path.rename(settings / "real.json")
        path.symlink_to("real.json")
    elif wrong == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_text({"not JSON": "{", "unknown key": '{"root": {}}', "relative": '{"roots": {"log": ["x"]}}'}[wrong])
    with pytest.raises(ConfigError) as caught:
        files.load(str(site.write_document()))
    assert str(settings) in str(caught.value)


@needs_root
def test_the_command_runs_no_job_outside_of_the_roots(site: Host, settings: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main

    fix(settings, state=[site.folder / "elsewhere"])
    site.write_logs(14)
    path = str(site.write_document())
    for command in ("check-config", "run"):
        assert main([command, path]) == 2
        assert "does not lie below" in capsys.readouterr().err
    assert not site.state.exists() and files_below(site.folder / "store") == []


# -- check-config ------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("option", ["state", "spool"])
def test_check_config_refuses_folders_that_others_can_change(site: Host, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main

    folder = site.folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    path = str(site.write_document(**{option: str(folder)}))
    assert main(["check-config", path]) == 2
    assert "group or others can write" in capsys.readouterr().err
    folder.chmod(0o700)
    assert main(["check-config", path]) == 0


@pytest.mark.parametrize("value", ["0\n", "1\n", None])
def test_check_config_warns_of_a_kernel_that_does_not_protect_links(
    site: Host, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: t.Optional[str]
) -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli.main import main

    setting = tmp_path / "protected_symlinks"
    if value is not None:
        setting.write_text(value)
    monkeypatch.setattr(protected, "SYMLINKS", str(setting))
    path = str(site.write_document())
    assert main(["check-config", path]) == 0
    assert ("fs.protected_symlinks is 0" in capsys.readouterr().err) is (value == "0\n")
    assert main(["check-config", "--json", path]) == 0
    ((row,),) = [json.loads(capsys.readouterr().out)]
    assert [warning[:23] for warning in row["warnings"]] == (["fs.protected_symlinks is"[:23]] if value == "0\n" else [])


def test_the_kinds_of_places_are_those_of_the_roots() -> None:
    from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.host_spec import ROOTS

    assert {"state", "spool", "log", "notify", "stores", "select"} == set(ROOTS)
    assert places.Place("a", "log", "/x").kind in ROOTS
