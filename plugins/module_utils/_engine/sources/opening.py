# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collector of a job. Its module is loaded only when it is needed.

A new kind of source is one module beside this one, its options in ``config.spec``, and one line in ``KINDS``.
"""

from __future__ import annotations

from ..base import hints as t

if t.TYPE_CHECKING:
    from ..config.document import JobDocument
    from .base import Collector


def _files() -> t.Type[Collector]:
    from .files import FileCollector

    return FileCollector


def _web() -> t.Type[Collector]:
    from .dumps import WebCollector

    return WebCollector


def _cloudtrail() -> t.Type[Collector]:
    from .cloudtrail import CloudTrailCollector

    return CloudTrailCollector


def _vpc_flow() -> t.Type[Collector]:
    from .vpc_flow import VpcFlowCollector

    return VpcFlowCollector


KINDS: t.Dict[str, t.Callable[[], t.Type[Collector]]] = {
    "select": _files,
    "web": _web,
    "cloudtrail": _cloudtrail,
    "vpc_flow": _vpc_flow,
}
"""The parts of a job document that describe a source, and the class of each. A job document has exactly one of them."""


def collector_of(document: JobDocument) -> Collector:
    """The collector of a job, from its document as ``config.check.normalise`` returns it."""
    parts = t.cast(t.Mapping[str, t.Any], document)
    kind = next(kind for part, kind in KINDS.items() if parts[part] is not None)
    return kind()(document)
