# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``NamedTuple`` for the types that an idle run loads.

It is ``typing.NamedTuple`` without the check of the annotations, which compiles each of them, and without a constructor that is compiled
for each type: these cost an idle run a tenth of its time. Type checkers see the original. Other types use the original, too.
"""

from __future__ import annotations

import collections

from . import hints as t

__all__ = ["NamedTuple"]

if t.TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Tuple(tuple):
        """The methods of all named tuples. _fields: their names, in order; _field_defaults: the values of the last of them."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}

        def __new__(cls, /, *values, **named):
            if named or len(values) != len(cls._fields):
                values = cls._complete(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _complete(cls, values, named):
            """All values in the order of the fields."""
            given = dict(zip(cls._fields, values))
            found = {**cls._field_defaults, **given, **named}
            if len(values) > len(cls._fields) or given.keys() & named.keys() or found.keys() != set(cls._fields):
                raise TypeError("%s needs each of %s once" % (cls.__name__, ", ".join(cls._fields)))
            return [found[name] for name in cls._fields]

        @classmethod
        def _make(cls, values):
            return cls(*values)

        def _replace(self, /, **named):
            return type(self)(**{**self._asdict(), **named})

        def _asdict(self):
            return dict(zip(self._fields, self))

        def __repr__(self):
            return "%s(%s)" % (type(self).__name__, ", ".join("%s=%r" % each for each in zip(self._fields, self)))

        def __getnewargs__(self):
            return tuple(self)

    class _Maker(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace["__annotations__"])
            namespace["_field_defaults"] = {field: namespace[field] for field in fields if field in namespace}
            namespace.update((field, collections._tuplegetter(index, "")) for index, field in enumerate(fields))
            namespace.update(__slots__=(), __match_args__=fields, _fields=fields)
            return type(name, (_Tuple,), namespace)

    class NamedTuple(metaclass=_Maker):
        """Subclass it with annotated fields, as ``typing.NamedTuple``."""
