# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a generated log to the page in a browser: the command's figures are those of the lines, and Chromium shows them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import datetime, timedelta, timezone

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import statistics_page
from lab.browser import browser
from rigs import command, statistics, streams


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A folder with a generated log that was ingested. Yields a function that runs the command."""
    folder = tmp_path_factory.mktemp("host")
    program = command.install(folder / "program")

    def run(*arguments, code=0):
        done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True, cwd=folder)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    assert "4 file(s), 6000 lines" in run("generate", "sftpgo", "logs", "--files", "4", "--lines", "1500", "--seed", "5", "--compress")
    document = streams.given(folder, parse={"timezone": "UTC"})
    (folder / "sftpgo.json").write_text(json.dumps(document))
    run("ingest", "sftpgo.json")
    run.folder, run.program = folder, program
    return run


@pytest.fixture(scope="module")
def lines(host):
    import gzip

    files = sorted((host.folder / "logs").iterdir())
    return b"".join(gzip.decompress(f.read_bytes()) if f.suffix == ".gz" else f.read_bytes() for f in files).splitlines()


def test_the_figures_are_those_of_the_lines(host, lines):
    found = json.loads(host("stats", "sftpgo.json", "--json"))
    assert found["totals"] == statistics.totals(lines)
    assert found["totals"]["transfers"] > 2000
    some = json.loads(host("stats", "sftpgo.json", "--json", "--since", "2026-01-06", "--until", "2026-01-07T12:00Z", "--by", "hour"))
    assert some["totals"] == statistics.totals(lines, "2026-01-06", "2026-01-07T12")
    assert len(some["trend"]) == 36
    assert "busiest hours of the day" in host("stats", "sftpgo.json")


def test_chromium_shows_the_figures_and_requests_nothing_else(host, lines):
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    assert host("stats", "sftpgo.json", "--html", "page.html") == "page.html: written\n"
    page = host.folder / "page.html"
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=%s" % (host.folder / "browser"), "--dump-dom"]
    shown = subprocess.run(
        [chromium, *arguments, page.as_uri()], check=True, capture_output=True, text=True, timeout=lab.patience(60), cwd=host.folder
    ).stdout
    figures = dict(re.findall(r'data-name="(\w+)" data-value="(\d+)"', shown))
    wanted = statistics.totals(lines)
    assert {name: int(value) for name, value in figures.items()} == {name: wanted[name] for name in figures}
    assert len(figures) == 9
    assert "<td>acme</td>" in shown
    assert shown.count("<svg") == 3


@pytest.mark.parametrize("media", ["print", "screen"])
def test_nothing_is_cut_off_on_paper_and_long_names_on_no_medium(host, tmp_path, media):
    found = json.loads(host("stats", "sftpgo.json", "--json"))
    found["users"][0]["username"] = found["files"][0]["username"] = "u" * 255
    found["files"][0]["path"] = "/" + "p" * 100_000
    (tmp_path / "page.html").write_text(statistics_page.render(found))
    # The width of a sheet of A4 between its margins, in CSS pixels, and of a usual window.
    width = {"print": 718, "screen": 1400}[media]
    try:
        with browser(tmp_path / "browser") as shown:
            shown.look(width, media=media)
            shown.open((tmp_path / "page.html").as_uri())
            tables = shown.evaluate("[...document.querySelectorAll('.table')].map(each => [each.scrollWidth, each.clientWidth])")
            height = shown.evaluate("document.documentElement.scrollHeight")
    except lab.Unavailable as reason:
        pytest.skip(str(reason))
    assert len(tables) == 4
    assert all(wanted <= present for wanted, present in tables), tables
    # A path of 100,000 characters would need ten times as much.
    assert height < 6000


def test_mistakes_are_named(host):
    assert "already contains sftpgo" in host("generate", "sftpgo", "logs", code=1)
    assert "--lines: must be at least 1" in host("generate", "sftpgo", "new", "--lines", "0", code=2)
    assert "no sink of this name" in host("stats", "sftpgo.json", "--sink", "other", code=2)
    assert "cannot be used together" in host("stats", "sftpgo.json", "--json", "--html", "x", code=2)
    for path in ("sftpgo.json", "db.sqlite", "db.sqlite-wal", "logs/sftpgo.log", "logs/sftpgo-new.log", "state/sftpgo.stream.lock"):
        assert "%s is a file of the stream" % path in host("stats", "sftpgo.json", "--html", path, code=2)
    document = streams.given(host.folder, sinks=[{"type": "sqlite", "path": str(host.folder / "none.sqlite")}])
    (host.folder / "new").mkdir()
    (host.folder / "new" / "sftpgo.json").write_text(json.dumps(document))
    assert "the database does not exist yet" in host("stats", "new/sftpgo.json", code=1)
    assert not (host.folder / "none.sqlite").exists()
    mapped = {"type": "sqlite", "name": "old", "path": "/old.sqlite", "table": "logdata", "columns": {"hash": "row_id"}}
    for sinks, hint in (
        ([mapped], "Add an SQL sink without 'table'"),
        ([mapped, {"type": "sqlite", "path": "/x.sqlite"}], "--sink sqlite"),
    ):
        (host.folder / "new" / "sftpgo.json").write_text(json.dumps(streams.given(host.folder, sinks=sinks)))
        message = host("stats", "new/sftpgo.json", code=2)
        assert "old: the sink fills the table logdata" in message
        assert hint in message
    document = streams.given(host.folder, parse={"profile": "generic"})
    (host.folder / "new" / "sftpgo.json").write_text(json.dumps(document))
    assert "has no statistics; these profiles have: sftpgo" in host("stats", "new/sftpgo.json", code=2)


def test_a_running_follower_keeps_the_page_up_to_date(host, tmp_path):
    start = (datetime.now(timezone.utc) - timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")
    host("generate", "sftpgo", str(tmp_path / "logs"), "--files", "1", "--lines", "200", "--start", start)
    log, page = tmp_path / "logs" / "sftpgo.log", tmp_path / "page.html"
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:100]))
    document = streams.given(tmp_path, parse={"timezone": "UTC"}, page={"path": str(page), "every": "1s"})
    (tmp_path / "sftpgo.json").write_text(json.dumps(document))

    def wait_for_page(of):
        wanted = 'data-name="transfers" data-value="%d"' % statistics.totals(of)["transfers"]
        lab.wait_until(lambda: page.exists() and wanted in page.read_text(), "the page does not show %d lines" % len(of), 60)

    follower = subprocess.Popen([host.program, "follow", str(tmp_path / "sftpgo.json")])
    try:
        wait_for_page(lines[:100])
        with open(log, "ab") as file:
            file.writelines(lines[100:])
        wait_for_page(lines)
    finally:
        follower.terminate()
        code = follower.wait(lab.patience(30))
    assert code == 0
    assert '<meta http-equiv="refresh" content="1">' in page.read_text()
    assert page.stat().st_mode & 0o777 == 0o644
