# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nightly dump, for real: cron starts it at 23:00 in Paris, over the end of summer time, it fetches over TLS and sends by SFTP into a
folder in which an earlier tool has left its archives.
"""

from __future__ import annotations

import datetime
import io
import json
import pathlib
import tarfile
import typing as t
import zipfile

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import schedule
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.holdings import inventory
from lab.cron import Cron, faked_cron
from lab.https import Authority, HttpsServer, https_server
from rigs.command import install
from rigs.host import ENGINE_PATH, Host, assert_restores, file_store, files_below

# The nights are passed once, by one worker.
pytestmark = pytest.mark.xdist_group("nightly")

PARIS = "Europe/Paris"
DAY = datetime.timedelta(days=1)
# Of the 27th on, a day has 25 hours and Paris is no longer two hours before UTC, but one.
FIRST = datetime.date(2024, 10, 25)
NIGHTS = [FIRST + number * DAY for number in range(4)]
STALE = NIGHTS[3]
# By the earlier tool, each night until then.
EARLIER = [FIRST - number * DAY for number in range(21, 0, -1)]
OTHERS = {
    "20242010.tgz.bak": b"other suffix",
    "20243113.tgz": b"no date: there is no month 13",
    "20240110": b"no suffix",
    "old-20240110.tgz": b"other name",
    "my_zip.zip": b"PK",
    "notes/20240110.tgz": b"in a folder of its own",
}
WEB = {"member": "dump.sql", "modified": "today", "timezone": PARIS, "retry_delay": "0.1"}
JOBS = {"plain": {"encryption": "none"}, "sealed": {"web": dict(WEB, timezone="local")}}


def dump(day: datetime.date) -> bytes:
    return b"insert into t values ('%s');\n" % day.isoformat().encode() * 3000


def zipped(day: datetime.date) -> bytes:
    """What the server offers from half past ten of that day on."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo("dump.sql", (day.year, day.month, day.day, 22, 30, 0)), dump(day))
    return data.getvalue()


class Site:
    """All that the nightly job is about. nights: by day, what each job's run returned, when it began, and what was in the SFTP folders."""

    def __init__(self, host: Host, cron: Cron, server: HttpsServer, sftp: lab.SftpServer) -> None:
        self.host = host
        self.cron = cron
        self.server = server
        self.folders = {name: pathlib.Path(sftp.root_folder) / host.folder.name / name for name in JOBS}
        self.nights: t.Dict[datetime.date, t.Dict[str, t.Any]] = {}

    def runs(self) -> t.List[t.List[str]]:
        """Name, begin and exit code of each run that has ended."""
        path = self.host.folder / "runs"
        return [line.split() for line in path.read_text(encoding="ascii").splitlines()] if path.exists() else []

    def recaps(self, name: str) -> t.List[t.Dict[str, t.Any]]:
        """What each run of a job printed."""
        text, found = (self.host.folder / (name + ".json")).read_text(encoding="utf-8").strip(), []
        while text:
            told, end = json.JSONDecoder().raw_decode(text)
            text, found = text[end:].lstrip(), [*found, *told]
        return found

    def pass_night(self, day: datetime.date) -> None:
        """Let cron go from wherever it stands past 23:00 of that day."""
        before = len(self.runs())
        eleven = self.cron.at("%s 23:00" % day)
        self.cron.let_pass(eleven - datetime.timedelta(seconds=1))
        lab.wait_until(
            lambda: len(self.runs()) >= before + len(JOBS) and self.cron.is_idle(),
            lambda: "cron ran %s; it says: %s" % (self.runs(), self.cron.daemon.log_tail()),
        )
        for name, _began, code in self.runs()[before:]:
            assert code == "0", (name, code, self.recaps(name)[-1])
        self.nights[day] = {"runs": sorted(self.runs()[before:]), "files": {name: files_below(path) for name, path in self.folders.items()}}


def old_name(day: datetime.date) -> str:
    return day.strftime("%Y%d%m.tgz")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, openssh: lab.SftpServer, start_part: t.Callable[..., t.Any]) -> Site:
    """After its four nights."""
    folder = tmp_path_factory.mktemp("nightly")
    host = Host(folder / "host-nightly")
    since = datetime.datetime.combine(FIRST - DAY, datetime.time(), datetime.timezone.utc)
    server = start_part(https_server(folder / "server", client_certificate=True, authority=Authority(folder / "ca", since=since)))
    lines = [write_job(host, name, server, openssh, **options) for name, options in JOBS.items()]
    environment = {"PYTHONPATH": ENGINE_PATH, "LOG_ARCHIVE_CONFIG": str(host.folder / "jobs")}
    cron = start_part(faked_cron(folder / "cron", lines, environment, "%s 12:00" % FIRST, PARIS))
    site = Site(host, cron, server, openssh)
    for path in site.folders.values():
        for name, content in {**{old_name(day): b"by the earlier tool" for day in EARLIER}, **OTHERS}.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    for day in NIGHTS:
        if day != STALE:
            server.files["/export.zip"] = zipped(day)
        site.pass_night(day)
    # Nothing more comes until noon.
    cron.let_pass(cron.at("%s 12:00" % (NIGHTS[-1] + DAY)))
    return site


