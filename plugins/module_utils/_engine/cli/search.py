# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""``log-archive search``."""

from __future__ import annotations

import contextlib
import typing as t

from ..base.errors import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY, ArchiveNotFoundError, LogArchiveError, StoreError
from ..base.progress import no_progress
from ..base.texts import line
from . import output
from .options import add_identities, add_range, add_store, check_range, each_document, progress_of
from .recorded import holdings_of

if t.TYPE_CHECKING:
    import argparse

    from ..archive.patterns import Wanted
    from ..holdings.search import Found
    from ..holdings.stock import Holdings
    from ..tell.found import FoundRow

MOST_IN_JSON = 10000
"""Lines in JSON, context included, unless --max is given: they are printed at the end, together."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``search``."""
    parser.add_argument(
        "pattern", metavar="PATTERN", help="a Python regular expression; it is matched against one line at a time, as bytes"
    )
    parser.add_argument("--fixed", action="store_true", help="PATTERN is plain text, not a regular expression")
    parser.add_argument("--ignore-case", action="store_true", help="ignore the difference between uppercase and lowercase letters")
    add_range(parser)
    parser.add_argument("--job", dest="jobs", metavar="JOB", action="append", default=[], help="only this job; repeatable (default: all)")
    add_store(parser, "search only in this store (default: in the first store of the job that has the archive)")
    parser.add_argument("--context", metavar="N", type=int, default=0, help="also print N lines before and after each match; at most 100")
    parser.add_argument("--count", action="store_true", help="print only how many lines of each log match")
    limit = "end after N matching lines (default: no limit; with --json %d lines, context included)" % MOST_IN_JSON
    parser.add_argument("--max", metavar="N", type=int, help=limit)
    add_identities(parser)
    parser.add_argument("--unencrypted", action="store_true", help="accept unencrypted archives of a job that encrypts")


def search(options: argparse.Namespace) -> int:
    """Print the lines of archived logs that match."""
    from ..archive.patterns import Wanted

    check_range(options)
    limit = options.max
    if limit is None and options.json:
        limit = max(1, MOST_IN_JSON // (2 * max(0, options.context) + 1))
    wanted = Wanted(options.pattern, options.fixed, options.ignore_case, options.context, options.count, limit)
    try:
        with contextlib.ExitStack() as stack:
            holdings: t.List[Holdings] = []
            code = each_document(
                options, lambda document: holdings.append(holdings_of(document, options, stack)), lambda _job, _error: None
            )
            return _Search(options, wanted, code).run(holdings)
    except Exception as error:
        known = output.typed_error(error)
        # That nothing was found must not be confused with a search that failed.
        known.exit_code = _code(known)
        raise known from error


def _code(error: LogArchiveError) -> int:
    return EXIT_PARTLY if error.exit_code == EXIT_FAILED else error.exit_code


class _Search:
    """A search, and what it has printed."""

    def __init__(self, options: argparse.Namespace, wanted: Wanted, code: int) -> None:
        from ..tell.found import Printed

        self._options = options
        self._wanted = wanted
        self._progress = progress_of(options)
        self._codes = [EXIT_PARTLY if code == EXIT_FAILED else code]
        self._unauthenticated: t.Optional[str] = None
        """The last archive that was reported as not authenticated."""
        self._rows: t.List[FoundRow] = []
        self._matched = 0
        self._printed = Printed(wanted.context > 0)

    def run(self, holdings: t.Sequence[Holdings]) -> int:
        from ..holdings.search import search_stores
        from ..holdings.trust import Choice

        choice = Choice((), self._options.since, self._options.until)
        if holdings:
            results = search_stores(holdings, choice, self._wanted, progress=self._progress, warn=self._warn)
            with contextlib.closing(results):
                try:
                    for found in results:
                        if not self._print(found):
                            break
                except ArchiveNotFoundError as error:
                    self._warn(str(error))
                except StoreError as error:
                    self._codes.append(EXIT_PARTLY)
                    self._rows.append(_failed(error))
                    self._warn(str(error))
        if self._options.json:
            output.print_json(self._rows)
        if self._matched == self._wanted.most and self._options.max is None:
            self._warn("the search ended after %d matching lines; --max sets another limit" % self._matched)
        output.print_library_problems()
        worst = output.worst(self._codes)
        return worst if worst != EXIT_DONE or self._matched else EXIT_FAILED

    def _print(self, found: Found) -> bool:
        """Print what was found, or keep it for JSON. Returns False if nobody reads what is printed."""
        from ..tell.found import rows

        self._matched += found.matched
        if found.matched and not found.authenticated and found.key != self._unauthenticated:
            self._unauthenticated = found.key
            self._warn("%s is not authenticated: nothing proves that the host made it" % found.key)
        if found.error is not None:
            self._codes.append(_code(found.error))
            self._warn("%s: not searched%s: %s" % (found.key, " to its end" if found.member else "", found.error))
        made = rows(found, self._wanted.only_count)
        if self._options.json:
            self._rows += made
            return True
        printed = self._printed.lines(made)
        if not printed:
            return True
        self._clear()
        return output.print_text("\n".join(printed))

    def _warn(self, text: str) -> None:
        self._clear()
        output.print_error("log-archive: %s" % line(text))

    def _clear(self) -> None:
        if self._progress is not no_progress:
            from .progress import clear

            clear()


def _failed(error: LogArchiveError) -> FoundRow:
    return {
        "key": None,
        "host": None,
        "job": None,
        "store": None,
        "authenticated": False,
        "log": None,
        "line": None,
        "text": None,
        "matched": False,
        "cut": False,
        "count": None,
        "error": str(error),
    }
