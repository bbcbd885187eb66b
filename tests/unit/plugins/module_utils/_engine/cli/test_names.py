# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""File names are bytes: the installed command archives, lists and restores the same ones, whatever the locale."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys

import pytest
from rigs.command import install
from rigs.host import Host, archives_in, file_store

pytest.importorskip("cryptography")
pytestmark = pytest.mark.skipif(not shutil.which("localedef"), reason="needs localedef")

NAMES = ["f\u00fcr.log".encode(), "f\u00fcr2.log".encode("latin-1"), "\u65e5\u5fd7.log".encode(), b"plain.log", b"new\nline\xff.log"]
LOCALES = ["de_DE.ISO-8859-1", "C.UTF-8", "C"]


@pytest.fixture(scope="module")
def locales(tmp_path_factory):
    """The environments of these locales; the first is made here."""
    folder = tmp_path_factory.mktemp("locales")
    subprocess.run(["localedef", "-i", "de_DE", "-f", "ISO-8859-1", str(folder / LOCALES[0])], check=True)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    found = {name: dict(plain, LC_ALL=name) for name in LOCALES}
    found[LOCALES[0]]["LOCPATH"] = str(folder)
    code = "import sys; print(sys.getfilesystemencoding())"
    shown = subprocess.run([sys.executable, "-c", code], env=found[LOCALES[0]], capture_output=True, text=True, check=True)
    assert shown.stdout == "iso8859-1\n", "the locale is real"
    return found


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    return install(tmp_path_factory.mktemp("command"))


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.write_document(select={"patterns": ["*.log"], "period": "none"})
    for name in NAMES:
        pathlib.Path(os.fsdecode(os.fsencode(made.logs) + b"/" + name)).write_bytes(name)
    return made


def run(command, host, environment, *arguments):
    environment = dict(environment, LOG_ARCHIVE_CONFIG=str(host.folder / "jobs"))
    done = subprocess.run([str(command), *arguments], env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


@pytest.mark.parametrize("name", LOCALES)
def test_names_are_the_same_bytes_in_every_locale(command, host, locales, name):
    run(command, host, locales[name], "run", "--all")
    manifests = archives_in(file_store(host.store)).values()
    paths = sorted(source["path"].encode("utf-8", "surrogateescape") for manifest in manifests for source in manifest["sources"])
    assert paths == sorted(os.fsencode(host.logs) + b"/" + each for each in NAMES)
    with contextlib.closing(sqlite3.connect(host.state / "catalog.sqlite")) as catalog:
        assert sorted(bytes(row[0]) for row in catalog.execute("SELECT path FROM sources")) == paths
    listed = {run(command, host, environment, "list", "--json") for environment in locales.values()}
    assert len(listed) == 1, "the same output in every locale"
    other = locales[LOCALES[LOCALES.index(name) - 1]]
    to = host.folder / "to"
    run(command, host, other, "restore", "--to", str(to))
    below = os.fsencode(to) + os.fsencode(host.logs)
    assert sorted(os.listdir(below)) == sorted(NAMES)
    for each in NAMES:
        with open(below + b"/" + each, "rb") as file:
            assert file.read() == each
    # Under another locale an archived log is still the archived log.
    assert json.loads(run(command, host, other, "run", "--all", "--json"))[0]["outcome"] == "nothing to do"


IN_A_MODULE = """
import datetime, json, os, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors, staging
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files
folder = sys.argv[1]
found = files.select({"paths": [folder], "patterns": ["*.log"]}, datetime.datetime.now(datetime.timezone.utc))
refused = []
for call in (lambda: staging.check_name("f\u00fcr.log", "x"), lambda: files.source_at(folder + "/f\u00fcr.log")):
    try:
        call()
    except errors.LogArchiveError as error:
        refused.append(str(error))
print(json.dumps([[os.path.basename(one.path) for one in found.files], [one.reason for one in found.pending], refused]))
"""


def test_where_the_locale_decides_names_that_are_not_ascii_are_refused(host, locales):
    """The modules run in the Python that Ansible starts; there the environment decides."""
    environment = dict(locales[LOCALES[0]], PYTHONPATH=os.pathsep.join(path for path in sys.path if path))

    def selected(**more):
        command = [sys.executable, "-c", IN_A_MODULE, str(host.logs)]
        done = subprocess.run(command, env=dict(environment, **more), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    names, reasons, refused = selected()
    assert names == ["plain.log"]
    assert len(reasons) == 4 and len(set(reasons)) == 1
    assert reasons[0].startswith("the name is not ASCII, and this Python takes names as iso8859-1, not as bytes. Set PYTHONUTF8=1")
    assert len(refused) == 2 and all("iso8859-1" in text and "PYTHONUTF8=1" in text for text in refused)
    names, reasons, refused = selected(PYTHONUTF8="1")
    assert (len(names), reasons, refused) == (5, [], [])
