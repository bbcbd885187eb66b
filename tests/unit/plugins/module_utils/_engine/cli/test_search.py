# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive search``: what it prints, in words and in JSON, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import StoreUnavailableError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main as cli, search as command
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.stores.file import FileStore
from rigs.host import Host

pytest.importorskip("cryptography")

HOUR = "syslog.20240112.%d"
LOGS = {
    13: b"start\nuser root failed\n\x1b[31mred\tFAILED\nend\n",
    14: b"start\nnothing\n" + b"x" * 9000 + b"failed" + b"y" * 9000 + b"\n\xff failed",
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    host = Host(tmp_path_factory.mktemp("host"))
    for hour, path in zip(LOGS, host.write_logs(*LOGS)):
        pathlib.Path(path).write_bytes(LOGS[hour])
    host.run()
    return host.folder


@pytest.fixture
def host(template: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    shutil.copytree(template, tmp_path / "host")
    made = Host(tmp_path / "host")
    made.write_document()
    monkeypatch.setenv("LOG_ARCHIVE_CONFIG", str(made.folder / "jobs"))
    return made


def run(*arguments: str, code: int = 0) -> t.Tuple[t.List[str], str]:
    """The lines of standard output, and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        returned = cli.main(["search", *arguments])
    assert returned == code, out.getvalue() + err.getvalue()
    return out.getvalue().splitlines(), err.getvalue()


def rows(*arguments: str, code: int = 0) -> t.Any:
    return json.loads("\n".join(run(*arguments, "--json", code=code)[0]))


def where(hour: int) -> str:
    return "web1:%s.tgz.fernet:" % (HOUR % hour)


def texts(lines: t.Iterable[str]) -> t.List[str]:
    """The lines without the folder of the host's logs."""
    return ["%s:%s" % (":".join(line.split(":")[:2]), line.partition("/logs/")[2]) if ":" in line else line for line in lines]


def test_what_is_found_is_printed_with_its_place(host: Host) -> None:
    lines, errors = run("failed")
    assert errors == ""
    assert texts(lines)[0] == where(13) + HOUR % 13 + ":2:user root failed"
    cut = texts(lines)[1]
    assert cut.startswith(where(14) + HOUR % 14 + ":3:... xxx")
    assert cut.endswith("yyy ...")
    assert "xfailedy" in cut
    assert texts(lines)[2] == where(14) + HOUR % 14 + ":4:\\xff failed"


def test_control_characters_are_escaped(host: Host) -> None:
    (line,) = run("FAILED")[0]
    assert line.endswith(":3:\\x1b[31mred\\tFAILED")


def test_context_and_groups_are_printed_as_grep_does(host: Host) -> None:
    lines = [line.rpartition("/")[2] for line in run("root|end|^nothing", "--context", "1")[0]]
    assert [line.partition(".13")[2] or line for line in lines[:4]] == [
        ":1-start",
        ":2:user root failed",
        ":3-\\x1b[31mred\\tFAILED",
        ":4:end",
    ]
    assert lines[4] == "--"
    assert lines[5:7] == [HOUR % 14 + ":1-start", HOUR % 14 + ":2:nothing"]


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["failed", "--ignore-case"], 4),
        (["FAILED|root"], 2),
        (["--fixed", "FAILED|root"], 0),
        (["failed", "--max", "2"], 2),
        (["failed", "--since", "2024-01-12T14:00"], 2),
        (["failed", "--until", "2024-01-12T14:00"], 1),
        (["failed", "--host", "other"], 0),
        (["failed", "--host", "*", "--job", "syslog", "--store", "file"], 3),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else str(value),
)
def test_options_select_what_is_searched(host: Host, arguments: t.List[str], count: int) -> None:
    assert len(run(*arguments, code=0 if count else 1)[0]) == count


def test_lines_are_counted_for_each_log(host: Host) -> None:
    assert texts(run("failed", "--count")[0]) == [where(13) + HOUR % 13 + ":1", where(14) + HOUR % 14 + ":2"]
    assert [(row["log"].rpartition("/")[2], row["count"]) for row in rows("failed", "--count")] == [(HOUR % 13, 1), (HOUR % 14, 2)]


