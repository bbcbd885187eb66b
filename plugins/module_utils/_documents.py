# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write and remove the documents of a host, for the modules job_document and stream_document."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._engine.base import durable
from ._engine.base.errors import ConfigError, LogArchiveError
from ._engine.config.check import normalise_options
from ._engine.config.files import job_of
from ._engine.config.option import Spec, without_query
from ._engine.tell.set_up import Metrics
from ._module import argument_spec, as_given, unescaped
from ._written import HEADER, others

MASK = "********"

Document = t.Dict[str, t.Any]


class Kind(t.NamedTuple):
    """A kind of document. name: "job"; folder: the default; options: of the module, for one document and for several.

    normalise: checks a document and fills in its defaults; metrics: its metrics files.
    """

    name: str
    folder: str
    options: Spec
    normalise: t.Callable[[t.Any, t.Optional[str]], t.Any]
    metrics: Metrics

    @property
    def several(self) -> str:
        """The option for several documents."""
        return self.name + "s"

    @property
    def spec(self) -> Spec:
        """The table of the document."""
        return self.options[self.name]["options"]


def arguments(kind: Kind) -> t.Dict[str, t.Any]:
    """The argument spec of the module."""
    found = argument_spec(kind.options)
    found.update(
        folder={"type": "path", "default": kind.folder},
        name={"type": "str"},
        purge={"type": "bool", "default": False},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        mode={"type": "raw", "default": "0640"},
    )
    return found


def constraints(kind: Kind) -> t.Dict[str, t.Any]:
    """Which options are needed, and which exclude each other, as AnsibleModule takes them."""
    return {
        "required_if": [("state", "present", [kind.name, kind.several], True), ("state", "absent", ["name"])],
        "mutually_exclusive": [(kind.name, kind.several, "name")],
    }


def apply(module: AnsibleModule, kind: Kind, result: t.Dict[str, t.Any]) -> None:
    """Do what the options of the module ask for. Raises ConfigError, LogArchiveError."""
    folder = unescaped(module.params["folder"])
    plan = _plan(module.params, kind, folder)
    differences: t.List[t.Dict[str, t.Any]] = []
    changed: t.List[str] = []
    for path, wanted in plan:
        try:
            if _apply(module, kind, path, wanted, differences):
                changed.append(path)
        except OSError as error:
            message = "cannot write or remove the %s document: %s" % (kind.name, error.strerror)
            missing = not os.path.isdir(folder)
            named = path if missing else error.filename or path
            raise LogArchiveError(message, named, "Create the folder %s first" % folder if missing else None) from error
    result["changed"] = bool(changed)
    if module.params[kind.several] is None:
        result["path"] = plan[0][0]
    else:
        gone = [path for path, wanted in plan if wanted is None]
        result.update(written=[path for path in changed if path not in gone], removed=gone)
    if module._diff:
        result["diff"] = differences


def _plan(params: t.Mapping[str, t.Any], kind: Kind, folder: str) -> t.List[t.Tuple[str, t.Optional[Document]]]:
    """Each file with the document that it must hold, None if it must not exist. All documents are checked here, before any is written."""
    if params["state"] == "absent":
        name = normalise_options({"name": params["name"]}, {"name": kind.spec["name"]})["name"]
        return [(os.path.join(folder, name + ".json"), None)]
    given = [params[kind.name]] if params[kind.several] is None else params[kind.several]
    plan: t.List[t.Tuple[str, t.Optional[Document]]] = []
    for each in given:
        wanted = as_given(each, kind.options[kind.name])
        kind.normalise(wanted, kind.name)
        plan.append((os.path.join(folder, wanted["name"] + ".json"), wanted))
    strays = others(folder, [path for path, _document in plan]) if params["purge"] else []
    return plan + [(path, None) for path in strays]


def _apply(module: AnsibleModule, kind: Kind, path: str, wanted: t.Optional[Document], differences: t.List[t.Dict[str, t.Any]]) -> bool:
    """Write or remove one document; return whether that changes something."""
    there = os.lstat(path) if os.path.lexists(path) else None
    # Users who may write to the folder can put anything there. Only a regular file is read; anything else is replaced.
    before = _read(path) if there is not None and stat.S_ISREG(there.st_mode) else None
    attributes: t.Dict[str, t.Any] = {}
    after = None
    metrics = [] if before is None else kind.metrics.folders_of(_given(before))
    if wanted is None:
        changed = there is not None
        if changed and not module.check_mode:
            os.unlink(path)
            durable.fsync_folder(os.path.dirname(path))
            kind.metrics.remove(job_of(path), metrics)
    else:
        mode = _mode(module, there)
        if mode & 0o007 and masked(wanted, kind.spec) != wanted:
            raise ConfigError(
                "the %s document contains a secret, and other users could read it with the mode %04o" % (kind.name, mode),
                path,
                "Set a mode such as 0640",
            )
        after = text(wanted).encode("utf-8", "backslashreplace")
        changed = before != after
        if changed and not module.check_mode:
            durable.write_atomically(path, after, mode, _owner(module.params, there))
            kind.metrics.remove(job_of(path), set(metrics) - set(kind.metrics.folders_of(wanted)))
            kind.metrics.add(kind.normalise(wanted, path))
        if not changed or not module.check_mode:
            common = module.load_file_common_arguments(module.params, path)
            changed = module.set_fs_attributes_if_different(common, changed, attributes, expand=False)
    if module._diff:
        content = {"before_header": path, "before": shown(before, kind), "after_header": path, "after": shown(after, kind)}
        differences += [content] * (before != after) + [attributes] * bool(attributes)
    return changed


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _given(data: bytes) -> Document:
    """The document that is in these bytes; nothing if they hold none."""
    lines = data.decode("utf-8", "replace").splitlines()
    try:
        given = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}


