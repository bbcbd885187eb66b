# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documents with any JSON in any place: a check accepts them, or reports what is wrong. It ends soon, and nothing else is raised."""

from __future__ import annotations

import json
import time
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import check, files, spec as job_spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.notify_spec import NOTIFY
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_check import normalise_stream
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.stream_spec import STREAM
from hypothesis import given, settings, strategies
from rigs.examples import examples
from rigs.nested import replaced

EXAMPLES = {"str": "abc", "path": "/x", "int": 3, "float": 0.5, "bool": True, "duration": "5m", "size": "10K", "map": {"a": "b"}}


def everything(spec: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """An object with every option of a table."""
    given_options: t.Dict[str, t.Any] = {}
    for name, option in spec.items():
        kind = option["type"]
        if kind == "dict":
            given_options[name] = everything(option["options"])
        elif kind == "list":
            given_options[name] = [everything(option["options"]) if option["elements"] == "dict" else EXAMPLES[option["elements"]]]
        else:
            given_options[name] = option.get("example", option["choices"][0] if option.get("choices") else EXAMPLES[kind])
    return given_options


def documents() -> t.Iterator[t.Tuple[t.Callable[..., t.Any], t.Dict[str, t.Any]]]:
    """Documents that name every option, of each kind of source, store and receiver."""
    sources = ("select", "web", "cloudtrail", "vpc_flow")
    for source in sources:
        for store in ("file", "s3", "sftp"):
            for receiver in NOTIFY["type"]["choices"] if store == "file" else ["log"]:
                document = everything(job_spec.JOB)
                for other in set(sources) - {source}:
                    del document[other]
                document["stores"][0]["type"] = store
                document["notify"][0]["type"] = receiver
                yield check.normalise, document
    yield normalise_stream, everything(STREAM)


def places(value: t.Any, path: t.Tuple[t.Any, ...] = ()) -> t.Iterator[t.Tuple[t.Any, ...]]:
    yield path
    if isinstance(value, (dict, list)):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(inner, (*path, name))


ODD: t.List[t.Any] = [
    10**400, -(10**400), 10**19, 1e308, float("inf"), float("nan"), -1, "9" * 400, "9" * 5000 + "h", "9" * 400 + ".5K", "\ud800", "\udcff",
    "a\0b", "~\0", "~nobody-of-this-name/x", "x" * 5000, "%", "%Y%m%d", "%Y%m%dT%H%M%S", "{", "{stem", "[", "(", "\n", "https://[::1",
    "https://host:99999999/", "\u0663", "9" * 50 + " * * * *", "* * * * *", "none", "today", [[]], [{}], [None], [10**400], ["\ud800"],
    {"type": 5}, {"\ud800": 1}, {"format": {}},
]  # fmt: skip
JSON = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.floats() | strategies.text(strategies.characters()),
    lambda inner: strategies.lists(inner, max_size=3) | strategies.dictionaries(strategies.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KINDS = list(documents())


@given(strategies.sampled_from(KINDS), strategies.data(), strategies.sampled_from(ODD) | JSON)
@settings(max_examples=examples(200), deadline=None)
def test_any_json_in_any_place(kind, data, value):
    normalise, document = kind
    path = data.draw(strategies.sampled_from(list(places(document))))
    assert_checked(normalise, replaced(document, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("archive",), 5),
        (("select", "quiet"), "9" * 400),
        (("select", "quiet"), 10**400),
        (("select", "min_size"), "9" * 400 + ".5K"),
        (("select", "paths", 0), "~\0"),
        (("select", "offset"), -(10**9)),
        (("stores", 0, "retention", "max_delete_share"), 10**400),
        (("stores", 0, "retention", "max_delete_share"), float("nan")),
        (("select", "patterns", 0), "\ud800"),
        (("name",), "\ud800"),
    ],
)
def test_what_once_ended_in_a_traceback_is_one_mistake(path, value):
    """Each is reported at its own place."""
    document = next(document for _normalise, document in KINDS if path[0] in document)
    with pytest.raises(ConfigError) as caught:
        check.normalise(replaced(document, path, value))
    where = "".join("[%d]" % name if isinstance(name, int) else ".%s" % name for name in path).lstrip(".")
    mistakes = [problem for problem in caught.value.problems if problem.startswith(where)]
    # An offset is checked together with the period and catch_up.
    assert len(mistakes) == 1 or any("offset" in problem for problem in caught.value.problems)


def test_a_file_name_of_any_bytes_is_a_pattern():
    document = {"name": "j", "select": {"paths": ["/x\udcff"], "patterns": ["caf\udce9*"]}, "encryption": "none", "stores": []}
    document["stores"] = [{"type": "file", "path": "/backup"}]
    assert check.normalise(document)["select"]["patterns"] == ["caf\udce9*"]


def large(what: str) -> t.Any:
    """A document of about a megabyte that is wrong in many places, or costs much to check."""
    document = {"name": "j", "select": {"paths": ["/x"]}, "encryption": "none", "stores": [{"type": "file", "path": "/backup"}]}
    select = t.cast(t.Dict[str, t.Any], document["select"])
    if what == "unknown keys":
        document.update(("key%d" % number, 1) for number in range(80_000))
    elif what == "empty stores":
        document["stores"] = [{}] * 300_000
    elif what == "wrong stores":
        document["stores"] = [{"type": "file", "path": "x", "prefix": "y", "name": "a b", "key": 1}] * 1000
    elif what == "patterns":
        select["patterns"] = ["%Y%m%d%H*[abc]?" * 16] * 1000
    elif what == "periods":
        select.update(period="hour", catch_up="36500d")
    elif what == "offset":
        select.update(period="hour", offset=-100_000_000)
    elif what == "timezone":
        select["timezone"] = "Europe/Pari" * 5000
    elif what == "name":
        document["name"] = "a" * 1_000_000
    return document


LARGE = ["unknown keys", "empty stores", "wrong stores", "patterns", "periods", "offset", "timezone", "name"]


@pytest.mark.parametrize("what", LARGE)
def test_a_large_document_is_checked_in_linear_time(what):
    began = time.process_time()
    assert_checked(check.normalise, large(what))
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "text",
    [
        "{" + '"a":1,' * 100_000 + '"a":1}',
        "{" + ",".join('"a%d":1' % number for number in range(80_000)) + "}",
        '{"a":' * 100_000,
        "// comment\n" * 90_000,
        "\n" * (1 << 20) + "{",
        '{"name": %s}' % ("9" * 10_000),
    ],
    ids=["one key", "keys", "depth", "comments", "lines", "number"],
)
def test_a_large_file_is_read_in_linear_time(tmp_path, text):
    path = tmp_path / "j.json"
    path.write_text(text)
    began = time.process_time()
    with pytest.raises(ConfigError):
        files.load(str(path))
    assert time.process_time() - began < 10


def assert_checked(normalise: t.Callable[..., t.Any], document: t.Any) -> None:
    """The document is accepted, and can be printed; or all that is wrong with it can be."""
    try:
        json.dumps(normalise(document, "the document"))
    except ConfigError as error:
        assert error.problems
        str(error).encode("utf-8", "backslashreplace")
