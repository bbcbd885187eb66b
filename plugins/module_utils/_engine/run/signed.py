# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the signed ledger of a job has of the manifests in its stores.

A host that has no key for its archives knows by this which of them it made: anyone can make an archive for a public key.
"""

from __future__ import annotations

import typing as t

from ..archive.naming import names_of
from ..base.errors import LogArchiveError
from ..state.ledger.file import exists, ledger_of

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from ..state.ledger.chain import Contents


class Signed:
    """The ledger of a job. It is read, and its chain checked, when it is first asked for."""

    def __init__(self, document: JobDocument) -> None:
        self._document = document
        self._contents: t.Optional[Contents] = None
        self._is_read = False

    def of_store(self, store: str) -> t.Callable[[str], t.Optional[str]]:
        """A function that returns the SHA-256 (in lowercase hex) of the manifest of an archive of this store, by its key.

        None if the ledger has no entry for it, or cannot be used.
        """

        def manifest_of(key: str) -> t.Optional[str]:
            if not self._is_read:
                self._is_read = True
                try:
                    if any(exists(self._document["state"], name) for name in names_of(self._document)):
                        self._contents = ledger_of(self._document).replay()[0]
                except LogArchiveError:
                    pass  # verify and status report a ledger that is broken. It proves nothing here.
            held = None if self._contents is None else self._contents.held.get((store, key))
            return None if held is None else held.manifest

        return manifest_of
