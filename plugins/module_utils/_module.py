# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge between Ansible and the engine: options from the engine's tables, errors to ``fail_json``, names that JSON cannot hold.

The tables of ``job_spec`` become argument specs (``argument_spec``) and, with the same call on the controller, the documentation of
the fragments (``documentation``), so that the two cannot differ. Ansible checks types and choices; everything else is checked by
``job_spec`` (``given``), so that modules and command tell the same mistakes in the same words.

A file name that is not UTF-8 cannot pass through Ansible: a module's result with such a name is refused. Results carry it with each
foreign byte written as ``\\xff`` (``escaped``), and options that take a path read it back (``unescaped``).
"""

from __future__ import annotations

import contextlib
import json
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._engine.base.errors import LogArchiveError
from ._engine.base.units import parse_time
from ._engine.config.check import normalise, normalise_options, normalise_store
from ._engine.config.option import Option, Spec
from ._engine.config.spec import ARCHIVE, JOB, NOTIFY, RETENTION, SELECTION, STORE
from ._engine.holdings import inventory
from ._engine.stores.opening import open_store

if t.TYPE_CHECKING:
    from ._engine.stores.base import Store

STORE_OPTION: Spec = {
    "store": {
        "type": "dict",
        "required": True,
        "options": STORE,
        "description": [
            "The store of the archives: a folder (V(file)), an S3 bucket (V(s3)) or an SFTP server (V(sftp)).",
            "The type V(s3) requires the Python library boto3 on the host that runs the module, V(sftp) requires paramiko.",
        ],
    }
}

FALLBACK_STORES_OPTION: Spec = {
    "fallback_stores": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": STORE,
        "description": [
            "Further stores of the same archives, in order of preference. If the store does not have an archive, cannot give it or has a"
            " damaged copy, the archive is taken from the first of these that can give it.",
        ],
    }
}

POLICY_OPTION: Spec = {
    "policy": {
        "type": "dict",
        "required": True,
        "options": RETENTION,
        "description": [
            "The retention policy, with the semantics of C(restic forget). It applies to the archives of each host and job separately, by"
            " their periods in UTC. An archive is kept if at least one rule keeps it. At least one rule is required."
        ],
    }
}

NOTIFY_OPTION: Spec = {
    "notify": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": dict(
            NOTIFY,
            when=dict(
                NOTIFY["when"],
                description=[
                    "Send the notification only if a run changed something (V(change)), has warnings (V(warning)) or has errors"
                    " (V(failure)). By default it is always sent. V(recovery) works only in jobs.",
                ],
            ),
        ),
        "description": ["The receivers of the notification. The type V(textfile) and the option C(attach_log) work only in jobs."],
    }
}

JOB_OPTION: Spec = {
    "job": {
        "type": "dict",
        "required": True,
        "options": JOB,
        "description": ["The job document, in the form that the command C(log-archive) reads from a file."],
    }
}


def _as_written(spec: Spec) -> Spec:
    """The table for a document of which only what is given is written: no default is filled in, but the descriptions state them."""
    written = {}
    for name, option in spec.items():
        written[name] = described = {field: value for field, value in option.items() if field != "default"}
        if option.get("default") not in (None, "", [], {}):
            default = option["default"]
            shown = ", ".join(default) if isinstance(default, list) else str(default).lower() if isinstance(default, bool) else default
            described["description"] = [*option["description"], "The default is V(%s)." % shown]
        if "options" in option:
            described["options"] = _as_written(option["options"])
    return written


DOCUMENT_OPTION: Spec = {
    "job": {
        "type": "dict",
        "options": _as_written(JOB),
        "description": ["The job document. What is left out is left out of the file too. Needed with C(state=present)."],
    }
}

PACKING: Spec = dict(
    ARCHIVE,
    period=dict(
        SELECTION["period"],
        description=["The span of time of one archive with O(group=period), in O(timezone). With V(none) each log has its own period."],
    ),
    timezone=dict(
        SELECTION["timezone"],
        description=["The time zone of times in names of archives, such as V(Europe/Paris). V(local) is the time zone of the host."],
    ),
    host=JOB["host"],
    job=dict(JOB["name"], description=["The name of the job that the archives belong to. It is part of their keys in a store."]),
)
"""The options of archives for modules without a job document."""

CHOICE: Spec = {
    "host": {
        "type": "str",
        "description": ["Only archives of the host with this name. By default of all hosts."],
    },
    "job": {"type": "str", "description": ["Only archives of this job. By default of all jobs."]},
    "names": {
        "type": "list",
        "elements": "str",
        "default": [],
        "description": [
            "Only archives with one of these names (such as V(syslog.20240112.12.tgz.fernet)) or keys, or with a log of this path.",
            "A name without an archive is an error.",
        ],
    },
    "start": {
        "type": "str",
        "description": [
            "Only archives of periods that end after this time, such as V(2024-01-12) or V(2024-01-12T13:00Z). The default offset is UTC."
        ],
    },
    "end": {"type": "str", "description": ["Only archives of periods that begin before this time, in the format of O(start)."]},
}

_MARKUP = re.compile(r"\bO\(([a-z_]+)")
_FOREIGN = re.compile("[\udc80-\udcff]|\\\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def argument_spec(*specs: Spec) -> t.Dict[str, t.Any]:
    """Ansible's argument spec for options that are declared as in ``job_spec``."""
    arguments = {}
    for name, option in (item for spec in specs for item in spec.items()):
        arguments[name] = argument = {"type": _ansible_type(option["type"]), "no_log": bool(option.get("secret"))}
        argument.update({field: option[field] for field in ("required", "default", "choices", "elements") if field in option})
        if "options" in option:
            argument["options"] = argument_spec(option["options"])
    return arguments


