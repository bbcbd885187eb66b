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
        """The methods of all named tuples. _fields: their names, in order; _field_defaults: the values of the last of them, and
        _last: these values alone."""

        __slots__ = ()
        _fields = ()
        _field_defaults = {}
        _last = ()

        def __new__(cls, /, *values, **named):
            if named or len(values) != len(cls._fields):
                values = cls._complete(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _complete(cls, values, named):
            """All values in the order of the fields."""
            missing = len(cls._fields) - len(values)
            if not named and 0 < missing <= len(cls._last):
                return values + cls._last[-missing:]
            left = cls._fields[len(values) :]
            if missing > 0 and named.keys() <= set(left):
                try:
                    return (*values, *[named[name] if name in named else cls._field_defaults[name] for name in left])
                except KeyError:
                    pass
            raise TypeError("%s needs each of %s once" % (cls.__name__, ", ".join(cls._fields)))

        @classmethod
        def _make(cls, values):
            made = tuple.__new__(cls, values)
            return made if len(made) == len(cls._fields) else cls(*made)

        def _replace(self, /, **named):
            values = [named.pop(name) if name in named else value for name, value in zip(self._fields, self)]
            return type(self)(*values, **named)

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
            namespace["_field_defaults"] = defaults = {field: namespace[field] for field in fields if field in namespace}
            namespace.update((field, collections._tuplegetter(index, "")) for index, field in enumerate(fields))
            namespace.update(__slots__=(), __match_args__=fields, _fields=fields, _last=tuple(defaults.values()))
            return type(name, (_Tuple,), namespace)

    class NamedTuple(metaclass=_Maker):
        """Subclass it with annotated fields, as ``typing.NamedTuple``."""
