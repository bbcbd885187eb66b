# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_command installs exactly the engine, whole or not at all."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _installation
from ansible_collections.infra_ops.log_archive.plugins.modules import host_command

BUILD = pathlib.Path(__file__).resolve().parents[4] / "build"
COLLECTIONS = pathlib.Path(os.environ.get("LOG_ARCHIVE_COLLECTIONS", str(BUILD / "collections")))
ENGINE = COLLECTIONS / "ansible_collections" / "infra_ops" / "log_archive" / "plugins" / "module_utils" / "_engine"
PYTHON39 = BUILD / "venv-py39" / "bin" / "python"
INTERPRETERS = [pytest.param(pathlib.Path(sys.executable), id="this Python")]
if PYTHON39.exists():
    INTERPRETERS.append(pytest.param(PYTHON39, id="Python 3.9"))
# Instead of the engine, which has some hundred files, where it does not matter what is installed.
PARTS = dict.fromkeys(["__init__.py", "cli/__init__.py", "cli/main.py", "stores/__init__.py", "stores/s3.py", "stores/sftp.py"], b"")


def files(folder: pathlib.Path) -> t.Dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def compiled(folder: str) -> bytes:
    subprocess.run([sys.executable, "-I", "-m", "compileall", "-q", folder], check=True)
    return b"the manual page"


@pytest.fixture
def host(tmp_path: pathlib.Path) -> _installation.Installation:
    return _installation.Installation(str(tmp_path / "opt"))


def launcher(host: _installation.Installation) -> str:
    return _installation.launcher_of(sys.executable, host.package)


def install(host: _installation.Installation, engine: t.Dict[str, bytes] = PARTS) -> None:
    host.install(engine, launcher(host), compiled)


def holds(host: _installation.Installation, engine: t.Dict[str, bytes] = PARTS) -> bool:
    return host.holds(_installation.digest_of(engine), launcher(host), sys.implementation.cache_tag)


@pytest.mark.parametrize("interpreter", INTERPRETERS)
def test_ansible_ships_the_whole_engine_to_a_host_and_nothing_else(interpreter: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # Elsewhere than the collection, with no way to it: what is installed came in the module.
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "ansible"),
            "localhost",
            "--inventory=localhost,",
            "--module-name=infra_ops.log_archive.host_command",
            "--args=prefix=%s interpreter=%s" % (tmp_path / "opt", interpreter),
            "--extra-vars=ansible_connection=local ansible_python_interpreter=%s" % interpreter,
        ],
        cwd=tmp_path,
        env=dict({name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(tmp_path / "opt" / "lib" / "log_archive") == files(ENGINE)
    told = subprocess.run([str(tmp_path / "opt" / "bin" / "log-archive"), "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert told.stdout == "log-archive %s\n" % host_command._engine.__version__


def test_modes_do_not_depend_on_the_umask_and_every_file_is_compiled(host: _installation.Installation) -> None:
    umask = os.umask(0o077)
    try:
        install(host, host_command.sources())
    finally:
        os.umask(umask)
    assert holds(host, host_command.sources())
    modes = {os.stat(path).st_mode & 0o7777 for path in pathlib.Path(host.prefix).rglob("*") if path.is_dir()}
    assert modes == {0o755}
    assert {os.stat(path).st_mode & 0o7777 for path in pathlib.Path(host.package).resolve().rglob("*") if path.is_file()} == {0o644}


@pytest.mark.parametrize("damage", ["content", "missing", "additional", "mode", "not compiled", "manual", "command", "command's mode"])
def test_whatever_is_different_on_the_host_is_seen_and_mended(damage: str, host: _installation.Installation) -> None:
    install(host)
    package = pathlib.Path(host.package)
    if damage == "content":
        (package / "stores" / "s3.py").write_text("changed", encoding="utf-8")
    elif damage == "missing":
        (package / "stores" / "s3.py").unlink()
    elif damage == "additional":
        (package / "sitecustomize.py").write_text("", encoding="utf-8")
    elif damage == "mode":
        (package / "cli" / "main.py").chmod(0o666)
    elif damage == "not compiled":
        shutil.rmtree(package / "__pycache__")
    elif damage == "manual":
        (package.resolve().parent / "log-archive.1").unlink()
    elif damage == "command":
        pathlib.Path(host.command).write_text("#!/bin/sh\n", encoding="utf-8")
    else:
        os.chmod(host.command, 0o777)
    assert not holds(host)
    install(host)
    assert holds(host)


def test_an_installation_that_fails_leaves_the_former_at_work(host: _installation.Installation) -> None:
    install(host)
    before = host.current()

    def full(_folder: str) -> bytes:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        host.install({"__init__.py": b""}, launcher(host), full)
    assert host.current() == before and holds(host)
    assert sorted(os.listdir(host.lib)) == sorted([before, "log_archive"])


def test_a_run_that_is_under_way_keeps_its_version(host: _installation.Installation) -> None:
    install(host)
    head = launcher(host).partition("from log_archive.cli.launch")[0]
    code = head + "import log_archive\nprint('ready', flush=True)\ninput()\nfrom log_archive.stores import sftp\nprint(sftp.__file__)\n"
    with subprocess.Popen([sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdin is not None and run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        began_with = host.current()
        install(host, dict.fromkeys(PARTS, b"raise SystemExit('another version')\n"))
        assert subprocess.run([host.command], capture_output=True, text=True, check=False).stderr == "another version\n"
        out, _err = run.communicate("\n", timeout=lab.patience(60))
    assert run.returncode == 0
    assert out.strip() == os.path.join(host.lib, str(began_with), "log_archive", "stores", "sftp.py")
    # The installation after that one removes it.
    install(host)
    assert began_with not in os.listdir(host.lib) and len(os.listdir(host.lib)) == 3


def test_removed_is_what_was_installed_and_no_more(host: _installation.Installation) -> None:
    install(host)
    install(host)
    venv = pathlib.Path(host.prefix) / "venv"
    venv.mkdir()
    host.remove()
    assert not host.exists()
    assert os.listdir(host.prefix) == ["venv"]
    venv.rmdir()
    install(host)
    host.remove()
    assert not os.path.exists(host.prefix)
