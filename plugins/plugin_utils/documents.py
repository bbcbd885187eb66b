# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documents of a host, of jobs or of streams, from its own variables and those of its groups."""

from __future__ import annotations

import re
import typing as t

from ansible.errors import AnsibleFilterError, AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import host_spec
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.option import PLAIN_NAME, PLAIN_NAME_MEANS, Spec

Document = t.Dict[str, t.Any]
ROOTS = "log_archive_roots"


class Kind(t.NamedTuple):
    """A kind of document.

    name: "job"; variable: of the documents by name; defaults: of what each document starts from; shared: of the stores (or sinks) by name,
    which documents use in their list ``parts``; part: "store". places: the variables of files and folders, with their defaults.
    spec: the table of the document. start: from the host and the places, what each document starts from; finish: completes a document,
    from the places. problems: raises ConfigError, or returns the paths that do not lie below the roots. conflicts: what is wrong with a
    document beside the others of the host.
    """

    name: str
    variable: str
    defaults: str
    shared: str
    parts: str
    part: str
    places: t.Mapping[str, str]
    spec: Spec
    start: t.Callable[[str, Document], Document]
    finish: t.Callable[[Document, Document], None]
    problems: t.Callable[[Document, t.Mapping[str, t.Any]], t.List[str]]
    conflicts: t.Callable[[Document, t.Iterable[Document]], t.List[str]] = lambda document, others: []

    def names(self, variables: t.Iterable[str]) -> t.List[str]:
        """Those of the variables that hold documents, in the order in which they are merged."""
        return sorted(name for name in variables if re.fullmatch(self.variable + "(__.+)?", name, re.DOTALL))

    def wanted(self, variables: t.Iterable[str]) -> t.List[str]:
        """All variables that ``effective`` uses."""
        return [*self.names(variables), self.defaults, self.shared, ROOTS, *self.places]


def effective(kind: Kind, host: str, variables: t.Mapping[str, t.Any]) -> t.Dict[str, Document]:
    """The documents of ``host`` by name, with the options that were given and the files and folders of the host.

    variables: those of ``kind.wanted`` that are defined, as plain data. Raises ConfigError; its ``problems`` list every mistake in every
    document.
    """
    problems: t.List[str] = []

    def dict_of(name: str, what: str) -> Document:
        value = variables.get(name)
        if not isinstance(value, (dict, type(None))):
            problems.append("%s: must be a dict of %s" % (name, what))
        return value if isinstance(value, dict) else {}

    given: Document = {}
    for name in kind.names(variables):
        of_variable = dict_of(name, "%s documents by name" % kind.name)
        given = merged(given, {name: _written_out(each, kind.spec) for name, each in of_variable.items()})
    shared = _shared(kind, dict_of(kind.shared, "%ss by name" % kind.part), problems)
    places = {name: default if variables.get(name) is None else variables[name] for name, default in kind.places.items()}
    under = merged(kind.start(host, places), _written_out(dict_of(kind.defaults, "a %s's options" % kind.name), kind.spec))
    roots: t.Mapping[str, t.Any] = {}
    try:
        roots = normalise_options(dict_of(ROOTS, "folders by option"), host_spec.ROOTS, ROOTS)
    except ConfigError as error:
        problems += ["%s.%s" % (ROOTS, problem) for problem in error.problems]

    documents = {}
    for name, each in sorted(given.items(), key=str):
        if each is None:
            continue
        if not isinstance(each, dict):
            problems.append("%s: must be a dict of a %s's options" % (name, kind.name))
            continue
        document = merged({"name": name}, merged(_without_replaced(under, each, kind.spec), each))
        kind.finish(document, places)
        mistakes = [] if document["name"] == name else ["name: must be %r or be left out, because the key is the name" % name]
        if document.get(kind.parts) is None:
            document[kind.parts] = list(shared)
        if isinstance(document[kind.parts], list):
            parts = enumerate(document[kind.parts])
            document[kind.parts] = [_part(kind, part, shared, "%s[%d]" % (kind.parts, index), mistakes) for index, part in parts]
        documents[name] = document = without_none(document)
        # A store or sink with a mistake is reported once.
        said = tuple(mistake.partition(":")[0] + end for mistake in mistakes for end in (":", "."))
        try:
            mistakes += kind.problems(document, roots)
        except ConfigError as error:
            mistakes += [problem for problem in error.problems if not problem.startswith(said)]
        problems += ["%s: %s" % (name, mistake) for mistake in mistakes]
    for name, document in documents.items():
        others = [other for other in documents.values() if other is not document]
        problems += ["%s: %s" % (name, conflict) for conflict in kind.conflicts(document, others)]
    if problems:
        many = "s" if len(problems) > 1 else ""
        raise ConfigError("%d mistake%s in its %s documents" % (len(problems), many, kind.name), host, problems=problems)
    return documents