def _mode(module: AnsibleModule, there: t.Optional[os.stat_result]) -> int:
    mode = module.params["mode"]
    try:
        if isinstance(mode, int):
            return mode
        if re.fullmatch("[0-7]+", mode):
            return int(mode, 8)
        # A symbolic mode changes the mode of the existing file, or the mode 0600 of a new file.
        return module._symbolic_mode_to_octal(there or os.stat_result((stat.S_IFREG | 0o600, *[0] * 9)), mode)
    except (ValueError, TypeError):
        raise ConfigError("must be permissions such as '0640' or 'u=rw,g=r,o=', not %r" % (mode,), "mode") from None


def _owner(params: t.Mapping[str, t.Any], there: t.Optional[os.stat_result]) -> t.Tuple[int, int]:
    """The user and group ids of the new file; -1 keeps the default. For root, the default is the owner of the file that is replaced."""
    kept = (there.st_uid, there.st_gid) if there is not None and os.geteuid() == 0 else (-1, -1)
    user, group = params["owner"], params["group"]
    return (
        kept[0] if user is None else int(user) if user.isdigit() else _looked_up(lambda: pwd.getpwnam(user).pw_uid, "user", user),
        kept[1] if group is None else int(group) if group.isdigit() else _looked_up(lambda: grp.getgrnam(group).gr_gid, "group", group),
    )


def _looked_up(call: t.Callable[[], int], what: str, name: str) -> int:
    try:
        return call()
    except KeyError:
        raise ConfigError("the %s does not exist on this host" % what, name) from None


def text(document: t.Mapping[str, t.Any]) -> str:
    """The content of the file of a document. The same document always has the same content."""
    return HEADER + json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def shown(data: t.Optional[bytes], kind: Kind) -> str:
    """A file as a diff may show it. Comments, and files that are not such documents, are not shown, because they can contain secrets."""
    if data is None:
        return ""
    lines = data.decode("utf-8", "replace").splitlines()
    nothing = "(not a %s document)\n" % kind.name
    try:
        held = json.loads("\n".join(line for line in lines if not line.lstrip().startswith("//")))
    except (ValueError, RecursionError):
        return nothing
    if not isinstance(held, dict):
        return nothing
    ordered = _ordered(held, kind.spec)
    shape = "" if text(ordered).encode("utf-8", "backslashreplace") == data else "(with other comments, or another layout)\n"
    return shape + text(masked(ordered, kind.spec))


def masked(value: t.Any, spec: Spec) -> t.Any:
    """The document with a mask instead of each secret, each unknown option, and each value of a wrong type."""
    return {name: _masked(item, spec[name]) if name in spec else MASK for name, item in value.items()}


def _masked(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    if value is None:
        return None
    if option["type"] == "list":
        return [_masked(item, dict(option, type=option["elements"])) for item in value] if isinstance(value, list) else MASK
    if option["type"] == "dict" and isinstance(value, dict):
        return masked(value, option["options"])
    if option["type"] == "map" and isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return value
    if option.get("secret_query") and isinstance(value, str):
        return without_query(value)
    known = value in option.get("shorthand", {}) if isinstance(value, str) and option["type"] == "dict" else option["type"] != "dict"
    return MASK if option.get("secret") or not known or isinstance(value, (dict, list)) else value


def _ordered(value: t.Any, spec: Spec) -> t.Any:
    """The document in the order of the table, unknown options last."""
    names = [name for name in spec if name in value] + sorted(name for name in value if name not in spec)
    return {name: _ordered_option(value[name], spec.get(name, {})) for name in names}


def _ordered_option(value: t.Any, option: t.Mapping[str, t.Any]) -> t.Any:
    if isinstance(value, list):
        return [_ordered_option(item, option) for item in value]
    return _ordered(value, option["options"]) if isinstance(value, dict) and "options" in option else value
