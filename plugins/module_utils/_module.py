# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge between Ansible and the engine: options in, results and errors out, file names that JSON cannot hold.

The engine's tables of options become argument specs (``argument_spec``) and, on the controller, the documentation of the fragments
(``plugin_utils.documentation``), so the two cannot differ. Ansible checks types and choices. The engine checks everything else
(``given``), so modules and command report a mistake in the same words.

Ansible refuses a result with a file name that is not UTF-8. Results have each byte that is not UTF-8 as ``\\xff`` (``escaped``), and
options of type path accept that (``unescaped``).
"""

from __future__ import annotations

import contextlib
import re
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ._engine.base.errors import ConfigError, typed
from ._engine.base.libraries import take_problems
from ._engine.base.lists import first
from ._engine.base.names import HINT, inexact, is_exact
from ._engine.base.texts import line
from ._engine.base.units import parse_time
from ._engine.config.check import normalise_options, normalise_store, refuse
from ._engine.config.option import Option, Spec, without_query
from ._engine.config.spec import STORE

if t.TYPE_CHECKING:
    import datetime

    from ._engine.config.document import StoreOptions
    from ._engine.holdings import inventory
    from ._engine.holdings.stock import Holdings
    from ._engine.holdings.trust import Choice, Trust
    from ._engine.stores.base import Store

_FOREIGN = re.compile("[\udc80-\udcff]|\\\\(?=x[0-9a-f]{2})")
_ESCAPE = re.compile(rb"\\x([0-9a-f]{2})")


def argument_spec(*specs: Spec) -> t.Dict[str, t.Any]:
    """Ansible's argument spec for these options."""
    arguments = {}
    for name, option in (item for spec in specs for item in spec.items()):
        hidden = bool(option.get("secret") or option.get("secret_query"))
        arguments[name] = argument = {"type": ansible_type(option["type"]), "no_log": hidden}
        argument.update({field: option[field] for field in ("required", "default", "choices", "elements") if field in option})
        if "options" in option:
            argument["options"] = argument_spec(option["options"])
    return arguments


def hide_only_queries(module: AnsibleModule, spec: Spec) -> None:
    """Show the URLs of these options without their queries, which may be secret.

    While it starts, a module writes its options into the log of the system. So Ansible must take each URL for a secret until then.
    """
    for url in _urls(module.params, spec):
        shown = without_query(url)
        module.no_log_values.discard(url)
        if shown != url:
            module.no_log_values.add(url[len(shown) - len("?...") :])


def _urls(params: t.Mapping[str, t.Any], spec: Spec) -> t.Iterator[str]:
    for name, option in spec.items():
        values = params.get(name)
        for value in values if isinstance(values, list) else [values]:
            if option.get("secret_query") and isinstance(value, str):
                yield value
            elif "options" in option and isinstance(value, dict):
                yield from _urls(value, option["options"])


def ansible_type(kind: str) -> str:
    """Ansible's name for the type of an option."""
    return {"duration": "str", "size": "str", "map": "dict"}.get(kind, kind)


def given(params: t.Mapping[str, t.Any], spec: Spec, subject: t.Optional[str] = None) -> t.Dict[str, t.Any]:
    """The options of ``spec`` from a module's parameters, checked and with their paths unescaped. Raises ConfigError."""
    return normalise_options(unescaped_paths(params, spec), spec, subject)


def as_given(value: t.Any, option: Option) -> t.Any:
    """The value of an option with only the keys that were given, and its paths unescaped."""
    if option["type"] == "list":
        return [as_given(item, dict(option, type=option["elements"])) for item in value]
    if option["type"] == "dict":
        return {name: as_given(value[name], inner) for name, inner in option["options"].items() if value.get(name) is not None}
    return _unescaped(value, option)


def unescaped_paths(params: t.Mapping[str, t.Any], spec: Spec) -> t.Dict[str, t.Any]:
    """The options of ``spec`` from a module's parameters, with their paths as the file system has them."""
    return {name: _unescaped(params[name], option) for name, option in spec.items() if name in params}


def _unescaped(value: t.Any, option: Option) -> t.Any:
    if value is None:
        return None
    if option["type"] == "list":
        return [_unescaped(item, dict(option, type=option["elements"])) for item in value]
    if option["type"] == "dict":
        return unescaped_paths(value, option["options"])
    return unescaped(value) if option["type"] == "path" else value


def store_options(params: t.Mapping[str, t.Any], subject: str) -> StoreOptions:
    """The options of a store, checked. subject: the option that holds them, for errors. Raises ConfigError."""
    return normalise_store(unescaped_paths(params, STORE), subject)


def opened(module: AnsibleModule) -> t.ContextManager[Store]:
    """The store of the module's option ``store``, closed at the end of the context. Raises ConfigError."""
    # Here and below: most modules open no store, and a host compiles all that a module imports at each call.
    from ._engine.stores.opening import open_store

    return contextlib.closing(open_store(store_options(module.params["store"], "store"), module.check_mode))


