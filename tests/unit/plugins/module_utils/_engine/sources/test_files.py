# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Selection on real files, links, pipes, sockets, permissions and processes that hold files open."""

from __future__ import annotations

import datetime
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys

import lab
import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import errors
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.progress import no_progress
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.opening import collector_of
from rigs.swaps import listed_by_all, unprivileged

UTC = datetime.timezone.utc
NOW = datetime.datetime(2024, 1, 12, 13, 30, tzinfo=UTC)
ROOT = os.geteuid() == 0


def utc(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)


def write(path, text="x", modified=NOW):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (modified.timestamp(), modified.timestamp()))
    return path


def run(folder, **options):
    now = options.pop("now", NOW)
    return selection.select({"paths": [str(folder)], **options}, now)


def names(result):
    return [os.path.basename(source.path) for source in result.files]


def reasons(result):
    return {os.path.basename(path): reason for path, reason in result.skipped}


# -- periods ----------------------------------------------------------------------------------------------------------


def test_the_seeds_case_the_syslog_of_the_last_hour(tmp_path):
    for hour in (11, 12, 13):
        write(tmp_path / ("syslog.20240112.%d" % hour), "line\n", utc("2001-01-01T00:00"))
    write(tmp_path / "syslog.20240112.12.gz")
    result = run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour")
    period = Period(utc("2024-01-12T12:00"), utc("2024-01-12T13:00"))
    assert result.files == [selection.source_at(str(tmp_path / "syslog.20240112.12"), period)]
    assert result.missing == [] and result.skipped == []


def test_missing_periods_are_reported_and_the_rest_is_selected_oldest_first(tmp_path):
    for hour in (12, 9, 11):
        write(tmp_path / ("syslog.20240112.%02d" % hour))
    result = run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour", catch_up="3h")
    assert names(result) == ["syslog.20240112.09", "syslog.20240112.11", "syslog.20240112.12"]
    assert result.missing == [Period(utc("2024-01-12T10:00"), utc("2024-01-12T11:00"))]


def test_the_autumn_night_is_archived_whole_and_the_spring_night_misses_nothing(tmp_path):
    hours = [datetime.datetime(2024, 10, 27) + datetime.timedelta(hours=hour) for hour in range(6)]
    hours += [datetime.datetime(2024, 3, 31) + datetime.timedelta(hours=hour) for hour in (0, 1, 3, 4)]
    for hour in hours:
        write(tmp_path / hour.strftime("syslog.%Y%m%d.%H"))
    options = {"patterns": ["syslog.%Y%m%d.%H"], "period": "hour", "timezone": "Europe/Paris", "catch_up": "4h"}
    autumn = run(tmp_path, now=utc("2024-10-27T03:10"), **options)
    assert names(autumn) == ["syslog.20241027.%02d" % hour for hour in (0, 1, 2, 3)]
    assert autumn.missing == []
    spring = run(tmp_path, now=utc("2024-03-31T03:10"), **{**options, "catch_up": "3h"})
    assert names(spring) == ["syslog.20240331.%02d" % hour for hour in (0, 1, 3, 4)][-len(spring.files) :]
    assert spring.missing == []


def test_a_file_named_for_the_skipped_hour_is_not_lost(tmp_path):
    write(tmp_path / "syslog.20240331.02")
    result = run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour", timezone="Europe/Paris", now=utc("2024-03-31T02:10"))
    assert names(result) == ["syslog.20240331.02"] and result.missing == []


def test_hourly_files_belong_to_the_day_asked_for(tmp_path):
    for name in ("syslog.20240110.23", "syslog.20240111.00", "syslog.20240111.23", "syslog.20240112.00"):
        write(tmp_path / name)
    result = run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="day")
    assert names(result) == ["syslog.20240111.00", "syslog.20240111.23"]
    assert result.files[0].period == Period(utc("2024-01-11T00:00"), utc("2024-01-11T01:00"))


