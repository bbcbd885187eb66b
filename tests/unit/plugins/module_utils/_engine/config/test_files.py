# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job documents on the disk: comments, mistakes in the JSON, names, secrets that others may read, and the template."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError, NoJobsError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import files as config, spec as job_spec

GOOD_JOB = {
    "name": "syslog",
    "select": {"paths": ["/var/log"]},
    "encryption": {"keyring": "/etc/log-archive/keyring"},
    "stores": [{"type": "file", "path": "/backup"}],
}


def write(tmp_path, text, name="syslog.json", mode=0o640):
    path = tmp_path / name
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    path.chmod(mode)
    return str(path)


def test_comments_are_lines_that_begin_with_two_slashes(tmp_path):
    text = json.dumps(GOOD_JOB, indent=1).replace("{", '{\n  // a comment with a " and a }', 1)
    assert config.load(write(tmp_path, "// first\n" + text))["name"] == "syslog"


def test_a_json_error_is_reported_with_line_and_column(tmp_path):
    with pytest.raises(ConfigError, match=r"line 4, column 3") as caught:
        config.load(write(tmp_path, '// comment\n{\n  "name": "x"\n  "select": 1\n}'))
    assert "syslog.json" in str(caught.value)
    assert 'Near: "select"' in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 100000, '{"name": %s}' % ("9" * 5000), "\x00", "nul", "{'name': 1}"])
def test_invalid_json_is_a_config_error(tmp_path, text):
    with pytest.raises(ConfigError):
        config.load(write(tmp_path, text))


def test_the_target_of_a_link_is_not_quoted(tmp_path):
    key = tmp_path / "0123456789abcdef.key"
    key.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=\n")
    for path in (tmp_path / "job.json", key):
        if path != key:
            path.symlink_to(key)
        with pytest.raises(ConfigError, match="not valid JSON: .* at line 1") as caught:
            config.load(str(path))
        assert "c2Vj" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_a_config_error(tmp_path):
    path = tmp_path / "syslog.json"
    path.write_bytes(b'{"name": "\xff"}')
    with pytest.raises(ConfigError, match="cannot read"):
        config.load(str(path))


def test_unicode_line_separators_do_not_end_lines(tmp_path):
    """JSON allows U+2028 and U+0085 within a text."""
    document = dict(GOOD_JOB, select=dict(GOOD_JOB["select"], exclude=["a\u2028b\u0085c"]))
    assert config.load(write(tmp_path, json.dumps(document, ensure_ascii=False)))["select"]["exclude"] == ["a\u2028b\u0085c"]


def test_a_repeated_key_is_refused(tmp_path):
    text = json.dumps(GOOD_JOB).replace('"name": "syslog"', '"name": "syslog", "spool": "/a", "spool": "/b"')
    with pytest.raises(ConfigError) as caught:
        config.load(write(tmp_path, text))
    assert caught.value.problems == ["spool: is given twice"]


def test_the_file_is_named_after_the_job(tmp_path):
    for name in ("other.json", "syslog", "log"):
        with pytest.raises(ConfigError, match=r"must be named 'syslog\.json'"):
            config.load(write(tmp_path, GOOD_JOB, name))


SECRET = dict(GOOD_JOB, stores=[{"type": "sftp", "host": "h", "user": "u", "path": "p", "password": "marker-secret"}])


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o641])
def test_a_secret_that_others_may_read_is_refused_with_the_chmod(tmp_path, mode):
    path = write(tmp_path, SECRET, mode=mode)
    with pytest.raises(ConfigError, match=r"contains a secret.*chmod o= ") as caught:
        config.load(path)
    assert "marker-secret" not in str(caught.value)
    os.chmod(path, 0o640)
    assert config.load(path)["stores"][0]["password"] == "marker-secret"


