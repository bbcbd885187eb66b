# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a search found, for people and as JSON. Whoever wrote a log may want to control a terminal: nothing of a line is printed raw."""

from __future__ import annotations

import typing as t

from ..base.texts import line as escaped

if t.TYPE_CHECKING:
    from ..archive.search import Line
    from ..holdings.search import Found

    class FoundRow(t.TypedDict):
        """A line in the result of ``search``, or with ``count`` the number of lines of a log, or with an error what was not searched.

        key: of the archive; None if a whole job was not searched. authenticated: whether its manifest is. log: its name in the archive;
        None if the whole archive was not searched. line: number, from 1. text: without its end; bytes that are not UTF-8 as lone surrogates
        (PEP 383). matched: else it is context. cut: it is a part of a long line, with the match. count: None unless the lines were only
        counted.
        """

        key: t.Optional[str]
        host: t.Optional[str]
        job: t.Optional[str]
        store: t.Optional[str]
        authenticated: bool
        log: t.Optional[str]
        line: t.Optional[int]
        text: t.Optional[str]
        matched: bool
        cut: bool
        count: t.Optional[int]
        error: t.Optional[str]


def rows(found: Found, only_count: bool) -> t.List[FoundRow]:
    """The rows of one part of the result."""
    common: t.Dict[str, t.Any] = {"key": found.key, "host": found.host, "job": found.job, "store": found.store}
    common.update(
        authenticated=found.authenticated, log=found.member, line=None, text=None, matched=False, cut=False, count=None, error=None
    )
    made = [{**common, "line": line.number, "text": _text(line), "matched": line.matched, "cut": line.cut} for line in found.lines]
    if only_count and found.matched:
        made.append({**common, "count": found.matched})
    if found.error is not None:
        made.append({**common, "error": str(found.error)})
    return t.cast("t.List[FoundRow]", made)


class Printed:
    """The result as ``grep`` would print it: HOST:ARCHIVE:LOG:LINE:TEXT, context as HOST:ARCHIVE:LOG:LINE-TEXT, counts as
    HOST:ARCHIVE:LOG:COUNT. Errors are not part of it. separated: lines that do not follow each other have ``--`` between them.
    """

    def __init__(self, separated: bool) -> None:
        self._separated = separated
        self._next: t.Optional[t.Tuple[t.Optional[str], t.Optional[str], int]] = None

    def lines(self, rows: t.Iterable[FoundRow]) -> t.List[str]:
        """The lines of some rows."""
        printed = []
        for row in rows:
            where = ":".join(escaped(part or "") for part in (row["host"], (row["key"] or "").rpartition("/")[2], row["log"]))
            number, text = row["line"], row["text"]
            if row["count"] is not None:
                printed.append("%s:%d" % (where, row["count"]))
            elif number is not None and text is not None:
                if self._separated and self._next not in (None, (row["key"], row["log"], number)):
                    printed.append("--")
                self._next = (row["key"], row["log"], number + 1)
                text = "... %s ..." % escaped(text) if row["cut"] else escaped(text)
                printed.append("%s:%d%s%s" % (where, number, ":" if row["matched"] else "-", text))
        return printed


def _text(line: Line) -> str:
    return line.text.decode("utf-8", "surrogateescape")