def test_without_a_time_in_the_name_the_modification_time_decides(tmp_path):
    write(tmp_path / "a.log", modified=utc("2024-01-12T12:00"))
    write(tmp_path / "b.log", modified=utc("2024-01-12T12:59"))
    write(tmp_path / "c.log", modified=utc("2024-01-12T13:00"))
    write(tmp_path / "d.log", modified=utc("2024-01-12T11:59"))
    result = run(tmp_path, period="hour")
    assert names(result) == ["a.log", "b.log"]
    assert {source.period for source in result.files} == {Period(utc("2024-01-12T12:00"), utc("2024-01-12T13:00"))}


def test_without_a_period_all_matching_files_are_selected_with_the_period_of_their_name_or_time(tmp_path):
    write(tmp_path / "a.20240101", modified=NOW)
    write(tmp_path / "b", modified=utc("2023-05-05T05:05"))
    result = run(tmp_path, patterns=["*", "a.%Y%m%d"])
    assert names(result) == ["b", "a.20240101"]
    assert result.files[0].period == Period(utc("2023-05-05T05:05"), utc("2023-05-05T05:05"))
    assert result.files[1].period == Period(utc("2024-01-01T00:00"), utc("2024-01-02T00:00"))


def test_a_modification_time_before_1970_is_a_time_like_any_other(tmp_path):
    old = write(tmp_path / "old")
    os.utime(old, ns=(-1, -1))
    period = datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert run(tmp_path).files[0].period == Period(period, period)


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_with_newline_and_bytes_that_are_not_utf8(tmp_path):
    strange = os.fsencode(tmp_path) + b"/a\n\xff.20240112.12"
    with open(strange, "wb") as file:
        file.write(b"x")
    result = run(tmp_path, patterns=["*.%Y%m%d.%H"], period="hour")
    assert [os.fsencode(source.path) for source in result.files] == [strange]


def test_recursion_relative_patterns_and_excludes(tmp_path):
    for name in ("a.log", "x/a.log", "x/y/a.log", "x/y/b.log", "x/old/a.log", "z/a.log", "z/a.log.1"):
        write(tmp_path / name)

    def relative(**options):
        return [os.path.relpath(source.path, tmp_path) for source in run(tmp_path, **options).files]

    assert relative(patterns=["*.log"]) == ["a.log"]
    assert relative(patterns=["*.log"], recurse=True, exclude=["b.*", "old"]) == ["a.log", "x/a.log", "x/y/a.log", "z/a.log"]
    assert relative(patterns=["*/a.log"], recurse=True) == ["x/a.log", "z/a.log"]
    assert relative(patterns=["**/a.log"], recurse=True, exclude=["x/*/*"]) == ["a.log", "x/a.log", "z/a.log"]
    assert relative(patterns=[r"(x|z)/a\.log(\.\d)?"], recurse=True, use_regex=True) == ["x/a.log", "z/a.log", "z/a.log.1"]
    assert relative(patterns=["x/%Y/*"], recurse=True) == []


def test_overlapping_paths_and_links_to_the_same_folder_give_each_file_once(tmp_path):
    write(tmp_path / "real/sub/a.log")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    paths = [str(tmp_path / "real"), str(tmp_path / "real/sub"), str(tmp_path / "link"), str(tmp_path / "real/sub/a.log")]
    result = selection.select({"paths": paths, "recurse": True}, NOW)
    assert [source.path for source in result.files] == [str(tmp_path / "real/sub/a.log")]
    os.link(tmp_path / "real/sub/a.log", tmp_path / "real/b.log")
    assert len(selection.select({"paths": paths, "recurse": True}, NOW).files) == 2


def test_a_path_may_be_a_file_which_is_matched_like_one_in_a_folder(tmp_path):
    paths = [str(write(tmp_path / name)) for name in ("a.20240112.12", "a.20240112.11", "other")]
    result = selection.select({"paths": paths, "patterns": ["a.%Y%m%d.%H"], "period": "hour"}, NOW)
    assert names(result) == ["a.20240112.12"]
    assert reasons(result) == {"other": "its name matches no pattern"}


# -- skipped files --------------------------------------------------------------------------------------------------


