# SPDX-FileCopyrightText: infra_ops.log_archive contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sinks ``elasticsearch`` and ``opensearch``.

Positions and documents are committed together to SQLite on this host. The documents wait there, in the **outbox**, until the server has
them. The id of a document comes from its generation and offset, and it is only ever created, so that sending it again does no harm: a lost
answer, a killed follower and a lost database are the same case.
"""

from __future__ import annotations

import json
import os
import threading
import time
import typing as t

from ....base.units import format_size, parse_age, parse_size
from ..base import SinkDeniedError, SinkError, SinkFullError, SinkUnavailableError, nothing
from ..schema import REJECTED
from ..sqlite import SqliteSink
from . import documents, retention
from .outbox import Outbox, Waiting
from .server import DONE, REJECT, WAIT, BusyError, ForbiddenError, SearchServer, TooLargeError

if t.TYPE_CHECKING:
    from ....config.stream_document import SinkOptions
    from ...checkpoint import Batch, Generation
    from ...records.tables import Rows, Table
    from .server import Outcome

MOST_DOCUMENTS, MOST_BYTES = 5000, 5 << 20
"""Of a bulk request."""
FIRST_DELAY, LAST_DELAY = 0.5, 60.0
"""Seconds before the next attempt: they double."""
LEAST_FREE = 32 << 20
"""Bytes that must be free on the disk before lines are added to documents that wait."""
PAUSE = 0.05
"""Seconds before a smaller request."""
CLOSE_TIMEOUT = 5
"""Seconds that a request in flight gets when the sink is closed; its documents stay in the outbox."""


class OutboxFullError(SinkUnavailableError):
    """The outbox has no room: reading waits until the server takes documents."""


class Block(t.NamedTuple):
    """Why an index takes no documents now. kind: of the error; hint: what a person can do."""

    kind: t.Type[SinkError]
    reason: str
    hint: str


class Flight(threading.Thread):
    """One bulk request on its way, while more lines are read.

    sent, outcomes: the documents of the request, and what became of each. missing: the indices that do not exist any more.
    """

    def __init__(self, server: SearchServer, waiting: t.Sequence[Waiting]) -> None:
        super().__init__(name="bulk", daemon=True)
        self.waiting = waiting
        self.sent: t.Sequence[Waiting] = ()
        self.outcomes: t.List[Outcome] = []
        self.missing: t.Set[str] = set()
        self.error: t.Optional[BaseException] = None
        self._server = server

    def run(self) -> None:
        """Send the documents of indices that exist: a bulk request would create a deleted index again."""
        try:
            indices = {document.index_name for document in self.waiting}
            self.missing = indices - self._server.existing(indices)
            self.sent = [document for document in self.waiting if document.index_name not in self.missing]
            if self.sent:
                self.outcomes = self._server.bulk("".join(map(_lines, self.sent)), len(self.sent))
        except BaseException as error:
            self.error = error


def _lines(document: Waiting) -> str:
    return '{"create":{"_index":"%s","_id":"%s"}}\n%s\n' % (document.index_name, document.doc_id, document.source)


class SearchSink(SqliteSink):
    """Sends rows as documents. trouble: why documents wait, if they do. refused: documents that the server refused since the start."""

    # It knows the size of the outbox.
    has_turns = False

    def __init__(self, options: SinkOptions, stream: str, host: str, tables: t.Sequence[Table], create: bool = True) -> None:
        self._product = options["type"]
        self._prefix = documents.prefix_of(options["prefix"], stream)
        self._delete_after = parse_age(str(options["delete_after"])) if options["delete_after"] else None
        self._most_size = parse_size(options["outbox"])
        self._row_tables = tables
        self._makers = {table.name: documents.Documents(self._prefix, table, stream, host) for table in tables}
        self._flight: t.Optional[Flight] = None
        self._limit = MOST_DOCUMENTS
        self._delay = FIRST_DELAY
        self._not_before = self._blocked_until = 0.0
        self._blocked: t.Dict[str, Block] = {}
        self._is_set_up = False
        self._mappings: t.Dict[str, t.Any] = {}
        self.trouble = None
        self.refused = 0
        # A dry run and a look at the positions connect to no server.
        self._server = SearchServer(options) if create else None
        super().__init__(options, stream, host, (), create)
        try:
            self._outbox = Outbox(self._query, self._change, self._execute_rows, create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        if self._flight is not None:
            # What it sends stays in the outbox, and is sent again.
            self._flight.join(CLOSE_TIMEOUT)
        if self._server is not None:
            self._server.close()
        super().close()

    @property
    def waiting(self) -> int:
        return self._outbox.count

    def check_writable(self) -> None:
        super().check_writable()
        # A server that is down, or that refuses the user, is waited for: the outbox takes lines meanwhile.
        self._take_off()

    # -- into the outbox ----------------------------------------------------------------------------------------------

    def commit(self, batch: Batch, meanwhile: t.Callable[[], None] = nothing) -> Generation:
        self._land(wait=False)
        while self._outbox.size >= self._most_size or self._is_scarce():
            if not self.deliver():
                if self._is_scarce():
                    facts = self._outbox.count, format_size(LEAST_FREE)
                    text = "%d documents wait to be sent, and the disk has less than %s free" % facts
                    raise SinkFullError(text, self.name, "Free some space; nothing is lost")
                raise OutboxFullError(
                    "%d documents wait to be sent, and the outbox is full%s"
                    % (self._outbox.count, ": %s" % self.trouble if self.trouble else ""),
                    self.name,
                    "Reading goes on when the server accepts them",
                )
        try:
            generation = super().commit(batch, meanwhile)
        except BaseException:
            self._outbox.measure()
            raise
        self._take_off()
        return generation

    def _is_scarce(self) -> bool:
        """Whether the outbox may not grow: SQLite also needs room to remove what was sent, so a full disk would never be free again."""
        if not self._outbox.count:
            return False
        found = os.statvfs(os.path.dirname(self._path))
        return found.f_bavail * found.f_frsize < LEAST_FREE

    def _store_rows(self, table: str, generation: int, public_id: str, rows: Rows) -> None:
        self._outbox.add(generation, self._makers[table].of_rows(public_id, rows))

    def send_again(self, generation: int, offsets: t.Sequence[int]) -> None:
        statement = "SELECT line_offset, line FROM %s WHERE generation = ? AND line_offset IN (%s) ORDER BY line_offset"
        with self._transaction():
            self._mark_stored(generation, offsets)
            found = self._query(statement % (REJECTED.name, ", ".join(map(str, offsets))), (generation,))
            made = []
            for offset, line in found:
                kept = json.loads(bytes(line))
                source = json.dumps(kept["_source"], ensure_ascii=False, separators=(",", ":"))
                made.append(documents.Document(offset, kept["_index"], kept["_id"], source))
            self._outbox.add(generation, made)

    # -- out of the outbox --------------------------------------------------------------------------------------------

    def deliver(self) -> bool:
        if self._flight is None and not self._take_off():
            return False
        return self._land(wait=True)

    def _take_off(self) -> bool:
        """Start a bulk request, if it is time to; its answer is looked at later."""
        now = time.monotonic()
        if self._server is None or self._flight is not None or now < self._not_before:
            return False
        if now >= self._blocked_until:
            self._blocked.clear()
        try:
            self._set_up(self._server)
            waiting = self._outbox.oldest(self._limit, MOST_BYTES, self._blocked)
            for index in sorted({document.index_name for document in waiting} - self._outbox.indices.keys()):
                settings = retention.settings_of(self._product, index) if self._delete_after is not None else {}
                self._server.create_index(index, {"settings": settings, **self._mappings.get(index[: -len("-2021.04")], {})})
                self._outbox.remember(index)
        except (SinkUnavailableError, SinkDeniedError) as error:
            self._wait(error)
            return False
        if not waiting:
            self._outbox.measure()
            if not self._outbox.count:
                self.trouble = None
            return False
        self._flight = Flight(self._server, waiting)
        self._flight.start()
        return True

    def _set_up(self, server: SearchServer) -> None:
        """Check the product, and put the templates and the policy, once."""
        if self._is_set_up:
            return
        server.check_product()
        settings: t.Dict[str, t.Any] = {}
        if self._delete_after is not None:
            names = ["%s-%s-*" % (self._prefix, kind) for table in self._row_tables for kind in documents.kinds_of(table)]
            retention.put_policy(server, self._product, self._prefix, names, self._delete_after)
            settings = retention.index_settings(self._product, self._prefix)
        for name, template in documents.templates(self._prefix, self._row_tables, settings).items():
            try:
                server.request("PUT", "/_index_template/" + name, template)
            except ForbiddenError:
                # Then each index gets its mapping when it is created.
                self._mappings[name] = {"mappings": template["template"]["mappings"]}
        self._is_set_up = True

    def _land(self, wait: bool) -> bool:
        """Take the answer of the request on its way. Returns whether another one makes sense at once."""
        flight = self._flight
        if flight is None or (flight.is_alive() and not wait):
            return False
        flight.join()
        self._flight = None
        if flight.error is not None:
            return self._failed_flight(flight, flight.error)
        done = [document for document, outcome in zip(flight.sent, flight.outcomes) if outcome.what == DONE]
        refused = [(document, outcome.reason) for document, outcome in zip(flight.sent, flight.outcomes) if outcome.what == REJECT]
        gone = [document for document in flight.waiting if document.index_name in flight.missing]
        refused += [(document, "older than delete_after") for document in gone if self._is_expired(document.index_name)]
        self._apply(done, refused)
        reasons = {document.index_name: _GONE for document in gone if not self._is_expired(document.index_name)}
        held = [(document, outcome) for document, outcome in zip(flight.sent, flight.outcomes) if outcome.what == WAIT]
        return self._judge(held, reasons, bool(done or refused))

    def _judge(self, held: t.Sequence[t.Tuple[Waiting, Outcome]], reasons: t.Dict[str, Block], progress: bool) -> bool:
        """Decide when to send what the server did not take, and what to send until then. reasons: why indices take nothing."""
        busy = [document for document, outcome in held if outcome.status == 429]
        others = [(document, outcome) for document, outcome in held if outcome.status != 429]
        reasons.update((document.index_name, _block_of(outcome)) for document, outcome in others)
        if reasons:
            # Only then: other indices, which work, must not postpone the next attempt.
            self._blocked.update(reasons)
            self._blocked_until = time.monotonic() + self._delay
        if busy:
            self._limit = max(1, self._limit // 2)
        else:
            self._limit = min(MOST_DOCUMENTS, self._limit + self._limit // 4 + 1)
        if self._blocked:
            index, block = sorted(self._blocked.items())[0]
            self.trouble = block.kind("%d documents wait: %s" % (self._outbox.count, block.reason), index, block.hint)
        elif busy and not progress:
            self._wait(BusyError("the server cannot take documents now", self.name))
        else:
            self.trouble = None
        self._delay = FIRST_DELAY if progress else min(LAST_DELAY, self._delay * 2)
        return progress

    def _failed_flight(self, flight: Flight, error: BaseException) -> bool:
        if isinstance(error, (BusyError, TooLargeError)) and len(flight.sent) > 1:
            # A smaller request may fit.
            self._limit = len(flight.sent) // 2
            time.sleep(PAUSE)
            return True
        if isinstance(error, TooLargeError) and flight.sent:
            self._apply([], [(flight.sent[0], "the server accepts no request of this size")])
            return True
        if not isinstance(error, (SinkUnavailableError, SinkDeniedError)):
            raise error
        self._wait(error)
        return False

    def _wait(self, error: SinkError) -> None:
        self.trouble = error
        if isinstance(error, SinkDeniedError):
            # More attempts could lock an account.
            self._delay = LAST_DELAY
        self._not_before = time.monotonic() + self._delay
        self._delay = min(LAST_DELAY, self._delay * 2)

    def _apply(self, done: t.Sequence[Waiting], refused: t.Sequence[t.Tuple[Waiting, str]]) -> None:
        """Remove documents from the outbox: those that the server has, and those that become rejected lines."""
        with self._transaction():
            self._outbox.remove([*done, *(document for document, _reason in refused)])
            for document, reason in refused:
                kept = '{"_index":"%s","_id":"%s","_source":%s}' % (document.index_name, document.doc_id, document.source)
                line = kept.encode("utf-8")
                self._change(_REFUSE, (document.generation, document.offset, len(line), "document", reason, line, time.time()))
        self.refused += len(refused)

    def _is_expired(self, index: str) -> bool:
        """Whether the policy may have deleted an index."""
        known = min(documents.end_of_month(index), self._outbox.indices.get(index, time.time()))
        return self._delete_after is not None and known + self._delete_after < time.time()


_HINT = "If it was deleted, restore it or create it again; if it is read-only or closed, unblock or open it. Then the documents are sent"
_GONE = Block(SinkUnavailableError, "the index no longer exists", _HINT)


def _block_of(outcome: Outcome) -> Block:
    if outcome.is_denied:
        hint = "Grant it. Then the documents are sent"
        return Block(SinkDeniedError, "the user lacks the right to write (%s)" % outcome.reason, hint)
    return Block(SinkUnavailableError, "the server refuses to write (%s)" % outcome.reason, _HINT)


_REFUSE = (
    "INSERT INTO %s (generation, line_offset, bytes, reason, detail, line, noticed_at) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (generation, line_offset) DO UPDATE SET bytes = excluded.bytes, reason = excluded.reason, detail = excluded.detail,"
    " line = excluded.line, noticed_at = excluded.noticed_at, stored_at = NULL" % REJECTED.name
)
