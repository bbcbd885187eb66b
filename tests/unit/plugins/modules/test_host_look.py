# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""host_look finds every difference: a role that it calls right is not applied."""

from __future__ import annotations

import copy
import grp
import json
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import typing as t

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.infra_ops.log_archive.plugins.action import host_look as controller
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _documents, _installation, _module, _options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.crypto import keyring
from ansible_collections.infra_ops.log_archive.plugins.modules import host_look
from rigs.modules import module_args

USER, GROUP = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
ENGINE = {"__init__.py": b"", "cli/main.py": b"print('engine')\n"}
JOB = {
    "encryption": {"keyring": "/k"},
    "select": {"recurse": False, "paths": ["/var/log/été"]},
    "name": "syslog",
    "stores": [{"path": "/p", "type": "file", "name": "a"}],
}


def written(document: t.Mapping[str, t.Any]) -> bytes:
    """The document as job_document writes it."""
    validated = ArgumentSpecValidator(_module.argument_spec(_options.DOCUMENT_OPTION)).validate({"job": copy.deepcopy(document)})
    assert not validated.error_messages
    given = _module.as_given(validated.validated_parameters["job"], _options.DOCUMENT_OPTION["job"])
    return _documents.text(given).encode("utf-8", "backslashreplace")


class Host:
    """A folder that is as wanted, and what the module is asked."""

    def __init__(self, top: pathlib.Path) -> None:
        self.top = top
        self.jobs = top / "jobs.d"
        self.document = self.jobs / "syslog.json"
        self.keyring = top / "keyring"
        self.crontab = top / "crontab"
        self.installation = _installation.Installation(str(top / "opt"))
        self.jobs.mkdir()
        self.jobs.chmod(0o750)
        self.document.write_bytes(written(JOB))
        self.document.chmod(0o640)
        self.crontab.write_text("each hour\n", encoding="ascii")
        self.crontab.chmod(0o644)
        keyring.create(str(self.keyring))
        self.installation.install(ENGINE, _installation.launcher_of(sys.executable, self.installation.package), self.compile)

    @staticmethod
    def compile(folder: str) -> bytes:
        subprocess.run([sys.executable, "-I", "-m", "compileall", "-q", folder], check=True)
        return b"the manual page"

    @property
    def engine_file(self) -> pathlib.Path:
        return pathlib.Path(self.installation.package) / "cli" / "main.py"

    def look(self, **changed: t.Any) -> t.Dict[str, t.Any]:
        """What the module answers on the host, for what the controller sends."""
        owned = {"owner": USER, "group": GROUP}
        jobs = {"layout": "jobs", "kind": "job", "folder": str(self.jobs), "documents": [JOB], **owned}
        arguments = {
            "layouts": [
                {"name": "jobs", "paths": [{"path": str(self.jobs), "state": "directory", "mode": "0750", **owned}]},
                {"name": "schedule", "paths": [{"path": str(self.crontab), "content": "each hour\n", **owned}]},
                {"name": "rotation", "paths": [{"path": "/no/file", "requires": ["/no/such/program"]}]},
            ],
            "documents": [controller._digested(jobs)],
            "engine": {"prefix": self.installation.prefix, "interpreter": sys.executable, "digest": _installation.digest_of(ENGINE)},
            "keyring": str(self.keyring),
            "commands": {"two": ["sh", "-c", "echo one; echo two; echo three >&2; exit 4"], "missing": ["/no/such/program"]},
            **changed,
        }
        with module_args({**arguments, "_ansible_check_mode": True}), pytest.MonkeyPatch.context() as patch:
            answers: t.List[t.Dict[str, t.Any]] = []
            patch.setattr(host_look.AnsibleModule, "exit_json", lambda module, **result: answers.append(result))
            host_look.main()
        # It went to the host and came back as JSON.
        return json.loads(json.dumps(answers[0]))


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    return Host(tmp_path)