def test_links_pipes_sockets_and_devices_are_skipped_with_the_reason_and_never_opened(tmp_path):
    write(tmp_path / "good/a.log")
    (tmp_path / "good/link.log").symlink_to("a.log")
    (tmp_path / "good/broken.log").symlink_to("nothing")
    (tmp_path / "good/loop").symlink_to(tmp_path)
    (tmp_path / "good/self").symlink_to("self")
    os.mkfifo(tmp_path / "good/pipe.log")
    with socket.socket(socket.AF_UNIX) as server:
        there = os.getcwd()
        os.chdir(tmp_path / "good")  # The name of a socket must be short.
        try:
            server.bind("socket.log")
        finally:
            os.chdir(there)
        result = run(tmp_path, recurse=True, patterns=["*.log"])
    assert names(result) == ["a.log"]
    link = "not a regular file but a symbolic link, which is never followed"
    assert reasons(result) == {
        "link.log": link,
        "broken.log": link,
        "loop": "a symbolic link to a folder, which is never followed",
        "pipe.log": "not a regular file but a named pipe",
        "socket.log": "not a regular file but a socket",
    }


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no /dev/null here")
def test_a_device_given_as_a_path_is_skipped():
    assert reasons(selection.select({"paths": ["/dev/null"]}, NOW)) == {"null": "not a regular file but a character device"}


def test_unreadable_files_are_skipped_with_the_reason(tmp_path):
    open_folder = listed_by_all(tmp_path)
    write(open_folder / "a.log")
    write(open_folder / "secret.log").chmod(0)
    write(open_folder / "closed/b.log")
    (open_folder / "closed").chmod(0)

    def call():
        result = run(open_folder, recurse=True)
        return [names(result), reasons(result)]

    assert unprivileged(call) == [["a.log"], {"secret.log": "no permission to read it", "closed": "no permission to access it"}]


def test_a_file_that_vanishes_after_it_was_listed_is_skipped(tmp_path, monkeypatch):
    write(tmp_path / "a.log")
    write(tmp_path / "b.log")
    real = os.lstat

    def vanish(path, **options):
        if str(path).endswith("b.log"):
            os.unlink(path)
        return real(path, **options)

    monkeypatch.setattr(os, "lstat", vanish)
    result = run(tmp_path)
    monkeypatch.undo()
    assert names(result) == ["a.log"] and reasons(result) == {"b.log": "vanished after it was listed"}


def test_sizes_and_modified_leave_out_quietly_unless_a_period_is_missing_for_it(tmp_path):
    write(tmp_path / "a.20240112.12", "")
    write(tmp_path / "b.20240112.12", "12345")
    write(tmp_path / "c.20240112.12", "1234567890")
    options = {"patterns": ["?.%Y%m%d.%H"], "period": "hour"}
    result = run(tmp_path, min_size=1, max_size="5B", **options)
    assert names(result) == ["b.20240112.12"] and result.skipped == []
    result = run(tmp_path, min_size="1K", exclude=["c*"], **options)
    assert result.files == [] and len(result.missing) == 1
    assert reasons(result) == {
        "a.20240112.12": "0 B, smaller than min_size",
        "b.20240112.12": "5 B, smaller than min_size",
        "c.20240112.12": "excluded by name",
    }


def test_modified_today_is_the_day_of_the_zone(tmp_path):
    write(tmp_path / "yesterday", modified=utc("2024-01-11T22:59"))
    write(tmp_path / "first", modified=utc("2024-01-11T23:00"))
    write(tmp_path / "last", modified=utc("2024-01-12T22:59"))
    write(tmp_path / "tomorrow", modified=utc("2024-01-12T23:00"))
    assert names(run(tmp_path, modified="today", timezone="Europe/Paris")) == ["first", "last"]
    assert names(run(tmp_path, modified="14h30m")) == ["first"]
    assert names(run(tmp_path, modified="14h")) == []


