# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Open the store that a job document describes. Its module, and the library that it needs, is loaded only then.

A new type of store is one file with a subclass of Store, one function and one line in the table below, and its options in
``config.store_spec.STORE``. The functions hold import statements because Ansible ships to a host what import statements name.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..config.document import StoreOptions
    from .base import Store


def _file_store() -> t.Type[Store]:
    from .file import FileStore

    return FileStore


def _s3_store() -> t.Type[Store]:
    from .s3 import S3Store

    return S3Store


def _sftp_store() -> t.Type[Store]:
    from .sftp import SftpStore

    return SftpStore


CLASSES: t.Dict[str, t.Callable[[], t.Type[Store]]] = {
    "file": _file_store,
    "s3": _s3_store,
    "sftp": _sftp_store,
}
"""By type: a function that loads the class."""


def open_store(options: StoreOptions, check: bool = False) -> Store:
    """Return the store that these options describe; nothing is connected yet.

    options: as ``config`` checked them, with every default filled in. Options of other types are ignored. check: a dry run, which
    must leave this machine as it is. Raises ConfigError.
    """
    store = CLASSES[options["type"]]()(options)
    if check:
        store.leave_no_trace()
    return store
