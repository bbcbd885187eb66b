# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge: argument specs and documentation from the engine's tables, names that JSON cannot hold, errors as results."""

from __future__ import annotations

import json
import os
import re
import types
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils import _module, _options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import (
    ConfigError,
    IntegrityError,
    MissingLibraryError,
)
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.encryption_spec import KEYRING
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import SELECTION, STORE
from ansible_collections.infra_ops.log_archive.plugins.plugin_utils.documentation import documentation
from hypothesis import given, strategies

TABLES = [_options.STORE_OPTION, _options.POLICY_OPTION, _options.JOB_OPTION, _options.PACKING, _options.CHOICE, SELECTION, KEYRING]


class Ended(Exception):
    """The module has ended with this result."""

    def __init__(self, result: t.Dict[str, t.Any]) -> None:
        super().__init__(result)
        self.result = result


class EndingModule:
    """AnsibleModule's two ways to end, which print and exit the process, as exceptions."""

    def __init__(self, argument_spec: t.Mapping[str, t.Any] = types.MappingProxyType({}), **params: t.Any) -> None:
        self.argument_spec = argument_spec
        self.params = params

    def exit_json(self, **result: t.Any) -> None:
        raise Ended(dict(result, failed=False))

    def fail_json(self, **result: t.Any) -> None:
        raise Ended(dict(result, failed=True))


def walk(
    options: t.Mapping[str, t.Any], key: str, path: t.Tuple[str, ...] = ()
) -> t.Iterator[t.Tuple[t.Tuple[str, ...], t.Dict[str, t.Any]]]:
    for name, option in options.items():
        yield (*path, name), option
        yield from walk(option.get(key, {}), key, (*path, name))


@pytest.mark.parametrize("table", TABLES, ids=lambda table: ",".join(table)[:30])
def test_documentation_and_argument_spec_agree(table: t.Any) -> None:
    documented = dict(walk(json.loads(documentation(table))["options"], "suboptions"))
    accepted = dict(walk(_module.argument_spec(table), "options"))
    assert documented.keys() == accepted.keys()
    for path, option in accepted.items():
        for field in ("type", "required", "default", "choices", "elements"):
            assert documented[path].get(field) == option.get(field), path


@pytest.mark.parametrize("table", TABLES, ids=lambda table: ",".join(table)[:30])
def test_markup_names_options_that_exist_by_their_full_name(table: t.Any) -> None:
    documented = dict(walk(json.loads(documentation(table))["options"], "suboptions"))
    lists = {path for path, option in documented.items() if option["type"] == "list"}
    for path, option in documented.items():
        for name in re.findall(r"O\(([^)=]+)", " ".join(option["description"])):
            parts = tuple(part.replace("[]", "") for part in name.split("."))
            assert parts in documented, (path, name)
            for depth, part in enumerate(name.split(".")[:-1], 1):
                assert part.endswith("[]") == (parts[:depth] in lists), (path, name)


def test_every_secret_of_a_store_is_no_log_and_nothing_else_is() -> None:
    store = _module.argument_spec(_options.STORE_OPTION)["store"]["options"]
    secrets = {name for name, option in store.items() if option["no_log"]}
    assert secrets == {"secret_access_key", "session_token", "password", "private_key_passphrase"}


def test_a_description_that_names_no_option_is_an_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        documentation({"here": {"type": "str", "description": ["See O(nowhere)."]}})


@given(strategies.binary())
def test_any_file_name_survives_the_way_through_ansible(name: bytes) -> None:
    path = os.fsdecode(name)
    carried = _module.escaped(path)
    carried.encode("utf-8")  # Fails for what Ansible refuses.
    assert _module.unescaped(carried) == path


def test_names_in_utf8_stay_as_they_are() -> None:
    for name in ("syslog.20240112", "caf\u00e9 \u65e5\u672c", "back\\slash", "new\nline", "\\xyz"):
        assert _module.escaped(name) == name


def test_escapes_reach_every_text_of_a_result() -> None:
    assert _module.escaped({"a\udcff": [("b\udcfe", 1, None)]}) == {"a\\xff": [["b\\xfe", 1, None]]}