def test_only_quiet_files_are_selected_and_a_future_time_is_reported(tmp_path):
    write(tmp_path / "old", modified=NOW - datetime.timedelta(seconds=60))
    write(tmp_path / "busy", modified=NOW - datetime.timedelta(seconds=59))
    write(tmp_path / "future", modified=NOW + datetime.timedelta(hours=2))
    result = run(tmp_path, quiet="60s")
    assert names(result) == ["old"]
    assert reasons(result) == {
        "busy": "modified 59s ago, less than 1m (quiet)",
        "future": "modified in the future (2h from now): check the clock",
    }
    assert len(run(tmp_path).files) == 3


# -- require_closed ---------------------------------------------------------------------------------------------------


HELD = """
import datetime, json, os, subprocess, sys
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources import files as selection

folder, mode = sys.argv[1:]
hold = "import sys; held = open(sys.argv[1], sys.argv[2]); print('ready', flush=True); sys.stdin.read()"
holders = [
    subprocess.Popen([sys.executable, "-c", hold, os.path.join(folder, name), how], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for name, how in (("a.20240112.12", "r"), ("b.20240112.12", mode))
]
for holder in holders:
    assert holder.stdout.readline() == b"ready\\n"
now = datetime.datetime(2024, 1, 12, 13, 30, tzinfo=datetime.timezone.utc)

def run(pattern):
    found = selection.select({"paths": [folder], "patterns": [pattern], "period": "hour", "require_closed": True}, now)
    return [[os.path.basename(source.path) for source in found.files], len(found.missing), [entry.reason for entry in found.skipped]]

answers = [run("?.%Y%m%d.%H"), run("b.%Y%m%d.%H")]
for holder in holders:
    holder.communicate()
print(json.dumps([holders[1].pid, *answers, run("?.%Y%m%d.%H")]))
"""

OWN_PROCESSES = ["unshare", "--fork", "--pid", "--mount-proc"]
"""A new PID namespace, because root may have fewer capabilities than the first process of the machine."""


def can_unshare():
    return (
        ROOT
        and bool(shutil.which("unshare"))
        and subprocess.run([*OWN_PROCESSES, "true"], capture_output=True, check=False).returncode == 0
    )


