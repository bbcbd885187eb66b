# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of a fleet in Chromium: its figures are those of ``status --json``; clicks, filters, order, keyboard, colours, paper."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from datetime import datetime, timedelta, timezone

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.filter import fleet_page
from lab.browser import browser
from rigs.covered import Given
from rigs.host import COMMAND, JOB

EVIL = "<script>alert(1)</script>"
HOURS = 60
"""Of the real host; it began then."""


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A host with three days of archives, of which some wait, some were pruned and two hours are missing."""
    made = Given(tmp_path_factory.mktemp("host"))
    # What is missing is counted soon, in the same hour.
    left = 3600 - time.time() % 3600
    if left < 60:
        time.sleep(left)
    hour = datetime.now(timezone.utc).replace(minute=0, second=0, microsecond=0)
    made.hour = hour
    with contextlib.closing(made.catalog):
        made.run(hour - timedelta(hours=HOURS) + timedelta(minutes=5))
        for back in range(1, HOURS):
            copies = {"local": "verified", "s3": "verified"}
            if back > 50:
                copies = dict.fromkeys(copies, "pruned")
            elif back in (10, 11):
                copies["s3"] = "pending"
            elif back == 12:
                copies = dict.fromkeys(copies, "pending")
            if back not in (5, 6):
                made.archive(hour - timedelta(hours=back), size=100_000 + back, logs=900_000 + 7 * back, **copies)
        # Its last success was before these two hours, so nobody has looked for them.
        made.run(hour - timedelta(hours=7) + timedelta(minutes=5))
        made.run(hour - timedelta(minutes=30), code=1)
    stores = [{"type": "file", "name": name, "path": str(made.host.folder / name)} for name in ("local", "s3")]
    made.host.write_document(schedule={"at": "5 past each hour", "spread": "0"}, stores=stores)
    return made


def printed(given, *arguments):
    done = given.host.command("status", "--offline", *arguments)
    assert done.returncode in (0, 1, 3), done.stderr
    return done


@pytest.fixture(scope="module")
def results(given):
    """What the task of the playbook registers on six hosts; the second job is one that only an intruder's command prints."""
    done = printed(given, "--json", "--coverage", "10")
    rows = json.loads(done.stdout)
    fine = {**rows[0], "exit_code": 0, "state": "fine", "job": "var-log"}
    evil = {**rows[0], "exit_code": 1, "state": EVIL, "job": EVIL, "unreachable": {EVIL: EVIL}}
    stream = {
        "stream": EVIL, "sink": "db", "state": "behind", "exit_code": 3, "lines": 5, "lag_bytes": 9, "lag_seconds": 60.0, "rejected": 1,
        "gaps": 2,
    }  # fmt: skip
    return {
        "web1": {"rc": 3, "stdout": done.stdout},
        "web2": {"rc": 0, "stdout": json.dumps([fine])},
        EVIL: {"rc": 1, "stdout": json.dumps([evil, stream])},
        "down": {"unreachable": True, "msg": "Failed to connect to the host via ssh: %s" % EVIL},
        "new": {"failed": True, "rc": 2, "stdout": "", "stderr": "", "msg": "No such file or directory: " + "long" * 100},
        "idle": {"no_jobs": True},
    }


