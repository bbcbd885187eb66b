# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named tuples that do not compile their annotations."""

from __future__ import annotations

import pathlib
import pickle
import subprocess
import sys
import typing as t

import pytest
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base import named_tuple
from ansible_collections.infra_ops.log_archive.plugins.module_utils._engine.base.named_tuple import NamedTuple


class Point(NamedTuple):
    """A point."""

    x: int
    y: t.Optional[int] = None

    @property
    def sum(self):
        return self.x + (self.y or 0)


def test_it_is_as_typings_own():
    assert (Point.__doc__, Point.__module__, Point.__qualname__) == ("A point.", __name__, "Point")
    assert Point(1) == Point(x=1, y=None) == (1, None)
    assert Point(1, 2)._replace(y=3).sum == 4
    assert Point._fields == ("x", "y") and Point._field_defaults == {"y": None}
    assert repr(Point(1)) == "Point(x=1, y=None)"
    assert t.get_type_hints(Point) == {"x": int, "y": t.Optional[int]}
    assert pickle.loads(pickle.dumps(Point(1))) == Point(1)
    assert Point._make([1, 2])._asdict() == {"x": 1, "y": 2} and not hasattr(Point(1), "__dict__")
    for values, named in [((), {}), ((1, 2, 3), {}), ((1,), {"x": 1}), ((1,), {"z": 1})]:
        with pytest.raises(TypeError, match="Point needs each of x, y once"):
            Point(*values, **named)
    with pytest.raises(TypeError, match="Point needs each of x, y once"):
        Point(1)._replace(z=1)
    assert Point._make(iter([1])) == Point(1)
    with pytest.raises(TypeError, match="Point needs each of x, y once"):
        Point._make(range(3))


def test_no_annotation_is_compiled():
    program = (
        "import sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from base.named_tuple import NamedTuple\n"
        "source = compile('from __future__ import annotations\\nclass A(NamedTuple):\\n    x: Unknown[int]', 'x', 'exec')\n"
        "compiled = []\n"
        "sys.addaudithook(lambda event, arguments: compiled.append(arguments) if event == 'compile' and arguments[0] else None)\n"
        "exec(source, {'NamedTuple': NamedTuple, '__name__': 'x'})\n"
        "assert not [each for each in compiled if b'Unknown' in each[0]], compiled\n"
    )
    engine = pathlib.Path(named_tuple.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program, engine], check=True)
