# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``NamedTuple`` for the types that an idle run loads.

It is ``typing.NamedTuple`` without the check of the annotations. That check compiles each of them and costs an idle run a tenth of its
time. Type checkers see the original. Other types use the original, too.
"""

from __future__ import annotations

import collections

from . import hints as t

__all__ = ["NamedTuple"]

if t.TYPE_CHECKING:
    from typing import NamedTuple
else:

    class _Maker(type):
        def __new__(cls, name, bases, namespace):
            if not bases:
                return super().__new__(cls, name, bases, namespace)
            fields = namespace["__annotations__"]
            defaults = [namespace[field] for field in fields if field in namespace]
            made = collections.namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])
            for key, value in namespace.items():
                if key not in fields and key != "__qualname__":
                    setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Maker):
        """Subclass it with annotated fields, as ``typing.NamedTuple``."""