@pytest.mark.parametrize("mode", ["a", "r+", "w"])
def test_a_file_that_a_process_holds_open_for_writing_is_skipped_until_it_is_closed(tmp_path, mode):
    if not can_unshare():
        pytest.skip("needs root and PID name spaces")
    write(tmp_path / "a.20240112.12")
    write(tmp_path / "b.20240112.12")
    result = subprocess.run(
        [*OWN_PROCESSES, sys.executable, "-c", HELD, str(tmp_path), mode],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=lab.patience(60), check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    pid, both, alone, closed = json.loads(result.stdout)
    assert both[:2] == [["a.20240112.12"], 0] and both[2][0].startswith("open for writing by %d " % pid)
    assert both[2][0].split(" ", 5)[5].startswith("python")
    assert alone[:2] == [[], 1] and alone[2] == both[2]
    assert closed == [["a.20240112.12", "b.20240112.12"], 0, []]


def test_without_permission_to_inspect_processes_the_error_states_what_to_do(tmp_path):
    open_folder = listed_by_all(tmp_path)
    write(open_folder / "a.log")

    def call():
        try:
            run(open_folder, require_closed=True)
        except errors.SelectionError as error:
            return str(error)
        return None

    assert "Run as root or with CAP_SYS_PTRACE" in unprivileged(call)


def test_nothing_is_scanned_where_nothing_was_found(tmp_path):
    open_folder = listed_by_all(tmp_path)
    assert unprivileged(lambda: run(open_folder, require_closed=True).files) == []


def test_require_closed_is_refused_where_it_cannot_be_known(tmp_path, monkeypatch):
    write(tmp_path / "a.log")
    monkeypatch.setattr(sys, "platform", "sunos5")
    with pytest.raises(errors.SelectionError, match="only on Linux"):
        run(tmp_path, require_closed=True)


# -- what must exist --------------------------------------------------------------------------------------------------


def test_a_path_that_does_not_exist_is_skipped_or_an_error_with_the_near_name(tmp_path):
    (tmp_path / "events").mkdir()
    assert reasons(run(tmp_path / "event")) == {"event": "does not exist"}
    with pytest.raises(errors.SelectionError, match="event: does not exist. Did you mean 'events'") as caught:
        run(tmp_path / "event", must_exist=True)
    assert caught.value.exit_code == errors.EXIT_FAILED


def test_a_missing_period_is_an_error_that_names_folder_pattern_period_and_near_names(tmp_path):
    write(tmp_path / "syslog.20240112.11")
    write(tmp_path / "unrelated")
    (tmp_path / "syslog.20240112.10").symlink_to("unrelated")
    with pytest.raises(errors.SelectionError) as caught:
        run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour", timezone="Europe/Paris", must_exist=True, offset=-2)
    text = str(caught.value)
    for part in (str(tmp_path), "2024-01-12T11:00:00Z/2024-01-12T12:00:00Z", "'syslog.20240112.12'", "'syslog.%Y%m%d.%H'", "Europe/Paris"):
        assert part in text
    assert "closest names are 'syslog.20240112." in text and "unrelated" not in text
    with pytest.raises(errors.SelectionError, match=r"and 1 more.*Skipped: .*syslog.20240112.10 \(not a regular file"):
        run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour", must_exist=True, catch_up="2h")
    assert run(tmp_path, patterns=["syslog.%Y%m%d.%H"], period="hour", must_exist=True, offset=-2).missing == []


def test_no_match_is_an_error_only_with_must_exist(tmp_path):
    with open(os.fsencode(tmp_path) + b"/access\n\xff.log", "wb"):
        pass
    assert run(tmp_path, patterns=["acces?.log"]) == ([], [], [], [], 0)
    with pytest.raises(errors.SelectionError, match=r"no file matches. Looked for 'acces\?.log'.*access.*\.log") as caught:
        run(tmp_path, patterns=["acces?.log"], must_exist=True)
    str(caught.value).encode("utf-8")
    assert "\n" not in str(caught.value)


# -- options ----------------------------------------------------------------------------------------------------------


def test_all_problems_of_the_options_are_reported_at_once(tmp_path):
    with pytest.raises(errors.ConfigError) as caught:
        selection.select(
            {
                "paths": [], "patterns": ["a.%q", "b["], "exclude": ["(", 1], "recurse": "yes", "period": "hourly", "offset": 1,
                "timezone": "Europe/Pariss", "catch_up": "soon", "modified": "yesterday", "quiet": -1, "min_size": "2K", "max_size": "1K",
                "patern": [],
            },
            NOW,
        )  # fmt: skip
    problems = "\n".join(caught.value.problems)
    for part in (
        "paths: must not be empty",
        "'%q'",
        "exclude: must be a list",
        "recurse: must be true or false",
        "period, offset",
        "'Europe/Paris'",
        "catch_up: 'soon'",
        "modified: 'yesterday'",
        "quiet: -1",
        "min_size: must not be larger",
        "patern: unknown option. Did you mean 'patterns'",
    ):
        assert part in problems, part


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patterns": ["a.%Y%m%d"], "period": "hour"}, "contains only the day, but period is hour"),
        ({"patterns": ["a.%Y"], "period": "month"}, "contains only the year.*or set period to none"),
        ({"patterns": ["x/a.log"]}, "recurse is false"),
        ({"patterns": "a.log"}, "must be a list"),
        ({"patterns": []}, "must not be empty"),
        ({"patterns": ["("], "use_regex": True}, "not a valid regular expression"),
        ({"offset": 1}, "offset"),
        ({"period": "hour", "offset": 1}, "offset"),
        ({"period": None}, "unknown period"),
        ({"timezone": None}, "timezone"),
        ({"modified": 1e15}, "at most 100 years"),
        ({"must_exist": None}, "must_exist"),
        ({"paths": None}, "paths"),
    ],
)
def test_an_invalid_option_is_refused(tmp_path, options, message):
    with pytest.raises(errors.ConfigError, match=message):
        run(tmp_path, **options)


