# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that run in the process of the tests, which is much faster than one process for each."""

from __future__ import annotations

import contextlib
import typing as t
from unittest import mock

from ansible.module_utils import _internal
from ansible.module_utils.testing import patch_module_args


@contextlib.contextmanager
def module_args(given: t.Dict[str, t.Any]) -> t.Iterator[None]:
    """The arguments of the module that the context runs.

    If a test before this one has loaded Ansible's controller, a module would print its warnings instead of returning them.
    """
    with patch_module_args(given), mock.patch.object(_internal, "is_controller", False):
        yield
