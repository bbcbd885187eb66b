# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The README is correct: its commands, its examples, its tables."""

from __future__ import annotations

import datetime
import json
import pathlib
import re
import shlex
import subprocess
import sys

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.archive.create import Contents, create_archive
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.periods import Period
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.cli import main, parser
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files as config
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.notify_spec import NOTIFY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import envelope, keyring, recipients
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.run import job
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.sources.files import source_at

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    """The fenced block after the comment ``<!-- tested: name -->``."""
    return re.search(r"<!-- tested: %s -->\n```\w+\n(.*?)```" % name, TEXT, re.DOTALL)[1]


@pytest.fixture(params=["small", "several MiB", "real logs"])
def archive(request, tmp_path, loghub):
    """A keyring and an archive made with it: (key file, archive, the source)."""
    source = tmp_path / "syslog.20240112.12"
    if request.param == "real logs":
        source.write_bytes((loghub / "Linux_2k.log").read_bytes())
    else:
        source.write_bytes(b"Jan 12 12:00:00 web1 sshd[1]: a line\n" * (10 if request.param == "small" else 200_000))
    keyring.create(str(tmp_path / "keyring"))
    key = keyring.load_current(str(tmp_path / "keyring"))
    now = datetime.datetime(2024, 1, 12, 12, tzinfo=datetime.timezone.utc)
    period = Period(now, now + datetime.timedelta(hours=1))
    chosen = source_at(str(source), period)
    path = tmp_path / "syslog.20240112.12.tgz.fernet"
    create_archive(str(path), Contents([chosen], "web1", "syslog", period), envelope.FernetEnvelope(key))
    return tmp_path / "keyring" / (key.id + ".key"), path, source


def test_an_archive_opens_with_python_as_written(archive, tmp_path):
    key_file, path, source = archive
    subprocess.run([sys.executable, "-c", block("open-python"), key_file, path, tmp_path / "logs.tgz"], check=True)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xzf", tmp_path / "logs.tgz", "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / str(source).lstrip("/")).read_bytes() == source.read_bytes()


def test_an_archive_opens_with_openssl_and_tar_as_written(archive, tmp_path):
    key_file, path, source = archive
    out = tmp_path / "out"
    out.mkdir()
    subprocess.run(["bash", "-c", block("open-shell"), "bash", key_file, path], cwd=out, check=True)
    assert (out / str(source).lstrip("/")).read_bytes() == source.read_bytes()
    assert [entry.name for entry in out.iterdir()] == [str(source).split("/")[1]]