@pytest.fixture(scope="module")
def row(results):
    return json.loads(results["web1"]["stdout"])[0]


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "fleet.html"
    path.write_text(fleet_page.FilterModule().filters()["fleet_page"](results), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    try:
        with browser(tmp_path_factory.mktemp("browser")) as made:
            yield made
    except lab.Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture
def opened(chromium, page):
    """The browser with the page, as it is when somebody opens it."""
    chromium.look()
    chromium.open(page.as_uri())
    yield chromium
    assert chromium.problems == []
    assert {url.partition("#")[0] for url in chromium.requests} == {page.as_uri()}


def figures(opened):
    return opened.evaluate(
        "Object.fromEntries([...document.querySelectorAll('b[data-name]')].map(e => [e.dataset.name, +e.dataset.value]))"
    )


def hosts(opened):
    return [text.split()[0] for text in opened.texts("#strips tr:not([hidden]) th")]


def strip_of(opened, host):
    """A selector of the strip of a host's first job."""
    index = opened.evaluate(
        "[...document.querySelectorAll('#strips tr')].find(r => r.cells[0].innerText.startsWith(%s)).dataset.i" % json.dumps(host)
    )
    return "#strips tr[data-i='%s'] .strip" % index


def test_the_figures_are_those_of_the_status(opened, row):
    # web1, web2 and the third show the same archives.
    assert figures(opened) == {
        "hosts": 6,
        "problems": len(opened.evaluate("[...document.querySelectorAll('#problems tbody tr')].map(r => 1)")),
        "missing periods": 3 * 2,
        "in the spool": 3 * row["spool"]["archives"],
        "archives": 3 * row["archives"],
        "logs": 3 * row["source_bytes"],
        "stored": 3 * row["bytes"],
    }
    states = row["coverage"]["states"]
    assert (states["missing"], states["spooled"], states["partly"], states["pruned"]) == (2, 1, 2, 9)
    days = row["coverage"]["days"]
    opened.click("#trends summary")
    shown = opened.evaluate(
        "[...document.querySelectorAll('#figures tr')].map(({cells: [day, logs, stored]}) =>"
        " [day.innerText, +logs.dataset.value, +stored.dataset.value])"
    )
    assert {day: [logs, size] for day, logs, size in shown if logs} == {
        day: [3 * one["source_bytes"], 3 * one["bytes"]] for day, one in days.items() if one["archives"]
    }
    assert [day for day, _logs, _size in shown] == sorted((day for day, _logs, _size in shown), reverse=True)
    assert len(opened.evaluate("[...document.querySelectorAll('#trends svg path')].map(p => p.getAttribute('d')).filter(Boolean)")) == 3


def test_failures_come_first_and_are_named(opened):
    assert [text.split("\t")[0] for text in opened.texts("#problems tbody tr")][:3] == ["FAILED"] * 3
    text = "\n".join(opened.texts("#problems tbody tr"))
    assert "down\tunreachable\tunreachable: Failed to connect" in text
    assert "new\tfailed\tnot set up: the host does not have the command log-archive" in text
    assert hosts(opened) == [EVIL, "web1", "down", "new", "web2", "idle"]
    words = opened.texts("#strips tr:not([hidden]) td.state")
    assert any(re.search(r"2 missing, 2 in some stores, 1 spooled", each) for each in words)


def test_a_click_shows_the_hours_of_the_day_and_the_address_keeps_them(opened, page, row):
    dates = opened.evaluate("JSON.parse(document.getElementById('data').textContent).dates")
    day = max(day for day, one in row["coverage"]["days"].items() if "missing" in one["states"])
    opened.click(strip_of(opened, "web1"), (dates.index(day) + 0.5) / len(dates))
    one = row["coverage"]["days"][day]

    def hours():
        return "".join(opened.evaluate("[...document.querySelectorAll('#detail .hours li span:last-child')].map(e => e.textContent)"))

    assert hours() == one["periods"].replace(".", " ")
    assert opened.texts("#detail h2") == ["web1, %s: %s (UTC)" % (JOB, day)]
    assert "%d missing" % one["states"]["missing"] in opened.texts("#detail .facts")[0]
    words = opened.evaluate("[...document.querySelectorAll('#detail li')].map(e => e.getAttribute('aria-label'))")
    assert words[one["periods"].index("M")].endswith(":00: missing: no store has a good copy, and a run should have archived it")
    opened.hover(strip_of(opened, "web1"), (dates.index(day) + 0.5) / len(dates))
    assert opened.texts("#tip")[0].startswith("web1, %s, %s: " % (JOB, day))
    address = opened.evaluate("location.href")
    assert address.endswith("#at=web1%%2F%s&day=%s" % (JOB, day))
    opened.open(address)
    assert opened.texts("#detail h2") == ["web1, %s: %s (UTC)" % (JOB, day)]
    opened.click("#detail button")
    assert opened.texts("#detail h2") == [] and opened.evaluate("location.hash") == ""


def test_filters_and_order_and_the_link_to_them(opened, page, row):
    everything = hosts(opened)
    opened.select("#show", "missing")
    assert sorted(hosts(opened)) == sorted(["web1", "web2", EVIL])
    assert opened.texts("#count") == ["3 of 6 rows"]
    opened.select("#job", JOB)
    assert hosts(opened) == ["web1"]
    # The charts and the other table follow.
    assert opened.texts("#rows tr th") == ["web1"]
    sums = opened.evaluate("[...document.querySelectorAll('#figures tr')].reduce((sum, r) => sum + +r.cells[1].dataset.value, 0)")
    assert sums == sum(one["source_bytes"] for one in row["coverage"]["days"].values())
    assert opened.evaluate("location.hash") == "#job=%s&show=missing" % JOB
    opened.select("#job", "")
    opened.select("#show", "problems")
    opened.select("#sort", "host")
    assert hosts(opened) == sorted({*everything} - {"idle", "web2"})
    opened.click("#clear")
    assert hosts(opened) == everything and opened.evaluate("location.hash") == ""
    opened.click("th button[data-sort='host']")
    assert hosts(opened) == sorted(everything)
    assert opened.evaluate("document.querySelector('th[aria-sort]').innerText.trim()").startswith("Host")
    opened.click("th button[data-sort='archives']")
    assert [int(text) for text in opened.texts("#rows td:nth-child(6)")] == [row["archives"]] * 3 + [0] * 3
    opened.open(page.as_uri() + "#q=DOWN&sort=host&show=nonsense")
    assert (hosts(opened), opened.evaluate("document.getElementById('sort').value")) == (["down"], "host")
    opened.open(page.as_uri() + "#q=nothing+has+this")
    assert hosts(opened) == [] and opened.texts("#none") == ["No row matches the filter."]


def test_the_keyboard_reaches_everything(opened, row):
    opened.press("/", *"web")
    assert opened.evaluate("document.activeElement.id") == "q"
    assert sorted(hosts(opened)) == ["web1", "web2"]
    opened.evaluate("document.querySelector('#strips tr:not([hidden]) .strip[tabindex=\"0\"]').focus()")
    dates = opened.evaluate("JSON.parse(document.getElementById('data').textContent).dates")

    def said():
        return opened.evaluate("document.activeElement.getAttribute('role') + ' ' + document.activeElement.getAttribute('aria-valuetext')")

    last = dates[-1]
    assert said().startswith("slider %s: " % last)
    opened.press("ArrowLeft")
    assert said().startswith("slider %s: " % dates[-2])
    counts = row["coverage"]["days"][dates[-2]]["states"]
    assert re.search(r": %d " % next(iter(counts.values())), said())
    opened.press("Home", "Enter")
    assert opened.texts("#detail h2")[0].endswith("%s (UTC)" % dates[0])
    opened.press("ArrowDown", "End")
    assert opened.texts("#detail h2")[0].endswith("%s (UTC)" % last)
    assert opened.texts("#detail h2")[0].startswith("web2, var-log")
    opened.press("Escape")
    assert opened.texts("#detail h2") == []


def test_names_of_hosts_and_jobs_are_text(opened, page):
    assert opened.evaluate("document.querySelectorAll('script').length") == 2
    assert EVIL in hosts(opened)
    assert EVIL not in page.read_text(encoding="utf-8")
    opened.click(strip_of(opened, EVIL))
    assert opened.texts("#detail h2")[0].startswith("%s, %s: " % (EVIL, EVIL))
    assert EVIL in "\n".join(opened.texts("#streams td"))
    assert EVIL in "\n".join(opened.texts("#stores th"))


CONTRAST = """
(() => {
  const numbers = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const weak = new Set();
  let seen = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !element.getClientRects().length || element.closest("script, style")) continue;
    const style = getComputedStyle(element);
    const text = numbers(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [light(text), light(behind(element))].sort((x, y) => y - x);
    seen++;
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) weak.add(element.tagName + "." + element.getAttribute("class") + " " + ratio.toFixed(2));
  }
  return [seen, [...weak]];
})()
"""


@pytest.mark.parametrize(("dark", "media"), [(False, "screen"), (True, "screen"), (True, "print")], ids=["light", "dark", "paper"])
def test_every_text_has_the_contrast_of_wcag_aa(opened, dark, media):
    opened.look(dark=dark, media=media)
    opened.click(strip_of(opened, "web1"), 0.95)
    seen, weak = opened.evaluate(CONTRAST)
    assert seen > 100
    assert weak == []
    colours = opened.evaluate(
        "[...new Set([...document.querySelectorAll('.legend b')].map(e => getComputedStyle(e).backgroundColor))].length"
    )
    letters = opened.texts(".legend b")
    assert (colours, len(set(letters))) == (7, 7)


def test_it_prints_on_a4(opened):
    opened.look(width=1047, media="print")
    assert opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert opened.texts(".controls label") == [] and len(opened.texts("#strips th")) == 6
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", opened.pdf())
    assert sizes and {(round(float(width)), round(float(height))) for width, height in sizes} == {(842, 595)}


def test_it_fits_a_small_window(opened):
    # A long word, such as a path, does not push the days out of sight.
    opened.look(width=1000)
    assert opened.evaluate("(() => { const t = document.querySelector('#coverage .table'); return t.scrollWidth <= t.clientWidth })()")
    opened.look(width=800)
    assert opened.evaluate("document.documentElement.scrollWidth <= 800")
    # The newest day is in sight.
    assert opened.evaluate(
        "(() => { const t = document.querySelector('#coverage .table'); return t.scrollLeft + t.clientWidth >= t.scrollWidth - 1 })()"
    )


def test_the_command_writes_the_page_of_its_host(given, tmp_path, chromium, row):
    path = tmp_path / "host.html"
    done = printed(given, "--html", str(path))
    assert done.stdout == "%s: written\n" % path
    assert path.stat().st_mode & 0o777 == 0o600
    chromium.look()
    chromium.open(path.as_uri())
    assert (figures(chromium)["archives"], figures(chromium)["stored"]) == (row["archives"], row["bytes"])
    assert chromium.evaluate("JSON.parse(document.getElementById('data').textContent).dates.length") == 90
    assert chromium.texts("h1")[0].startswith("Log archives of ")
    # A file that somebody opened to others stays open; what cannot be written is named.
    path.chmod(0o644)
    before = path.stat().st_ino
    printed(given, "--html", str(path), "--coverage", "3")
    assert (path.stat().st_mode & 0o777, path.stat().st_ino != before) == (0o644, True)
    assert [each.name for each in tmp_path.iterdir()] == ["host.html"]
    failed = given.host.command("status", "--offline", "--html", str(tmp_path / "none" / "page.html"))
    assert failed.returncode == 1 and "cannot write the page: No such file or directory" in failed.stderr


def test_mistakes_are_named(given, tmp_path):
    for arguments, message in (
        (["--html", "x", "--json"], "--html and --json cannot be used together"),
        (["--coverage", "90"], "--coverage needs --json or --html"),
        (["--coverage", "0", "--json"], "not a number of days from 1 to 400: '0'"),
        (["--coverage", "9999", "--json"], "not a number of days from 1 to 400: '9999'"),
    ):
        done = given.host.command("status", *arguments)
        assert done.returncode == 2 and message in done.stdout + done.stderr
    (tmp_path / "jinja2.py").write_text("raise ModuleNotFoundError('no jinja2', name='jinja2')\n")
    environment = given.host.environment()
    environment["PYTHONPATH"] = "%s:%s" % (tmp_path, environment["PYTHONPATH"])
    command = [*COMMAND, "status", "--offline", "--html", str(tmp_path / "p.html")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "the Python library 'Jinja2' is missing, needed for the page of 'status --html'" in done.stderr
    assert not (tmp_path / "p.html").exists()
