# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query of a URL may be a secret: no result, document, diff, message or record shows it."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _documents, _module, _options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_store
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB, WEB
from rigs.host import COMMAND, ENGINE_PATH

PREFIX = "ansible_collections.infra_ops.log_archive.plugins.modules."
SECRET = "s3cr3t-of-the-query"
SHOWN = "https://127.0.0.1:9/export.zip"
URL = SHOWN + "?sig=" + SECRET


def job(tmp_path: pathlib.Path, url: str = URL) -> t.Dict[str, t.Any]:
    return {
        "name": "dump",
        "web": {"url": url, "attempts": 1},
        "encryption": "none",
        "stores": [{"type": "file", "path": str(tmp_path / "store")}],
        "spool": str(tmp_path / "spool"),
        "state": str(tmp_path / "state"),
        "log": str(tmp_path / "events.jsonl"),
        "notify": [{"type": "log", "path": str(tmp_path / "recaps.jsonl")}],
    }


def call(module: str, options: t.Dict[str, t.Any]) -> t.Dict[str, t.Any]:
    """The result of a module with its invocation, as -vvvv shows it."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**options, "_ansible_verbosity": 4, "_ansible_diff": True}})
    env = dict(os.environ, PYTHONPATH=ENGINE_PATH)
    done = subprocess.run([sys.executable, "-m", PREFIX + module], input=given, env=env, capture_output=True, text=True, check=False)
    assert SECRET not in done.stdout + done.stderr
    return json.loads(done.stdout)


def url_of_invocation(result: t.Dict[str, t.Any]) -> str:
    """The URL in a module's invocation. Newer versions of ansible-core than 2.19 leave the invocation out, so that it shows nothing."""
    return result["invocation"]["module_args"]["url"] if "invocation" in result else SHOWN + "*"


def test_a_module_shows_the_url_without_its_query(tmp_path: pathlib.Path) -> None:
    result = call("web_dump", {"url": URL, "dest": str(tmp_path / "dump"), "attempts": 1})
    assert result["msg"].startswith(SHOWN + "?...: ")
    assert url_of_invocation(result).startswith(SHOWN + "*")
    result = call("web_dump", {"url": SHOWN, "dest": str(tmp_path / "dump"), "attempts": 1})
    assert result["msg"].startswith(SHOWN + ": ")
    assert url_of_invocation(result) == SHOWN + ("*" if "invocation" not in result else "")
    assert SHOWN in call("archive_run", {"job": dict(job(tmp_path), encryption={"format": "none"})})["msg"]
    (tmp_path / "jobs").mkdir()
    written = call("job_document", {"folder": str(tmp_path / "jobs"), "job": dict(job(tmp_path), encryption={"format": "none"})})
    assert SHOWN + "?..." in json.dumps(written["diff"])


def test_ansible_takes_the_url_for_a_secret_until_the_log_of_the_system_is_written() -> None:
    assert _module.argument_spec(WEB)["url"]["no_log"] is True
    assert _module.argument_spec(_options.JOB_OPTION)["job"]["options"]["web"]["options"]["url"]["no_log"] is True


def test_no_output_and_no_file_of_the_command_has_the_query(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "jobs" / "dump.json"
    path.parent.mkdir()
    path.touch(0o600)
    path.write_text(json.dumps(job(tmp_path)))
    env = dict(os.environ, PYTHONPATH=ENGINE_PATH, LOG_ARCHIVE_CONFIG=str(path.parent))
    for command in (["run", "dump"], ["run", "dump", "--json"], ["status", "--json"], ["list"], ["check-config"]):
        done = subprocess.run([*COMMAND, *command], env=env, capture_output=True, text=True, check=False)
        assert SECRET not in done.stdout + done.stderr
    written = [each for each in tmp_path.rglob("*") if each.is_file() and each != path]
    assert {"events.jsonl", "recaps.jsonl", "catalog.sqlite"} <= {each.name for each in written}
    assert [each for each in written if SECRET.encode() in each.read_bytes()] == []


def test_a_document_with_a_query_is_not_for_all_eyes(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(json.dumps(job(tmp_path)))
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="contains a secret, and other users can read it"):
        files.load(str(path))
    path.write_text(json.dumps(job(tmp_path, SHOWN)))
    files.load(str(path))
    assert _documents.masked({"web": {"url": URL}}, JOB) == {"web": {"url": SHOWN + "?..."}}


def test_a_mistake_in_json_quotes_no_value(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "dump.json"
    path.touch(0o600)
    path.write_text('{\n  "password": "%s,\n}' % SECRET)
    with pytest.raises(ConfigError) as caught:
        files.load(str(path))
    assert 'Near: "password"' in str(caught.value) and SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["https://u:%s@s3.example.com" % SECRET, "https://s3.example.com/?k=" + SECRET])
def test_the_url_of_an_s3_server_has_no_secret(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        normalise_store({"type": "s3", "bucket": "b", "endpoint_url": url})
    assert caught.value.problems == ["endpoint_url: must be http(s)://host[:port], without credentials and without a query"]