def test_a_host_that_is_as_wanted(host: Host) -> None:
    found = host.look()
    current = keyring.load_current(str(host.keyring)).id
    assert found.pop("outputs")["two"] == {"rc": 4, "stdout": "one\ntwo", "stdout_lines": ["one", "two"], "stderr": "three"}
    assert found == {
        "changed": False,
        "same": ["jobs", "schedule", "rotation"],
        "left_out": ["/no/file"],
        "engine_is_installed": True,
        "key_ids": [current],
        "keys_have_copies": False,
    }


# What is done to the host, and what then is not as wanted any more.
def other_document(host: Host) -> None:
    shutil.copy(host.document, host.jobs / "old.json")


def link_in_place_of_a_document(host: Host) -> None:
    host.document.rename(host.top / "moved")
    host.document.symlink_to(host.top / "moved")


DIFFERENCES: t.Dict[str, t.Tuple[t.Callable[[Host], t.Any], str]] = {
    "mode of a folder": (lambda host: host.jobs.chmod(0o755), "jobs"),
    "no folder": (lambda host: shutil.rmtree(host.jobs), "jobs"),
    "text of a document": (lambda host: host.document.write_bytes(written({**JOB, "stores": []})), "jobs"),
    "mode of a document": (lambda host: host.document.chmod(0o600), "jobs"),
    "no document": (lambda host: host.document.unlink(), "jobs"),
    "a document of a job that is gone": (other_document, "jobs"),
    "a link in place of a document": (link_in_place_of_a_document, "jobs"),
    "text of a file": (lambda host: host.crontab.write_text("each day\n", encoding="ascii"), "schedule"),
    "no file": (lambda host: host.crontab.unlink(), "schedule"),
    "a folder in place of a file": (lambda host: (host.crontab.unlink(), host.crontab.mkdir()), "schedule"),
    "text of the engine": (lambda host: host.engine_file.write_bytes(b"print('other')\n"), "engine"),
    "one more file of the engine": (lambda host: host.engine_file.with_name("more.py").touch(), "engine"),
    "mode of the engine": (lambda host: host.engine_file.chmod(0o666), "engine"),
    "engine that is not compiled": (lambda host: shutil.rmtree(host.engine_file.parent / "__pycache__"), "engine"),
    "no command": (lambda host: os.unlink(host.installation.command), "engine"),
    "no engine": (lambda host: shutil.rmtree(host.installation.prefix), "engine"),
    "no current key": (lambda host: (host.keyring / "current").unlink(), "keys"),
    "damaged key": (lambda host: next(host.keyring.glob("*.key")).write_text("key", encoding="ascii"), "keys"),
    "keys that others can read": (lambda host: host.keyring.chmod(0o755), "keys"),
    "no keyring": (lambda host: shutil.rmtree(host.keyring), "keys"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_difference_is_found_and_nothing_else(host: Host, name: str) -> None:
    change, what = DIFFERENCES[name]
    before = host.look()
    change(host)
    after = host.look()
    expected = {
        "engine": {"engine_is_installed": False},
        "keys": {"key_ids": []},
    }.get(what, {"same": [layout for layout in before["same"] if layout != what]})
    assert after == {**before, **expected}


def test_an_interpreter_of_another_version_or_none_is_a_difference(host: Host) -> None:
    engine = {"prefix": host.installation.prefix, "digest": _installation.digest_of(ENGINE)}
    assert not host.look(engine={**engine, "interpreter": "/no/such/python"})["engine_is_installed"]
    for compiled in host.engine_file.parent.glob("__pycache__/*.pyc"):
        compiled.rename(compiled.with_name("main.cpython-30.pyc"))
    assert not host.look(engine={**engine, "interpreter": sys.executable})["engine_is_installed"]


def test_the_controller_sends_digests_and_no_document() -> None:
    sent = controller._digested({"layout": "jobs", "kind": "job", "folder": "/f", "documents": [JOB], "mode": "0660"})
    assert sent.keys() == {"layout", "kind", "folder", "mode", "digests"} and sent["digests"].keys() == {"/f/syslog.json"}
    assert len(sent["digests"]["/f/syslog.json"]) == 64


def test_the_digests_are_hidden() -> None:
    # A document may hold a password that is easily guessed.
    assert host_look.DOCUMENTS["digests"]["no_log"] and host_look.DOCUMENTS["documents"]["no_log"]
