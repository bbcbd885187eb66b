# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file has a generation: a stream can have very many files, and each has to be compared with those that begin like it."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..checkpoint import Generation
    from .file import File


class Holders:
    """The files that have a generation, by the first digest of its head. files: those that may have one already."""

    def __init__(self, files: t.Iterable[File]) -> None:
        self._files: t.Dict[str, t.List[File]] = {}
        for file in files:
            self.add(file)

    def add(self, file: File) -> None:
        """Note that a file has a generation now, if it has."""
        if file.generation is not None:
            self._files.setdefault(file.generation.head[0][1], []).append(file)

    def generations(self, first: str) -> t.List[Generation]:
        """Those with this first digest that files have."""
        return [file.generation for file in self._files.get(first, ()) if file.generation is not None]

    def other(self, generation: Generation, than: File) -> t.Optional[File]:
        """Another file that is this generation."""
        for file in self._files.get(generation.head[0][1], ()):
            if file is not than and file.generation is not None and file.generation.public_id == generation.public_id:
                return file
        return None
