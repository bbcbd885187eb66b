# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Importing third-party libraries: which are needed, which only make the engine faster, and what to report if one cannot be used.

A library may be absent, or it may be there and fail while it is loaded: another of its parts is missing, it is too old, or it does not fit
this Python. The two need different advice, so each import of a library stands in one of these contexts.
"""

from __future__ import annotations

import typing as t

from .errors import MissingLibraryError

if t.TYPE_CHECKING:
    from types import TracebackType

_problems: t.List[str] = []


class _Importing:
    """library: its name on PyPI. module: the name under which it is imported."""

    def __init__(self, library: str, module: t.Optional[str] = None) -> None:
        self.library = library
        self.module = module or library

    def __enter__(self) -> None:
        return None

    def _reason(self, error: BaseException) -> t.Optional[str]:
        """Why the library that is there cannot be loaded; None if it is absent."""
        if isinstance(error, ModuleNotFoundError) and error.name == self.module:
            return None
        return "%s: %s" % (type(error).__name__, error)


class needed(_Importing):  # noqa: N801 - used like a function
    """A context for the import of a library that an operation cannot do without: whatever fails becomes MissingLibraryError.

    purpose: what needs it, for the message. least: the lowest version that will do, if that is more than requirements.txt asks for.
    """

    def __init__(self, library: str, purpose: str, module: t.Optional[str] = None, least: t.Optional[str] = None) -> None:
        super().__init__(library, module)
        self._purpose = purpose
        self._least = least

    def __exit__(
        self, kind: t.Optional[t.Type[BaseException]], error: t.Optional[BaseException], traceback: t.Optional[TracebackType]
    ) -> None:
        if error is not None and _is_failed_import(error):
            raise MissingLibraryError(self.library, self._purpose, self._reason(error), self._least) from error


class optional(_Importing):  # noqa: N801 - used like a function
    """A context for the import of a library that only makes the engine faster: if that fails, the code after the context runs.

    A library that is there and cannot be loaded is noted for ``take_problems``.
    """

    def __exit__(
        self, kind: t.Optional[t.Type[BaseException]], error: t.Optional[BaseException], traceback: t.Optional[TracebackType]
    ) -> bool:
        if error is None or not _is_failed_import(error):
            return False
        reason = self._reason(error)
        text = "the Python library '%s' cannot be loaded (%s); the work is slower without it. Reinstall or remove it" % (
            self.library,
            reason,
        )
        if reason is not None and text not in _problems:
            _problems.append(text)
        return True


def take_problems() -> t.List[str]:
    """Warnings about optional libraries that are there and could not be loaded, since the last call."""
    taken = _problems[:]
    del _problems[:]
    return taken


def _is_failed_import(error: BaseException) -> bool:
    # A library may fail with anything. The extension of cryptography panics with an exception that is no Exception.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