def test_json_has_every_line_with_its_place(host: Host) -> None:
    first, *_others, last = rows("failed")
    assert first.pop("log").endswith("/logs/" + HOUR % 13)
    assert first == {
        "key": "web1/syslog/2024/01/12/%s.tgz.fernet" % (HOUR % 13),
        "host": "web1",
        "job": "syslog",
        "store": "file",
        "authenticated": True,
        "line": 2,
        "text": "user root failed",
        "matched": True,
        "cut": False,
        "count": None,
        "error": None,
    }
    assert last["text"] == "\udcff failed"
    assert rows("nowhere", code=1) == []


def test_json_is_bounded_and_the_bound_is_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_IN_JSON", 2)
    lines, errors = run("failed", "--json")
    assert len(json.loads("\n".join(lines))) == 2
    assert "ended after 2 matching lines" in errors
    assert len(rows("failed", "--max", "3")) == 3


def test_a_damaged_archive_is_reported_and_the_others_are_searched(host: Host) -> None:
    (path,) = host.store.rglob(HOUR % 13 + ".tgz.fernet")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    lines, errors = run("failed", code=4)
    assert [line.rpartition("/")[2][:18] for line in lines] == [HOUR % 14] * 2
    assert (HOUR % 13) + ".tgz.fernet: not searched" in errors
    assert [row["error"] is None for row in rows("failed", code=4)] == [False, True, True]
    run("nowhere", code=4)


def test_a_store_that_fails_is_not_mistaken_for_nothing_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(store: FileStore, _prefix: str = "") -> t.NoReturn:
        raise StoreUnavailableError("it does not answer", store.location())

    monkeypatch.setattr(FileStore, "list", failing)
    assert "it does not answer" in run("failed", code=3)[1]
    (row,) = rows("failed", code=3)
    assert row["key"] is None
    assert row["error"]


def test_lines_of_an_archive_that_is_not_authenticated_are_reported_as_such(host: Host) -> None:
    shutil.rmtree(host.store)
    host.state = host.folder / "another-catalog"
    host.run(encryption={"format": "none"})
    host.write_document(encryption={"format": "none"})
    lines, errors = run("failed")
    assert len(lines) == 3
    assert [line.partition(" is not")[0].rpartition("/")[2] for line in errors.splitlines()] == [HOUR % 13 + ".tgz", HOUR % 14 + ".tgz"]
    assert {row["authenticated"] for row in rows("failed")} == {False}


def test_a_missing_key_ends_with_the_code_of_a_configuration(host: Host) -> None:
    for key in host.keyring.glob("*.key"):
        key.unlink()
    assert len(run("failed", code=2)[1].splitlines()) == 2


def test_nothing_in_the_range_is_nothing_found(host: Host) -> None:
    lines, errors = run("failed", "--since", "2030-01-01", code=1)
    assert lines == []
    assert "no archive is in this range" in errors
    assert rows("failed", "--since", "2030-01-01", code=1) == []


@pytest.mark.parametrize(
    "arguments",
    [["(x"], ["x", "--context", "101"], ["x", "--max", "0"], ["x", "--job", "unknown"], ["x", "--store", "unknown"], []],
    ids=lambda arguments: "-".join(arguments) or "none",
)
def test_mistakes_are_reported(host: Host, arguments: t.List[str]) -> None:
    assert run(*arguments, code=2)[0] == []


def test_a_reader_that_leaves_ends_the_search(host: Host) -> None:
    """As with ``| head``: no error, and the rest is not read."""
    for hour in (13, 14):
        (host.logs / (HOUR % hour)).write_bytes(b"failed\n" * 100000)
    host.state = host.folder / "another-catalog"
    shutil.rmtree(host.store)
    host.run()
    host.write_document()
    code = "from %s import end_with_main; end_with_main()" % cli.__name__
    environment = dict(os.environ, LOG_ARCHIVE_CONFIG=str(host.folder / "jobs"), PYTHONPATH=os.pathsep.join(sys.path))
    with subprocess.Popen(
        [sys.executable, "-c", code, "search", "failed"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().endswith(b":1:failed\n")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 0
