# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of ``typing``, for the modules that an idle run loads.

Annotations are not evaluated, so nothing needs these names when the engine runs, and the import of ``typing`` takes a tenth of an idle run.
Type checkers see the originals, and only they see ``TypedDict`` and ``TypeVar``. Modules that an idle run does not load import ``typing``.
"""

from __future__ import annotations

__all__ = [
    "TYPE_CHECKING",
    "Any",
    "BinaryIO",
    "Callable",
    "Collection",
    "ContextManager",
    "Dict",
    "FrozenSet",
    "Iterable",
    "Iterator",
    "List",
    "Mapping",
    "Match",
    "NoReturn",
    "Optional",
    "Pattern",
    "Sequence",
    "Set",
    "Tuple",
    "Type",
    "TypeVar",
    "TypedDict",
    "Union",
    "cast",
]

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import (
        Any,
        BinaryIO,
        Callable,
        Collection,
        ContextManager,
        Dict,
        FrozenSet,
        Iterable,
        Iterator,
        List,
        Mapping,
        Match,
        NoReturn,
        Optional,
        Pattern,
        Sequence,
        Set,
        Tuple,
        Type,
        TypedDict,
        TypeVar,
        Union,
        cast,
    )
else:

    class _Name:
        """Any of the names, with or without arguments."""

        def __getitem__(self, arguments):
            return self

    Any = BinaryIO = Callable = Collection = ContextManager = Dict = FrozenSet = Iterable = Iterator = List = Mapping = Match = _Name()
    NoReturn = Optional = Pattern = Sequence = Set = Tuple = Type = Union = Any

    def cast(kind, value):
        """The value, as ``typing.cast`` returns it."""
        return value