def test_an_archive_for_a_recipient_opens_with_age_as_written(tmp_path):
    source = tmp_path / "syslog.20240112.12"
    source.write_bytes(b"Jan 12 12:00:00 web1 sshd[1]: a line\n")
    subprocess.run(["age-keygen", "-o", tmp_path / "identity"], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", tmp_path / "identity"], check=True, capture_output=True, text=True).stdout.strip()
    enclosing = envelope.for_new_archives({"format": "fernet", "keyring": None, "recipients": [recipients.new_identity()[0], recipient]})
    now = datetime.datetime(2024, 1, 12, 12, tzinfo=datetime.timezone.utc)
    period = Period(now, now + datetime.timedelta(hours=1))
    path = tmp_path / "syslog.20240112.12.tgz.fernet"
    create_archive(str(path), Contents([source_at(str(source), period)], "web1", "syslog", period), enclosing)
    manifest = str(path) + ".manifest.json"
    subprocess.run(["bash", "-c", block("open-age"), "-", tmp_path / "identity", manifest], check=True, cwd=tmp_path)
    subprocess.run([sys.executable, "-c", block("open-python"), tmp_path / "archive.key", path, tmp_path / "logs.tgz"], check=True)
    subprocess.run(["tar", "-xzf", "logs.tgz"], check=True, cwd=tmp_path)
    assert (tmp_path / str(source).lstrip("/")).read_bytes() == source.read_bytes()


def test_the_commands_with_openssl_refuse_a_damaged_archive(archive, tmp_path):
    key_file, path, _source = archive
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(["bash", "-c", block("open-shell"), "bash", key_file, path], cwd=out, check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert list(out.iterdir()) == []


def test_the_job_of_the_five_minute_path_is_a_valid_job_document():
    yaml = pytest.importorskip("yaml")
    play = yaml.safe_load(re.search(r"```yaml\n(.*?)```", TEXT.replace("\n   ", "\n"), re.DOTALL)[1])
    document = play[0]["tasks"][1]["infra_ops.log_archive.archive_run"]["job"]
    normal = normalise(document)
    assert [store["name"] for store in normal["stores"]] == ["local", "bucket"]


def test_the_parser_accepts_every_command_of_the_readme():
    commands = re.findall(r"^\| .* \| `(log-archive [^`]*)`", TEXT, re.MULTILINE)
    assert len(commands) > 8
    for command in commands:
        parser.parse(shlex.split(command)[1:])


def test_a_store_has_the_layout_of_the_readme(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "syslog.20240112.12").write_bytes(b"x\n")
    keyring.create(str(tmp_path / "keyring"))
    document = {
        "name": "syslog",
        "host": "web1",
        "select": {"paths": [str(tmp_path / "logs")], "patterns": ["syslog.%Y%m%d.%H"]},
        "encryption": {"keyring": str(tmp_path / "keyring")},
        "stores": [{"type": "file", "path": str(tmp_path / "store")}],
        "spool": str(tmp_path / "spool"),
        "state": str(tmp_path / "state"),
    }
    (tmp_path / "syslog.json").write_text(json.dumps(document))
    assert job.run(config.load(str(tmp_path / "syslog.json")))["exit_code"] == 0
    drawn = "web1/syslog/2024/01/12/syslog.20240112.12.tgz.fernet"
    assert drawn in TEXT
    stored = sorted(str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert stored[:2] == [drawn, drawn + ".manifest.json"]
    assert re.fullmatch("web1/syslog/ledger/[0-9]{12}-[0-9a-f]{32}-[0-9a-f]{64}[.]json", stored[2])
    assert "<host>/<job>/ledger/<entry>-<ledger>-<SHA-256>.json" in TEXT
    assert len(stored) == 3


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the table with this heading in the first cell."""
    table = re.search(r"^\| %s \|.*\n\| --- .*\n((?:\|.*\n)+)" % heading, TEXT, re.MULTILINE)[1]
    return {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}


def test_the_tables_list_every_playbook_role_module_and_receiver():
    assert first_cells("playbook") == {path.stem for path in ROOT.glob("playbooks/*.yml")}
    # The role log_archive holds what the others share, and does nothing by itself.
    assert first_cells("role") == {path.name for path in ROOT.glob("roles/*")} - {"log_archive"}
    assert first_cells("module") == {path.stem for path in ROOT.glob("plugins/modules/*.py")}
    assert first_cells("type") == set(NOTIFY["type"]["choices"])


def test_every_variable_of_the_readme_exists():
    names = set(re.findall(r"\blog_archive_\w+\b", TEXT))
    files = (path for folder in ("playbooks", "roles", "plugins") for path in (ROOT / folder).rglob("*"))
    code = "\n".join(path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".yml", ".j2"))
    assert {name for name in names if not re.search(r"\b%s\b" % name, code)} == set()


def test_the_error_in_json_is_the_one_of_the_command(tmp_path, capsys):
    assert main.main(["list", "--json", "--config", str(tmp_path)]) == 2
    printed = capsys.readouterr().out.replace(str(tmp_path), "/etc/log-archive/jobs.d")
    assert block("error") == printed


def test_the_stream_is_valid(tmp_path):
    path = tmp_path / "sftpgo.json"
    path.write_text(block("stream"))
    assert config.load_stream(str(path))["name"] == "sftpgo"


PAGES = ("audit", "changing", "drill", "find", "first-archive", "fleet", "keys", "recipients")


@pytest.mark.parametrize("page", ["README.md", *("docs/%s.md" % name for name in PAGES)])
def test_the_commands_of_a_page_can_be_given(page):
    """The parser takes each log-archive command in a block, and each playbook exists and takes the inputs that the page gives it."""
    yaml = pytest.importorskip("yaml")
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    roles = "\n".join(path.read_text(encoding="utf-8") for path in ROOT.glob("roles/*/defaults/main.yml"))
    seen = 0
    for name, rest in re.findall(r"ansible-playbook.* infra_ops\.log_archive\.(\w+)\b(.*)", blocks):
        playbook = (ROOT / "playbooks" / (name + ".yml")).read_text(encoding="utf-8")
        given = set(re.findall(r"(?:-e |\s)(\w+)=", rest.partition("#")[0]))
        taken = {variable for play in yaml.safe_load(playbook) for variable in play.get("vars", {}).get("_log_archive_takes", [])}
        own = {variable for variable in given if re.search(r"^(# )?%s\b" % variable, roles, re.MULTILINE)}
        assert given <= taken | own | {"log_archive_awx_project_url"}, (page, name, given - taken - own)
        seen += 1
    for command in re.findall(r"^\s*(?:sudo )?(?:\S*/)?log-archive ([a-z].*?)\s*(?:[#|].*)?$", blocks, re.MULTILINE):
        words = shlex.split(command, comments=True)
        parser.parse(words[: words.index(">")] if ">" in words else words)
        seen += 1
    assert seen >= 5
