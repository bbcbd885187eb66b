# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a Parquet file as text: the names of its columns, then a line for each row, as VPC flow logs are as text."""

from __future__ import annotations

import errno
import os
import typing as t

from ...base.errors import MissingLibraryError
from ...base.libraries import needed
from .content import DamagedError, GzipContent

ROWS = 5000
"""Rows that are decoded at once."""


class ParquetContent(GzipContent):
    """A complete Parquet file. Offsets are those of the text."""

    def _opened(self, _raw: t.Any) -> t.Any:
        try:
            with needed("pyarrow", "Parquet files"):
                import pyarrow  # type: ignore[import-not-found,import-untyped,unused-ignore]
                import pyarrow.parquet  # type: ignore[import-not-found,import-untyped,unused-ignore]
        except MissingLibraryError as error:
            # Like a file that cannot be read: the others of the stream can.
            raise OSError(errno.ENOSYS, str(error)) from error
        return _Rows(pyarrow, os.fdopen(self._fd, "rb", closefd=False))

    def _data(self, count: int) -> bytes:
        reader = t.cast("_Rows", self._reader)
        try:
            return reader.read1(count)
        except reader.errors:
            raise DamagedError(self._kept.end, "its content is damaged") from None


class _Rows:
    """The text of the rows, in parts. raw: the file as a file object."""

    def __init__(self, pyarrow: t.Any, raw: t.Any) -> None:
        self.errors = (pyarrow.lib.ArrowException, ValueError)
        self._pyarrow = pyarrow
        self._raw = raw
        self._batches: t.Optional[t.Iterator[t.Any]] = None
        self._text = b""

    def read1(self, count: int) -> bytes:
        """Up to ``count`` bytes; b"" at the end."""
        if self._batches is None:
            file = self._pyarrow.parquet.ParquetFile(self._raw)
            self._batches = file.iter_batches(batch_size=ROWS)
            self._text = (" ".join(file.schema_arrow.names) + "\n").encode("utf-8")
        while not self._text:
            batch = next(self._batches, None)
            if batch is None:
                return b""
            columns = [column.to_pylist() for column in batch.columns]
            self._text = "".join(" ".join(map(_word, row)) + "\n" for row in zip(*columns)).encode("utf-8", "replace")
        data, self._text = self._text[:count], self._text[count:]
        return data


def _word(value: t.Any) -> str:
    """A value as one word."""
    return "-" if value is None or value == "" else "_".join(str(value).split()) or "-"