def test_the_real_logs_of_the_shared_folder_are_selected_as_they_are(loghub):
    result = run(loghub, patterns=["*_2k.log"], recurse=True, exclude=["Apache*"])
    assert names(result) and "Apache_2k.log" not in names(result)
    for source in result.files:
        assert source.size == os.path.getsize(source.path) and source.period.start == source.period.end


# -- as the source of a job -------------------------------------------------------------------------------------------


def collected(folder, last_success=None, **options):
    document = {
        "name": "syslog",
        "select": dict({"paths": [str(folder)], "patterns": ["syslog.%Y%m%d.%H"], "period": "hour"}, **options),
        "encryption": "none",
        "stores": [{"type": "file", "path": "/backup"}],
    }
    collector = collector_of(normalise(document))
    with collector.collect(NOW, last_success, no_progress, False) as result:
        return collector, result


def test_a_job_takes_period_zone_and_strictness_from_its_selection(tmp_path):
    collector, result = collected(tmp_path, timezone="Europe/Paris", must_exist=True)
    assert (collector.step, collector.period, collector.timezone) == ("select", "hour", "Europe/Paris")
    assert (collector.grouping, collector.deletable, collector.strict) == (None, True, True)
    assert result.folder == "/"
    assert not collected(tmp_path)[0].strict


def test_periods_since_the_last_success_are_expected_and_the_newest_is_due(tmp_path):
    write(tmp_path / "syslog.20240112.10")
    write(tmp_path / "syslog.20240112.07")
    collector, result = collected(tmp_path)
    assert (result.files, [period.start.hour for period in result.missing]) == ([], [12])
    assert result.due == result.missing
    collector, result = collected(tmp_path, last_success=NOW - datetime.timedelta(hours=3, minutes=20))
    assert [os.path.basename(source.path) for source in result.files] == ["syslog.20240112.10"]
    assert [period.start.hour for period in result.missing] == [9, 11, 12]
    assert [period.start.hour for period in result.due] == [12]
    assert collector.describe_missing(result.missing[:1]) == (
        "no log matches syslog.%Y%m%d.%H for 2024-01-12T09:00:00Z to 2024-01-12T10:00:00Z"
    )
    result = collected(tmp_path, last_success=NOW - datetime.timedelta(minutes=1), catch_up="5h")[1]
    assert [period.start.hour for period in result.missing] == [8, 9, 11, 12]


def test_nothing_without_a_period_is_the_problem_even_if_it_must_exist(tmp_path):
    result = collected(tmp_path, patterns=["*.log"], period="none", must_exist=True)[1]
    assert (result.files, result.missing, result.due) == ([], [], [])
    assert result.problem == "nothing matches *.log in %s" % tmp_path
    write(tmp_path / "a.log")
    assert collected(tmp_path, patterns=["*.log"], period="none")[1].problem is None


# -- folders that somebody exchanges ----------------------------------------------------------------------------------


def test_a_folder_that_becomes_a_link_after_it_was_listed_is_not_entered(tmp_path, monkeypatch):
    write(tmp_path / "logs" / "app" / "a.log")
    write(tmp_path / "private" / "secret.log")
    opened = selection.open_below

    def exchanged(held, relative):
        if relative == "app":
            (tmp_path / "logs" / "app").rename(tmp_path / "logs" / "was-app")
            (tmp_path / "logs" / "app").symlink_to(tmp_path / "private")
        return opened(held, relative)

    monkeypatch.setattr(selection, "open_below", exchanged)
    result = run(tmp_path / "logs", recurse=True)
    assert result.files == []
    assert [os.path.basename(skipped.path) for skipped in result.skipped] == ["app"]


def test_a_source_knows_the_folder_that_was_asked_for_and_the_file_that_was_seen(tmp_path):
    write(tmp_path / "logs" / "app" / "a.log")
    (tmp_path / "link").symlink_to("logs")
    (source,) = run(tmp_path / "link", recurse=True).files
    status = (tmp_path / "logs" / "app" / "a.log").stat()
    assert (source.root, source.relative, source.identity) == (str(tmp_path / "link"), "app/a.log", (status.st_dev, status.st_ino))