def openers(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """What opens archives, of the options of ``OPENING``: ``keyring``, ``unencrypted`` and ``offline``.

    Raises ConfigError, IdentityError.
    """
    from ._engine.crypto.envelope import NOT_OFFLINE, Offline
    from ._options import OPENING

    options = given(params, OPENING)
    identities, texts = options.pop("identities"), options.pop("archive_keys")
    if not (identities or texts):
        return {**options, "offline": NOT_OFFLINE}
    from ._engine.crypto import recipients

    keys = [recipients.archive_key(text.encode("utf-8", "replace"), "archive_keys[%d]" % index) for index, text in enumerate(texts)]
    together = {key_id: secret for key in keys for key_id, secret in key.items()}
    return {**options, "offline": Offline(recipients.read_identities(identities), together)}


def holdings(params: t.Mapping[str, t.Any], job: t.Optional[str]) -> Holdings:
    """The archives of the option ``host`` and a job, with the stores and keys of the options. Raises ConfigError, IdentityError."""
    from ._engine.holdings.stock import Holdings

    stores = [store_options(params["store"], "store")]
    stores += [store_options(store, "fallback_stores[%d]" % number) for number, store in enumerate(params.get("fallback_stores", ()))]
    return Holdings(stores, params["host"], job, was=params.get("was", ()), **openers(params))


def time_of(text: t.Optional[str]) -> t.Optional[datetime.datetime]:
    """The time of an option, None if it was not given. Raises ConfigError."""
    return parse_time(text) if text else None


def aws_options(params: t.Mapping[str, t.Any]) -> t.Dict[str, t.Any]:
    """The options by which AWS is reached, checked. Raises ConfigError."""
    from ._engine.config.aws_spec import AWS, aws_problems

    options = given(params, AWS)
    refuse(aws_problems(options), "options")
    return options


def choice(params: t.Mapping[str, t.Any]) -> Choice:
    """The archives that the options of ``CHOICE`` (and ``latest``, if the module has it) select. Raises ConfigError."""
    from ._engine.holdings.trust import Choice

    start, end = time_of(params["start"]), time_of(params["end"])
    if start is not None and end is not None and start > end:
        raise ConfigError("start is later than end", "%s, %s" % (params["start"], params["end"]), "Swap them")
    return Choice([unescaped(name) for name in params["names"]], start, end, params.get("latest", False))


def chosen(
    params: t.Mapping[str, t.Any], store: Store, trust: t.Optional[Trust] = None
) -> t.Tuple[inventory.Inventory, t.List[inventory.StoredArchive]]:
    """The inventory of the store for the options ``host`` and ``job``, and the archives in it that the rest of ``CHOICE`` selects."""
    from ._engine.holdings import inventory
    from ._engine.holdings.trust import Trust

    trust = trust or Trust(choice=choice(params))
    held = inventory.read(store, params["host"], params["job"], trust=trust, was=params["was"])
    return held, inventory.choose(held.archives, trust.choice)


def _refuse_empty(module: AnsibleModule) -> None:
    """Raise ConfigError for an option that a variable has left empty: it would mean the current folder, or no host at all."""
    needed = {
        name for name, option in module.argument_spec.items() if option.get("type") == "path" and option.keys() & {"required", "default"}
    }
    empty = [name for name in sorted({"dest", "host", "job", *needed}) if module.params.get(name) == ""]
    if empty:
        text = "%d mistake%s in the options" % (len(empty), "s" if len(empty) > 1 else "")
        raise ConfigError(text, problems=["%s: must not be empty" % name for name in empty])


@contextlib.contextmanager
def reporting(module: AnsibleModule) -> t.Iterator[t.Dict[str, t.Any]]:
    """Yield a dict for the module's result, and end the module with it when the context ends.

    An error becomes ``fail_json`` with the result so far and ``msg``, ``error`` (the error's class), ``exit_code`` (the exit status of
    the command for it), ``problems`` (each mistake in the options), and ``reason`` if the error has one word for its cause. An exception
    that nothing expects has its type and place as ``msg``; Ansible shows its traceback with -vvv.
    """
    result: t.Dict[str, t.Any] = {"changed": False}
    try:
        _refuse_empty(module)
        yield result
    except Exception as caught:
        error = typed(caught)
        if error is not caught:
            import traceback

            result["exception"] = traceback.format_exc()
        result.update(
            error=type(error).__name__,
            exit_code=error.exit_code,
            problems=getattr(error, "problems", []),
        )
        if hasattr(error, "reason"):
            result["reason"] = error.reason
        # For people: the text of an error is safe to show as it is.
        warn(module, take_problems())
        module.fail_json(msg=str(error), **escaped(result))
    warn(module, take_problems())
    module.exit_json(**escaped(result))


def warn(module: AnsibleModule, warnings: t.Iterable[str]) -> None:
    """Show warnings of the engine as warnings of the module. The result has them all."""
    for warning in first(list(warnings)):
        module.warn(line(warning))


def difference(before: t.Iterable[str], after: t.Iterable[str]) -> t.Dict[str, str]:
    """Ansible's diff of two lists of names."""
    return {"before": "".join(name + "\n" for name in before), "after": "".join(name + "\n" for name in after)}


def escaped(value: t.Any) -> t.Any:
    r"""The value with every text in it as Ansible can pass it on: bytes that are not UTF-8 as ``\xff``, a backslash that would begin
    such an escape as ``\x5c``. Any other text stays as it is."""
    if isinstance(value, str):
        return _FOREIGN.sub(lambda found: "\\x%02x" % (ord(found[0]) & 0xFF), value)
    if isinstance(value, dict):
        return {escaped(name): escaped(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [escaped(item) for item in value]
    return value


def unescaped(text: str) -> str:
    """The file name that ``escaped`` wrote. Raises ConfigError for one that this process cannot take as its bytes."""
    data = text.encode("utf-8", "surrogateescape")
    name = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), data).decode("utf-8", "surrogateescape")
    if not is_exact(name):
        raise ConfigError(inexact(), ascii(name), HINT)
    return name
