# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read botocore's tables of services once in a process: each session would read them anew, most of the time of a new client."""

from __future__ import annotations

import copy
import functools
import typing as t


def share() -> None:
    """Let all sessions that this process makes from now on share what they have read."""
    import botocore.session

    make = functools.lru_cache(None)(botocore.session.create_loader)

    def create_loader(search_path: t.Optional[str] = None) -> t.Any:
        loader = copy.copy(make(search_path))
        # boto3 adds its own folder in each session.
        loader._search_paths = list(loader._search_paths)
        return loader

    botocore.session.create_loader = create_loader