def look_up(lookup: LookupBase, kind: Kind, terms: t.Sequence[t.Any], variables: t.Any, options: t.Mapping[str, t.Any]) -> t.List[Document]:
    """What a lookup of these documents returns for the host that has these variables. Raises AnsibleLookupError."""
    lookup.set_options(var_options=variables, direct=options)
    if terms:
        raise AnsibleLookupError("the lookup infra_ops.log_archive.%ss takes no terms" % kind.name)
    wanted = [name for name in [*kind.wanted(variables), "inventory_hostname"] if name in variables]
    given = {name: plain(lookup._templar.template(variables[name])) for name in wanted}
    try:
        return [effective(kind, given.pop("inventory_hostname"), given)]
    except ConfigError as error:
        raise AnsibleLookupError(str(error)) from None


def check_name(kind: str, name: str, host: str) -> None:
    """Raise AnsibleFilterError for a document whose name cannot be that of a file and an argument of a command. kind: "job"."""
    if not re.fullmatch(PLAIN_NAME, name):
        raise AnsibleFilterError("%s: the name of %s %r must be made of %s" % (host, kind, name, PLAIN_NAME_MEANS))


def _shared(kind: Kind, given: Document, problems: t.List[str]) -> Document:
    shared = {name: part for name, part in given.items() if part is not None}
    for name, part in shared.items():
        if not isinstance(part, dict):
            problems.append("%s.%s: must be a dict of a %s's options" % (kind.shared, name, kind.part))
        elif part.get("name", name) != name:
            problems.append("%s.%s.name: must be %r or be left out, because the key is the name" % (kind.shared, name, name))
    return shared


def _written_out(given: t.Any, spec: Spec) -> t.Any:
    """The document with a dict for each word that is short for one, so that it can be merged and given to a module."""
    if not isinstance(given, dict):
        return given
    return {
        key: spec.get(key, {}).get("shorthand", {}).get(value, value) if isinstance(value, str) else value for key, value in given.items()
    }


def _without_replaced(under: Document, given: Document, spec: Spec) -> Document:
    """The defaults without the parts that another part of the document replaces, as ``web`` replaces ``select``."""
    taken = {option.get("instead_of") for name, option in spec.items() if given.get(name) is not None}
    return {name: value for name, value in under.items() if name not in taken}


def _part(kind: Kind, given: t.Any, shared: Document, where: str, mistakes: t.List[str]) -> t.Any:
    """A store or sink of a document. given: the name of one of ``shared``, or options that replace some of its own, or a complete one."""
    own = {"name": given} if isinstance(given, str) else given
    if not isinstance(own, dict):
        return own
    name = own.get("name")
    if isinstance(name, str) and name in shared:
        return merged(merged({"name": name}, shared[name]), own)
    if isinstance(given, str) or (name is not None and own.get("type") is None):
        known = ", ".join(sorted(map(str, shared))) or "nothing"
        mistakes.append("%s: there is no %s %r in %s, which has %s" % (where, kind.part, name, kind.shared, known))
    return own


def merged(under: t.Any, over: t.Any) -> t.Any:
    """``under`` with the values of ``over``: dicts are merged key by key at every depth, anything else is replaced, also by None."""
    if not isinstance(under, dict) or not isinstance(over, dict):
        return over
    return {**under, **{key: merged(under.get(key), value) for key, value in over.items()}}


def without_none(value: t.Any) -> t.Any:
    """The value without keys that are None, at every depth."""
    if isinstance(value, dict):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_none(item) for item in value]
    return value


def plain(value: t.Any) -> t.Any:
    """The value without Ansible's tags and lazy containers, as JSON has it."""
    if isinstance(value, t.Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return next((kind(value) for kind in (str, bool, int, float) if isinstance(value, kind)), value)
