# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""check-config names every mistake of a document at once: of its options, its file, its paths and the folders that they need."""

from __future__ import annotations

import json
import pathlib
import subprocess
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from rigs.host import COMMAND, Host


@pytest.fixture
def site(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path / "site")


def checked(host: Host, *paths: pathlib.Path) -> t.List[str]:
    """The problems that check-config names, with what its error says if it is one alone."""
    command = [*COMMAND, "check-config", "--json", *map(str, paths)]
    done = subprocess.run(command, env=host.environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    error = json.loads(done.stdout)[0]["error"]
    assert done.returncode == (2 if error else 0)
    return [] if error is None else error["problems"] or [error["text"]]


def expect(found: t.List[str], *wanted: str) -> None:
    assert [each for each in wanted if not any(each in problem for problem in found)] == [], found
    assert len(found) == len(wanted), "\n".join(found)


def test_every_kind_of_mistake_of_a_job_is_named_at_once(site: Host) -> None:
    path = site.write_document(
        select={"period": "fortnight"},
        retention={"keep_last": 3, "name_template": "backup-*.tgz"},
        stores=[{"type": "file", "path": str(site.spool / "store")}],
        notify=[{"type": "mail", "to": ["a@example.com"], "server": "h", "password": "s3cr3t", "user": "u"}],
        color="red",
        log=str(site.keyring / "events.jsonl"),
    )
    path = path.rename(path.with_name("other.json"))
    path.chmod(0o666)
    found = checked(site, path)
    expect(
        found,
        "select.period: must be one of",
        "retention.name_template: contains no date",
        "stores[0].path: %s lies in the spool" % (site.spool / "store"),
        "color: unknown key",
        "it lies in the keyring",
        "the name of the job is 'syslog', so the file must be named 'syslog.json'",
        "every user can change the job document",
        "contains a secret, and other users can read it",
    )


def test_folders_that_a_run_needs_are_looked_for(site: Host) -> None:
    gone = site.folder / "gone"
    notify = [{"type": "textfile", "path": str(gone / "metrics")}, {"type": "log", "path": str(gone / "recaps" / "r.jsonl")}]
    stores = [{"type": "file", "path": str(gone / "mount" / "store")}]
    path = site.write_document(notify=notify, log=str(gone / "events" / "e.jsonl"), stores=stores)
    expect(
        checked(site, path),
        "log: the folder %s does not exist" % (gone / "events"),
        "notify[0].path: the folder %s does not exist" % (gone / "metrics"),
        "notify[1].path: the folder %s does not exist" % (gone / "recaps"),
        "stores[0].path: the folder %s does not exist" % (gone / "mount"),
    )
    for folder in ("events", "metrics", "recaps", "mount"):
        (gone / folder).mkdir(parents=True)
    assert checked(site, path) == []


@pytest.mark.parametrize(
    ("store", "message"), [("spool", "lies in the spool"), ("spool/in", "lies in the spool"), (".", "lies in the store")]
)
def test_a_store_and_the_spool_are_apart(site: Host, store: str, message: str) -> None:
    path = site.write_document(stores=[{"type": "file", "path": str((site.folder / store).resolve())}])
    expect(checked(site, path), message)


@pytest.mark.parametrize(("mode", "refused"), [(0o666, True), (0o602, True), (0o664, False), (0o640, False)])
def test_a_document_that_every_user_can_change_is_refused_by_every_command(site: Host, mode: int, refused: bool) -> None:
    path = site.write_document()
    path.chmod(mode)
    assert [problem[-len("chmod o= %s" % path) :] for problem in checked(site, path)] == (["chmod o= %s" % path] if refused else [])
    assert site.command("run", "syslog").returncode == (2 if refused else 0)


@pytest.mark.parametrize(
    ("template", "refused"), [("backup.tgz", True), ("*", True), ("backup-%H.tgz", True), ("b-%Y%m%d.tgz", False), ("b-%s.tgz", False)]
)
def test_a_template_of_names_needs_a_date(site: Host, template: str, refused: bool) -> None:
    assert bool(checked(site, site.write_document(retention={"keep_last": 1, "name_template": template}))) is refused


def test_every_mistake_of_a_stream_is_named_at_once(site: Host) -> None:
    path = site.folder / "other.json"
    path.touch(0o600)
    given = {
        "name": "s",
        "follow": {"paths": [str(site.logs)], "patterns": ["a.log"], "rotated": ["a.log"], "poll": "soon"},
        "parse": {"timezone": "Mars/North"},
        "sinks": [{"type": "sqlite", "path": str(site.folder / "a.sqlite"), "host": "h"}],
        "log": str(site.folder / "gone" / "e.jsonl"),
        "colour": 1,
    }
    path.write_text(json.dumps(given))
    expect(
        checked(site, path),
        "follow.poll: ",
        "colour: unknown key",
        "follow.rotated: 'a.log' is also in patterns",
        "parse.timezone: ",
        "sinks[0].host: ",
        "the name of the stream is 's', so the file must be named 's.json'",
    )
    assert files.kind_of(str(path)) == "stream"


def test_the_folders_that_a_stream_needs_are_named(site: Host) -> None:
    path = site.folder / "s.json"
    given = {
        "name": "s",
        "follow": {"paths": [str(site.logs)], "patterns": ["a.log"]},
        "parse": {"profile": "sftpgo"},
        "sinks": [{"type": "sqlite", "path": str(site.folder / "a.sqlite")}],
        "state": str(site.state),
        "page": {"path": str(site.folder / "www" / "page.html")},
        "log": str(site.folder / "gone" / "e.jsonl"),
    }
    path.write_text(json.dumps(given))
    expect(
        checked(site, path),
        "log: the folder %s does not exist; create it" % (site.folder / "gone"),
        "page.path: the folder %s does not exist; create it" % (site.folder / "www"),
    )