def documentation(*specs: Spec) -> str:
    """A fragment's DOCUMENTATION for options that are declared as in ``job_spec``."""
    options: t.Dict[str, t.Any] = {}
    for spec in specs:
        options.update(_documented(spec, []))
    return json.dumps({"options": options})


def _documented(spec: Spec, outer: t.Sequence[t.Tuple[str, Spec]]) -> t.Dict[str, t.Any]:
    documented = {}
    scopes = [*outer, ("", spec)]

    def with_full_names(text: str) -> str:
        return _MARKUP.sub(lambda found: "O(" + _full_name(found[1], scopes), text)

    for name, option in spec.items():
        described = documented[name] = {"type": _ansible_type(option["type"])}
        described.update({field: option[field] for field in ("required", "default", "choices", "elements") if field in option})
        sentences = list(option["description"])
        if "types" in option:
            kinds = ["V(%s)" % kind for kind in option["types"]]
            sentences.append("Only with O(type) %s." % " or ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]])))
        if "minimum" in option:
            sentences.append("At least V(%s)." % option["minimum"])
        if "maximum" in option:
            sentences.append("At most V(%s)." % option["maximum"])
        if "pattern_means" in option:
            sentences.append("Allowed are %s." % option["pattern_means"])
        described["description"] = [with_full_names(text) for text in sentences]
        if "options" in option:
            described["suboptions"] = _documented(option["options"], [*outer, (name + "[]" * (option["type"] == "list"), spec)])
    return documented


def _full_name(name: str, scopes: t.Sequence[t.Tuple[str, Spec]]) -> str:
    """The option that a description calls ``name``, of the innermost table that has it, as markup wants it: ``job.stores[].host_key``."""
    for depth in range(len(scopes) - 1, -1, -1):
        if name in scopes[depth][1]:
            return ".".join([step for step, _spec in scopes[:depth]] + [name])
    raise KeyError("a description names the option '%s', which does not exist" % name)


def _ansible_type(kind: str) -> str:
    return "str" if kind in ("duration", "size") else kind


def given(params: t.Mapping[str, t.Any], spec: Spec, subject: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    """The options of ``spec`` out of a module's parameters, checked and with their paths unescaped; raises ConfigError."""
    return normalise_options(unescaped_paths(params, spec), spec, subject)


def document(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The job document of ``DOCUMENT_OPTION`` with what was given and nothing else, checked; raises ConfigError."""
    written = _given_only(params["job"], JOB_OPTION["job"])
    normalise(written, "job")
    return t.cast(t.Dict[str, t.Any], written)


def _given_only(value: t.Any, option: Option) -> t.Any:
    if option["type"] == "list":
        return [_given_only(item, dict(option, type=option["elements"])) for item in value]
    if option["type"] == "dict":
        return {name: _given_only(value[name], inner) for name, inner in option["options"].items() if value.get(name) is not None}
    return _unescaped(value, option)


def unescaped_paths(params: t.Mapping[str, t.Any], spec: Spec) -> t.Dict[str, t.Any]:
    """The options of ``spec`` out of a module's parameters, their paths as the file system has them."""
    return {name: _unescaped(params[name], option) for name, option in spec.items() if name in params}


def _unescaped(value: t.Any, option: Option) -> t.Any:
    if value is None:
        return None
    if option["type"] == "list":
        return [_unescaped(item, dict(option, type=option["elements"])) for item in value]
    if option["type"] == "dict":
        return unescaped_paths(value, option["options"])
    return unescaped(value) if option["type"] == "path" else value


def opened(params: t.Mapping[str, t.Any]) -> t.ContextManager[Store]:
    """The store of the option ``store``, closed at the end of the context; raises ConfigError."""
    return contextlib.closing(open_store(normalise_store(unescaped_paths(params["store"], STORE), "store")))


def choice(params: t.Mapping[str, t.Any]) -> inventory.Choice:
    """The archives that the options of ``CHOICE`` (and ``latest``, if the module has it) want; raises ConfigError."""
    start, end = (parse_time(params[name]) if params[name] else None for name in ("start", "end"))
    return inventory.Choice([unescaped(name) for name in params["names"]], start, end, params.get("latest", False))


def chosen(params: t.Mapping[str, t.Any], store: Store) -> t.Tuple[inventory.Inventory, t.List[inventory.StoredArchive]]:
    """What the store holds of the options ``host`` and ``job``, and of its archives those that the rest of ``CHOICE`` wants."""
    held = inventory.read(store, params["host"], params["job"])
    return held, inventory.choose(held.archives, choice(params))


@contextlib.contextmanager
def reporting(module: AnsibleModule) -> t.Iterator[t.Dict[str, t.Any]]:
    """Give a dict for the module's result, and end the module with it when the context ends.

    An error of the engine becomes ``fail_json`` with what the result holds so far and ``msg``, ``error`` (the error's class),
    ``exit_code`` (with which the command would end), ``problems`` (each mistake found in the options), and ``reason`` where the error has
    one word for what went wrong.
    """
    result: t.Dict[str, t.Any] = {"changed": False}
    try:
        yield result
    except LogArchiveError as error:
        result.update(
            msg=str(error),
            error=type(error).__name__,
            exit_code=error.exit_code,
            problems=getattr(error, "problems", []),
        )
        if hasattr(error, "reason"):
            result["reason"] = error.reason
        module.fail_json(**escaped(result))
    module.exit_json(**escaped(result))


def warn(module: AnsibleModule, warnings: t.Iterable[str]) -> None:
    """Show warnings of the engine as warnings of the module."""
    for warning in warnings:
        module.warn(escaped(warning))


def difference(before: t.Iterable[str], after: t.Iterable[str]) -> t.Dict[str, str]:
    """Ansible's diff of two lists of names."""
    return {"before": "".join(name + "\n" for name in before), "after": "".join(name + "\n" for name in after)}


def escaped(value: t.Any) -> t.Any:
    r"""The value with every text in it as Ansible can carry it: bytes that are not UTF-8 as ``\xff``, a backslash that
    would read as the beginning of such an escape as ``\x5c``. Any other text stays as it is."""
    if isinstance(value, str):
        return _FOREIGN.sub(lambda found: "\\x%02x" % (ord(found[0]) & 0xFF), value)
    if isinstance(value, dict):
        return {escaped(name): escaped(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escaped(item) for item in value]
    return value


def unescaped(text: str) -> str:
    """The file name that ``escaped`` has written."""
    data = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), data).decode("utf-8", "surrogateescape")