@pytest.mark.parametrize(("mode", "refused"), [(0o777, True), (0o757, True), (0o775, False), (0o1777, False)])
def test_a_folder_in_which_others_can_exchange_the_document_is_refused(tmp_path, mode, refused):
    """With the sticky bit they cannot."""
    path = write(tmp_path, GOOD_JOB)
    tmp_path.chmod(mode)
    if refused:
        with pytest.raises(ConfigError, match=r"every user can replace the job document.*chmod o-w %s" % tmp_path):
            config.load(path)
    else:
        assert config.load(path)


def test_a_document_without_a_secret_may_be_read_by_all(tmp_path):
    assert config.load(write(tmp_path, GOOD_JOB, mode=0o644))


def test_a_document_may_begin_with_a_byte_order_mark(tmp_path):
    path = write(tmp_path, "")
    with open(path, "w", encoding="utf-8-sig") as file:
        json.dump(GOOD_JOB, file)
    assert config.load(path)["name"] == GOOD_JOB["name"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_document_that_is_no_file_is_named_as_such(tmp_path, make):
    make(tmp_path / "syslog.json")
    (path,) = config.find(str(tmp_path), ["syslog"])
    with pytest.raises(ConfigError, match="cannot read the job document: it is not a regular file"):
        config.load(path)


def test_find_by_name_by_path_and_all(tmp_path):
    for name in ("b.json", "a.json", ".hidden.json", "a.json.bak"):
        write(tmp_path, "{}", name)
    folder = str(tmp_path)
    assert config.find(folder, []) == [os.path.join(folder, "a.json"), os.path.join(folder, "b.json")]
    assert config.find(folder, ["b"]) == [os.path.join(folder, "b.json")]
    assert config.find("/nowhere", [os.path.join(folder, "b.json")]) == [os.path.join(folder, "b.json")]
    assert config.find(os.path.join(folder, "a.json"), []) == [os.path.join(folder, "a.json")]
    with pytest.raises(ConfigError, match="Known jobs: a, b"):
        config.find(folder, ["c"])
    assert config.find(os.path.join(folder, "a.json"), ["a"]) == [os.path.join(folder, "a.json")]
    with pytest.raises(ConfigError, match="a.json is the document of the job 'a' only"):
        config.find(os.path.join(folder, "a.json"), ["b"])
    write(tmp_path, "{}", "syslog.json")
    with pytest.raises(ConfigError, match="Did you mean 'syslog'[?] Known jobs: a, b, syslog"):
        config.find(folder, ["sislog"])
    with pytest.raises(NoJobsError, match="the folder does not exist"):
        config.find(os.path.join(folder, "missing"), [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="sample-config"):
        config.find(str(tmp_path / "empty"), [])


# -- the template -----------------------------------------------------------------------------------------------------


def test_the_template_is_valid_without_changes(tmp_path):
    document = config.load(write(tmp_path, config.sample()))
    assert document["name"] == "syslog"
    assert document["stores"][0]["type"] == "file"


def test_the_template_states_the_formats_and_the_defaults_that_have_no_line_of_their_own():
    lines = config.sample().split("\n")
    assert "15m" in lines[1] and "10M" in lines[1]
    assert [line for line in lines if line.startswith("  //   timeout: ")][0].endswith('Default: "60".')


def commented_options():
    return [number for number, line in enumerate(config.sample().split("\n")) if line.lstrip().startswith('// "')]


def test_the_template_names_every_option():
    text = config.sample()
    for spec in (job_spec.JOB, job_spec.SELECTION, job_spec.ARCHIVE, job_spec.STORE, job_spec.RETENTION):
        for name in spec:
            assert name in text
    assert len(commented_options()) > 15


@pytest.mark.parametrize("number", commented_options())
def test_each_commented_option_can_be_uncommented_by_itself(tmp_path, number):
    lines = config.sample().split("\n")
    lines[number] = lines[number].replace("// ", "", 1)
    assert config.load(write(tmp_path, "\n".join(lines)))


def test_all_commented_options_can_be_uncommented_together(tmp_path):
    lines = config.sample().split("\n")
    for number in commented_options():
        lines[number] = lines[number].replace("// ", "", 1)
    assert config.load(write(tmp_path, "\n".join(lines)))
