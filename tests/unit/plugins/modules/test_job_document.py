# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What job_document writes is what the command reads, and what it shows of a file holds no secret."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _documents, _module, _options, _written
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files as config, spec as job_spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.sink_spec import SINK
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.tell import set_up
from ansible_collections.infra_ops.log_archive.plugins.modules.job_document import JOB, main
from ansible_collections.infra_ops.log_archive.plugins.modules.stream_document import STREAM
from rigs.modules import module_args

DOCUMENT: t.Dict[str, t.Any] = {
    "name": "syslog",
    "select": {"paths": ["/var/log"], "exclude": [], "recurse": False},
    "encryption": {"keyring": "/k"},
    "stores": [
        {"type": "sftp", "name": "a", "host": "h", "user": "u", "path": "/p", "password": "s3cr3t-1", "private_key_passphrase": "s3cr3t-2"},
        {"type": "s3", "bucket": "b", "access_key_id": "i", "secret_access_key": "s3cr3t-3", "session_token": "s3cr3t-4"},
    ],
}


def written(document: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The document as a module gets it: through Ansible's argument spec."""
    validated = ArgumentSpecValidator(_module.argument_spec(_options.DOCUMENT_OPTION)).validate({"job": document})
    assert not validated.error_messages
    return _module.as_given(validated.validated_parameters["job"], _options.DOCUMENT_OPTION["job"])


def test_only_what_was_given_is_written_also_where_it_is_the_default() -> None:
    assert written(DOCUMENT) == DOCUMENT
    # In the order of the table, whatever the order in which it was given.
    assert json.dumps(written(dict(reversed(DOCUMENT.items())))) == json.dumps(written(DOCUMENT))


def test_the_command_reads_the_file_with_a_name_that_is_not_utf_8(tmp_path: pathlib.Path) -> None:
    document = written(dict(DOCUMENT, select={"paths": ["/var/log/été", "/var/log/\\xff"]}))
    path = tmp_path / "syslog.json"
    path.touch(0o600)
    path.write_bytes(_documents.text(document).encode("utf-8", "backslashreplace"))
    loaded = config.load(str(path))
    assert loaded["select"]["paths"] == ["/var/log/été", "/var/log/\udcff"]
    assert path.read_text(encoding="utf-8").startswith("// Managed by Ansible (infra_ops.log_archive): changes here are overwritten\n{")


@pytest.mark.parametrize(
    "data",
    [
        _documents.text(DOCUMENT).encode(),
        ("// password: s3cr3t\n" + json.dumps(DOCUMENT)).encode(),
        json.dumps(dict(DOCUMENT, pasword="s3cr3t")).encode(),
        json.dumps(dict(DOCUMENT, stores="s3cr3t")).encode(),
        json.dumps(dict(DOCUMENT, stores=["s3cr3t"])).encode(),
        json.dumps(dict(DOCUMENT, stores={"password": "s3cr3t"})).encode(),
        json.dumps(dict(DOCUMENT, encryption="s3cr3t")).encode(),
        json.dumps(dict(DOCUMENT, host={"s3cr3t": "s3cr3t"})).encode(),
        b'{"stores": [{"password": "s3cr3t"',
        b'["s3cr3t"]',
        b"\xff\xfes3cr3t",
    ],
)
def test_what_a_diff_shows_of_any_file_holds_no_secret(data: bytes) -> None:
    text = _documents.shown(data, JOB)
    assert text and "s3cr3t" not in text


def test_a_diff_shows_what_is_no_secret() -> None:
    text = _documents.shown(_documents.text(dict(written(DOCUMENT), encryption="none", log=None)).encode(), JOB)
    assert '"/var/log"' in text and '"password": "********"' in text and '"encryption": "none"' in text
    assert text.splitlines()[0] == _written.HEADER.strip()
    assert _documents.shown(b"// mine\n" + _documents.text(DOCUMENT).encode(), JOB).startswith("(with other comments, or another layout)\n")


def test_every_secret_of_the_tables_is_masked() -> None:
    parts = (
        (JOB, "stores", job_spec.STORE, 4),
        (JOB, "notify", job_spec.NOTIFY, 4),
        (STREAM, "sinks", SINK, 2),
        (STREAM, "notify", job_spec.NOTIFY, 4),
    )
    for kind, part, table, count in parts:
        secrets = [name for name, option in table.items() if option.get("secret")]
        masked = _documents.masked({part: [dict.fromkeys(secrets, "s3cr3t")]}, kind.spec)
        assert len(secrets) == count and set(masked[part][0].values()) == {"********"}


def test_a_new_job_has_metrics_until_its_document_is_removed(tmp_path: pathlib.Path) -> None:
    """An alert fires for a job that never runs, and not for one that was removed."""
    document = normalise(dict(DOCUMENT, notify=[{"type": "textfile", "path": str(tmp_path)}, {"type": "log", "path": "/x"}]))
    set_up.JOBS.add(document)
    path = tmp_path / "log_archive_syslog.prom"
    text = path.read_text()
    assert 'log_archive_last_success_timestamp_seconds{archive_job="syslog"' in text and 'store="s3"} 0' in text
    set_up.JOBS.add(document)
    assert path.read_text() == text, "that of a run stays"
    folders = set_up.JOBS.folders_of(_documents._given(_documents.text(document).encode()))
    assert folders == [str(tmp_path)]
    set_up.JOBS.remove("syslog", folders)
    set_up.JOBS.remove("syslog", [*folders, str(tmp_path / "missing")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data", [b"", b"[", b"\xff", b"[]", b'{"notify": 1}', b'{"notify": [1, {"type": "textfile", "path": "relative"}]}']
)
def test_a_document_with_mistakes_has_no_metrics(data: bytes) -> None:
    assert set_up.JOBS.folders_of(_documents._given(data)) == []


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "none"
    with module_args({"job": DOCUMENT, "folder": str(folder)}), pytest.raises(SystemExit):
        main()
    result = json.loads(capsys.readouterr().out)
    assert result["msg"].startswith("%s/syslog.json: cannot write" % folder) and result["msg"].endswith(
        "Create the folder %s first" % folder
    )
