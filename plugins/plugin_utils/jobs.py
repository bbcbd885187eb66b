# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The job documents of a host, from its own variables and those of its groups."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.errors import ConfigError
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config import host_spec, places as places_of_jobs
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.check import normalise, normalise_options
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.config.spec import JOB

Document = t.Dict[str, t.Any]

JOBS = "log_archive_jobs"
DEFAULTS = "log_archive_job_defaults"
STORES = "log_archive_stores"
ROOTS = "log_archive_roots"

PLACES = {
    "log_archive_keyring": "/etc/log-archive/keyring",
    "log_archive_spool": "/var/spool/log-archive",
    "log_archive_state": "/var/lib/log-archive",
    "log_archive_log_dir": "/var/log/log-archive",
}
"""The variables for the files and folders of a host, with their defaults."""


def names(variables: t.Iterable[str]) -> t.List[str]:
    """Those of the variables that hold jobs, in the order in which they are merged."""
    return sorted(name for name in variables if re.fullmatch(JOBS + "(__.+)?", name, re.DOTALL))


def effective(host: str, variables: t.Mapping[str, t.Any]) -> t.Dict[str, Document]:
    """The job documents of ``host`` by name, with the options that were given and the files and folders of the host.

    variables: those that ``names`` returns, and ``DEFAULTS``, ``STORES``, ``ROOTS`` and ``PLACES`` if they are defined, all as plain data.
    Raises ConfigError; its ``problems`` list every mistake in every job.
    """
    problems: t.List[str] = []

    def dict_of(name: str, what: str) -> Document:
        value = variables.get(name)
        if not isinstance(value, (dict, type(None))):
            problems.append("%s: must be a dict of %s" % (name, what))
        return value if isinstance(value, dict) else {}

    jobs: Document = {}
    for name in names(variables):
        given = dict_of(name, "job documents by name")
        jobs = merged(jobs, {name: _written_out(job) for name, job in given.items()})
    stores = {name: store for name, store in dict_of(STORES, "stores by name").items() if store is not None}
    for name, store in stores.items():
        if not isinstance(store, dict):
            problems.append("%s.%s: must be a dict of a store's options" % (STORES, name))
        elif store.get("name", name) != name:
            problems.append("%s.%s.name: must be %r or be left out, because the key is the name" % (STORES, name, name))
    places = {name: default if variables.get(name) is None else variables[name] for name, default in PLACES.items()}
    under = merged(_places(host, places), _written_out(dict_of(DEFAULTS, "a job's options")))

    roots: t.Mapping[str, t.Any] = {}
    try:
        roots = normalise_options(dict_of(ROOTS, "folders by option"), host_spec.ROOTS, ROOTS)
    except ConfigError as error:
        problems += ["%s.%s" % (ROOTS, problem) for problem in error.problems]

    documents = {}
    for name, job in sorted(jobs.items(), key=str):
        if job is None:
            continue
        if not isinstance(job, dict):
            problems.append("%s: must be a dict of a job's options" % name)
            continue
        document = merged({"name": name}, merged(_without_replaced(under, job), job))
        if isinstance(document["encryption"], dict) and document["encryption"].get("format") != "none":
            document["encryption"].setdefault("keyring", places["log_archive_keyring"])
        mistakes = [] if document["name"] == name else ["name: must be %r or be left out, because the key is the name" % name]
        if document.get("stores") is None:
            document["stores"] = list(stores)
        if isinstance(document["stores"], list):
            document["stores"] = [_store(store, stores, "stores[%d]" % index, mistakes) for index, store in enumerate(document["stores"])]
        documents[name] = document = without_none(document)
        # A store with a mistake is reported once.
        said = tuple(mistake.partition(":")[0] + end for mistake in mistakes for end in (":", "."))
        try:
            mistakes += places_of_jobs.outside_of(normalise(document), roots)
        except ConfigError as error:
            mistakes += [problem for problem in error.problems if not problem.startswith(said)]
        problems += ["%s: %s" % (name, mistake) for mistake in mistakes]
    if problems:
        raise ConfigError("%d mistake%s in its job documents" % (len(problems), "s" if len(problems) > 1 else ""), host, problems=problems)
    return documents


def _places(host: str, places: Document) -> Document:
    log_dir = places["log_archive_log_dir"]
    return {
        "host": host,
        "encryption": {},
        "spool": places["log_archive_spool"],
        "state": places["log_archive_state"],
        "log": os.path.join(log_dir, "events.jsonl") if isinstance(log_dir, str) else log_dir,
    }


def _written_out(job: t.Any) -> t.Any:
    """The job with a dict for each word that is short for one, so that it can be merged and given to a module."""
    if not isinstance(job, dict):
        return job
    return {key: JOB.get(key, {}).get("shorthand", {}).get(value, value) if isinstance(value, str) else value for key, value in job.items()}


def _without_replaced(under: Document, job: Document) -> Document:
    """The defaults without the parts that another part of the job replaces, as ``web`` replaces ``select``."""
    taken = {option.get("instead_of") for name, option in JOB.items() if job.get(name) is not None}
    return {name: value for name, value in under.items() if name not in taken}


def _store(given: t.Any, stores: Document, where: str, mistakes: t.List[str]) -> t.Any:
    """A store of a document. given: the name of one of ``stores``, or options that replace some of its options, or a complete store."""
    own = {"name": given} if isinstance(given, str) else given
    if not isinstance(own, dict):
        return own
    name = own.get("name")
    if isinstance(name, str) and name in stores:
        return merged(merged({"name": name}, stores[name]), own)
    if isinstance(given, str) or (name is not None and own.get("type") is None):
        known = ", ".join(sorted(map(str, stores))) or "nothing"
        mistakes.append("%s: there is no store %r in %s, which has %s" % (where, name, STORES, known))
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