def test_options_that_take_a_path_read_escapes_back_and_others_do_not() -> None:
    params = {name: option.get("default") for name, option in SELECTION.items()}
    params.update(paths=["/var/caf\\xe9"], patterns=["caf\\xe9"])
    normal = _module.given(params, SELECTION)
    assert (normal["paths"], normal["patterns"]) == (["/var/caf\udce9"], ["caf\\xe9"])


def asking(store: t.Dict[str, t.Any]) -> t.Any:
    """As much of an AnsibleModule as ``opened`` needs."""
    return types.SimpleNamespace(params={"store": store}, check_mode=False)


def test_mistakes_in_a_store_are_told_in_the_words_of_the_command() -> None:
    store = {name: option.get("default") for name, option in STORE.items()}
    with pytest.raises(ConfigError) as caught:
        _module.opened(asking(dict(store, type="sftp", bucket="b", attempts=0)))
    assert caught.value.problems == ["attempts: must be at least 1, not 0"]
    with pytest.raises(ConfigError) as caught:
        _module.opened(asking(dict(store, type="sftp", bucket="b")))
    assert len(caught.value.problems) == 5


def report(error: t.Optional[Exception]) -> t.Dict[str, t.Any]:
    with pytest.raises(Ended) as ended, _module.reporting(t.cast(t.Any, EndingModule())) as result:
        result["files"] = ["caf\udce9"]
        if error is not None:
            raise error
    return t.cast(Ended, ended.value).result


def test_the_result_of_a_module_is_escaped() -> None:
    assert report(None) == {"changed": False, "failed": False, "files": ["caf\\xe9"]}


def test_a_defect_ends_the_module_with_its_type_and_a_traceback_for_ansible() -> None:
    result = report(ValueError("marker-of-a-secret"))
    assert (result["failed"], result["error"], result["exit_code"]) == (True, "UnexpectedError", 1)
    assert result["msg"].startswith("unexpected ValueError") and "secret" not in result["msg"]
    assert result["exception"].startswith("Traceback") and result["files"] == ["caf\\xe9"]
    assert report(OSError(28, "No space left on device", "/x"))["msg"] == "/x: No space left on device"


def test_an_error_of_the_engine_ends_the_module_with_what_it_has_so_far() -> None:
    result = report(IntegrityError("damaged", "caf\udce9"))
    assert (result["failed"], result["msg"], result["error"], result["exit_code"]) == (True, "caf\\xe9: damaged", "IntegrityError", 4)
    assert result["files"] == ["caf\\xe9"]


def test_a_missing_library_is_named_with_the_way_to_get_it() -> None:
    result = report(MissingLibraryError("paramiko", "SFTP stores"))
    assert "'paramiko' is missing, needed for SFTP stores" in result["msg"]
    assert "-m pip install paramiko" in result["msg"]


def test_mistakes_are_listed() -> None:
    assert report(ConfigError("wrong", problems=["a: is missing", "b: unknown key"]))["problems"] == ["a: is missing", "b: unknown key"]


def test_a_start_after_the_end_is_a_mistake() -> None:
    given = {"names": [], "start": "2024-02-01", "end": "2024-01-01"}
    with pytest.raises(ConfigError, match="start is later than end"):
        _module.choice(given)
    assert _module.choice({**given, "end": None}).end is None


@pytest.mark.parametrize(
    ("option", "name", "refused"),
    [
        ({"type": "path", "required": True}, "folder", True),
        ({"type": "path", "default": "/etc/x"}, "folder", True),
        ({"type": "path"}, "folder", False),
        ({"type": "path"}, "dest", True),
        ({"type": "str"}, "host", True),
        ({"type": "str"}, "job", True),
        ({"type": "str", "required": True}, "pattern", False),
    ],
)
def test_an_empty_value_that_would_mean_another_place_is_refused(option: t.Dict[str, t.Any], name: str, refused: bool) -> None:
    worked = []
    with pytest.raises(Ended) as ended, _module.reporting(t.cast(t.Any, EndingModule({name: option}, **{name: ""}))):
        worked.append(1)
    assert (ended.value.result["failed"], worked) == ((True, []) if refused else (False, [1]))
    assert ended.value.result.get("problems", []) == (["%s: must not be empty" % name] if refused else [])