def write_job(host: Host, name: str, server: HttpsServer, sftp: lab.SftpServer, **options: t.Any) -> str:
    """Write the job's document; return its line for cron."""
    certificate, key = server.authority.issue("client")
    tls = {"ca_bundle": server.authority.certificate_file, "client_certificate": certificate, "client_key": key}
    store = {
        "type": "sftp",
        "host": sftp.host,
        "port": sftp.port,
        "user": sftp.user,
        "private_key_file": sftp.private_key_file,
        "known_hosts_file": sftp.known_hosts_file,
        "path": "%s/%s" % (host.folder.name, name),
    }
    at = "23:00 daily"
    document = host.given(
        name=name,
        web=dict(options.pop("web", WEB), url=server.url(), **tls),
        archive={"name": "%Y%d%m"},
        stores=[store],
        retention={"keep_within": "14d", "name_template": "%Y%d%m.tgz"},
        schedule={"at": at},
        **options,
    )
    del document["select"]
    path = host.folder / "jobs" / (name + ".json")
    path.parent.mkdir(exist_ok=True)
    path.touch(0o600)
    path.write_text(json.dumps(document))
    program = host.folder / "log-archive"
    if not program.exists():
        install(host.folder)
    note = 'echo "%s $began $?" >>%s/runs' % (name, host.folder)
    run = "began=$(date -Iseconds); %s run %s --json >>%s/%s.json; %s" % (program, name, host.folder, name, note)
    return "%s root %s" % (schedule.cron(schedule.parse(at)), run)


def test_each_night_has_one_run_at_eleven_in_paris(site: Site) -> None:
    zone = {day: "+02:00" if day < datetime.date(2024, 10, 27) else "+01:00" for day in NIGHTS}
    for day in NIGHTS:
        for name, began, _code in site.nights[day]["runs"]:
            # On a busy machine a shell takes its time.
            assert began.startswith("%sT23:0" % day) and began.endswith(zone[day]), (name, began)
    assert len(site.runs()) == len(NIGHTS) * len(JOBS)


def test_each_archive_has_the_name_of_the_day_and_holds_its_dump(site: Site) -> None:
    for name, suffix in (("plain", ".tgz"), ("sealed", ".tgz.fernet")):
        held = {archive.key: archive.manifest for archive in inventory.read(file_store(site.folders[name]), "web1", name).archives}
        # The day in Paris began on the day before in UTC.
        keys = ["web1/%s/%s%s" % (name, (day - DAY).strftime("%Y/%m/%d/") + day.strftime("%Y%d%m"), suffix) for day in NIGHTS[:-1]]
        assert sorted(held) == keys
        for day, key in zip(NIGHTS, keys):
            if name == "sealed":
                assert_restores(file_store(site.folders[name]), key, held[key], site.host, {"/dump.sql": dump(day)})
            else:
                with tarfile.open(site.folders[name] / key) as tar:
                    contents = [(member.name, t.cast(t.IO[bytes], tar.extractfile(member)).read()) for member in tar]
                assert contents == [("dump.sql", dump(day))]


def test_a_dump_that_stays_the_same_is_a_warning_and_nothing_is_sent(site: Site) -> None:
    for name, zone in (("plain", PARIS), ("sealed", "local")):
        *before, last = site.recaps(name)
        assert [recap["warnings"] for recap in before] == [[]] * len(before)
        (warning,) = last["warnings"]
        assert warning.endswith("is unchanged since 2024-10-27, not from today (2024-10-28, %s)" % zone)
        assert last["archives"] == []
    assert sorted(site.server.statuses_given()) == [200] * 6 + [304] * 2


def test_the_earlier_archives_go_by_age_and_nothing_else_is_touched(site: Site) -> None:
    """Two weeks are kept, counted from the newest archive, of which the last night brings none."""
    for day in NIGHTS:
        newest = min(day, STALE - DAY)
        wanted = sorted([old_name(each) for each in EARLIER if each > newest - 14 * DAY] + list(OTHERS))
        for name in JOBS:
            assert [path for path in site.nights[day]["files"][name] if not path.startswith("web1/")] == wanted, (day, name)
    for folder in site.folders.values():
        assert {name: (folder / name).read_bytes() for name in OTHERS} == OTHERS
