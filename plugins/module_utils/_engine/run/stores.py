# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The stores of a job during one run."""

from __future__ import annotations

from ..base import hints as t
from ..base.errors import ConfigError, IntegrityError, LogArchiveError, SourceError

if t.TYPE_CHECKING:
    from ..base.beneath import Identity
    from ..config.document import JobStore
    from ..stores.base import Store


class OpenStores:
    """The stores of a job. Each is opened when it is first used and stays open until ``close``.

    check: for a dry run.
    options: of each store by its name, in the order of the job. dead: {name: error} of the stores that this run no longer tries.
    written: {name: folders that this run sent archives to}. pruned: names of the stores that were pruned before their first upload.
    """

    def __init__(self, stores: t.Sequence[JobStore], check: bool = False) -> None:
        self.options = {options["name"]: options for options in stores}
        self._check = check
        self.dead: t.Dict[str, str] = {}
        self.written: t.Dict[str, t.Set[str]] = {}
        self.pruned: t.Set[str] = set()
        self._open: t.Dict[str, Store] = {}
        self._folders: t.Dict[Identity, str] = {}

    @property
    def names(self) -> t.List[str]:
        """The names of all stores."""
        return list(self.options)

    @property
    def required(self) -> t.List[str]:
        """The names of the stores that must have an archive before its sources may be deleted."""
        return [name for name, options in self.options.items() if options["required"]]

    def open(self, name: str) -> Store:
        """The store of this name. Raises ConfigError, MissingLibraryError, and StoreError if its folder cannot be opened."""
        if name not in self._open:
            from ..stores.opening import open_store

            self._open[name] = open_store(self.options[name], self._check)
        store = self._open[name]
        folder = store.folder()
        if folder is not None and self._folders.setdefault(folder, name) != name:
            raise ConfigError(
                "the stores %s and %s are the same folder; one copy does not count as two" % (self._folders[folder], name),
                store.location(),
                "Remove one of them, or give it its own folder",
            )
        return store

    def note_failure(self, name: str, error: LogArchiveError) -> None:
        """Give a store up for this run, unless the error is about one archive only.

        A store that failed after all its attempts would fail for the next archive too, and take as long.
        """
        if not isinstance(error, (IntegrityError, SourceError)):
            self.dead[name] = str(error)

    def close(self) -> None:
        """Close the stores that are open."""
        for store in self._open.values():
            store.close()
