# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host that a command names: if nothing was found of it, its name may be wrong, which must not look as if all is well."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.errors import ConfigError
from .options import opened

if t.TYPE_CHECKING:
    import argparse

    from ..config.document import JobDocument, JobStore


def refuse_unknown(options: argparse.Namespace, looked: t.Iterable[t.Tuple[JobDocument, t.Sequence[JobStore]]]) -> None:
    """Raise ConfigError if ``--host`` is no host of which there are archives, at any time. Called if nothing was found.

    looked: the jobs with the stores in which their archives were looked for; without stores, in their catalogs.
    """
    if options.host in (None, "*"):
        return
    from ..archive.naming import host_name
    from ..base.periods import did_you_mean

    known: t.Set[str] = set()
    hint = "'log-archive list --hosts' shows the hosts of each store"
    for document, stores in looked:
        if not stores:
            hint = "The catalog has those of this host; --store NAME lists those in a store"
        known.add(host_name(document["host"]))
        known.update(_of_stores(stores) if stores else _of_catalog(document))
    if known and options.host not in known:
        raise ConfigError("there are no archives of this host", "--host %s" % options.host, did_you_mean(options.host, known) + hint)


def _of_stores(stores: t.Iterable[JobStore]) -> t.Iterator[str]:
    for each in stores:
        with opened(each) as store:
            yield from store.hosts()


def _of_catalog(document: JobDocument) -> t.Iterator[str]:
    from ..state import catalog as catalogs

    if catalogs.exists(document["state"]):
        with contextlib.closing(catalogs.reading(document)) as catalog:
            yield from (entry.host for entry in catalog.entries_of(document["name"], None, None))
